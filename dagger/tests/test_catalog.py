# SPDX-License-Identifier: Apache-2.0
"""A service.yaml is checked, and its mistakes are told where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from cowabungaai.catalog import Catalog, ImageBudget, ServiceSpec, parse
from cowabungaai.errors import CatalogError

SERVICES = Path(__file__).parents[2] / "services"
VALID = """\
name: thing
kind: chat
summary: A thing
package: cowabungaai_thing
entrypoint: ["python3", "-m", "cowabungaai_thing"]
port: 50051
protocol: grpc
flavors: [cpu]
image:
  budget_mb: 60
resources:
  requests: {cpu: 50m, memory: 64Mi}
  limits: {cpu: "1", memory: 256Mi}
"""


def spec(name: str, *depends_on: str) -> ServiceSpec:
    """A valid service that depends on others."""
    changed = VALID.replace("name: thing", f"name: {name}") + f"depends_on: [{', '.join(depends_on)}]\n"
    return parse(changed, f"services/{name}/service.yaml")


def test_what_the_tests_of_services_need_is_given_to_them() -> None:
    """They skip what needs a model or wheels where the pipeline gives none."""
    for path in SERVICES.glob("*/service.yaml"):
        one = parse(path.read_text(), path.name)
        tests = "".join(file.read_text() for file in (SERVICES / one.name / "tests").rglob("*.py"))
        assert one.model or "COWABUNGAAI_TEST_MODEL" not in tests, one.name
        assert one.test_wheels or "COWABUNGAAI_TEST_WHEELS" not in tests, one.name


@pytest.mark.parametrize(
    ("more", "flavor", "megabytes"),
    [
        ({}, "cpu", None),
        ({"package_budget_mb": 20}, "cpu", 20),
        ({"package_budget_mb": 20}, "gpu", 60),
        ({"package_budget_mb": 20, "gpu_budget_mb": 5000}, "gpu", 5000),
    ],
)
def test_a_package_is_bounded_as_its_flavor_is(more: dict[str, int], flavor: str, megabytes: int | None) -> None:
    image = ImageBudget(budget_mb=60, **more)
    assert image.package_budget(flavor) == (megabytes and megabytes * 1_000_000)


@pytest.mark.parametrize("file", sorted(SERVICES.glob("*/service.yaml")), ids=lambda file: file.parent.name)
def test_the_projects_own_services_are_valid(file: Path) -> None:
    assert parse(file.read_text(), str(file)).name == file.parent.name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "port: 50051",
            "port: 80",
            "services/thing/service.yaml:6: port: input should be greater than or equal to 1024, got 80",
        ),
        ("kind: chat", "kind: talk", "services/thing/service.yaml:2: kind: input should be 'sdk', 'gateway', 'chat'"),
        (
            "budget_mb: 60",
            "budget_mb: big",
            "services/thing/service.yaml:10: image.budget_mb: input should be a valid integer, got 'big'",
        ),
        (
            "cpu: 50m",
            "cpu: lots",
            "services/thing/service.yaml:12: resources.requests.cpu: string should match pattern",
        ),
        ("summary: A thing\n", "", "services/thing/service.yaml:1: summary: field required"),
        (
            "summary: A thing",
            "sumary: A thing",
            "services/thing/service.yaml:3: sumary: extra inputs are not permitted",
        ),
        (
            "flavors: [cpu]",
            "flavors: [cpu, tpu]",
            "services/thing/service.yaml:8: flavors.1: input should be 'cpu' or 'gpu', got 'tpu'",
        ),
        (
            "flavors: [cpu]",
            "flavors: [cpu]\nwritable: [/data, var/lib]",
            "services/thing/service.yaml:9: writable.1: string should match pattern",
        ),
        ("kind: chat", "kind: [chat", "services/thing/service.yaml:3: not valid YAML"),
        ("kind: chat", "kind: \x01", "services/thing/service.yaml:2: not valid YAML: character U+0001: "),
        (
            "name: thing",
            "name: other",
            "services/thing/service.yaml:1: name: expected 'thing', the folder's name, got 'other'",
        ),
    ],
)
def test_a_mistake_names_file_line_field_and_expectation(old: str, new: str, message: str) -> None:
    with pytest.raises(CatalogError) as caught:
        parse(VALID.replace(old, new), "services/thing/service.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize("path", ["/", "data", "/data/", "/a//b", "/a/../b", "/a/.", "/a b", "/$x", "/-"])
def test_a_writable_folder_is_an_absolute_normal_path(path: str) -> None:
    with pytest.raises(CatalogError, match=r"services/thing/service\.yaml:14: writable\.0: string should match"):
        parse(VALID + f"writable: ['{path}']\n", "services/thing/service.yaml")


def test_writable_folders_are_read() -> None:
    found = parse(VALID + "writable: [/var/lib/cowabungaai, /data_2/a.b-c]\n", "services/thing/service.yaml")
    assert found.writable == ["/var/lib/cowabungaai", "/data_2/a.b-c"]


@pytest.mark.parametrize("text", ["", "just words", "- a\n- list\n"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(CatalogError, match=r"services/thing/service\.yaml:1: expected a mapping"):
        parse(text, "services/thing/service.yaml")


def test_all_mistakes_are_told_at_once() -> None:
    wrong = VALID.replace("port: 50051", "port: 80").replace("kind: chat", "kind: talk")
    with pytest.raises(CatalogError) as caught:
        parse(wrong, "services/thing/service.yaml")
    assert len(str(caught.value).splitlines()) == 2


def test_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(CatalogError, match="no service is named 'c'; the services are: a, b"):
        Catalog([spec("a"), spec("b")]).get("c")


def test_wrong_flavor_lists_the_right_ones() -> None:
    with pytest.raises(CatalogError, match="no flavor 'gpu'; it has: cpu"):
        Catalog([spec("a")]).check_flavor("a", "gpu")


def test_dependencies_come_before_what_needs_them() -> None:
    catalog = Catalog([spec("a", "b", "c"), spec("b", "c"), spec("c")])
    assert [needed.name for needed in catalog.dependencies("a")] == ["c", "b", "a"]


def test_a_circle_is_refused() -> None:
    with pytest.raises(CatalogError, match=r"services/a/service\.yaml:\d+: depends_on\.0: .* circle: a → b → a"):
        Catalog([spec("a", "b"), spec("b", "a")])


def test_an_unknown_dependency_is_refused() -> None:
    text = VALID.replace("name: thing", "name: a") + "depends_on: [nope]\n"
    message = r"services/a/service\.yaml:14: depends_on\.0: expected one of a, got 'nope'"
    with pytest.raises(CatalogError, match=message):
        Catalog([parse(text, "services/a/service.yaml")], {"a": text})


@pytest.mark.parametrize("file", sorted(SERVICES.glob("*/service.yaml")), ids=lambda file: file.parent.name)
def test_the_projects_own_system_packages_are_locked(file: Path) -> None:
    lock = SERVICES.parent / "toolchain" / "images" / "runtime.lock"
    wanted = parse(file.read_text(), str(file)).system_packages
    assert set(wanted) <= {line.partition("=")[0] for line in lock.read_text().splitlines()}


def test_a_flavor_that_no_service_has_lists_the_flavors() -> None:
    catalog = Catalog([spec("a"), spec("b")])
    assert catalog.with_flavor("cpu") == ["a", "b"]
    with pytest.raises(CatalogError, match="no service has flavor 'tpu'; the flavors are: cpu, gpu"):
        catalog.with_flavor("tpu")
