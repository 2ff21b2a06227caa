# SPDX-License-Identifier: Apache-2.0
"""Explains the machine: what was found, what is missing, and the one command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from rich.markup import escape
from rich.table import Table

from cowabunga import console, dagger, engine, gotools, store
from cowabunga.errors import CowabungaError
from cowabunga.host import (
    bounding_capabilities,
    certificate_bundle,
    has_apt,
    is_root,
    mirrors,
    missing_packages,
    os_release,
    require_engine_host,
    without_credentials,
)
from cowabunga.paths import cache_home
from cowabunga.process import capture

State = Literal["good", "note", "bad"]
MARKS = {"good": "[green]✓[/green]", "note": "[yellow]•[/yellow]", "bad": "[red]✗[/red]"}


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: What was looked at.
        state: good, note (works, but worth knowing) or bad (must be mended).
        found: What was found.
        mend: The command that mends it; empty where nothing is to be done.
    """

    name: str
    state: State
    found: str
    mend: str = ""

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


def examine() -> list[Check]:
    """Look at everything; changes nothing."""
    looks: list[Callable[[], Check]] = [
        _system,
        _user,
        _packages,
        _engine_host,
        _capabilities,
        _mirrors,
        _certificates,
        _disk,
        _existing,
        _tools,
        _engine,
    ]
    return [look() for look in looks]


def show(checks: list[Check]) -> None:
    """Print the report as a table."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in checks:
        mend = f"\n[bold]{escape(check.mend)}[/bold]" if check.mend else ""
        table.add_row(MARKS[check.state], check.name, escape(check.found) + mend)
    console.out.print(table)


def _system() -> Check:
    name = os_release().get("PRETTY_NAME", platform.platform())
    found = f"{name}, kernel {platform.release()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    return Check("system", "good" if has_apt() else "note", found if has_apt() else f"{found}; no apt")


def _user() -> Check:
    return Check("user", "good", "root") if is_root() else Check("user", "note", "not root: the engine needs root")


def _packages() -> Check:
    missing = missing_packages()
    if not missing:
        return Check("packages", "good", "all that the engine needs is installed")
    command = f"apt-get install --no-install-recommends {' '.join(missing)}"
    if dagger.existing_engine():
        return Check("packages", "note", f"missing: {', '.join(missing)}; the engine that is there needs none")
    automatic = " (the launcher does it by itself)" if is_root() and has_apt() else ""
    return Check("packages", "note" if automatic else "bad", f"missing: {', '.join(missing)}{automatic}", command)


def _engine_host() -> Check:
    try:
        require_engine_host()
    except CowabungaError as error:
        state: State = "note" if dagger.existing_engine() else "bad"
        return Check("containers", state, error.message, error.hint)
    return Check("containers", "good", "namespaces, overlay and tun are there")


def _capabilities() -> Check:
    from cowabunga.host import CAPABILITIES

    lacking = [name for name in CAPABILITIES if f"CAP_{name}" not in bounding_capabilities()]
    found = f"{len(bounding_capabilities())} of {len(CAPABILITIES)}"
    return Check("capabilities", "good", f"{found}; the engine does without {', '.join(lacking)}" if lacking else found)


def _mirrors() -> Check:
    try:
        found = mirrors(refresh=False)
    except CowabungaError as error:
        state: State = "note" if dagger.existing_engine() or is_root() else "bad"
        return Check("mirrors", state, error.message, error.hint)
    shown = {name: without_credentials(value) for name, value in found.environment.items()}
    extra = ", ".join(f"{name}={value}" for name, value in shown.items()) or "pip, Go and npm use their own"
    return Check("mirrors", "good", f"Debian {without_credentials(found.debian)}; {extra}")


def _certificates() -> Check:
    bundle = certificate_bundle()
    if bundle is None:
        return Check("certificates", "note", "no bundle of certificate authorities", "apt-get install ca-certificates")
    return Check("certificates", "good", f"{bundle} is given to the engine and its containers")


def _disk() -> Check:
    home = cache_home()
    existing = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.0f} GB free for {home}"
    if free < engine.MINIMUM_FREE_BYTES:
        return Check("disk", "bad", found, "./cowabunga engine prune")
    return Check(
        "disk", "good" if free > 20e9 else "note", found if free > 20e9 else f"{found}; a cold build takes about 10 GB"
    )


def _existing() -> Check:
    cli, found = dagger.existing_cli(), dagger.existing_engine()
    if cli or found:
        return Check("existing", "good", f"CLI: {cli or 'our own'}; engine: {found or 'our own'}")
    other, version = shutil.which("dagger"), ""
    if other:
        _, version = capture([other, "version"])
        return Check("existing", "note", f"{other} is {version}, not {dagger.pinned_version()}: our own is used")
    return Check("existing", "good", f"no dagger {dagger.pinned_version()} and no engine of it: our own are used")


def _tools() -> Check:
    built: list[str] = []
    absent: list[str] = []
    for name in gotools.names():
        tool = gotools.load(name)
        sound = store.is_sound(cache_home() / f"tool-{name}" / tool.key(), verify=False)
        (built if sound else absent).append(f"{name} {tool.version}")
    found = f"built: {', '.join(built) or 'none'}"
    return Check("tools", "good", f"{found}; built when needed: {', '.join(absent)}" if absent else found)


def _engine() -> Check:
    state = engine.status()
    if state.answers:
        other = "" if state.current else ", of another toolchain: it is restarted at the next command"
        return Check("engine", "good" if state.current else "note", f"answers at {state.address}{other}")
    if state.running:
        return Check("engine", "bad", f"runs but does not answer; log: {state.log}", "./cowabunga engine down")
    return Check("engine", "good", "does not run; it is started when needed")
