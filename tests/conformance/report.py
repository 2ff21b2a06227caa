# SPDX-License-Identifier: Apache-2.0
"""What passed, failed and was skipped, by endpoint: what is written where COWABUNGAAI_REPORT says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

OUTCOMES = ("passed", "failed", "skipped")


class EndpointReport:
    """Counts outcomes by the endpoint that a test's mark names.

    Args:
        file: where the JSON goes.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._endpoints: dict[str, str] = {}
        self._outcomes: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Notes which endpoint each test is about."""
        for item in items:
            mark = item.get_closest_marker("endpoint")
            if mark is not None:
                self._endpoints[item.nodeid] = mark.args[0]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes how a test ended; a failure of its set-up or clean-up is one of the test."""
        if report.when == "call" or report.outcome != "passed":
            worse = "failed" in (report.outcome, self._outcomes.get(report.nodeid))
            self._outcomes[report.nodeid] = "failed" if worse else report.outcome

    def pytest_sessionfinish(self) -> None:
        """Writes the file."""
        endpoints: dict[str, dict[str, int]] = {}
        for test, outcome in self._outcomes.items():
            counts = endpoints.setdefault(self._endpoints.get(test, "other"), dict.fromkeys(OUTCOMES, 0))
            counts[outcome] += 1
        totals = {outcome: sum(counts[outcome] for counts in endpoints.values()) for outcome in OUTCOMES}
        body = {**totals, "endpoints": dict(sorted(endpoints.items()))}
        self._file.write_text(json.dumps(body, indent=2) + "\n")
