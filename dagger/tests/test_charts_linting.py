# SPDX-License-Identifier: Apache-2.0
"""Mistakes in charts and in their library are found at their place, by the real helm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from charts_rendered import ROOT, helm

from linters import chart_schemas, helm_lint
from linters.chart_copies import built_copies, library_file
from linters.charts import Rendering

pytestmark = pytest.mark.slow
TEMPLATES = "packages/common/chart/templates"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository's charts, the current folder."""
    shutil.copytree(ROOT / "packages", tmp_path / "packages", ignore=shutil.ignore_patterns("charts"))
    environments = Path("dagger/src/cowabungaai/environments.yaml")
    (tmp_path / environments).parent.mkdir(parents=True)
    shutil.copy(ROOT / environments, tmp_path / environments)
    monkeypatch.setenv("PATH", str(Path(helm()).parent), prepend=":")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(file: Path, old: str, new: str) -> int:
    """Change a file, and return the line of what was changed."""
    text = file.read_text()
    position = text.index(old)
    file.write_text(text.replace(old, new, 1))
    return text[:position].count("\n") + 1


def test_charts_of_this_checkout_have_no_mistakes(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert helm_lint.main() == 0
    assert capsys.readouterr().out == ""
    assert not list(repository.glob("packages/*/chart/charts"))


def test_a_mistake_in_the_library_is_found_there(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = change(repository / TEMPLATES / "_deployment.tpl", "$values.tmpSize", "$values.room.size")
    assert helm_lint.main() == 1
    told = capsys.readouterr().out.splitlines()
    assert all(one.startswith(f"{TEMPLATES}/_deployment.tpl:{line}: ") for one in told)
    assert any("packages/repeater/values/upstream.yaml" in one for one in told)


def test_a_value_of_an_environment_that_a_chart_refuses_is_found(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(repository / "dagger/src/cowabungaai/environments.yaml", "logLevel: warning", "logLevel: silent")
    assert helm_lint.main() == 1
    told = capsys.readouterr().out
    assert "'/logLevel'" in told
    assert "the environment production" in told
    assert "the environment staging" not in told


def test_a_library_that_is_not_there_is_told_of_each_chart(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("Chart.yaml", "Chart.lock"):
        change(repository / "packages/repeater/chart" / file, "../../common", "../../uncommon")
    assert helm_lint.main() == 1
    told = capsys.readouterr().out.splitlines()
    assert all(one.startswith("packages/repeater/chart/Chart.yaml:1: ") for one in told)


def test_a_chart_without_the_library_is_linted_too(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = repository / "packages/alone/chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: alone\nversion: 0.1.0\n")
    (chart / "templates/a.yaml").write_text("a: b\n{{ .Values.no.such }}\n")
    assert helm_lint.main() == 1
    assert "packages/alone/chart/templates/a.yaml:2: " in capsys.readouterr().out


def test_definitions_that_differ_are_found_and_written(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chart_schemas.main([]) == 0
    schema = repository / "packages/whisper/chart/values.schema.json"
    before = schema.read_text()
    line = change(schema, '"maximum": 3600', '"maximum": 3601')
    assert chart_schemas.main([]) == 1
    assert capsys.readouterr().out.startswith(f"packages/whisper/chart/values.schema.json:{line}: ")
    assert chart_schemas.main(["--write"]) == 0
    assert schema.read_text() == before


def test_a_schema_that_cannot_be_read_is_told(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "packages/whisper/chart/values.schema.json").write_text('{"$ref": "#/definitions/a"')
    assert chart_schemas.main([]) == 1
    assert "whisper/chart/values.schema.json:1: expected a JSON schema" in capsys.readouterr().out


def test_places_in_a_library_are_told_by_its_own_folder(repository: Path) -> None:
    with built_copies(repository) as findings:
        assert findings == []
        assert library_file("packages/api/chart", "cowabungaai-common", "templates/a.tpl") == f"{TEMPLATES}/a.tpl"
        place = "cowabungaai-api/charts/cowabungaai-common/templates/_all.tpl:7:3: no"
        found = Rendering("packages/api/chart", ()).finding(f"cowabungaai-api/templates/workload.yaml:1:1: {place}")
        assert (found.file, found.line) == (f"{TEMPLATES}/_all.tpl", 7)
