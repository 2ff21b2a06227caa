# SPDX-License-Identifier: Apache-2.0
"""`python -m cowabungaai_text_embeddings`, as a process of its own."""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator

import numpy as np
import psutil
import pytest

import tiny
from cowabungaai_sdk import manifest
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.errors import BackendUnavailableError, InvalidRequestError
from cowabungaai_sdk.v1.tokens_pb2 import CountTokensRequest
from cowabungaai_text_embeddings.__main__ import add_arguments
from reference import Reference
from support import embed, request

MIB = 1 << 20

# Refuses every connection but those that come in, then serves; says at the end which modules were imported.
OFFLINE = """
import atexit, socket, runpy, sys
def refuse(*_): raise AssertionError("a connection to the outside")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
atexit.register(lambda: print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr))
sys.argv = sys.argv[1:]
runpy.run_module("cowabungaai_text_embeddings", run_name="__main__", alter_sys=True)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def process() -> Iterator[Start]:
    """Starts backends on free ports of loopback; ends them."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, program: tuple[str, ...] = ("-m", "cowabungaai_text_embeddings"), **environment: str):
        # The image's limits are narrower than those that are tested here.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COWABUNGAAI_MAX_")}
        found = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, *program, *arguments],
            env={**inherited, "COWABUNGAAI_HOST": "127.0.0.1", "COWABUNGAAI_PORT": "0", **environment},
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
    entries = (json.loads(line) for line in process.stderr if line.startswith("{"))
    port = next(entry["port"] for entry in entries if entry["event"] == "listening")
    next(entry for entry in entries if entry["event"] == "serving")
    return port


async def growth(process: subprocess.Popen[str], work: Awaitable[object]) -> float:
    """How much larger the process became while it did the work, in MiB; what the work raises, too."""
    measured = psutil.Process(process.pid)
    calm = most = measured.memory_info().rss
    task = asyncio.ensure_future(work)
    while not task.done():
        most = max(most, measured.memory_info().rss)
        await asyncio.sleep(0.01)
    await task
    return (most - calm) / MIB


@pytest.mark.anyio
async def test_models_of_settings_are_served(process, folder, tmp_path):
    other = tiny.make(tmp_path / "other", "mpnet")
    found = process(COWABUNGAAI_MODEL=f"a={folder},{other}", COWABUNGAAI_PRECISION="float32", COWABUNGAAI_TRUNCATE="1")
    port = await asyncio.to_thread(serving, found)
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=30) as client:
        assert [model.id for model in await client.models()] == ["a", "other"]
        assert (await embed(client, ["the " * 100], model="a")).shape == (1, tiny.WIDTH)
    found.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(found.wait, 10) == 0


@pytest.mark.anyio
async def test_folders_of_models_with_manifests_are_found(process, tmp_path):
    folder = tiny.make(tmp_path / "models/some")
    (folder / manifest.NAME).write_text(manifest.describe(folder, "small-one", "MIT").to_json())
    found = process("--models-dir", str(tmp_path / "models"), "--require-manifest", "true")
    port = await asyncio.to_thread(serving, found)
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=30) as client:
        assert [model.id for model in await client.models()] == ["small-one"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "tf"], "got 'tf'; expected one of onnx, torch"),
        (["--precision", "int4"], "got 'int4'; expected one of int8, float32"),
        (["--threads", "-1"], "got '-1'; expected a whole number from 0"),
        (["--streams", "x"], "got 'x'; expected a whole number from 0"),
        (["--max-batch-tokens", "1.5"], "got '1.5'; expected a whole number from 0"),
        (["--max-inputs", "0"], "got '0'; expected a whole number from 1"),
        (["--max-request-tokens", "0"], "got '0'; expected a whole number from 1"),
        (["--truncate", "maybe"], "got 'maybe'; expected true or false"),
        (["--context-length", "0"], "got '0'; expected a whole number from 1"),
        (["--matryoshka", "2"], "got '2'; expected true or false"),
    ],
)
def test_wrong_settings_exit_with_2(process, arguments, message):
    found = process(*arguments)
    assert message in found.communicate(timeout=20)[1]
    assert found.returncode == 2


def test_name_of_a_prompt_may_be_empty():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args(["--prompt", ""]).prompt == ""
    assert parser.parse_args([]).prompt is None


def damaged(folder) -> str:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    return f"{path} was changed: expected sha256 "


def truncated(folder) -> str:
    path = folder / "model.safetensors"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-10])
    return f"{path} is truncated: expected {size} bytes, found {size - 10}"


def of_unknown_format(folder) -> str:
    (folder / "model.safetensors").rename(folder / "model.gguf")
    (folder / manifest.NAME).write_text(manifest.describe(folder, "m", "MIT").to_json())
    return f"{folder} has no weights; expected model.safetensors, or an ONNX file. Other formats are not read"


def without_licence(folder) -> str:
    path = folder / manifest.NAME
    tiny.write_json(path, {**json.loads(path.read_text()), "licence": ""})
    return f"{path} is no manifest of format 1: licence: expected a name such as Apache-2.0"


@pytest.mark.parametrize("damage", [damaged, truncated, of_unknown_format, without_licence])
def test_wrong_folder_ends_the_start(process, folder, damage):
    (folder / manifest.NAME).write_text(manifest.describe(folder, "m", "MIT").to_json())
    message = damage(folder)
    found = process("--model", str(folder), COWABUNGAAI_ENGINE="onnx")
    errors = found.communicate(timeout=20)[1]
    assert message in errors
    assert "error: " in errors
    assert "Traceback" not in errors
    assert found.returncode == 1


def test_start_without_a_model_says_what_to_give(process, tmp_path):
    found = process("--models-dir", str(tmp_path))
    assert "error: no model: give --model PATH, or put folders with a manifest.json" in found.communicate(timeout=20)[1]
    assert found.returncode == 1


@pytest.mark.anyio
async def test_nothing_is_asked_of_a_hub_and_nothing_heavy_is_imported(process, folder, tmp_path):
    assert process("convert", str(folder), str(tmp_path / "made")).wait(20) == 0
    found = process("--model", f"m={tmp_path / 'made'}", "--engine", "onnx", program=("-c", OFFLINE, "serve"))
    port = await asyncio.to_thread(serving, found)
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=30) as client:
        assert (await embed(client, ["sun"], model="m")).shape == (1, tiny.WIDTH)
    found.send_signal(signal.SIGTERM)
    errors = await asyncio.to_thread(lambda: found.communicate(timeout=20)[1])
    imported = errors.rpartition("imported:")[2].split()
    assert "onnxruntime" in imported
    assert not {"torch", "transformers", "sympy", "huggingface_hub", "onnx"} & set(imported)
    assert found.returncode == 0


@pytest.mark.anyio
@pytest.mark.model
async def test_sigterm_in_mid_answer_lets_it_end(process, real):
    found = process("--model", f"m={real}", "--engine", "onnx", "--drain-seconds", "60")
    port = await asyncio.to_thread(serving, found)
    texts = [f"{number} " + "The cat looks out of the window. " * 25 for number in range(200)]
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=60) as client:
        answering = asyncio.create_task(embed(client, texts, model="m"))
        await asyncio.sleep(0.5)
        assert not answering.done()
        found.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        with pytest.raises(BackendUnavailableError, match="the backend is stopping"):
            await embed(client, ["late"], model="m")
        vectors = await answering
    assert vectors.shape == (200, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert await asyncio.to_thread(found.wait, 20) == 0


@pytest.mark.anyio
@pytest.mark.model
async def test_sigterm_ends_in_time_what_takes_too_long(process, real):
    found = process("--model", f"m={real}", "--engine", "onnx", "--drain-seconds", "0.1")
    port = await asyncio.to_thread(serving, found)
    texts = [f"{number} " + "The cat looks out of the window. " * 25 for number in range(1000)]
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=60) as client:
        answering = asyncio.create_task(embed(client, texts, model="m"))
        await asyncio.sleep(0.5)
        assert not answering.done()
        found.send_signal(signal.SIGTERM)
        with pytest.raises(BackendUnavailableError):
            await answering
    assert await asyncio.to_thread(found.wait, 5) == 0


@pytest.mark.anyio
async def test_logs_hold_no_text(process, folder):
    found = process("--model", f"m={folder}", "--log-level", "debug")
    port = await asyncio.to_thread(serving, found)
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=30) as client:
        await embed(client, ["secret sun"], model="m")
        with pytest.raises(InvalidRequestError):
            await embed(client, ["secret " * 1000], model="m")
    found.send_signal(signal.SIGTERM)
    errors = await asyncio.to_thread(lambda: found.communicate(timeout=20)[1])
    assert '"event": "call"' in errors or '"event":"call"' in errors
    assert "secret" not in errors


@pytest.mark.anyio
@pytest.mark.parametrize("letter", ["word ", "x", "é", "😀 "])
async def test_prompt_of_ten_million_characters_takes_little_memory(process, folder, letter):
    found = process("--model", f"m={folder}", "--engine", "onnx", "--max-request-tokens", "2000000")
    port = await asyncio.to_thread(serving, found)
    text = letter * (10_000_000 // len(letter))
    # The message and its text, in up to four bytes a character, and their copies on the way.
    most = 150
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=60) as client:
        await embed(client, ["sun"], model="m")

        async def refused() -> None:
            with pytest.raises(InvalidRequestError, match="the input has 10000000 characters") as raised:
                await embed(client, [text], model="m")
            assert raised.value.code_name == "context_length_exceeded"

        started = time.monotonic()
        assert await growth(found, refused()) < most
        assert await growth(found, embed(client, [text], model="m", truncate=True)) < most
        assert time.monotonic() - started < 5
        assert (await embed(client, ["sun"], model="m")).shape == (1, tiny.WIDTH)


@pytest.mark.anyio
async def test_tokens_of_ten_million_characters_are_counted_in_little_memory(process, folder):
    found = process("--model", f"m={folder}", "--engine", "onnx")
    port = await asyncio.to_thread(serving, found)
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=60) as client:
        await embed(client, ["sun"], model="m")
        text = "sun " * 2_500_000
        assert await growth(found, client.count_tokens(CountTokensRequest(model="m", text=text))) < 100
        assert (await client.count_tokens(CountTokensRequest(model="m", text=text))).count == 2_500_002


@pytest.mark.anyio
async def test_large_requests_are_refused_in_little_memory(process, folder):
    found = process("--model", f"m={folder}", "--engine", "onnx")
    port = await asyncio.to_thread(serving, found)
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=60) as client:
        await embed(client, ["sun"], model="m")

        async def refused() -> None:
            for given in ([5] * 300_001, "x" * 2_400_001, "word " * 10_000_000):
                with pytest.raises(InvalidRequestError, match="together; expected at most") as raised:
                    await embed(client, [given], model="m", truncate=True)
                assert raised.value.param == "inputs"

        # The largest message, and copies of it on the way.
        assert await growth(found, refused()) < 200
        assert (await embed(client, ["sun"], model="m")).shape == (1, tiny.WIDTH)


@pytest.mark.anyio
async def test_millions_of_tokens_and_thousands_of_long_texts_take_little_memory(process, folder):
    found = process("--model", f"m={folder}", "--engine", "onnx", "--max-request-tokens", "8000000")
    port = await asyncio.to_thread(serving, found)
    async with BackendClient(f"127.0.0.1:{port}", timeout_s=60) as client:
        await embed(client, ["sun"], model="m")
        tokens = [5] * 8_000_000
        with pytest.raises(InvalidRequestError, match="the input has 8000000 tokens"):
            await embed(client, [tokens], model="m")
        texts = ["the cat sits " * 2000] * 2000
        work = embed(client, texts, model="m", truncate=True)
        assert await growth(found, work) < 200
        with pytest.raises(InvalidRequestError, match="there are 100000 inputs; expected at most 2048"):
            await client.embed(request(["a"] * 100_000, model="m"))
        found_now = await embed(client, ["sun"], model="m")
    np.testing.assert_allclose(found_now @ Reference(folder).embed("sun"), 1, atol=0.01)
