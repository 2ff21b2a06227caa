# SPDX-License-Identifier: Apache-2.0
"""Places of the benchmark's own: an engine with an empty cache, and a copy of the checkout that may be changed."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.launcher import Launcher
from cowabunga import console
from cowabunga.errors import CowabungaError

PREFIX = "bench-"
# What of a cache is built from lock files alone, and not by the engine.
BUILT = ("tool-", "root-", "wheels-", "image-", "engine-root")
# What a checkout holds that is no source. Python's caches are kept: they are small, and part of no image.
NOT_SOURCES = (".git", ".venv", "dist", ".mypy_cache", ".pytest_cache", ".ruff_cache", "node_modules")


@contextmanager
def empty_cache(real: Path, launcher: Launcher) -> Iterator[Path]:
    """A cache with the built tools and images of the real one, whose engine has never run.

    It is made below the real one, so that it is on the same disk. At the end its engine is stopped and it is removed,
    whatever happened; what a killed benchmark left is removed here too.

    Args:
        real: The cache to take tools and images from.
        launcher: Stops the engine.
    """
    base = real / "tmp"
    base.mkdir(parents=True, exist_ok=True)
    for leftover in sorted(base.glob(f"{PREFIX}*")):
        discard(leftover, launcher)
    home = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    try:
        for kind in real.iterdir():
            if kind.name == "venv" or kind.name.startswith(BUILT):
                (home / kind.name).symlink_to(kind)
        yield home
    finally:
        discard(home, launcher)


def discard(home: Path, launcher: Launcher) -> None:
    """Stop the engine of a cache and remove the cache; a second Ctrl-C does not cut this short."""
    with _uninterrupted(), console.step("removing the benchmark's own engine", "bench-remove"):
        try:
            launcher.with_cache(home).run("engine", "down")
        except CowabungaError as error:
            console.show_error(error)
        # Its engine's root file system and tools are links, of which only the link goes.
        shutil.rmtree(home, ignore_errors=True)
        if home.exists():
            console.warn(f"{home} could not be removed: another benchmark will try again")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore signals that ask to end; only the main thread may, and only it receives them."""
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = {}
    with suppress(ValueError):
        before = {number: signal.signal(number, signal.SIG_IGN) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def copy_of(checkout: Path) -> Iterator[Path]:
    """A copy of a checkout, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="cowabunga-bench-") as folder:
        target = Path(folder) / "checkout"
        shutil.copytree(checkout, target, symlinks=True, ignore=shutil.ignore_patterns(*NOT_SOURCES))
        yield target


class ChangingLine:
    """A line at the end of a service's first source file, another one each time.

    Args:
        checkout: The copy that may be changed.
        service: Name of the service.
    """

    def __init__(self, checkout: Path, service: str) -> None:
        self.file = min((checkout / "services" / service / "src").glob("*/*.py"))
        self._original = self.file.read_text()

    def change(self, text: str) -> None:
        """Put this line in place of the one before."""
        self.file.write_text(f"{self._original}\n# {text}\n")
