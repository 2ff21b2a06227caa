# SPDX-License-Identifier: Apache-2.0
"""What the commands `build-all`, `test` and `bench` do."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from cowabunga import console, dagger, engine
from cowabunga.errors import JobError
from cowabunga.paths import CHECKOUT
from cowabunga.process import run
from cowabunga.receiving import receiving

TESTS = (
    "toolchain/tests",
    "dagger/tests",
    "docs/tests",
    "tests/bench/tests",
    "tests/load/tests",
    "tests/conformance",
    "tests/integration",
)


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
    started = time.monotonic()
    what = " ".join(["build-all", *chosen.names])
    before = console.last_seconds(what)
    named = ", ".join(chosen.names) or "all services"
    console.note(f"building {named}" + (f", last time {before:.0f} s" if before else ""))
    locked = ["--locked"] if os.environ.get("COWABUNGA_LOCKED") == "1" else []
    with receiving(target, "images/*.tar") as incoming:
        arguments = ["call", *locked, "build-all", *chosen.arguments, "export", f"--path={incoming}", "--wipe"]
        dagger.call(session, arguments, "build-all", verbose=verbose)
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


def test(arguments: list[str]) -> None:
    """Run the tests with everything that they need prepared.

    Raises:
        JobError: A test failed.
    """
    session = dagger.prepare()
    chosen = any(("/" in argument or ".py" in argument) and not argument.startswith("-") for argument in arguments)
    command = [sys.executable, "-m", "pytest", *([] if chosen else TESTS), *arguments]
    path = f"{session.program.parent}:{os.environ.get('PATH', os.defpath)}"
    with engine.in_use() as held:
        code = run(command, env={**session.environment, **held, "PATH": path}, cwd=CHECKOUT)
    if code:
        raise JobError(f"the tests failed (pytest ended with {code})")


def bench(arguments: list[str]) -> None:
    """Replace this process by the benchmark, which prepares what it needs and ends its own engine on Ctrl-C."""
    os.chdir(CHECKOUT)
    path = os.pathsep.join([str(CHECKOUT / "tests"), os.environ["PYTHONPATH"]])
    os.execve(  # noqa: S606 - arguments are passed as they are, no shell
        sys.executable, [sys.executable, "-m", "bench", *arguments], {**os.environ, "PYTHONPATH": path}
    )
