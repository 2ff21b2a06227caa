# SPDX-License-Identifier: Apache-2.0
"""What is proved of the whole stack: with PostgreSQL, and under load."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from harness import CHECKOUT, Run

THRESHOLDS = CHECKOUT / "tests" / "load" / "thresholds.yaml"
LOOSE_MEMORY = {"most_mb": 100_000, "growth_mb": 100_000}
# In the database's address, or as the value of a variable that is no secret one.
PASSWORD_SHOWN = re.compile(r"""postgres(ql)?(\+\w+)?://[^\s:/@]*:[^\s@*]+@|POSTGRES_PASSWORD["']?(=|:|,\s*value)""")


def test_two_replicas_share_postgresql_and_migrations_keep_a_filled_one_right(dagger: Run, tmp_path: Path) -> None:
    finished = dagger("call", "integration-test", "export", "--path", tmp_path / "report")
    assert finished.returncode == 0, finished.stderr
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert (summary["passed"], summary["failures"], summary["skipped"]) == (True, 0, 0)
    assert summary["tests"] > 5
    reports = [file.read_text(errors="replace") for file in (tmp_path / "report").rglob("*") if file.is_file()]
    for told in (finished.stdout, finished.stderr, *reports):
        # The engine shows a secret as stars.
        assert not PASSWORD_SHOWN.search(told), "nobody may see the password, which is made for each run"


@pytest.fixture
def thresholds(tmp_path: Path) -> Path:
    """Limits for a run of seconds; one of them cannot be kept, and no machine is too busy to keep the others."""
    loose: dict[str, float] = {"clients": 4, "seconds": 2, "error_ratio": 1}
    scenarios = {name: dict(loose) for name in yaml.safe_load(THRESHOLDS.read_text())["repeater"]["scenarios"]}
    scenarios["embeddings"]["p50_ms"] = 0.001
    ours = {"warmup_seconds": 0.5, "scenarios": scenarios, "gateway": LOOSE_MEMORY, "backend": LOOSE_MEMORY}
    file = tmp_path / "thresholds.yaml"
    file.write_text(yaml.safe_dump({"repeater": ours}))
    return file


def test_a_limit_that_is_not_kept_fails_the_load_test_and_is_named(dagger: Run, thresholds: Path) -> None:
    finished = dagger("call", "load-test", "--thresholds", thresholds)
    assert finished.returncode != 0
    assert "embeddings: p50_ms:" in finished.stderr
    assert "expected at most 0.001" in finished.stderr


def test_reports_of_a_failed_load_test_can_be_had(dagger: Run, thresholds: Path, tmp_path: Path) -> None:
    arguments = ("load-test", "--thresholds", thresholds, "--exit-code", "0", "export", "--path", tmp_path / "report")
    finished = dagger("call", *arguments)
    assert finished.returncode == 0, finished.stderr
    report = json.loads((tmp_path / "report" / "load.json").read_text())
    assert report["passed"] is False
    assert [line.split(":")[0] for line in report["broken"]] == ["embeddings"]
    assert {one["scenario"]: one["failures"] for one in report["scenarios"]} == {
        "chat": 0,
        "chat-stream": 0,
        "embeddings": 0,
    }
    for scenario in ("chat", "chat-stream", "embeddings"):
        assert "http" not in (tmp_path / "report" / f"{scenario}.html").read_text().split("<script")[0]
