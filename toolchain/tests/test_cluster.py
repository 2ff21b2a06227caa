# SPDX-License-Identifier: Apache-2.0
"""The cluster's settings; tests/integration/test_cluster_run.py starts a real one."""

from __future__ import annotations

import csv
import stat
from pathlib import Path

import pytest
import yaml

from cowabunga import cluster, container, gotools, paths
from cowabunga.errors import EngineError


@pytest.fixture(autouse=True)
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run directory and a cache of this test alone."""
    monkeypatch.setenv("COWABUNGA_HOME", str(tmp_path / "home"))
    for module in (cluster, container, paths):
        monkeypatch.setattr(module, "run_home", lambda: tmp_path / "run")
    return tmp_path / "run"


def test_where_no_cluster_runs_it_is_said_with_what_starts_one() -> None:
    with pytest.raises(EngineError) as caught:
        cluster.inside(["true"])
    assert (caught.value.message, caught.value.hint) == ("no cluster runs", "./cowabunga cluster up starts one.")


def test_every_part_has_a_key_of_its_own_that_nobody_else_reads(run_directory: Path) -> None:
    cluster._write_settings()
    rows = {row[1]: row for row in csv.reader((run_directory / "cluster" / "tokens.csv").open())}
    tokens = {}
    for part, (user, group) in cluster.USERS.items():
        file = run_directory / "cluster" / "kubeconfig" / part
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        tokens[part] = yaml.safe_load(file.read_text())["users"][0]["user"]["token"]
        assert rows[user] == [tokens[part], user, part, group]
    assert len(set(tokens.values())) == len(cluster.USERS)
    for folder in ("", "kubeconfig"):
        assert stat.S_IMODE((run_directory / "cluster" / folder).stat().st_mode) == 0o700


def test_what_another_container_has_left_stays(run_directory: Path) -> None:
    for name in ("ours", "others"):
        (paths.make_run_home() / name).mkdir()
    assert stat.S_IMODE(run_directory.stat().st_mode) == 0o700
    container.remove_remains("ours", "never-there")
    assert [path.name for path in run_directory.iterdir()] == ["others"]
    container.remove_remains("others")
    assert not run_directory.exists()


def test_schemas_and_node_are_of_one_kubernetes() -> None:
    pinned = (gotools.GO_MODULES / "kubernetes" / "go.mod").read_text()
    assert f"k8s.io/kubernetes {gotools.load('kubernetes').version}" in pinned
