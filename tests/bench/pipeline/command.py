# SPDX-License-Identifier: Apache-2.0
"""The command `./cowabunga bench pipeline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import taking
from bench.ends import exit_codes
from bench.pipeline import BOTH_WAYS, measure
from cowabunga import services as known
from cowabunga.paths import DIST


def pipeline(
    *,
    repeats: Annotated[int, typer.Option("--repeats", "-n", min=1, help="Rounds of each warm measure.")] = 5,
    cold: Annotated[
        bool, typer.Option("--cold/--no-cold", help="Also run each job on an empty engine; takes an hour.")
    ] = False,
    predecessor: Annotated[
        bool, typer.Option("--predecessor/--no-predecessor", help="Also go docker's way; needs docker.")
    ] = True,
    services: Annotated[
        list[str] | None,
        typer.Option(
            "--service",
            metavar="NAME",
            help="What is packaged both ways; can be given again.",
            show_default=" and ".join(BOTH_WAYS),
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", show_default="dist/bench", help="Folder of pipeline.json and pipeline.html."),
    ] = DIST / "bench",
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="FILE", help="An earlier pipeline.json to set beside this one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure build-all, test-all and scan-all, unchanged and after a new line, and a package beside docker's way."""
    with exit_codes("interrupted; the benchmark's own engine is removed"):
        wanted = tuple(services or BOTH_WAYS)
        for name in wanted:
            known.describe(name)  # Or says which services there are.
        plan = measure.Plan(repeats, cold, wanted if predecessor else ())
        code = taking.run(
            lambda launcher, cache: measure.take(plan, launcher, cache),
            output.absolute(),
            compare,
            name="pipeline",
            as_json=as_json,
        )
    raise typer.Exit(code)
