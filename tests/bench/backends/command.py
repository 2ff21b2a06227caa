# SPDX-License-Identifier: Apache-2.0
"""The command `./cowabunga bench backends`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bench import machine
from bench.backends import measure, page
from bench.backends.matches import MATCHES, Match, choose
from bench.backends.report import BackendsReport, Section
from bench.ends import exit_codes
from bench.gateway.page import rate
from bench.launcher import environment_of_a_person
from cowabunga import console, store
from cowabunga.paths import CHECKOUT, DIST


def backends(
    *,
    names: Annotated[
        str, typer.Option("--services", metavar="NAME,...", help="Whose engines are measured against their peers.")
    ] = ",".join(MATCHES),
    rounds: Annotated[
        int, typer.Option("--rounds", "-n", min=1, help="Rounds, in each of which the contenders take turns.")
    ] = 5,
    torch: Annotated[
        Path | None,
        typer.Option(
            "--torch",
            metavar="PYTHON",
            exists=True,
            dir_okay=False,
            resolve_path=False,
            help="A Python that has sentence-transformers: torch is measured beside text-embeddings.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", show_default="dist/bench", help="Folder of backends.json and .html.")
    ] = DIST / "bench",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure model backends, ours and others, with the same models; writes backends.json and backends.html."""
    with exit_codes("interrupted; everything that was started is ended"):
        matches = choose([name.strip() for name in names.split(",")], torch and torch.absolute())
        found = run(matches, rounds, output.absolute())
        if as_json:
            print(found.model_dump_json(indent=1))
        else:
            for section in found.sections:
                show(section)
            console.out.print(f"backends.json and backends.html are in {output}")
        for line in found.missed:
            console.warn(f"goal missed: {line}")


def run(matches: list[Match], rounds: int, output: Path) -> BackendsReport:
    """Measure, and write both files.

    Args:
        matches: What is measured.
        rounds: How many.
        output: Folder of both files.

    Raises:
        CowabungaError: Something could not be measured; nothing is written then.
    """
    # Two benchmarks at once would measure each other.
    with store.locked("bench"):
        described = machine.describe()
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        variables = environment_of_a_person(os.environ)
        found = BackendsReport(
            date=begun,
            machine=described,
            versions=machine.versions(CHECKOUT, ()) | {k: v for match in matches for k, v in match.versions.items()},
            rounds=rounds,
            sections=tuple(measure.take(match, rounds, variables) for match in matches),
        )
    output.mkdir(parents=True, exist_ok=True)
    (output / "backends.json").write_text(found.model_dump_json(indent=1) + "\n")
    (output / "backends.html").write_text(page.render(found))
    return found


def show(section: Section) -> None:
    """Print a service's measures as a table."""
    console.out.print(f"[bold]{section.title}[/bold]: {section.about}")
    table = Table("", "", "", "ours, paired", "goal", box=None, pad_edge=False)
    for one in section.measures:
        for number, series in enumerate(one.series):
            ratio = one.ratio(series)
            paired = f"{ratio.median:.2f} × ({ratio.low:.2f} to {ratio.high:.2f})" if number else ""
            goal = f"{one.goal:g} ×" if number and one.goal is not None else ""
            title = section.contenders[series.contender]
            figures = f"{rate(series.figure.median)} {one.unit}"
            table.add_row("" if number else one.title, title, figures, paired, goal)
    for kind in ("idle", "peak"):
        for number, memory in enumerate(section.memory):
            size = f"{getattr(memory, kind) / 1e6:.0f} MB"
            table.add_row("" if number else f"memory, {kind}", section.contenders[memory.contender], size)
    console.out.print(table)
