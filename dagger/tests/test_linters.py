# SPDX-License-Identifier: Apache-2.0
"""What the programs of `lint` find in files, without the tools that some of them ask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from linters import bundles, charts, each, helm_lint, kubernetes, kubernetes_schemas, licences, links, zarf_lint
from linters.charts import Rendering
from linters.finding import Finding, tell
from linters.places import line_of

ZARF = """\
kind: ZarfPackageConfig
variables:
  - {name: SIZE, default: small}
  - name: CLASS
components:
  - name: a
    charts:
      - name: a
        localPath: chart
        valuesFiles: [values/upstream.yaml]
"""
TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Values.name }}
spec:
  {{- if .Values.more }}
  replicas: {{ .Values.more }}
  {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Values.name }}
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A repository with a package whose chart has values of three kinds."""
    folder = tmp_path / "packages" / "a"
    files = {
        "zarf.yaml": ZARF,
        "chart/Chart.yaml": "name: a\n",
        "values/upstream.yaml": "size: '###ZARF_VAR_SIZE###'\nclass: '###ZARF_VAR_CLASS###'\n",
        "values/production.yaml": "replicas: 2\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ([], 1),
        (["kind"], 1),
        (["components", 0, "charts", 0, "localPath"], 9),
        (["components", "0", "charts", "0"], 8),
        (["variables", 1, "name"], 4),
        (["variables", 1, "default"], 4),
        (["variables", 7], 2),
        (["nope"], 1),
    ],
)
def test_lines_of_values(path: list[str | int], line: int) -> None:
    assert line_of(ZARF, path) == line


def test_an_empty_document_has_one_line() -> None:
    assert line_of("", ["a"]) == 1


def test_findings_are_told_once_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [Finding("b", 1, "x"), Finding("a", 10, "x"), Finding("a", 9, "x"), Finding("b", 1, "x")]
    assert tell(findings) == 1
    assert capsys.readouterr().out == "a:9: x\na:10: x\nb:1: x\n"
    assert tell([]) == 0


def test_charts_are_rendered_with_each_file_of_values(package: Path) -> None:
    upstream, production = "packages/a/values/upstream.yaml", "packages/a/values/production.yaml"
    defaults = {"SIZE": "small", "CLASS": ""}
    assert list(charts.renderings(package.parents[1])) == [
        Rendering("packages/a/chart", (upstream,)),
        Rendering("packages/a/chart", (upstream,), defaults),
        Rendering("packages/a/chart", (upstream, production)),
        Rendering("packages/a/chart", (upstream, production), defaults),
    ]


def test_a_chart_without_values_is_rendered_too(package: Path) -> None:
    for file in (package / "values").iterdir():
        file.unlink()
    assert list(charts.renderings(package.parents[1])) == [Rendering("packages/a/chart", ())]


def test_a_broken_zarf_yaml_leaves_charts_to_be_checked(package: Path) -> None:
    (package / "zarf.yaml").write_text("components: 7")
    assert len(list(charts.renderings(package.parents[1]))) == 3


def test_variables_are_replaced_by_their_defaults(
    package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(package.parents[1])
    rendering = next(one for one in charts.renderings(Path()) if one.defaults)
    (option,) = rendering.options(tmp_path)
    assert Path(option.removeprefix("--values=")).read_text() == "size: 'small'\nclass: ''\n"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("==> Linting a\n[INFO] Chart.yaml: icon is recommended\n", []),
        ("[ERROR] Chart.yaml: version is required\n", ["packages/a/chart/Chart.yaml:1: version is required"]),
        (
            "[ERROR] templates/: a/templates/w.yaml:22:27\n  executing at <.Values.x>: nil\n\nError: 1 failed\n",
            ["packages/a/chart/templates/w.yaml:22: a/templates/w.yaml:22:27 executing at <.Values.x>: nil"],
        ),
        (
            "[WARNING] templates/w.yaml: cannot load values.yaml: yaml: line 4: mapping values\n",
            ["packages/a/chart/values.yaml:4: cannot load values.yaml: yaml: line 4: mapping values"],
        ),
    ],
)
def test_what_helm_says_is_told_with_its_place(output: str, expected: list[str]) -> None:
    assert list(map(str, helm_lint.findings_of(Rendering("packages/a/chart", ()), output))) == expected


@pytest.mark.parametrize(
    ("rendered", "line", "kind", "expected"),
    [
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a\nspec:\n  replicas: 2\n", 6, "Deployment", 7),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a\nspec:\n  replicas: 2\n", 4, "Deployment", 4),
        ("apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n", 4, "Service", 13),
        ("apiVersion: v1\nkind: Service\nmetadata:\n  nope: a\n", 4, "Service", 9),
        ("apiVersion: v1\nkind: Secret\n", 1, "Secret", 1),
    ],
)
def test_lines_of_templates_from_which_lines_came(rendered: str, line: int, kind: str, expected: int) -> None:
    assert kubernetes.origin(rendered, line, TEMPLATE, kind) == expected


def test_parts_of_kubeconforms_message_are_told_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rendered = tmp_path / "out" / "a" / "templates" / "w.yaml"
    written = tmp_path / "chart" / "templates" / "w.yaml"
    for file in (rendered, written):
        file.parent.mkdir(parents=True)
        file.write_text(
            "---\nkind: Service\nmetadata: {name: b}\n---\nkind: Service\nmetadata: {name: a}\nspec:\n  x: 1\n"
        )
    message = "failed with 'a#' - at '/spec': validation failed   - at '/spec': additional properties 'x' not allowed"
    resource = {"filename": str(rendered), "kind": "Service", "name": "a", "version": "v1", "msg": message}
    found = list(kubernetes.findings_of(Rendering("chart", ()), tmp_path / "out", [resource]))
    assert [one.message for one in found] == ["Service a: /spec: additional properties 'x' not allowed"]


def definitions() -> dict[str, Any]:
    """A small OpenAPI file's definitions: a kind, what it holds, and options of requests."""
    reference = {"$ref": "#/definitions/io.k8s.apimachinery.pkg.util.intstr.IntOrString"}
    labels = {"type": "object", "additionalProperties": {"type": "string"}}
    held = {"type": "object", "description": "d", "properties": {"port": reference, "labels": labels}}
    names = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    gvk = "x-kubernetes-group-version-kind"
    return {
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "string", "format": "int-or-string"},
        "Held": held,
        "Thing": {
            "type": "object",
            "properties": {**names, "spec": {"$ref": "#/definitions/Held"}},
            "required": ["spec"],
            gvk: [{"group": "things.k8s.io", "version": "v1", "kind": "Thing"}],
        },
        "Options": {"properties": names, gvk: [{"group": group, "version": "v1", "kind": "Options"} for group in "ab"]},
    }


def test_schemas_are_strict_and_hold_what_they_refer_to() -> None:
    (name, schema), *others = kubernetes_schemas.schemas(definitions())
    assert (name, others) == ("thing-things-v1.json", [])
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["apiVersion", "kind", "spec"]
    assert schema["properties"]["apiVersion"] == {"const": "things.k8s.io/v1"}
    assert schema["definitions"]["Held"] == {
        "type": "object",
        "properties": {
            "port": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.util.intstr.IntOrString"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "additionalProperties": False,
    }
    assert schema["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] == {"type": ["string", "integer"]}


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("     Error | .components.[0].charts.[0]    | Additional property nope is not allowed", 8),
        ("     Error | (root) | Additional property components is not allowed", 5),
        ("     Warning | .components.[0].charts.[0].localPath | wrong", 9),
    ],
)
def test_rows_of_zarfs_table_are_told_with_their_lines(row: str, line: int) -> None:
    (found,) = zarf_lint.findings_of("zarf.yaml", ZARF, f"     Type | Path | Message\n{row}\n")
    assert found.line == line
    assert found.message.endswith(row.rpartition("| ")[2])


def test_what_zarf_cannot_read_is_told_with_its_line() -> None:
    output = "2026-01-01 ERR [24:4] sequence end token not found\n  23 | a\n> 24 | x: [\n"
    assert str(zarf_lint.unreadable("zarf.yaml", output)) == "zarf.yaml:24: sequence end token not found"
    assert str(zarf_lint.unreadable("zarf.yaml", "ERR no\n")) == "zarf.yaml:1: ERR no"


def test_files_that_a_package_lacks_are_found(package: Path) -> None:
    text = ZARF.replace("localPath: chart", "localPath: charts")
    found = [str(one) for one in zarf_lint.missing_files("zarf.yaml", text, package)]
    assert found == ["zarf.yaml:9: no such file: charts"]
    (package / "values" / "upstream.yaml").unlink()
    found = [str(one) for one in zarf_lint.missing_files("zarf.yaml", ZARF, package)]
    assert found == ["zarf.yaml:10: no such file: values/upstream.yaml"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: UDSBundle\n", []),
        (
            "kind: UDSBundle\nnope: 1\n",
            ["b:2: the bundle: Additional properties are not allowed ('nope' was unexpected)"],
        ),
        (
            "a: 1\nkind: 7\n",
            ["b:1: the bundle: Additional properties are not allowed ('a' was unexpected)", "b:2: kind: 7"],
        ),
        ("{}", ["b:1: the bundle: 'kind' is a required property"]),
        ("kind: [\n", ["b:2: no YAML: expected the node content"]),
        ("# a\nkind: \x00\n", ["b:2: no YAML: character U+0000: special characters are not allowed"]),
    ],
)
def test_bundles_are_checked_against_the_schema(text: str, expected: list[str]) -> None:
    schema = {"required": ["kind"], "properties": {"kind": {"type": "string"}}, "additionalProperties": False}
    found = [str(one) for one in bundles.findings_of("b", text, schema)]
    assert len(found) == len(expected)
    assert all(any(one.startswith(start) for one in found) for start in expected), found


FLAVORS = {"api": ["cpu"], "engine": ["gpu"], "both": ["cpu", "gpu"], "sdk": ["cpu"]}
DEFINITION = "packages: [{name: cowabungaai-api}, {name: cowabungaai-engine}, {name: cowabungaai-both}]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# a\ncpu: [both, api]\nsmall: [api]\ngpu: [engine, both, api]\n", []),
        ("cpu:\n- api\n- ap\n", ["v:3: cpu.1: expected one of api, both, engine, sdk, got 'ap'"]),
        ("cpu: [api]\nsmall: [engine]\n", ["v:2: small.0: engine has no flavor cpu; it has: gpu"]),
        ("cpu:\n  [api,\n  api]\n", ["v:3: cpu.1: api is named twice"]),
        ("gpu: [sdk]\n", ["v:1: gpu.0: the bundle has no package cowabungaai-sdk"]),
        ("cpu: [api]\ncpuu: [api]\n", ["v:2: cpuu: expected one of cpu, gpu, small"]),
        ("cpu: api\n", ["v:1: cpu: expected a list of services"]),
        ("cpu: [2026-02-30]\n", ["v:1: no YAML: day is out of range for month"]),
        ("cpu: [[api]]\n", ["v:1: cpu.0: expected one of api, both, engine, sdk, got ['api']"]),
        ("- api\n", ["v:1: expected a list of services for each variant"]),
        ("cpu: [\n", ["v:2: no YAML: expected the node content, but found '<stream end>'"]),
        ("cpu: [api]\nsmall: [a\x07pi]\n", ["v:2: no YAML: character U+0007: special characters are not allowed"]),
    ],
)
def test_variants_of_bundles_name_services_that_have_the_flavor(text: str, expected: list[str]) -> None:
    assert list(map(str, bundles.variants_of("v", text, FLAVORS, DEFINITION))) == expected


def test_bundles_are_checked_with_what_lies_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "schema": '{"required": ["kind"]}',
        "services/api/service.yaml": "flavors: [gpu]\n",
        "services/broken/service.yaml": "flavors: [\n",
        "bundles/a/uds-bundle.yaml": "{}\n",
        "bundles/a/variants.yaml": "cpu: [broken, api]\n",
        "bundles/b/uds-bundle.yaml": "kind: UDSBundle\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "bundles/c").mkdir()
    (tmp_path / "bundles/c/uds-bundle.yaml").write_bytes(b"kind: UDSBundle\nname: \xfc\n")
    (tmp_path / "bundles/c/variants.yaml").write_bytes(b"# \xe4\n")
    assert bundles.main(["schema"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "bundles/a/uds-bundle.yaml:1: the bundle: 'kind' is a required property",
        "bundles/a/variants.yaml:1: cpu.1: api has no flavor cpu; it has: gpu",
        "bundles/b/variants.yaml:1: no such file; expected a list of services for each variant",
        "bundles/c/uds-bundle.yaml:2: not UTF-8: byte 0xFC",
        "bundles/c/variants.yaml:1: not UTF-8: byte 0xE4",
    ]


def test_links_are_told_with_document_and_line() -> None:
    link = {"url": "file:///r/docs/a%20b.md#c", "status": {"text": "Cannot find fragment"}, "span": {"line": 3}}
    found = list(links.findings_of({"error_map": {"docs/x.md": [link]}}, Path("/r")))
    assert list(map(str, found)) == ["docs/x.md:3: docs/a b.md#c: Cannot find fragment"]


@pytest.mark.parametrize(
    ("file", "begins", "expected"),
    [
        ("a.py", b"", "# SPDX-License-Identifier: Apache-2.0"),
        ("a/b.go", b"pa", "// SPDX-License-Identifier: Apache-2.0"),
        ("cowabunga", b"#!", "# SPDX-License-Identifier: Apache-2.0"),
        ("LICENSE", b"  ", None),
        ("a_pb2_grpc.py", b"", None),
        ("toolchain/go/dagger/shims/a/a.go", b"", None),
        ("a.md", b"#!", None),
    ],
)
def test_what_files_begin_with(file: str, begins: bytes, expected: str | None) -> None:
    assert licences.header(Path(file), begins) == expected


def test_empty_files_need_no_licence(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").touch()
    (tmp_path / "__init__.py").touch()
    assert list(licences.findings_of(tmp_path)) == []
    (tmp_path / "LICENSE").unlink()
    assert list(map(str, licences.findings_of(tmp_path))) == [
        "LICENSE:1: no such file; expected the text of Apache-2.0"
    ]


def test_programs_run_with_the_files_that_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    writes = "import json, sys; json.dump(sys.argv[1:], open('got.json', 'w')); sys.exit(3)"
    command = ["**/D*", "E*", "--", "python3", "-c", writes]
    assert each.main(command) == 0
    for name in ("Da", "E", "x/D"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert each.main(command) == 3
    assert json.loads((tmp_path / "got.json").read_text()) == ["Da", "E", "x/D"]
