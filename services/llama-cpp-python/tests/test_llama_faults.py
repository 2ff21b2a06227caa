# SPDX-License-Identifier: Apache-2.0
"""What must not break the server: clients that leave, floods, huge prompts, files that vanish or are none."""

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cowabungaai_llama_cpp.backend import LlamaBackend
from cowabungaai_llama_cpp.config import LlamaConfig
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.errors import BackendError, BackendUnavailableError, InvalidRequestError
from cowabungaai_sdk.models import ModelError, locate
from cowabungaai_sdk.server import BackendServer, ServerConfig
from support import MODEL_ID, answer, prompted, said

pytestmark = [pytest.mark.anyio, pytest.mark.model]


async def until(true: Callable[[], bool]) -> None:
    """Waits for what the engine's thread does, which tells nobody."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_client_that_leaves_frees_the_engine(client, backend):
    engine = next(iter(backend._served.values())).engine
    task = asyncio.create_task(client.chat(said("Tell me a very long story.", min_tokens=800, max_tokens=900)))
    await until(lambda: bool(engine._answers))
    await asyncio.sleep(0.2)
    task.cancel()
    begun = time.perf_counter()
    await until(lambda: not engine._answers)
    # Its own clock is shared with everything else on the machine, so there is some room over the 100 ms.
    assert time.perf_counter() - begun < 0.25


async def test_hundred_clients_on_four_slots(client):
    results = await asyncio.gather(
        *(client.chat(said(f"Say {number}.", max_tokens=2)) for number in range(100)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(error, BackendError) for error in refused)
    assert len(results) - len(refused) >= 68
    assert (await client.chat(said("Still there?", max_tokens=2))).usage.completion_tokens == 2


@pytest.mark.parametrize("text", ["word " * 2_000_000, "x" * 10_000_000])
async def test_huge_prompts_are_refused_at_once(client, text):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    for request in (said(text), prompted(text)):
        with pytest.raises(InvalidRequestError) as raised:
            await (client.chat(request) if hasattr(request, "messages") else client.complete(request))
        assert raised.value.code_name == "context_length_exceeded"
    assert time.perf_counter() - begun < 5
    # The message itself is there several times over: as text, as bytes and inside gRPC, on both sides.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250 * 1024


async def test_many_stops_and_long_schemas(client):
    values = {"enum": [f"value {number}" for number in range(20_000)]}
    form = {"json_schema": {"name": "x", "schema": json.dumps(values)}}
    with pytest.raises(InvalidRequestError, match="too large"):
        await client.chat(said("x", response_format=form))
    nested: dict[str, object] = {"type": "string"}
    for _ in range(200):
        nested = {"type": "array", "items": nested}
    form = {"json_schema": {"name": "x", "schema": json.dumps(nested)}}
    with pytest.raises(InvalidRequestError, match="nested more than 32 deep"):
        await client.chat(said("x", response_format=form))


async def test_file_removed_while_it_is_served(model_folder, tmp_path):
    source = next(model_folder.glob("*.gguf"))
    copy = tmp_path / "model.gguf"
    shutil.copy(source, copy)
    backend = LlamaBackend([locate(f"{MODEL_ID}={copy}")], LlamaConfig(256, 2, 2, 128, chat_template="alpaca"))
    server = BackendServer(backend, ServerConfig("127.0.0.1", 0, drain_s=0))
    port = await server.start()
    await server.load()
    copy.unlink()
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=60) as client:
        assert "Paris" in (await answer(client, said("What is the capital of France?", max_tokens=12)))[0]
        # A stop in mid-answer is an error, not a hang.
        task = asyncio.create_task(client.chat(said("Go on and on.", min_tokens=200, max_tokens=210)))
        await asyncio.sleep(0.3)
        await asyncio.wait_for(server.stop(), 10)
        with pytest.raises(BackendUnavailableError):
            await task


def _cut(source: Path, target: Path, size: int) -> Path:
    with source.open("rb") as file:
        target.write_bytes(file.read(size))
    return target


@pytest.mark.parametrize("size", [0, 3, 24, 1000, 100_000, 20_000_000])
def test_truncated_file_is_refused_by_name(model_folder, tmp_path, size):
    path = _cut(next(model_folder.glob("*.gguf")), tmp_path / "cut.gguf", size)
    with pytest.raises(ModelError, match=r"cut\.gguf"):
        asyncio.run(LlamaBackend([locate(str(path))]).load())


def test_context_over_the_training_length_is_refused(model_folder):
    config = LlamaConfig(context_length=100_000)
    with pytest.raises(ModelError, match=r"--context-length is 100000; .* was trained on 32768"):
        asyncio.run(LlamaBackend([locate(f"{MODEL_ID}={model_folder}")], config).load())


async def test_without_template_there_is_no_chat(model_folder):
    backend = LlamaBackend([locate(f"{MODEL_ID}={model_folder}")], LlamaConfig(256, 1, 1, 128))
    server = BackendServer(backend, ServerConfig("127.0.0.1", 0, drain_s=0))
    port = await server.start()
    await server.load()
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=60) as client:
        with pytest.raises(InvalidRequestError, match="cannot do CAPABILITY_CHAT"):
            await client.chat(said("x"))
        assert (await client.models())[0].context_length == 256
    await server.stop()


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line to its end."""
    command = [sys.executable, "-m", "cowabungaai_llama_cpp", "--host", "127.0.0.1", "--port", "0", *arguments]
    env = {**os.environ, **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603


def test_wrong_file_ends_the_start_with_its_name(tmp_path):
    path = tmp_path / "wrong.gguf"
    path.write_bytes(b"PK\x03\x04 something else")
    done = run("--model", str(path))
    assert done.returncode == 1
    assert "wrong.gguf begins with b'PK" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parallel", "0"], "got '0'; expected a whole number from 1 to 64"),
        (["--cache-type-k", "q1"], "got 'q1'; expected one of f32"),
        (["--swa-full", "perhaps"], "got 'perhaps'; expected true or false"),
        (["--context-length", "x"], "got 'x'; expected a whole number from 1"),
        (["--batch-size", "1"], "got '1'; expected a whole number from 128 to 8192"),
    ],
)
def test_wrong_settings_exit_with_2(arguments, message):
    done = run(*arguments)
    assert (done.returncode, message in done.stderr) == (2, True)


def serving(model_folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], int, list[str]]:
    """A process that serves the model; its port, and what it logged so far."""
    given = ["--model", f"{MODEL_ID}={model_folder}", "--chat-template", "alpaca", *arguments]
    command = [sys.executable, "-m", "cowabungaai_llama_cpp", "--host", "127.0.0.1", "--port", "0", *given]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own module
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if '"serving"' in line:
            break
    port = next(entry["port"] for entry in map(json.loads, lines) if entry["event"] == "listening")
    return process, port, lines


def test_sigterm_in_mid_answer_lets_it_end(model_folder):
    process, port, _ = serving(model_folder)

    async def ask() -> int:
        used = 0
        async with BackendClient(f"127.0.0.1:{port}", timeout_s=60) as client:
            async for chunk in client.complete_stream(prompted("Once upon a time", max_tokens=40, min_tokens=40)):
                if not used:
                    process.terminate()
                used = chunk.usage.completion_tokens or used or 1
        return used

    assert asyncio.run(ask()) == 40
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_prompts_are_not_logged(model_folder):
    process, port, lines = serving(model_folder, "--log-level", "debug")

    async def ask() -> None:
        async with BackendClient(f"127.0.0.1:{port}", timeout_s=60) as client:
            form = {"json_schema": {"name": "x", "schema": '{"const": "zanzibar"}'}}
            await client.chat(said("Say zanzibar.", response_format=form, max_tokens=20))

    asyncio.run(ask())
    process.terminate()
    rest = process.communicate(timeout=30)[1]
    assert process.returncode == 0
    assert "zanzibar" not in "".join(lines) + rest
