# SPDX-License-Identifier: Apache-2.0
"""The module, through the real `dagger functions` and `dagger call`."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from harness import CHECKOUT, SERVICES, Run

BUNDLES = sorted(file.parent.name for file in (CHECKOUT / "bundles").glob("*/uds-bundle.yaml"))
TOOLS = sorted(file.parent.name for file in (CHECKOUT / "toolchain" / "go").glob("*/build.json"))
ONE_PLACE = "expected either --repository or --git"


def test_functions_are_listed(dagger: Run) -> None:
    finished = dagger("functions")
    assert finished.returncode == 0, finished.stderr
    listed = {line.split()[0] for line in finished.stdout.splitlines() if line.strip()}
    assert {"services", "build", "build-all", "test", "test-all", "package"} <= listed


def test_services_lists_the_catalog(dagger: Run) -> None:
    finished = dagger("call", "services", "name")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == SERVICES


def test_a_wrong_service_lists_the_right_ones(dagger: Run) -> None:
    finished = dagger("call", "build", "--service", "nope")
    assert finished.returncode != 0
    assert f"no service is named 'nope'; the services are: {', '.join(SERVICES)}" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("update-manifests", "is-empty"), ONE_PLACE),
        (("update-manifests", "--repository", "bundles", "--git", "https://git.example/x.git", "is-empty"), ONE_PLACE),
        (
            ("update-manifests", "--repository", "bundles", "--git-ref", "next", "is-empty"),
            "--git-ref, --git-token and --git-via go with --git",
        ),
        (
            ("scan", "--service", "repeater", "--db", "README.md", "--db-ref", "registry.example/trivy-db:2"),
            "--db and --db-ref are two databases; give one of them",
        ),
        (("scan", "--service", "repeater", "--exit-code", "2"), "--exit-code: expected 0 or 1, got 2"),
        (("bundle", "--name", "nope"), f"no bundle is named 'nope'; the bundles are: {', '.join(BUNDLES)}"),
        (("tool", "--name", "nope"), f"no tool is named 'nope'; the tools are: {', '.join(TOOLS)}"),
        (("tool", "--name", "kubernetes"), "kubernetes is no tool of its own, but several: kube-apiserver, "),
    ],
)
def test_arguments_that_do_not_fit_are_told_before_an_image_is_built(
    dagger: Run, arguments: tuple[str, ...], message: str
) -> None:
    finished = dagger("call", *arguments)
    assert finished.returncode != 0
    assert message in finished.stderr
    assert not re.search(r"\b(scan|package) (api|repeater)\b", finished.stderr), "none was begun"


def test_an_invalid_service_yaml_names_file_line_and_field(dagger: Run, sources: Path) -> None:
    file = sources / "services" / "repeater" / "service.yaml"
    text = file.read_text()
    line = next(number for number, content in enumerate(text.splitlines(), 1) if content.startswith("port:"))
    file.write_text(text.replace("port: 50051", "port: 80"))
    finished = dagger("call", "--source", sources, "services", "name")
    assert finished.returncode != 0
    assert (
        f"services/repeater/service.yaml:{line}: port: input should be greater than or equal to 1024, got 80"
        in finished.stderr
    )


def test_unit_tests_of_every_service_pass_in_their_images(dagger: Run, tmp_path: Path) -> None:
    finished = dagger("call", "test-all", "export", "--path", tmp_path)
    assert finished.returncode == 0, finished.stderr
    for service in SERVICES:
        suite = ElementTree.parse(tmp_path / service / "junit.xml").getroot().find("testsuite")  # noqa: S314 - our own report
        assert suite is not None
        assert int(suite.attrib["tests"]) > 0
        assert (suite.attrib["failures"], suite.attrib["errors"]) == ("0", "0")


def test_a_failing_unit_test_fails_the_call_and_shows_why(dagger: Run, sources: Path) -> None:
    (sources / "services" / "repeater" / "tests" / "test_wrong.py").write_text("def test_wrong():\n    assert 1 == 2\n")
    finished = dagger("call", "--source", sources, "test", "--service", "repeater")
    assert finished.returncode != 0
    assert "unit tests of repeater failed" in finished.stderr
    assert "assert 1 == 2" in finished.stderr


@pytest.mark.slow
def test_the_package_is_read_by_zarf_and_carries_its_image(dagger: Run, tmp_path: Path) -> None:
    package, zarf = tmp_path / "repeater.tar.zst", tmp_path / "zarf"
    for arguments in (("package", "--service", "repeater"), ("tool", "--name", "zarf")):
        target = package if arguments[0] == "package" else zarf
        finished = dagger("call", *arguments, "export", "--path", target)
        assert finished.returncode == 0, finished.stderr
    zarf.chmod(0o755)
    import subprocess

    def inspect(what: str) -> str:
        command = [str(zarf), "package", "inspect", what, str(package), "--no-color"]
        inspected = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert inspected.returncode == 0, inspected.stderr
        return inspected.stdout + inspected.stderr

    assert "name: cowabungaai-repeater" in inspect("definition")
    assert "ghcr.io/cowabungaai/repeater:" in inspect("images")
    assert package.stat().st_size <= 20_000_000
