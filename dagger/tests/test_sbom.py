"""Bills of materials: what is expected in them, what is missing, and the same bytes for the same image."""

from __future__ import annotations

import json

import pytest

from cowabungaai import sbom
from cowabungaai.errors import SbomError
from cowabungaai.sbom import Packages

RECORD = "Package: zlib1g\nSource: zlib\nVersion: 1:1.3.1-1\nDescription: compression\n more of it\n"
MINIMAL = "Package: python3.13-minimal\nVersion: 3.13.5-2+deb13u1\n"
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
        "x: the Python package stray 9 is in no lock file or record",
    ]


def test_random_identifiers_and_times_are_the_same_for_the_same_image() -> None:
    first, second = "0b0f9b4c-6b0a-4d6e-9e0d-6f4b7f0f2a11", "1b0f9b4c-6b0a-7d6e-9e0d-6f4b7f0f2a11"
    other = "2b0f9b4c-6b0a-4d6e-9e0d-6f4b7f0f2a11"

    def document(one: str, two: str, time: str) -> str:
        return f'{{"serial": "urn:uuid:{one}", "ref": "{two}", "parent": "{one}", "created": "{time}"}}'

    seed, time = "sha256:00", "2025-08-09T00:00:00Z"
    made = sbom.reproducible(document(first, second, "2026-11-26T18:21:45.212779272Z"), seed, time)
    assert made == sbom.reproducible(document(other, first, "2026-11-27T18:21:45+00:00"), seed, time)
    read = json.loads(made)
    assert read["created"] == time
    assert read["parent"] == read["serial"].removeprefix("urn:uuid:") != read["ref"]
    assert made != sbom.reproducible(document(first, second, "2026-11-26T18:21:45Z"), "sha256:01", time)
