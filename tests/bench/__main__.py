# SPDX-License-Identifier: Apache-2.0
"""The command line of the benchmark: `./cowabunga bench`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench import measure, taking
from bench.backends.command import backends
from bench.ends import exit_codes
from bench.gateway.command import gateway
from bench.gateway.parts_command import parts
from bench.packages.command import packages
from bench.pipeline.command import pipeline
from cowabunga.paths import DIST

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command(
    epilog="Exit codes: 0 done, 1 a target failed or answered wrongly, 130 interrupted; else the launcher's own."
)(gateway)
app.command(epilog="Exit codes: 0 done, 1 something failed, 130 interrupted; else the launcher's own.")(parts)
app.command(epilog="Exit codes: 0 done, 130 interrupted; else the code of what failed.")(pipeline)
app.command(epilog="Exit codes: 0 done, 130 interrupted; else the code of what failed.")(packages)
app.command(epilog="Exit codes: 0 done, 1 a contender failed, 130 interrupted; else the launcher's own.")(backends)


@app.callback(
    invoke_without_command=True,
    epilog="Exit codes: 0 done, 1 a hard limit is exceeded, 130 interrupted; else the code of what failed.",
)
def bench(
    context: typer.Context,
    *,
    repeats: Annotated[int, typer.Option("--repeats", "-n", min=1, help="Runs of each warm measure.")] = 5,
    cold: Annotated[
        bool, typer.Option("--cold/--no-cold", help="Also build everything on an empty engine; takes minutes.")
    ] = True,
    package: Annotated[
        bool, typer.Option("--package/--no-package", help="Also make a Zarf package; compiles zarf in a new engine.")
    ] = True,
    output: Annotated[
        Path, typer.Option("--output", "-o", show_default="dist/bench", help="Folder of bench.json and bench.html.")
    ] = DIST / "bench",
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="FILE", help="An earlier bench.json to set beside this one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure seconds and bytes of the main job; writes bench.json and bench.html."""
    if context.invoked_subcommand:
        return
    with exit_codes("interrupted; the benchmark's own engine is removed"):
        plan = measure.Plan(repeats, cold, package)
        code = taking.run(
            lambda launcher, cache: measure.take(plan, launcher, cache),
            output.absolute(),
            compare,
            name="bench",
            as_json=as_json,
        )
    raise typer.Exit(code)


if __name__ == "__main__":
    # An ended session ends like Ctrl-C, so that the engine that was begun is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app(prog_name="./cowabunga bench")
    sys.exit(0)
