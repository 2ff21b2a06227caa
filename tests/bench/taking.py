# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of builds and of the pipeline share: prepare, measure, write both files, show a table."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from bench import launcher, machine, page, report
from bench.launcher import Launcher
from bench.measure import Taken
from cowabunga import console, dagger, store
from cowabunga.paths import CHECKOUT, cache_home, logs

LIMIT_EXCEEDED = 1


def run(
    take: Callable[[Launcher, Path], Taken], output: Path, compare: Path | None, *, name: str, as_json: bool
) -> int:
    """Measure, write both files and show what was found; the exit code.

    Args:
        take: Measures, by the launcher of a checkout and its cache.
        output: Folder of the files.
        compare: An earlier report.
        name: Of the files.
        as_json: Print the report, not a table.
    """
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
        log = logs() / f"{name}.log"
        log.unlink(missing_ok=True)
        taken = take(Launcher(CHECKOUT, variables, log), cache_home())
    found = report.BenchReport(
        date=begun,
        machine=described,
        versions=machine.versions(CHECKOUT),
        measures=taken.measures,
        failures={failure.part: failure.error.message for failure in taken.failures},
    )
    output.mkdir(parents=True, exist_ok=True)
    text = found.model_dump_json(indent=1) + "\n"
    (output / f"{name}.json").write_text(text)
    (output / f"{name}.html").write_text(page.render(found, earlier))
    if as_json:
        print(text, end="")
    else:
        show(found, earlier)
        console.out.print(f"{name}.json and {name}.html are in {output}")
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
