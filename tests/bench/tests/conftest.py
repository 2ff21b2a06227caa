# SPDX-License-Identifier: Apache-2.0
"""Reports made by hand, and a launcher that only pretends."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.launcher import Launcher
from bench.report import BenchReport, Machine, Measure

# Notes its arguments and cache, and leaves a report in which a service is built anew when its source has changed.
PRETENDED = """#!{python}
import json, os, pathlib, sys, time
here = pathlib.Path(__file__).parent
state = pathlib.Path({state!r})
with (state / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "|" + os.environ.get("COWABUNGA_HOME", "") + "\\n")
for name, code in json.loads((state / "failures.json").read_text()).items():
    if name == sys.argv[1]:
        print("it is broken")
        sys.exit(code)
if sys.argv[1] == "build-all":
    time.sleep(float(os.environ.get("PRETEND_SECONDS", "0")))
    output = pathlib.Path(sys.argv[3])
    output.mkdir(exist_ok=True)
    seen = pathlib.Path(os.environ["COWABUNGA_HOME"]) / "seen"
    source = (here / "services/repeater/src/repeater/__init__.py").read_text()
    known_source = seen.exists() and source in seen.read_text()
    known_rest = seen.exists()
    with seen.open("a") as known:
        known.write(source)
    services = [
        {{"service": "api", "size": 30_000_000, "cached": known_rest}},
        {{"service": "repeater", "size": 20_000_000, "cached": known_source}},
    ]
    (output / "build-report.json").write_text(json.dumps({{"services": services}}))
elif sys.argv[1:3] == ["dagger", "call"]:
    pathlib.Path(sys.argv[-1]).write_bytes(b"0" * 1000)
"""


@pytest.fixture
def pretended(tmp_path: Path) -> Launcher:
    """A launcher of a small checkout that builds nothing; its calls are in the file `calls` beside the checkout."""
    checkout = tmp_path / "checkout"
    for service, budget in (("api", 90), ("repeater", 60)):
        folder = checkout / "services" / service
        (folder / "src" / service).mkdir(parents=True)
        (folder / "src" / service / "__init__.py").write_text(f'"""{service}."""\n')
        (folder / "service.yaml").write_text(f"image:\n  budget_mb: {budget}\n")
    program = checkout / "cowabunga"
    program.write_text(PRETENDED.format(python=sys.executable, state=str(tmp_path)))
    program.chmod(0o755)
    (tmp_path / "failures.json").write_text("{}")
    return Launcher(checkout, dict(os.environ), tmp_path / "bench.log")


@pytest.fixture
def calls(tmp_path: Path, pretended: Launcher) -> Callable[[], list[str]]:
    """The pretended launcher's calls so far: `arguments|cache`."""
    return lambda: (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []


@pytest.fixture
def failing(tmp_path: Path, pretended: Launcher) -> Callable[[str, int], None]:
    """Makes the pretended launcher's command fail with an exit code."""

    def fail(command: str, code: int) -> None:
        (tmp_path / "failures.json").write_text(json.dumps({command: code}))

    return fail


@pytest.fixture
def report() -> BenchReport:
    """A report as a run leaves it."""
    machine = Machine(cores=2, cpu="A & B <fast>", memory=8 * 1024**3, kernel="Linux 6.1", load=0.1)
    warm = Measure(
        key="build-all.unchanged",
        title="Unchanged build-all",
        group="warm",
        unit="seconds",
        samples=(6.5, 6.0, 9.0),
        goal=10,
    )
    package = Measure(
        key="package.repeater",
        title="Zarf package of repeater",
        group="packages",
        unit="bytes",
        samples=(21_000_000,),
        goal=20_000_000,
        limit=25_000_000,
    )
    return BenchReport(
        date="2026-01-02T03:04:05+00:00", machine=machine, versions={"dagger": "v0.21.8"}, measures=(warm, package)
    )
