# SPDX-License-Identifier: Apache-2.0
"""What the commands `build-all`, `test`, `bench` and `clean` do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from cowabunga import cluster, console, dagger, engine, gotools, store
from cowabunga.errors import JobError, UsageError
from cowabunga.paths import CHECKOUT, cache_home, logs
from cowabunga.process import classify, hint_for, run, watched

TESTS = (
    "toolchain/tests",
    "dagger/tests",
    "docs/tests",
    "tests/bench/tests",
    "tests/load/tests",
    "tests/conformance",
    "tests/integration",
)
# Spans that people wait for, in dagger's plain output: "12  : ┆ build api", later "12  : ┆ build api DONE [1.2s]".
SPAN = re.compile(
    r"^\d+\s*:\s(?:┆\s)*build (?P<service>[a-z][a-z0-9-]*)(?: (?P<end>DONE|ERROR|CACHED) \[(?P<time>.*)\])?$"
)
# What the module says of a mistake in what it was given.
USAGE_SIGNS = ("no service is named", "service.yaml:", "has no flavor", "has flavor")
TRACE = re.compile(r" ?\[traceparent:[0-9a-f-]+\]")


@dataclass(frozen=True)
class Chosen:
    """What is built.

    Attributes:
        flavor: cpu or gpu.
        names: Of services; none means all that have the flavor and can be built here.
    """

    flavor: str = "cpu"
    names: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """Of the module's function."""
        return [f"--flavor={self.flavor}", *(f"--services={name}" for name in self.names)]


def build_all(output: Path, chosen: Chosen, *, verbose: bool, as_json: bool) -> None:
    """Build services into a folder and show the report.

    Args:
        output: Gets `images/` and `build-report.json`.
        chosen: Which services.
        verbose: Show all that the engine says.
        as_json: Print the report as JSON.

    Raises:
        JobError: A build failed.
    """
    session = dagger.prepare()
    target = output.absolute()
    target.mkdir(parents=True, exist_ok=True)  # The CLI would make a folder that only its owner can enter.
    started = time.monotonic()
    what = " ".join(["build-all", *chosen.names])
    before = console.last_seconds(what)
    named = ", ".join(chosen.names) or "all services"
    console.note(f"building {named}" + (f", last time {before:.0f} s" if before else ""))
    locked = ["--locked"] if os.environ.get("COWABUNGA_LOCKED") == "1" else []
    arguments = ["call", *locked, "build-all", *chosen.arguments, "export", "--path", str(target)]
    call(session, arguments, "build-all", verbose=verbose)
    console.remember(what, time.monotonic() - started)
    report = json.loads((target / "build-report.json").read_text())
    remove_left_out(report, target)
    for row in report["services"]:
        if not row["cached"]:
            console.remember(f"build-{row['service']}", row["seconds"])
    if as_json:
        print(json.dumps(report, indent=1))
    else:
        show_report(report, target)


def remove_left_out(report: dict[str, Any], target: Path) -> None:
    """Remove archives of an earlier run that nobody may take for what a report tells of.

    Args:
        report: Of build-all.
        target: Folder of `images/`.
    """
    for row in report["left_out"]:
        (target / "images" / row["file"]).unlink(missing_ok=True)


def show_report(report: dict[str, object], target: Path) -> None:
    """Print a build report as a table."""
    table = Table("service", "digest", "size", "layers", "seconds", "", box=None, pad_edge=False)
    for row in report["services"]:  # type: ignore[attr-defined]
        cached = "cached" if row["cached"] else "built"
        table.add_row(
            row["service"],
            row["digest"][:19],
            f"{row['size'] / 1e6:.1f} MB",
            str(row["layers"]),
            f"{row['seconds']:.1f}",
            cached,
        )
    console.out.print(table)
    for row in report["left_out"]:  # type: ignore[attr-defined]
        console.warn(f"not built: {row['service']}: {row['reason']}")
    for line in sorted({line for row in report["services"] for line in row["drift"]}):  # type: ignore[attr-defined]
        console.warn(f"not as locked: {line}; ./cowabunga images lock runtime records what the mirror has")
    console.out.print(f"archives and build-report.json are in {escape(str(target))}")


def call(session: dagger.Session, arguments: list[str], name: str, *, verbose: bool = False) -> None:
    """Run a dagger command: its whole output goes to a log, and what people wait for to the terminal.

    Raises:
        EngineError: The engine died meanwhile.
        JobError: The command failed; the message holds the end of its output.
    """
    log = logs() / f"{name}.log"
    tail: deque[str] = deque(maxlen=40)
    with (
        engine.in_use(),
        log.open("w", buffering=1) as sink,
        subprocess.Popen(
            [str(session.program), "--progress=plain", *arguments],
            cwd=CHECKOUT,
            env={**os.environ, **session.environment, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
        watched(process, session.alive),
    ):
        for line in process.stdout or ():
            sink.write(line)
            tail.append(line.rstrip())
            if verbose:
                console.err.out(line, end="")
            elif found := SPAN.match(line.rstrip()):
                _show_span(found)
    if process.returncode == 0:
        return
    if not session.alive():
        raise engine.died(name)
    reason = _reason(list(tail))
    kind = UsageError if any(sign in reason for sign in USAGE_SIGNS) else classify(reason, JobError)
    raise kind(f"dagger {' '.join(arguments[:2])} failed: {reason}", hint_for(kind, log))


def _show_span(found: re.Match[str]) -> None:
    """One line when a service's build begins, and one when it ends."""
    service, end = found["service"], found["end"]
    if end:
        mark = "[red]✗[/red]" if end == "ERROR" else "[green]✓[/green]"
        console.err.print(f"  {mark} build {service} ({found['time']})")
    else:
        before = console.last_seconds(f"build-{service}")
        console.err.print(f"  • build {service}" + (f", last time {before:.0f} s" if before else ""))


def _reason(lines: list[str]) -> str:
    """What dagger says at its end, without the ids of its traces; its last lines where it says nothing."""
    starts = [number for number, line in enumerate(lines) if line.startswith("Error: ")]
    chosen = lines[starts[-1] :] if starts else lines[-15:]
    return TRACE.sub("", "\n".join(chosen)).removeprefix("Error: ").removeprefix("FunctionError: ").strip()


def test(arguments: list[str]) -> None:
    """Run the tests with everything that they need prepared.

    Raises:
        JobError: A test failed.
    """
    session = dagger.prepare()
    chosen = any(("/" in argument or ".py" in argument) and not argument.startswith("-") for argument in arguments)
    command = [sys.executable, "-m", "pytest", *([] if chosen else TESTS), *arguments]
    path = f"{session.program.parent}:{os.environ.get('PATH', os.defpath)}"
    with engine.in_use():
        code = run(command, env={**session.environment, "PATH": path}, cwd=CHECKOUT)
    if code:
        raise JobError(f"the tests failed (pytest ended with {code})")


def bench(arguments: list[str]) -> None:
    """Replace this process by the benchmark, which prepares what it needs and ends its own engine on Ctrl-C."""
    os.chdir(CHECKOUT)
    path = os.pathsep.join([str(CHECKOUT / "tests"), os.environ["PYTHONPATH"]])
    os.execve(  # noqa: S606 - arguments are passed as they are, no shell
        sys.executable, [sys.executable, "-m", "bench", *arguments], {**os.environ, "PYTHONPATH": path}
    )


def clean() -> None:
    """Remove cache entries that this checkout's lock files do not name and no running engine uses."""
    in_use = {f"tool-{name}": {gotools.load(name).key()} for name in gotools.names()}
    in_use["engine-root"] = engine.roots_in_use()
    freed = 0
    for kind in sorted(path for path in cache_home().iterdir() if path.is_dir()):
        entries = sorted(kind.iterdir(), key=lambda entry: entry.stat().st_mtime)
        if kind.name == "node-root" and cluster.status().pid is not None:
            continue  # The node's container stands on one of them.
        if kind.name in in_use:
            stale = [entry for entry in entries if entry.name not in in_use[kind.name]]
        elif kind.name.startswith(("root-", "wheels-", "image-", "venv-", "program-", "node-root", "zarf-init")):
            stale = entries[:-1]  # The newest is the one in use.
        else:
            continue
        for entry in stale:
            freed += sum(file.lstat().st_size for file in entry.rglob("*") if file.is_file())
            store.remove(entry)
    console.note(f"freed {freed / 1e6:.0f} MB in {cache_home()}")


def clean_all() -> None:
    """Stop engine and cluster, and remove the whole cache.

    Raises:
        UsageError: What COWABUNGA_HOME names is not a cache of ours.
    """
    home = cache_home()
    if home.exists() and not (home / "locks").is_dir():
        raise UsageError(f"{home} is not a cache of ours, so it stays", "Check COWABUNGA_HOME.")
    cluster.down()
    engine.prune()
    for entry in home.iterdir():
        # Locks stay: another launcher may hold one. The environments go too; this process is already loaded.
        if entry.name != "locks":
            store.remove(entry)
    console.note(f"removed what was in {home}")
