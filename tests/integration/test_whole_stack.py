# SPDX-License-Identifier: Apache-2.0
"""What is proved of the whole stack: with PostgreSQL, and under load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from harness import CHECKOUT, Run

THRESHOLDS = CHECKOUT / "tests" / "load" / "thresholds.yaml"


def test_two_replicas_share_postgresql_and_migrations_keep_a_filled_one_right(dagger: Run, tmp_path: Path) -> None:
    finished = dagger("call", "integration-test", "export", "--path", tmp_path / "report")
    assert finished.returncode == 0, finished.stderr
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert (summary["passed"], summary["failures"], summary["skipped"]) == (True, 0, 0)
    assert summary["tests"] > 5
    assert "POSTGRES_PASSWORD=" not in finished.stdout + finished.stderr


@pytest.fixture
def thresholds(tmp_path: Path) -> Path:
    """Limits for a run of seconds; one of them cannot be kept."""
    limits = yaml.safe_load(THRESHOLDS.read_text())
    ours = limits["repeater"]
    ours["warmup_seconds"] = 0.5
    for scenario in ours["scenarios"].values():
        scenario.update(clients=4, seconds=2)
        del scenario["requests_per_second"]
    ours["scenarios"]["embeddings"]["p50_ms"] = 0.001
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
