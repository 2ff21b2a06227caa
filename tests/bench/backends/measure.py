# SPDX-License-Identifier: Apache-2.0
"""Measures matches in rounds: in each the contenders take turns, so that what disturbs one disturbs its neighbours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack

from bench.backends.contenders import Ground, Running
from bench.backends.matches import Match
from bench.backends.report import Measure, Memory, Section, Series
from bench.gateway.measure import turns
from bench.processes import Fleet
from cowabunga import console
from cowabunga.paths import logs

WARM = -1
"""The number of the round that counts for nothing: what is loaded or compiled by the first question is in it."""


def take(match: Match, rounds: int, variables: Mapping[str, str]) -> Section:
    """Start the contenders of a match, measure them in rounds, and end them whatever happens.

    Args:
        match: Who, and how.
        rounds: In each of which everybody is asked in every way once.
        variables: The contenders' environment.

    Raises:
        CowabungaError: A contender could not be had or started, or failed.
    """
    with ExitStack() as stack:
        ground = Ground(stack.enter_context(Fleet(logs(), variables)), variables, [])
        stack.callback(_end, ground)
        running: dict[str, Running] = {}
        for contender in match.contenders:
            with console.step(f"starting {match.service}: {contender.title}", f"bench-{match.service}-{contender.key}"):
                running[contender.key] = contender.start(ground)
        samples: dict[tuple[str, str], list[float]] = defaultdict(list)
        for number in range(WARM, rounds):
            for way in match.ways:
                for contender in turns(match.contenders, max(number, 0)):
                    rate = running[contender.key].worker.ask(way.scenario, way.arguments(number))
                    if number != WARM:
                        samples[way.title, contender.key].append(rate)
                        console.note(
                            f"round {number + 1} of {rounds}, {way.title}: {contender.title} {rate:,.1f} {way.unit}"
                        )
        memory = tuple(Memory(contender=key, idle=one.idle, peak=one.peak()) for key, one in running.items())
    return Section(
        service=match.service,
        title=match.title,
        about=match.about,
        contenders={contender.key: contender.title for contender in match.contenders},
        measures=tuple(
            Measure(
                title=way.title,
                unit=way.unit,
                goal=way.goal,
                series=tuple(
                    Series(contender=contender.key, samples=tuple(samples[way.title, contender.key]))
                    for contender in match.contenders
                ),
            )
            for way in match.ways
        ),
        memory=memory,
    )


def _end(ground: Ground) -> None:
    for worker in ground.workers:
        worker.end()
