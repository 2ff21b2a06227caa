# SPDX-License-Identifier: Apache-2.0
"""How charts are rendered for lint, and schemas of kinds that are no part of Kubernetes; without the tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError, validate

from linters import custom_schemas, kubernetes, zarf_lint
from linters.charts import ENVIRONMENTS, Rendering, renderings

FILES = {
    "packages/common/chart/Chart.yaml": "name: b\ntype: library\n",
    "packages/common/chart/templates/_a.tpl": '{{- define "x" -}}\nkind: Service\n{{- end -}}\n'
    '{{- define "y" -}}\napiVersion: apps/v1\nkind: Deployment\nspec:\n  replica: 1\n{{- end -}}\n',
    "packages/a/chart/Chart.yaml": "name: a\ndependencies: [{name: b, repository: file://../../common/chart}]\n",
    "packages/a/chart/templates/all.yaml": '{{ include "y" . }}\n',
    "packages/a/values/gpu.yaml": "gpu: true\n",
    "packages/a/values/hardened.yaml": "a: 1\n",
    "packages/a/values/upstream.yaml": "a: 2\n",
    ENVIRONMENTS: "production: {values: {replicas: 2, a: {x: 1}}, services: {a: {a: {y: 2}}, other: {replicas: 3}}}\n",
}
DEFINITION: dict[str, Any] = {
    "spec": {
        "group": "example.com",
        "names": {"kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "metadata": {"type": "object"},
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "port": {"x-kubernetes-int-or-string": True},
                                    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                    "kind": {"type": "string", "enum": ["a"]},
                                },
                            },
                        },
                    }
                },
            }
        ],
    }
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a chart of its own and a library, the current folder."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_flavor_is_rendered_alone_with_devices_and_for_each_environment(repository: Path) -> None:
    hardened, upstream, device = (f"packages/a/values/{name}.yaml" for name in ("hardened", "upstream", "gpu"))
    own = {"replicas": 2, "a": {"x": 1, "y": 2}}
    expected = []
    for files in ((hardened,), (upstream,), (hardened, device), (upstream, device)):
        expected += [
            Rendering("packages/a/chart", files),
            Rendering("packages/a/chart", files, None, "production", own),
        ]
    assert list(renderings(Path())) == expected


def test_values_of_an_environment_come_last(repository: Path, tmp_path: Path) -> None:
    rendering = Rendering("packages/a/chart", ("packages/a/values/upstream.yaml",), None, "production", {"a": 3})
    *_, last = rendering.options(tmp_path)
    assert yaml.safe_load(Path(last.removeprefix("--values=")).read_text()) == {"a": 3}
    assert str(rendering.finding("no")).endswith(
        "no (with packages/a/values/upstream.yaml and the environment production)"
    )


def test_a_kind_that_a_library_writes_is_told_there(repository: Path, tmp_path: Path) -> None:
    rendered = tmp_path / "out" / "a" / "templates" / "all.yaml"
    rendered.parent.mkdir(parents=True)
    rendered.write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: x\nspec:\n  replica: 1\n")
    resource = {
        "filename": str(rendered),
        "kind": "Deployment",
        "name": "x",
        "version": "apps/v1",
        "msg": "- at '/spec': additional properties 'replica' not allowed",
    }
    (found,) = kubernetes.findings_of(Rendering("packages/a/chart", ()), tmp_path / "out", [resource])
    assert (found.file, found.line) == ("packages/common/chart/templates/_a.tpl", 8)


def test_each_flavor_of_a_package_is_linted() -> None:
    both = "components: [{name: a, only: {flavor: b}}, {name: a, only: {flavor: a, cluster: {}}}, {name: c}]"
    assert zarf_lint.flavors(both) == ["a", "b"]
    assert zarf_lint.flavors("components: [{name: a}]") == [""]
    assert zarf_lint.flavors("components: 7") == [""]
    assert zarf_lint.flavors("a: [") == [""]


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({"port": "http", "any": {"a": 1}, "kind": "a"}, None),
        ({"port": 80}, None),
        ({"port": 0.5}, "0.5"),
        ({"kind": "b"}, "'b'"),
        ({"portt": 80}, "portt"),
    ],
)
def test_custom_resources_are_checked_strictly(spec: dict[str, Any], refused: str | None) -> None:
    ((name, schema),) = custom_schemas.schemas(DEFINITION)
    assert name == "thing-example-v1.json"
    document = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec}
    if refused is None:
        validate(document, schema)
    else:
        with pytest.raises(ValidationError, match=refused):
            validate(document, schema)


def test_the_package_of_uds_is_among_the_schemas(tmp_path: Path) -> None:
    custom_schemas.write(iter(()), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["package-uds-v1alpha1.json"]
