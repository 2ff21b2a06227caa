# SPDX-License-Identifier: Apache-2.0
"""A service that is added as two folders takes part in everything: no file of the pipeline names it."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from harness import CHECKOUT, Run

from cowabunga import gotools
from shared.registries import Registry, running_registry
from shared.vulnerabilities import ELSEWHERE, build

Call = Callable[..., None]
# As long as the one in whose place it is, and next to it in the alphabet: lines and imports stay in order.
NAME = "resonant"
TEMPLATE = "repeater"
SHA = "0123456789abcdef0123456789abcdef01234567"
LEFT_OUT = shutil.ignore_patterns(".git", "dist", "__pycache__", ".*_cache", ".venv", ".hypothesis")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, with a service and its package that are the repeater's by another name."""
    root = tmp_path_factory.mktemp("repository") / "root"
    shutil.copytree(CHECKOUT, root, ignore=LEFT_OUT, symlinks=True)
    for folder in ("services", "packages"):
        shutil.copytree(root / folder / TEMPLATE, root / folder / NAME)
        renamed(root / folder / NAME)
    return root


def renamed(folder: Path) -> None:
    """Give a folder's files the new name, in their own names and in what they say."""
    # The deepest first, so that a folder is renamed after what is in it.
    for path in sorted(folder.rglob("*"), key=lambda one: -len(one.parts)):
        if path.is_file():
            text = path.read_text()
            changed = text.replace(TEMPLATE, NAME).replace(TEMPLATE.capitalize(), NAME.capitalize())
            path.write_text(changed)
        path.rename(path.with_name(path.name.replace(TEMPLATE, NAME)))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the calls leave their reports; release-report reads them in the end."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vulnerability database by which the image is without fault."""
    return build(tmp_path_factory.mktemp("database"), ELSEWHERE)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry."""
    with running_registry(gotools.ensure("registry") / "registry", tmp_path / "registry") as running:
        yield running


@pytest.fixture(scope="module")
def call(dagger: Run, repository: Path) -> Call:
    """Calls a function of the module on the repository, which must succeed, and keeps what it returns."""

    def run(output: Path, *arguments: str | Path) -> None:
        finished = dagger("call", "--source", repository, *arguments, "export", "--path", output)
        assert finished.returncode == 0, finished.stderr

    return run


def summary(folder: Path) -> dict[str, object]:
    """summary.json of a report."""
    read: dict[str, object] = json.loads((folder / "summary.json").read_text())
    return read


def test_it_is_in_the_catalog(dagger: Run, repository: Path) -> None:
    finished = dagger("call", "--source", repository, "services", "name")
    assert finished.returncode == 0, finished.stderr
    assert NAME in finished.stdout.split()


def test_it_is_linted_and_a_mistake_in_it_is_found(dagger: Run, repository: Path, tmp_path: Path) -> None:
    names = ("ruff", "mypy", "locks", "services", "helm", "zarf", "licences")
    only = [f"--only={name}" for name in names]
    finished = dagger("call", "--source", repository, "lint", "--repository", repository, *only)
    assert finished.returncode == 0, finished.stderr
    wrong = tmp_path / "wrong"
    shutil.copytree(repository, wrong, symlinks=True)
    chart = wrong / "packages" / NAME / "chart" / "templates" / "workload.yaml"
    chart.write_text(chart.read_text() + "{{ .Values.nothing.here }}\n")
    code = wrong / "services" / NAME / "src" / f"cowabungaai_{NAME}" / "wrong.py"
    code.write_text("# SPDX-License-Identifier: Apache-2.0\nnumber: int = 'text'\n")
    finished = dagger("call", "--source", wrong, "lint", "--repository", wrong, *only)
    assert finished.returncode != 0
    assert f"services/{NAME}/src/cowabungaai_{NAME}/wrong.py:2" in finished.stderr
    assert f"packages/{NAME}/chart" in finished.stderr


def test_it_is_built_tested_and_listed(call: Call, results: Path, database: Path) -> None:
    call(results / "dist", "build-all", "--services", NAME)
    assert (results / "dist" / "images" / f"{NAME}.tar").exists()
    call(results / "unit", "test", "--service", NAME)
    assert summary(results / "unit")["passed"] is True
    call(results / "sbom", "sbom-all", "--services", NAME)
    assert {file.name for file in (results / "sbom").iterdir()} >= {f"{NAME}.spdx.json", f"{NAME}.cdx.json"}
    call(results / "scan", "scan", "--service", NAME, "--db", database)
    assert summary(results / "scan")["passed"] is True


def test_it_serves(call: Call, results: Path, tmp_path: Path) -> None:
    call(results / "conformance", "conformance", "--service", NAME)
    found = summary(results / "conformance")
    assert (found["passed"], found["name"]) == (True, NAME)
    thresholds = yaml.safe_load((CHECKOUT / "tests" / "load" / "thresholds.yaml").read_text())["default"]
    thresholds["warmup_seconds"] = 0.5
    for scenario in thresholds["scenarios"].values():
        scenario.update(clients=2, seconds=2)
    limits = tmp_path / "thresholds.yaml"
    limits.write_text(yaml.safe_dump({"default": thresholds}))
    call(results / "load", "load-test", "--service", NAME, "--thresholds", limits)
    assert json.loads((results / "load" / "load.json").read_text())["passed"] is True


@pytest.mark.slow
def test_it_is_packaged_and_published(
    call: Call, results: Path, database: Path, registry: Registry, tmp_path: Path
) -> None:
    call(tmp_path / "package.tar.zst", "package", "--service", NAME)
    assert (tmp_path / "package.tar.zst").stat().st_size > 1_000_000
    call(tmp_path / "env", "build-for-env", "--environment", "STAGING", "--services", NAME, "--services", "api")
    values = yaml.safe_load((tmp_path / "env" / "values" / f"{NAME}.yaml").read_text())
    assert values["image"].startswith(f"ghcr.io/awdemos/cowabungaai/{NAME}:0.1.0-rc@")
    # As the one that it is a copy of, it is for tests alone, and so the gateway has nothing to offer.
    environment = json.loads((tmp_path / "env" / "environment.json").read_text())
    unrouted = {one["service"]: one["reason"] for one in environment["unrouted"]}
    assert unrouted.pop(NAME) == "it repeats what it is asked, for tests"
    assert unrouted.pop("api") == "it is told of no service: the models of its chart count"
    assert TEMPLATE in unrouted
    assert set(unrouted.values()) == {"it is not among what this call built"}
    via = ("--via", f"tcp://127.0.0.1:{registry.port}", "--registries", f"local:{registry.port}/team")
    call(results, "publish", "--service", NAME, *via, "--environment", "STAGING", "--sha", SHA, "--db", database)
    (image,) = json.loads((results / "published.json").read_text())["images"]
    assert registry.check_whole() == dict.fromkeys((f"team/{NAME}:0.1.0-rc", f"team/{NAME}:{SHA}"), image["digest"])
    with tarfile.open(results / "dist" / "images" / f"{NAME}.tar") as archive:
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]  # it is a file
    assert index["manifests"][0]["digest"] == image["digest"]
    call(tmp_path / "reproduction.json", "reproduce", "--report", results / "published.json")
    (compared,) = json.loads((tmp_path / "reproduction.json").read_text())["artifacts"]
    assert (compared["service"], compared["built"], compared["same"]) == (NAME, image["digest"], True)


@pytest.mark.slow
def test_its_release_is_reported(call: Call, dagger: Run, repository: Path, results: Path, tmp_path: Path) -> None:
    arguments = ("release-report", "--results", results, "--sha", SHA)
    finished = dagger("call", "--source", repository, *arguments)
    assert finished.returncode != 0
    for line in ("the release is incomplete:", "integration was not run", "scan of sources was not run"):
        assert line in finished.stderr
    call(tmp_path / "report", *arguments, "--exit-code", "0")
    report = json.loads((tmp_path / "report" / "release-report.json").read_text())
    assert report["problems"] == ["integration was not run", "scan of sources was not run"]
    (service,) = report["services"]
    assert {stage["name"]: stage["state"] for stage in service["stages"]} == dict.fromkeys(
        ("build", "tests", "conformance", "load", "scan", "sbom", "publish"), "passed"
    )
    assert NAME in (tmp_path / "report" / "index.html").read_text()


def test_no_file_of_the_pipeline_names_a_backend() -> None:
    """Services are named where they are described, not in the pipeline's code."""
    backends = [
        file.parent.name
        for file in (CHECKOUT / "services").glob("*/service.yaml")
        if yaml.safe_load(file.read_text())["kind"] not in ("sdk", "gateway", "health")
    ]
    code = [*(CHECKOUT / "dagger" / "src").rglob("*.py"), *(CHECKOUT / ".github").rglob("*.yaml")]
    named = [
        f"{file.relative_to(CHECKOUT)}: {name}"
        for file in code
        for name in backends
        # The one that needs no model is what functions take by default.
        if name != TEMPLATE and name in file.read_text()
    ]
    assert named == []
