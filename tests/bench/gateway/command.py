# SPDX-License-Identifier: Apache-2.0
"""The command `./cowabunga bench gateway`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bench import machine
from bench.ends import exit_codes
from bench.gateway import goals, measure, page
from bench.gateway.goals import WAYS
from bench.gateway.report import GatewayReport
from bench.gateway.targets import TARGETS, choose
from bench.launcher import environment_of_a_person
from cowabunga import console, store
from cowabunga.errors import UsageError
from cowabunga.paths import CHECKOUT, DIST

CLIENTS = (1, 16, 64, 256)
QUICK = (1, 16)
MOST_CLIENTS = 4096


def gateway(
    *,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A second for each cell, one round, 1 and 16 clients, unless said otherwise."),
    ] = False,
    clients: Annotated[
        str | None, typer.Option("--clients", metavar="N,...", show_default="1,16,64,256", help="How many at once.")
    ] = None,
    targets: Annotated[
        str,
        typer.Option("--targets", metavar="NAME,...", help="What is measured; what stands behind it comes along."),
    ] = ",".join(TARGETS),
    rounds: Annotated[
        int | None,
        typer.Option("--rounds", min=1, show_default="3", help="Rounds, in each of which the targets take turns."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", min=0.1, max=300, show_default="5", help="Of measuring for each cell of a round."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", show_default="dist/bench", help="Folder of gateway.json and gateway.html.")
    ] = DIST / "bench",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure gateways for OpenAI's API, ours and others, before one echo; writes gateway.json and gateway.html."""
    with exit_codes("interrupted; everything that was started is ended"):
        plan = measure.Plan(
            targets=choose(key.strip() for key in targets.split(",")),
            clients=counts(clients) if clients else QUICK if quick else CLIENTS,
            rounds=rounds or (1 if quick else 3),
            seconds=seconds or (1.0 if quick else 5.0),
            warmup=0.3 if quick else 1.0,
        )
        run(plan, output.absolute(), as_json=as_json)


def counts(text: str) -> tuple[int, ...]:
    """Read the numbers of clients.

    Args:
        text: Numbers with commas between.

    Raises:
        UsageError: One is no number from 1 to 4096.
    """
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if not word.isdecimal() or not 0 < int(word) <= MOST_CLIENTS:
            raise UsageError(f"--clients: {word!r} is no number from 1 to {MOST_CLIENTS}", "Such as --clients 1,16,64.")
    return tuple(sorted({int(word) for word in words}))


def run(plan: measure.Plan, output: Path, *, as_json: bool) -> None:
    """Measure, write both files and show what was found.

    Args:
        plan: What is to be measured.
        output: Folder of both files.
        as_json: Whether JSON is printed instead of a table.

    Raises:
        CowabungaError: Something could not be measured; nothing is written then.
    """
    # Two benchmarks at once would measure each other.
    with store.locked("bench"):
        described = machine.describe()
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        taken = measure.take(plan, environment_of_a_person(os.environ))
    found = GatewayReport(
        date=begun,
        machine=described,
        versions=machine.versions(CHECKOUT, ()),
        rounds=plan.rounds,
        seconds=plan.seconds,
        targets=taken.targets,
        cells=taken.cells,
        goals=goals.judge(taken.cells),
    )
    output.mkdir(parents=True, exist_ok=True)
    text = found.model_dump_json(indent=1) + "\n"
    (output / "gateway.json").write_text(text)
    (output / "gateway.html").write_text(page.render(found))
    if as_json:
        print(text, end="")
    else:
        show(found)
        console.out.print(f"gateway.json and gateway.html are in {output}")


def show(found: GatewayReport) -> None:
    """Print the cells and goals as tables."""
    titles = {target.key: target.title for target in found.targets}
    for stream, way in WAYS.items():
        table = Table(way, "clients", "requests/s", "p50", "p99", "added p50", "CPU/request", box=None, pad_edge=False)
        for cell in found.cells:
            if cell.stream == stream:
                one = cell.figures
                times = [page.duration(figure.median) for figure in (one.p50, one.p99)]
                added = page.duration(one.added_p50.median) if one.added_p50 else ""
                rate = f"{one.requests_per_second.median:,.0f}"
                cpu = page.duration(one.cpu_per_request.median)
                table.add_row(titles[cell.target], str(cell.clients), rate, *times, added, cpu)
        console.out.print(table)
    for target in found.targets:
        console.out.print(f"{target.title}: {target.memory.peak / 1e6:.0f} MB at the most")
    for goal in found.goals:
        mark = "[green]met[/green]" if goal.met else "[red]not met[/red]"
        console.out.print(f"{goal.title}: {page.goal_value(goal)}, goal {page.goal_bound(goal)}: {mark}")
