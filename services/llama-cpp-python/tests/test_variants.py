# SPDX-License-Identifier: Apache-2.0
"""The library for this processor, chosen among several that were compiled here."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cowabungaai_llama_cpp import binding, variants
from cowabungaai_sdk.manifest import ModelError


@pytest.fixture
def installed() -> Path:
    """The folder of the real libraries."""
    return Path(binding.library().__file__).parent / "lib"


def loaded(folder: Path) -> str:
    """What a process of its own loads: a library that is loaded stays so."""
    program = "import sys, pathlib, cowabungaai_llama_cpp.variants as v; print(v.load(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", program, str(folder)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1]  # noqa: S603


def test_the_best_that_can_run_is_taken_and_a_broken_one_never(installed):
    known = {variants.family(file) for file in installed.glob("libggml-cpu-*.so")}
    assert loaded(installed) in known - variants.SKIPPED


def test_where_there_is_only_the_plainest_it_is_that(installed, tmp_path):
    plain = "x64" if (installed / "libggml-cpu-x64.so").exists() else "armv8.0_1"
    for name in ("libggml.so", "libggml-base.so", f"libggml-cpu-{plain}.so"):
        shutil.copy(installed / name, tmp_path / name)
    assert loaded(tmp_path) == plain


def test_a_folder_without_libraries_is_named(tmp_path):
    with pytest.raises(ModelError, match=f"{tmp_path} has no library of ggml for processors"):
        variants.load(tmp_path)


def test_a_library_that_cannot_be_loaded_is_named(tmp_path):
    for name in ("libggml.so", "libggml-cpu-x64.so"):
        (tmp_path / name).write_bytes(b"none")
    with pytest.raises(ModelError, match=f"a library of ggml in {tmp_path} cannot be loaded: .*libggml.so"):
        variants.load(tmp_path)
