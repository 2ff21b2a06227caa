# SPDX-License-Identifier: Apache-2.0
"""`python -m cowabungaai_whisper`, as a process of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import numpy as np
import psutil
import pytest

from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.errors import InvalidRequestError
from support import SPEECH, encoded, options, pieces, silence, speech_file, spoken, text_of, wav, wav_head, wrong_words

MIB = 1 << 20
HOUR_BYTES = 3600 * 16_000 * 2

# Refuses every connection but those that come in, then serves.
OFFLINE = """
import socket, runpy, sys
def refuse(*_): raise AssertionError("a connection to the outside")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
sys.argv = sys.argv[1:]
runpy.run_module("cowabungaai_whisper", run_name="__main__", alter_sys=True)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def process() -> Iterator[Start]:
    """Starts backends on free ports of loopback; ends them."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, program: tuple[str, ...] = ("-m", "cowabungaai_whisper"), **environment: str):
        found = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, *program, *arguments],
            env={**os.environ, "COWABUNGAAI_HOST": "127.0.0.1", "COWABUNGAAI_PORT": "0", **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(found)
        return found

    yield start
    for found in processes:
        found.kill()
        found.communicate()


def serving(process: subprocess.Popen[str]) -> int:
    """Waits until the process serves; its port."""
    entries = (json.loads(line) for line in process.stderr)
    port = next(entry["port"] for entry in entries if entry["event"] == "listening")
    next(entry for entry in entries if entry["event"] == "serving")
    return port


@pytest.mark.anyio
async def test_models_of_settings_are_served(process, multilingual):
    found = process(COWABUNGAAI_MODEL=f"a={multilingual.path}", COWABUNGAAI_VAD="true", COWABUNGAAI_DEVICE="cpu")
    port = await asyncio.to_thread(serving, found)
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=30) as client:
        assert [model.id for model in await client.models()] == ["a"]
    found.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(found.wait, 10) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "tpu"], "got 'tpu'; expected one of auto, cpu, cuda"),
        (["--threads", "-1"], "got '-1'; expected a whole number from 0 to 256"),
        (["--workers", "0"], "got '0'; expected a whole number from 1 to 256"),
        (["--batch-size", "0"], "got '0'; expected a whole number from 1 to 128"),
        (["--beam-size", "x"], "got 'x'; expected a whole number from 1 to 32"),
        (["--vad", "maybe"], "got 'maybe'; expected true or false"),
        (["--max-audio-bytes", "0"], "got '0'; expected a whole number from 1"),
        (["--max-audio-seconds", "0"], "got '0'; expected seconds, more than 0"),
        (["--max-audio-seconds", "long"], "got 'long'; expected seconds, more than 0"),
    ],
)
def test_wrong_settings_exit_with_2(process, arguments, message):
    found = process(*arguments)
    assert message in found.communicate(timeout=20)[1]
    assert found.returncode == 2


def test_wrong_model_exits_with_1(process, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    found = process("--model", str(tmp_path))
    errors = found.communicate(timeout=20)[1]
    assert f"error: {tmp_path} lacks model.bin, tokenizer.json, vocabulary.txt or vocabulary.json" in errors
    assert "Traceback" not in errors
    assert found.returncode == 1


def test_wrong_compute_type_exits_with_1(process, multilingual):
    found = process("--model", str(multilingual.path), "--device", "cpu", "--compute-type", "int3")
    assert "error: cpu does not compute with 'int3'" in found.communicate(timeout=20)[1]
    assert found.returncode == 1


@pytest.mark.anyio
async def test_nothing_is_asked_of_a_hub(process, multilingual):
    found = process("--model", f"m={multilingual.path}", program=("-c", OFFLINE, "serve"))
    port = await asyncio.to_thread(serving, found)
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=30) as client:
        asked = options(voice_activity_detection=True, temperature=0.5)
        assert (await client.transcribe(asked, pieces(speech_file("dog")))).facts.duration > 5


@pytest.mark.anyio
@pytest.mark.model
async def test_sigterm_in_mid_answer_lets_it_end(process, real):
    found = process("--model", f"m={real.path}", "--drain-seconds", "60")
    port = await asyncio.to_thread(serving, found)
    names = ["dog", "garden", "letter"]
    data = wav(np.concatenate([part for name in names for part in (spoken(name), silence(28))]))
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=60) as client:
        texts = []
        async for chunk in client.transcribe_stream(options(), pieces(data)):
            if not texts:
                found.send_signal(signal.SIGTERM)
            texts += [segment.text for segment in chunk.segments]
    assert wrong_words("".join(texts), " ".join(SPEECH[name] for name in names)) <= 4
    assert chunk.facts.duration > 90
    assert await asyncio.to_thread(found.wait, 20) == 0


@pytest.mark.anyio
async def test_logs_hold_no_transcript_prompt_or_file_name(process, multilingual):
    found = process("--model", f"m={multilingual.path}", "--log-level", "debug")
    port = await asyncio.to_thread(serving, found)
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=30) as client:
        asked = options(prompt="secretprompt", filename="secretname.ogg", temperature=0.5)
        # What a model by chance writes at this temperature may be nothing.
        answers = [await client.transcribe(asked, pieces(speech_file("dog"))) for _ in range(8)]
        with pytest.raises(InvalidRequestError):
            await client.transcribe(asked, pieces(b"secretdata"))
    found.send_signal(signal.SIGTERM)
    errors = await asyncio.to_thread(lambda: found.communicate(timeout=20)[1])
    assert '"event": "call"' in errors or '"event":"call"' in errors
    assert "secret" not in errors
    words = {word for answer in answers for word in text_of(answer).split()}
    assert words
    assert not [word for word in words if word in errors]


@pytest.mark.anyio
@pytest.mark.parametrize("vad", [False, True])
async def test_two_hours_of_silence_are_heard_in_little_memory(process, multilingual, vad):
    found = process("--model", f"m={multilingual.path}")
    port = await asyncio.to_thread(serving, found)

    async def two_hours() -> AsyncIterator[bytes]:
        yield wav_head(2 * HOUR_BYTES)
        for _ in range(2 * HOUR_BYTES // MIB):
            yield bytes(MIB)
        yield bytes(2 * HOUR_BYTES % MIB)

    async with BackendClient(f"127.0.0.1:{port}", timeout_s=120) as client:
        await client.transcribe(options(voice_activity_detection=vad, temperature=0.5), pieces(speech_file("dog")))
        calm = psutil.Process(found.pid).memory_info().rss
        answering = asyncio.create_task(client.transcribe(options(voice_activity_detection=vad), two_hours()))
        most = calm
        while not answering.done():
            most = max(most, psutil.Process(found.pid).memory_info().rss)
            await asyncio.sleep(0.02)
        answer = await answering
    assert (text_of(answer), answer.facts.duration) == ("", 7200)
    # As floats it is 440 MiB, and as frames 220 more; the search for speech takes about 80 for a block.
    assert (most - calm) / MIB < (160 if vad else 96)


@pytest.mark.anyio
async def test_hours_of_nothing_in_a_small_file_are_heard_in_little_memory(process, multilingual):
    found = process("--model", f"m={multilingual.path}")
    port = await asyncio.to_thread(serving, found)
    data = await asyncio.to_thread(encoded, silence(3600), "flac", "flac")
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=120) as client:
        await client.transcribe(options(temperature=0.5), pieces(speech_file("dog")))
        calm = psutil.Process(found.pid).memory_info().rss
        answering = asyncio.create_task(client.transcribe(options(), pieces(data)))
        most = calm
        while not answering.done():
            most = max(most, psutil.Process(found.pid).memory_info().rss)
            await asyncio.sleep(0.02)
        assert (await answering).facts.duration == 3600
        assert (most - calm) / MIB < 96
