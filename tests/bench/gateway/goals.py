# SPDX-License-Identifier: Apache-2.0
"""The goals: how many times as much as others ours does, and how little it adds."""

from __future__ import annotations

from collections.abc import Sequence

from bench.gateway.report import Cell, Goal

OURS = "api"
# Requests per second of ours over those of a peer, each with as many clients as it does best with.
TIMES = {"litellm": ("LiteLLM", 20.0), "sglang-router": ("sglang-router", 1 / 3)}
ADDED_SECONDS = 0.0005
WAYS = {False: "whole answers", True: "streamed answers"}


def judge(cells: Sequence[Cell]) -> tuple[Goal, ...]:
    """Compute the goals that the cells allow: those of a target that was not measured are left out.

    Args:
        cells: All that was measured.
    """
    found = []
    for stream, way in WAYS.items():
        ours = _best(cells, OURS, stream)
        for key, (title, bound) in TIMES.items():
            peer = _best(cells, key, stream)
            if ours and peer:
                found.append(_ratio(f"{title}'s requests per second, {way}", ours, peer, bound))
    for cell in cells:
        if (cell.target, cell.stream, cell.clients) == (OURS, False, 1) and cell.figures.added_p50:
            value = cell.figures.added_p50.median
            title = f"Added at the median, one client, {WAYS[False]}"
            found.append(
                Goal(
                    title=title,
                    unit="seconds",
                    value=value,
                    bound=ADDED_SECONDS,
                    at_least=False,
                    met=value <= ADDED_SECONDS,
                )
            )
    return tuple(found)


def _best(cells: Sequence[Cell], target: str, stream: bool) -> Cell | None:
    """The cell of a target with the most requests per second."""
    own = [cell for cell in cells if cell.target == target and cell.stream == stream]
    return max(own, key=lambda cell: cell.figures.requests_per_second.median, default=None)


def _ratio(title: str, ours: Cell, peer: Cell, bound: float) -> Goal:
    value = ours.figures.requests_per_second.median / peer.figures.requests_per_second.median
    cpu = ours.figures.cpu_per_request.median
    beside = f"by CPU time for a request: {peer.figures.cpu_per_request.median / cpu:.2f} ×" if cpu else ""
    return Goal(title=title, unit="times", value=value, bound=bound, at_least=True, beside=beside, met=value >= bound)
