# SPDX-License-Identifier: Apache-2.0
"""The page of a release: what was built, tested, scanned and published, and how long it took."""

from __future__ import annotations

from cowabungaai import pages
from cowabungaai.release_report import STAGES, ReleasedService, ReleaseReport

TEMPLATE = "release_page.html.j2"
# Stages whose duration is known.
TIMED = ("build", "tests", "conformance", "load", "scan", "publish")


def render(report: ReleaseReport, tests: int) -> str:
    """The page.

    Args:
        report: What it shows.
        tests: How many passed, in all suites.
    """
    longest = max((total(service) for service in report.services), default=0.0) or 1.0
    return pages.render(
        TEMPLATE,
        {"duration": duration, "total": total},
        title="CowabungaAI release",
        report=report,
        tests=tests,
        stages=STAGES,
        timed=TIMED,
        longest=longest,
    )


def total(service: ReleasedService) -> float:
    """Seconds of all stages of a service, one after the other."""
    return sum(stage.seconds or 0.0 for stage in service.stages)


def duration(seconds: float) -> str:
    """A duration as people write it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
