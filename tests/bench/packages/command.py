# SPDX-License-Identifier: Apache-2.0
"""The command `./cowabunga bench packages`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import taking
from bench.ends import exit_codes
from bench.packages import measure
from cowabunga.paths import DIST


def packages(
    *,
    repeats: Annotated[int, typer.Option("--repeats", "-n", min=1, help="Rounds of each measure of time.")] = 3,
    services: Annotated[
        list[str] | None, typer.Option("--service", "-s", help="Only these; repeatable. All that have a cpu package.")
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", show_default="dist/bench", help="Folder of packages.json and packages.html."),
    ] = DIST / "bench",
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="FILE", help="An earlier packages.json to set beside this one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure sizes of packages against their budgets, and what a new version takes: seconds, and bytes to carry."""
    plan = measure.Plan(repeats, tuple(services or ()))
    with exit_codes("interrupted"):
        code = taking.run(
            lambda launcher, cache: measure.take(plan, launcher),
            output.absolute(),
            compare,
            name="packages",
            as_json=as_json,
        )
    raise typer.Exit(code)
