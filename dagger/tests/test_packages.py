# SPDX-License-Identifier: Apache-2.0
"""What a package brings: weights or none, values for GPUs, a model named by its weights, no more than its budget."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from cowabungaai.errors import BuildError
from cowabungaai.package_report import PackagedModel, PackageReport, check_package_budget
from cowabungaai.packages import packaged_names, with_values
from cowabungaai.weights import ModelFacts, documentation

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in (ROOT / "packages").glob("*/zarf.yaml") if path.parent.name != "common")
FACTS = ModelFacts(
    id="Qwen/Qwen3-0.6B",
    licence="Apache-2.0",
    digest="0123456789abcdef" * 4,
    files=[{"path": "model.safetensors", "size": 5, "sha256": "0" * 64}],  # type: ignore[list-item]
)


def described(name: str) -> str:
    return (ROOT / "packages" / name / "zarf.yaml").read_text()


def test_what_others_import_is_no_package() -> None:
    paths = ["packages/common/zarf.yaml", "packages/whisper/zarf.yaml", "packages/api/zarf.yaml"]
    assert packaged_names(paths) == ["api", "whisper"]


def test_a_package_without_weights_lacks_their_component_alone() -> None:
    whole = yaml.safe_load(with_values(described("whisper"), weights=True, gpu=False))
    without = yaml.safe_load(with_values(described("whisper"), weights=False, gpu=False))
    assert [one["name"] for one in whole["components"]] == ["model", "whisper", "whisper"]
    assert without["components"] == whole["components"][1:]


def test_a_gpu_package_has_the_values_for_gpus_last() -> None:
    package = yaml.safe_load(with_values(described("text-embeddings"), weights=False, gpu=True))
    files = [one["charts"][0]["valuesFiles"] for one in package["components"]]
    assert files == [["values/upstream.yaml", "values/gpu.yaml"], ["values/hardened.yaml", "values/gpu.yaml"]]


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_every_package_has_both_flavors_and_what_they_name(folder: Path) -> None:
    package = yaml.safe_load((folder / "zarf.yaml").read_text())
    services = [one for one in package["components"] if one["name"] == folder.name]
    assert [one["only"]["flavor"] for one in services] == ["upstream", "hardened"]
    for component in services:
        for chart in component["charts"]:
            assert (folder / chart["localPath"] / "Chart.yaml").is_file()
            assert all((folder / name).is_file() for name in chart["valuesFiles"])
    for variable in package.get("variables", []):
        assert variable["description"]


def test_a_models_image_is_named_by_its_weights() -> None:
    assert FACTS.reference == "ghcr.io/cowabungaai/models/qwen-qwen3-0-6b:sha256-0123456789ab"


def test_the_documentation_of_weights_alone_tells_how_a_service_takes_them() -> None:
    text = documentation(FACTS, alone=True)
    assert f"image: '{FACTS.reference}'" in text
    assert FACTS.reference not in documentation(FACTS).partition("| --- |")[2]


def test_the_documentation_has_licence_and_digests() -> None:
    text = documentation(FACTS)
    assert "licence: Apache-2.0" in text
    assert f"sha256:{FACTS.digest}" in text
    assert f"| `model.safetensors` | 5 | `{'0' * 64}` |" in text


def test_what_the_sdk_tells_of_a_model_is_understood(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("describing", ROOT / "services/sdk/describe_model.py")
    assert spec is not None
    assert spec.loader is not None
    describing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(describing)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/a.gguf").write_bytes(b"weights")
    describing.main(str(tmp_path / "model"), str(tmp_path / "out"), "mine", "MIT")
    facts = ModelFacts.model_validate_json((tmp_path / "out/facts.json").read_text())
    manifest = describing.described(tmp_path / "model", "mine", "MIT")
    assert facts.digest == manifest.digest
    assert [file.model_dump() for file in facts.files] == [asdict(file) for file in manifest.files]
    assert json.loads((tmp_path / "out/manifest.json").read_text())["id"] == facts.id


@pytest.mark.parametrize(
    ("size", "weights", "fine"), [(20, 0, True), (21, 0, False), (500, 480, True), (501, 480, False)]
)
def test_the_budget_is_that_of_a_package_without_weights(size: int, weights: int, *, fine: bool) -> None:
    report = PackageReport(
        service="x",
        flavor="cpu",
        variant="upstream",
        file="x.tar.zst",
        version="1",
        size=size * 1_000_000,
        image="x:1",
        image_digest="sha256:0",
        model=PackagedModel(id="m", licence="x", digest="0", image="i", size=weights * 1_000_000),
        budget=20_000_000,
    )
    if fine:
        check_package_budget(report, "package_budget_mb")
    else:
        with pytest.raises(BuildError, match=r"package of x: 21\.0 MB without weights is over its budget of 20 MB"):
            check_package_budget(report, "package_budget_mb")
