# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of backends found: the samples of every round, and the figures made from them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

from bench.gateway.report import Figure, Part
from bench.report import Machine

SCHEMA_VERSION: Final = 1


class Series(Part):
    """A contender's samples of a measure, one a round; more is better."""

    contender: str
    samples: tuple[float, ...]

    @property
    def figure(self) -> Figure:
        """The middle sample, the least and the most."""
        return figure(self.samples)


class Measure(Part):
    """A way of asking, and how much each contender did a second.

    Attributes:
        title: How they were asked.
        unit: Of what is done, such as "tokens/s".
        series: One a contender; ours is the first.
        goal: What ours should at least do of each peer's, paired by round; None where nothing is asked for.
    """

    title: str
    unit: str
    series: tuple[Series, ...]
    goal: float | None = None

    def ratio(self, peer: Series) -> Figure:
        """Ours over a peer's, round by round."""
        pairs = zip(self.series[0].samples, peer.samples, strict=True)
        return figure([ours / theirs for ours, theirs in pairs])

    @property
    def peers(self) -> tuple[Series, ...]:
        """All but ours."""
        return self.series[1:]

    def met(self, peer: Series) -> bool:
        """Whether the goal is met beside a peer."""
        return self.goal is None or self.ratio(peer).median >= self.goal


class Memory(Part):
    """Resident bytes of a contender's processes: once it has loaded, and the most that they ever were."""

    contender: str
    idle: int
    peak: int


class Section(Part):
    """A service and its peers.

    Attributes:
        service: Its name.
        title: What is measured.
        about: The model, and what is equal for all.
        contenders: Title by key; ours is the first.
        measures: Ways of asking.
        memory: Of every contender.
    """

    service: str
    title: str
    about: str
    contenders: dict[str, str]
    measures: tuple[Measure, ...]
    memory: tuple[Memory, ...]


class BackendsReport(Part):
    """A run."""

    schema_version: int = SCHEMA_VERSION
    date: str
    machine: Machine
    versions: dict[str, str]
    rounds: int
    sections: tuple[Section, ...]

    @property
    def missed(self) -> list[str]:
        """The goals that were not met, in words."""
        return [
            f"{section.service}, {measure.title}: {measure.ratio(peer).median:.2f} × "
            f"{section.contenders[peer.contender]}, goal {measure.goal:g} ×"
            for section in self.sections
            for measure in section.measures
            for peer in measure.peers
            if not measure.met(peer)
        ]


def figure(samples: Sequence[float]) -> Figure:
    """The middle one, the least and the most of samples."""
    return Figure(median=statistics.median(samples), low=min(samples), high=max(samples))
