# SPDX-License-Identifier: Apache-2.0
"""What a person sees: steps with elapsed and expected time, tables, errors."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from cowabunga.errors import CowabungaError
from cowabunga.paths import cache_home

HEARTBEAT_SECONDS = 15

# Rich honours NO_COLOR, FORCE_COLOR and TERM=dumb by itself.
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def _durations_file() -> Path:
    return cache_home() / "durations.json"


def last_seconds(key: str) -> float | None:
    """How many seconds the last successful step of this key took; None where it never ran."""
    value = _durations().get(key)
    return float(value) if isinstance(value, int | float) else None


def remember(key: str, seconds: float) -> None:
    file = _durations_file()
    known = {**_durations(), key: round(seconds, 1)}
    staged = file.with_suffix(f".{os.getpid()}.tmp")
    with suppress(OSError):  # A full disk must not turn a finished step into a failure.
        file.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(json.dumps(known, indent=1, sort_keys=True))
        staged.replace(file)


def _durations() -> dict[str, object]:
    try:
        known = json.loads(_durations_file().read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


@contextmanager
def step(title: str, key: str) -> Iterator[None]:
    """Show a step while it runs and how long the last such step took.

    On a terminal the line counts seconds; elsewhere a line is printed every 15 s.

    Args:
        title: What is being done, such as "building zarf v0.84.0".
        key: Under which its duration is remembered; the same for comparable steps.
    """
    before = last_seconds(key)
    expected = f", last time {before:.0f} s" if before is not None else ""
    started = time.monotonic()
    done = threading.Event()

    def text() -> str:
        return f"{title} … {time.monotonic() - started:.0f} s{expected}"

    if err.is_terminal:
        with err.status(escape(text())) as status:
            ticker = threading.Thread(target=_tick, args=(done, 1, lambda: status.update(escape(text()))), daemon=True)
            ticker.start()
            try:
                yield
            finally:
                done.set()
    else:
        err.print(f"• {escape(title)}{expected}")
        ticker = threading.Thread(
            target=_tick, args=(done, HEARTBEAT_SECONDS, lambda: err.print(f"  {escape(text())}")), daemon=True
        )
        ticker.start()
        try:
            yield
        finally:
            done.set()
    seconds = time.monotonic() - started
    remember(key, seconds)
    err.print(f"[green]✓[/green] {escape(title)} ({seconds:.1f} s)")


def _tick(done: threading.Event, interval: float, action: object) -> None:
    while not done.wait(interval):
        action()  # type: ignore[operator]


def note(text: str) -> None:
    """One line that informs."""
    err.print(f"[dim]•[/dim] {escape(text)}")


def warn(text: str) -> None:
    """One line that warns."""
    err.print(f"[yellow]![/yellow] {escape(text)}")


def show_error(error: CowabungaError) -> None:
    """The one message of a failure: what happened, then what to do."""
    err.print(f"[bold red]✗[/bold red] {escape(error.message)}")
    if error.hint:
        err.print(f"  {error.hint}", markup=False)
