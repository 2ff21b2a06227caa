# SPDX-License-Identifier: Apache-2.0
"""The command line of the benchmark: `./cowabunga bench`."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bench import launcher, machine, measure, page, report
from bench.backends.command import backends
from bench.ends import exit_codes
from bench.gateway.command import gateway
from bench.gateway.parts_command import parts
from cowabunga import console, dagger, store
from cowabunga.paths import CHECKOUT, DIST, cache_home, logs

LIMIT_EXCEEDED = 1

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command(
    epilog="Exit codes: 0 done, 1 a target failed or answered wrongly, 130 interrupted; else the launcher's own."
)(gateway)
app.command(epilog="Exit codes: 0 done, 1 something failed, 130 interrupted; else the launcher's own.")(parts)
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
        code = run(measure.Plan(repeats, cold, package), output.absolute(), compare, as_json=as_json)
    raise typer.Exit(code)


def run(plan: measure.Plan, output: Path, compare: Path | None, *, as_json: bool) -> int:
    """Measure, write both files and show what was found; the exit code."""
    # Read first: a wrong name is told before minutes have passed.
    earlier = report.load(compare) if compare else None
    variables = launcher.environment_of_a_person(os.environ)
    os.environ.pop(dagger.RUNNER_HOST, None)
    os.environ.update(variables)
    # Two benchmarks at once would measure each other.
    with store.locked("bench"):
        dagger.prepare()
        described = machine.describe()
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        log = logs() / "bench.log"
        log.unlink(missing_ok=True)
        taken = measure.take(plan, launcher.Launcher(CHECKOUT, variables, log), cache_home())
    found = report.BenchReport(
        date=begun,
        machine=described,
        versions=machine.versions(CHECKOUT),
        measures=taken.measures,
        failures={failure.part: failure.error.message for failure in taken.failures},
    )
    output.mkdir(parents=True, exist_ok=True)
    text = found.model_dump_json(indent=1) + "\n"
    (output / "bench.json").write_text(text)
    (output / "bench.html").write_text(page.render(found, earlier))
    if as_json:
        print(text, end="")
    else:
        show(found, earlier)
        console.out.print(f"bench.json and bench.html are in {output}")
    if taken.failures:
        console.warn(f"not measured: {', '.join(found.failures)}")
        return taken.failures[0].error.exit_code
    return LIMIT_EXCEEDED if found.exceeded else 0


def show(found: report.BenchReport, earlier: report.BenchReport | None) -> None:
    """Print the measures as a table."""
    heads = ["measure", "median", "min", "max", "runs", "goal", ""]
    table = Table(*heads, *(["earlier", "ratio"] if earlier else []), box=None, pad_edge=False)
    for change in report.compare(found, earlier):
        now = change.now
        cells = [
            now.title,
            *(report.amount(value, now.unit) for value in (now.median, now.minimum, now.maximum)),
            str(len(now.samples)),
            page.bounds(now),
            now.verdict,
        ]
        if earlier:
            then = report.amount(change.earlier.median, now.unit) if change.earlier else "none"
            cells += [then, f"× {change.ratio:.2f} {change.trend}" if change.ratio else ""]
        table.add_row(*cells)
    console.out.print(table)


if __name__ == "__main__":
    # An ended session ends like Ctrl-C, so that the engine that was begun is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app(prog_name="./cowabunga bench")
    sys.exit(0)
