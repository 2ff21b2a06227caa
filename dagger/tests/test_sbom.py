# SPDX-License-Identifier: Apache-2.0
"""Bills of materials: what is expected in them, what is missing, and the same bytes for the same image."""

from __future__ import annotations

import json
import uuid
from itertools import permutations

import pytest

from cowabungaai import sbom, sbom_bytes
from cowabungaai.errors import SbomError
from cowabungaai.sbom import Packages
from cowabungaai.trivy_report import parse_report

RECORD = "Package: zlib1g\nSource: zlib\nVersion: 1:1.3.1-1\nDescription: compression\n more of it\n"
MINIMAL = "Package: python3.13-minimal\nVersion: 3.13.5-2+deb13u1\n"
IDENTIFIERS = [str(uuid.UUID(int=number << 100, version=4)) for number in (3, 5, 7)]
LOCK = """\
grpcio==1.85.3 \\
    --hash=sha256:00
pyjwt[crypto]==2.12.0 ; python_full_version >= '3.12' \\
    --hash=sha256:00
pyjwt==2.11.0 ; python_full_version < '3.12' \\
    --hash=sha256:00
tzdata==2026.1 ; sys_platform == 'win32' \\
    --hash=sha256:00
ruamel-yaml-clib==0.2.14 ; platform_machine == 'x86_64' and platform_python_implementation == 'CPython' \\
    --hash=sha256:00
"""


def environment(platform: str = "linux/amd64") -> dict[str, str]:
    return sbom.marker_environment(sbom.debian_packages([RECORD, MINIMAL]), platform)


def test_records_of_debian_packages_are_read() -> None:
    assert sbom.debian_packages([RECORD]) == {"zlib1g": {"1:1.3.1-1"}}
    with pytest.raises(SbomError, match="no Package or no Version"):
        sbom.debian_packages(["Package: x\n"])


def test_markers_are_read_for_the_image_and_not_for_this_machine() -> None:
    assert environment()["python_full_version"] == "3.13.5"
    assert environment()["python_version"] == "3.13"
    locked = sbom.locked_packages(LOCK, environment(), "requirements.lock")
    assert locked == {"grpcio": {"1.85.3"}, "pyjwt": {"2.12.0"}, "ruamel-yaml-clib": {"0.2.14"}}
    assert "ruamel-yaml-clib" not in sbom.locked_packages(LOCK, environment("linux/arm64/v8"), "requirements.lock")


def test_an_image_without_python_or_of_an_unknown_platform_is_refused() -> None:
    with pytest.raises(SbomError, match=r"no Debian package python3\.13-minimal"):
        sbom.marker_environment({}, "linux/amd64")
    with pytest.raises(SbomError, match="known are linux/amd64, linux/arm64"):
        environment("linux/riscv64")


@pytest.mark.parametrize("line", ["grpcio", "grpcio>=1", "-e ."])
def test_a_lock_file_that_pins_nothing_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(SbomError, match=r"requirements\.lock:2: expected name==version"):
        sbom.locked_packages(f"# a comment\n{line}\n", environment(), "requirements.lock")


def spdx(*purls: tuple[str, str, str]) -> str:
    packages = [
        {"name": name, "versionInfo": version, "externalRefs": [{"referenceLocator": purl}]}
        for name, version, purl in purls
    ]
    return json.dumps({"spdxVersion": "SPDX-2.3", "packages": [{"name": "x.tar"}, *packages]})


def test_both_forms_are_read() -> None:
    deb, wheel = "pkg:deb/debian/zlib1g@1.3.1-1?epoch=1", "pkg:pypi/pyyaml@6.0.4"
    expected = Packages({"zlib1g": {"1:1.3.1-1"}}, {"pyyaml": {"6.0.4"}})
    assert sbom.read_spdx(spdx(("zlib1g", "1:1.3.1-1", deb), ("PyYAML", "6.0.4", wheel)), "x") == expected
    components = [
        {"type": "operating-system", "name": "debian", "version": "13.2"},
        {"type": "library", "name": "zlib1g", "version": "1:1.3.1-1", "purl": deb},
        {"type": "library", "name": "PyYAML", "version": "6.0.4", "purl": wheel},
    ]
    text = json.dumps({"bomFormat": "CycloneDX", "components": components})
    assert sbom.read_cyclonedx(text, "x") == expected


def test_what_is_no_document_is_refused() -> None:
    with pytest.raises(SbomError, match="x is not as expected: bomFormat"):
        sbom.read_cyclonedx("{}", "x")
    with pytest.raises(SbomError, match="x is not as expected: spdxVersion"):
        sbom.read_spdx('{"packages": []}', "x")


def test_what_is_missing_and_what_is_too_much_is_named() -> None:
    expected = Packages({"zlib1g": {"1"}, "libc6": {"2"}}, {"grpcio": {"1.85.3"}, "ours": {"0.1.0"}})
    assert sbom.problems(expected, expected, "x") == []
    found = Packages({"zlib1g": {"1"}}, {"grpcio": {"1.80.0"}, "ours": {"0.1.0"}, "stray": {"9"}})
    assert sbom.problems(expected, found, "x") == [
        "x: the Debian package libc6 2 is missing",
        "x: the Python package grpcio 1.85.3 is missing; it has 1.80.0",
        "x: the Python package grpcio 1.80.0 is in no lock file or record",
        "x: the Python package stray 9 is in no lock file or record",
    ]


def test_packages_inside_of_others_may_be_named() -> None:
    site = "usr/local/lib/python3.13/dist-packages"
    packages = [
        {"Name": "setuptools", "Version": "80", "FilePath": f"{site}/setuptools-80.dist-info/METADATA"},
        {"Name": "Zipp_p", "Version": "3", "FilePath": f"{site}/setuptools/_vendor/zipp_p-3.dist-info/METADATA"},
        {"Name": "old", "Version": "1", "FilePath": f"{site}/old-1.egg-info"},
    ]
    results = [{"Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg", "Packages": packages}]
    report = parse_report(json.dumps({"SchemaVersion": 2, "ArtifactName": "x", "Results": results}), "x")
    carried = sbom.carried_along(report, site)
    assert carried == {"zipp-p": {"3"}}
    expected = Packages({}, {"setuptools": {"80"}})
    found = Packages({}, {"setuptools": {"80"}, "zipp-p": {"3"}})
    assert sbom.problems(expected, found, "x", carried) == []
    found.python["zipp-p"].add("4")
    assert sbom.problems(expected, found, "x", carried) == [
        "x: the Python package zipp-p 4 is in no lock file or record"
    ]


SEED, TIME = "sha256:00", "2025-08-09T00:00:00Z"


def cyclonedx(serial: str, root: str, system: str, time: str) -> str:
    """A document as Trivy writes it: what has no package URL has a random identifier, by which lists are sorted."""
    components = [
        {"bom-ref": system, "type": "operating-system", "name": "debian", "version": "13.8"},
        {"bom-ref": "pkg:pypi/grpcio@1", "type": "library", "name": "grpcio", "version": "1"},
    ]
    dependencies = [
        {"ref": root, "dependsOn": sorted([system, "pkg:pypi/grpcio@1"])},
        {"ref": system, "dependsOn": []},
    ]
    return json.dumps(
        {
            "serialNumber": f"urn:uuid:{serial}",
            "metadata": {"timestamp": time, "component": {"bom-ref": root, "type": "container", "name": "x.tar"}},
            "components": sorted(components, key=lambda one: one["bom-ref"]),
            "dependencies": sorted(dependencies, key=lambda one: str(one["ref"])),
        }
    )


def test_random_identifiers_times_and_orders_are_the_same_for_the_same_image() -> None:
    one, two, _ = IDENTIFIERS
    first = cyclonedx(str(uuid.UUID(int=1, version=4)), one, two, "2026-11-26T18:21:45.212779272Z")
    second = cyclonedx(str(uuid.UUID(int=9, version=4)), two, one, "2026-11-27T18:21:45+00:00")
    made = sbom_bytes.reproducible(first, SEED, TIME)
    assert made == sbom_bytes.reproducible(second, SEED, TIME)
    assert made != sbom_bytes.reproducible(first, "sha256:01", TIME)
    read = json.loads(made)
    root, system = read["metadata"]["component"]["bom-ref"], read["components"][0]["bom-ref"]
    assert read["metadata"]["timestamp"] == TIME
    assert {one["ref"]: one["dependsOn"] for one in read["dependencies"]} == {
        root: sorted([system, "pkg:pypi/grpcio@1"]),
        system: [],
    }


def test_components_that_look_alike_stay_apart() -> None:
    alike = [{"bom-ref": one, "type": "application", "name": "go.mod"} for one in IDENTIFIERS]
    made = json.loads(sbom_bytes.reproducible(json.dumps({"components": alike}), SEED, TIME))
    assert len({one["bom-ref"] for one in made["components"]}) == len(alike)


def test_a_package_that_is_in_an_image_twice_has_the_same_identifiers_each_time() -> None:
    """Trivy gives both random ones, by which it sorts them."""
    folders = ["packaging-26.dist-info", "setuptools/_vendor/packaging-26.dist-info"]

    def made(*identifiers: str) -> str:
        twice = [
            {
                "bom-ref": one,
                "type": "library",
                "name": "packaging",
                "properties": [{"name": "FilePath", "value": path}],
            }
            for one, path in zip(identifiers, folders, strict=True)
        ]
        twice.sort(key=lambda one: str(one["bom-ref"]))
        return sbom_bytes.reproducible(json.dumps({"components": twice}), SEED, TIME)

    assert made(*IDENTIFIERS[:2]) == made(*reversed(IDENTIFIERS[:2]))


def test_what_differs_only_by_what_it_is_connected_with_has_the_same_identifiers_each_time() -> None:
    """A Go module in two programs; one has another module twice, and each of those needs one of an equal pair."""

    def made(*identifiers: str) -> str:
        a, b, *pair = identifiers
        components = [
            {"bom-ref": "one", "type": "application", "name": "one"},
            {"bom-ref": "two", "type": "application", "name": "two"},
            *({"bom-ref": one, "type": "library", "name": "x"} for one in (a, b)),
            *({"bom-ref": one, "type": "library", "name": name} for one, name in zip(pair, "yyzz", strict=True)),
        ]
        dependencies = [
            {"ref": "one", "dependsOn": [a, *pair[:2]]},
            {"ref": "two", "dependsOn": [b]},
            {"ref": pair[0], "dependsOn": [pair[2]]},
            {"ref": pair[1], "dependsOn": [pair[3]]},
        ]
        for part, key in ((components, "bom-ref"), (dependencies, "ref")):
            part.sort(key=lambda one: str(one[key]))
        return sbom_bytes.reproducible(json.dumps({"components": components, "dependencies": dependencies}), SEED, TIME)

    random = [str(uuid.UUID(int=number << 100, version=4)) for number in range(6)]
    assert len({made(*order) for order in permutations(random)}) == 1


def test_the_address_of_an_spdx_document_is_stable() -> None:
    texts = [json.dumps({"documentNamespace": f"https://example.test/x-{one}"}) for one in IDENTIFIERS[:2]]
    assert sbom_bytes.reproducible(texts[0], SEED, TIME) == sbom_bytes.reproducible(texts[1], SEED, TIME)
    assert IDENTIFIERS[0] not in sbom_bytes.reproducible(texts[0], SEED, TIME)
