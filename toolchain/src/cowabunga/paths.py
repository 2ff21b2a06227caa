# SPDX-License-Identifier: Apache-2.0
"""Where things live: the checkout, the cache outside it, and the run directory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
TOOLCHAIN = CHECKOUT / "toolchain"
DIST = CHECKOUT / "dist"


def cache_home() -> Path:
    """Directory of everything built, outside the checkout.

    COWABUNGA_HOME wins; else `cowabungaai` below XDG_CACHE_HOME or ~/.cache.
    """
    configured = os.environ.get("COWABUNGA_HOME")
    if configured:
        return Path(configured).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "cowabungaai"


def run_home() -> Path:
    """Directory of sockets and process ids; one per cache, short enough for a Unix socket's path."""
    digest = hashlib.sha256(str(cache_home()).encode()).hexdigest()[:12]
    base = Path("/run") if os.geteuid() == 0 else Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp"))  # noqa: S108 - fallback of the XDG specification
    return base / f"cowabungaai-{digest}"


def make_run_home() -> Path:
    """The run directory, made where it is missing; its owner alone enters it."""
    run_home().mkdir(parents=True, exist_ok=True)
    run_home().chmod(0o700)
    return run_home()


def logs() -> Path:
    """Directory of the logs of builds and of the engine."""
    directory = cache_home() / "logs"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def digest_of(*parts: str | bytes | Path) -> str:
    """Short hex digest (16 digits) that changes when any part changes.

    A path stands for its content; a directory for the names and contents of all files below it.
    """
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            files = (
                sorted(p for p in part.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
                if part.is_dir()
                else [part]
            )
            for file in files:
                name = file.relative_to(part).as_posix() if part.is_dir() else file.name
                sha.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        else:
            sha.update(part if isinstance(part, bytes) else part.encode())
        sha.update(b"\0")
    return sha.hexdigest()[:16]
