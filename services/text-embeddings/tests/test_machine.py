# SPDX-License-Identifier: Apache-2.0
"""What is found out about the machine."""

import platform
from pathlib import Path

import pytest

from cowabungaai_text_embeddings import machine, sessions
from cowabungaai_text_embeddings.config import Settings
from cowabungaai_text_embeddings.model import parallelism
from reference import Reference
from support import cosines, embed

TEXTS = ["the cat sits on the mat", "a dog runs fast on the street"]


@pytest.fixture
def says(monkeypatch):
    """Makes files of the system say something else, or be missing."""

    def say(**files: str | None) -> None:
        def read(path: Path, *_: object, **__: object) -> str:
            found = files[path.name.replace(".", "_")]
            if found is None:
                raise FileNotFoundError(path)
            return found

        monkeypatch.setattr(Path, "read_text", read)

    return say


@pytest.mark.parametrize(
    ("kind", "cpuinfo", "expected"),
    [
        ("aarch64", "", False),
        ("x86_64", "flags: avx2 avx512_vnni", False),
        ("x86_64", "flags: avx2 avx_vnni", False),
        ("x86_64", "flags: avx2", True),
        ("x86_64", None, True),
    ],
)
def test_processors_that_saturate_are_known(monkeypatch, says, kind, cpuinfo, expected):
    monkeypatch.setattr(platform, "machine", lambda: kind)
    says(cpuinfo=cpuinfo)
    assert machine.int8_saturates() is expected


@pytest.mark.anyio
async def test_processor_that_saturates_is_as_accurate(serve, folder, monkeypatch):
    monkeypatch.setattr(sessions, "int8_saturates", lambda: True)
    found = await embed(await serve(folder, precision="int8"), TEXTS)
    assert cosines(found, [Reference(folder).embed(text) for text in TEXTS]).min() > 0.99


@pytest.mark.parametrize(
    ("engine", "settings", "expected"),
    [
        ("onnx", {}, (8, 1)),
        ("onnx", {"threads": 4}, (2, 4)),
        ("onnx", {"threads": 16}, (1, 16)),
        ("onnx", {"streams": 2}, (2, 4)),
        ("onnx", {"streams": 3, "threads": 1}, (3, 1)),
        ("torch", {}, (1, 8)),
        ("torch", {"streams": 2}, (2, 4)),
        ("torch", {"streams": 16}, (16, 1)),
    ],
)
def test_cpus_are_shared_by_batches_and_threads(monkeypatch, engine, settings, expected):
    monkeypatch.setattr("cowabungaai_text_embeddings.model.usable_cpus", lambda: 8)
    assert parallelism(Settings(engine=engine, **settings)) == expected
