# SPDX-License-Identifier: Apache-2.0
"""Publishing: where to, by which tags, and that nothing gets there without tests and scan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import dagger
import pytest

from cowabungaai import errors
from cowabungaai.errors import BuildError, PublishError, ScanError
from cowabungaai.gates import REQUIRED, SCAN, TESTS, Approved, Candidate, Gate, Passed, approve
from cowabungaai.images import BuiltImage
from cowabungaai.published import (
    PublishReport,
    check_sha,
    failures,
    parse_report,
    published,
    push_request,
    tags_of,
)
from cowabungaai.push_messages import PushOutcome
from cowabungaai.registries import Registry, check_host, known, resolve

DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
SHA = "0123456789abcdef0123456789abcdef01234567"


def candidate(service: str = "api", digest: str = DIGEST) -> Candidate:
    """An image that nobody looks into."""
    return Candidate(service, "cpu", "0.1.0", digest, cast(dagger.File, None), cast(BuiltImage, None))


def passed(*gates: str, digest: str = DIGEST) -> tuple[Passed, ...]:
    """Gates that an image has passed."""
    return tuple(Passed(gate=gate, digest=digest, found="fine") for gate in gates)


def test_known_registries_are_those_of_the_file() -> None:
    assert [(one.name, one.address) for one in known()] == [
        ("ghcr", "ghcr.io/awdemos/cowabungaai"),
        ("dockerhub", "docker.io/cowabungaai"),
        ("gitlab", "registry.gitlab.com/cowabungaai"),
    ]
    assert resolve(None) == known()


def test_registries_are_named_or_addressed_and_come_once() -> None:
    found = resolve(["gitlab", "registry.example.com:5000/team/x", "registry.gitlab.com/cowabungaai"])
    assert [one.address for one in found] == ["registry.gitlab.com/cowabungaai", "registry.example.com:5000/team/x"]
    assert not any(one.plain_http for one in found)


@pytest.mark.parametrize("name", ["quay", "cowabungaai/api", "", "https://ghcr.io/x", "ghcr.io", "ghcr.io/UPPER"])
def test_an_unknown_registry_is_told_with_those_that_are_known(name: str) -> None:
    with pytest.raises(PublishError) as caught:
        resolve([name])
    assert f"no registry is named {name!r}; the registries are: ghcr (ghcr.io/awdemos/cowabungaai), " in str(
        caught.value
    )
    assert "gitlab (registry.gitlab.com/cowabungaai)" in str(caught.value)


def test_all_unknown_registries_are_told_at_once() -> None:
    with pytest.raises(PublishError, match=r"(?s)'quay'.*'gcr'"):
        resolve(["quay", "ghcr", "gcr"])


def test_only_a_bound_registry_is_spoken_to_without_tls() -> None:
    (found,) = resolve(["local:5000/cowabungaai"], bound=True)
    assert (found.host, found.prefix, found.plain_http) == ("local:5000", "cowabungaai", True)
    with pytest.raises(PublishError, match="pass --via"):
        resolve(["local:5000/cowabungaai"])
    with pytest.raises(PublishError, match="--via binds a registry that is not asked for"):
        resolve(["ghcr"], bound=True)


def test_a_file_of_registries_that_is_wrong_is_told_with_its_line() -> None:
    with pytest.raises(PublishError, match=r"registries.yaml:2: registries.0.prefix: "):
        known("registries:\n- {name: a, host: b.c, prefix: UPPER}\n")


@pytest.mark.parametrize("address", ["https://ghcr.io", "ghcr.io/x", "", "a b"])
def test_credentials_are_for_a_host(address: str) -> None:
    with pytest.raises(PublishError, match="expected a host"):
        check_host(address)


def test_docker_hub_is_one_host_by_all_its_names() -> None:
    assert {check_host(name) for name in ("docker.io", "index.docker.io", "registry-1.docker.io")} == {"docker.io"}


@pytest.mark.parametrize(
    ("flavor", "sha", "release", "tags"),
    [
        ("cpu", SHA, False, [SHA]),
        ("cpu", SHA, True, ["0.1.0", SHA, "latest"]),
        ("cpu", None, True, ["0.1.0", "latest"]),
        ("gpu", SHA, True, ["0.1.0-gpu", f"{SHA}-gpu", "latest-gpu"]),
    ],
)
def test_tags(flavor: str, sha: str | None, release: bool, tags: list[str]) -> None:
    assert tags_of("0.1.0", flavor, sha, release=release) == tags


def test_an_environments_tags_are_set_once() -> None:
    asked = ["0.1.0-rc", SHA]
    assert tags_of("0.1.0", "gpu", SHA, release=False, environment=asked) == ["0.1.0-rc-gpu", f"{SHA}-gpu"]
    assert tags_of("0.1.0", "cpu", SHA, release=True, environment=["0.1.0", SHA]) == ["0.1.0", SHA, "latest"]


def test_a_version_with_a_local_part_makes_a_tag() -> None:
    assert tags_of("1.0+b.1", "cpu", None, release=True)[0] == "1.0-b.1"
    with pytest.raises(PublishError, match="makes no tag"):
        tags_of("1 0", "cpu", None, release=True)


def test_bundles_lie_where_each_registry_can_have_them() -> None:
    assert {registry.name: registry.of_bundles().address for registry in known()} == {
        "ghcr": "ghcr.io/awdemos/cowabungaai/bundles",
        "dockerhub": "docker.io/cowabungaai",
        "gitlab": "registry.gitlab.com/cowabungaai/bundles",
    }


@pytest.mark.parametrize("sha", ["main", "ABCDEF0", "012345", SHA + "0", "0123456 "])
def test_a_commit_is_hexadecimal(sha: str) -> None:
    with pytest.raises(PublishError, match="--sha: expected 7 to 40"):
        check_sha(sha, tagged=True)


def test_an_image_without_any_tag_is_refused() -> None:
    with pytest.raises(PublishError, match="--sha COMMIT"):
        check_sha(None, tagged=False)
    check_sha(None, tagged=True)
    check_sha("0123456", tagged=False)


def test_both_gates_are_required_of_the_same_digest() -> None:
    Approved(candidate(), passed(*REQUIRED))
    for some in ((), (TESTS,), (SCAN,), ("another",)):
        with pytest.raises(PublishError, match="has not passed"):
            Approved(candidate(), passed(*some))
    with pytest.raises(PublishError, match=f"{DIGEST} has not passed: scan"):
        Approved(candidate(), (*passed(TESTS), *passed(SCAN, digest=OTHER)))


def gates(**failing: Exception) -> dict[str, Gate]:
    """Gates of which some fail, by service."""

    def gate(error: Callable[[str], Exception | None]) -> Gate:
        async def look(one: Candidate) -> str:
            if found := error(one.service):
                raise found
            return "fine"

        return look

    return {TESTS: gate(failing.get), SCAN: gate(lambda _: None)}


async def _build(name: str) -> Candidate:
    if name == "broken":
        raise BuildError("no broken")
    return candidate(name)


def run(names: list[str], gates: dict[str, Gate], build: Callable[[str], Awaitable[Candidate]] = _build) -> Any:
    """What approve gives."""
    return anyio.run(approve, names, build, gates)


def test_what_passes_all_gates_is_approved_in_the_order_of_the_names() -> None:
    found = run(["b", "a"], gates())
    assert [one.candidate.service for one in found] == ["b", "a"]
    assert {one.gate for one in found[0].passed} == REQUIRED
    assert {one.digest for one in found[0].passed} == {DIGEST}


def test_one_failure_keeps_all_back_and_every_result_is_told() -> None:
    with pytest.raises(PublishError) as caught:
        run(["a", "b", "broken"], gates(b=errors.TestFailureError("1 of 2 failed")))
    assert str(caught.value).splitlines() == [
        "nothing was published: not every image passed",
        "b: 1 of 2 failed",
        "broken: no broken",
        "a: passed (unit tests: fine; scan: fine), kept back with the others",
    ]


def test_both_gates_tell_their_failures() -> None:
    both = gates(a=errors.TestFailureError("tests failed"))

    async def scan(_: Candidate) -> str:
        raise ScanError("found CVE-1")

    with pytest.raises(PublishError, match=r"(?s)a: tests failed.*a: found CVE-1"):
        run(["a"], {**both, SCAN: scan})


@pytest.mark.parametrize("missing", sorted(REQUIRED))
def test_a_gate_that_is_left_out_approves_nothing(missing: str) -> None:
    some = {name: gate for name, gate in gates().items() if name != missing}
    with pytest.raises(PublishError, match=f"has not passed: {missing}"):
        run(["a"], some)


REGISTRIES = [Registry("ghcr", "ghcr.io", "awdemos/cowabungaai"), Registry("x.y/z", "x.y", "z")]


def outcome(registry: str, error: str = "") -> PushOutcome:
    """What the push program tells of an image in a registry."""
    return PushOutcome(
        image="api",
        registry=registry,
        repository="awdemos/cowabungaai/api" if registry == "ghcr" else "z/api",
        digest=DIGEST,
        tags=[] if error else ["0.1.0", "latest"],
        bytes_sent=10,
        requests=5,
        failed=1,
        seconds=1.23456,
        error=error,
    )


def test_a_request_names_every_image_in_every_registry_and_no_secret() -> None:
    request = push_request({"api": (DIGEST, ["0.1.0"])}, REGISTRIES, {"ghcr.io": ("robot", "/run/secret")}, "/images")
    assert [(one.username, one.password_file) for one in request.registries] == [("robot", "/run/secret"), ("", "")]
    (image,) = request.images
    assert (image.layout, image.digest) == ("/images/api", DIGEST)
    assert [place.repository for place in image.places] == ["awdemos/cowabungaai/api", "z/api"]


def test_a_report_has_references_with_digests_and_is_read_again() -> None:
    approved = [Approved(candidate(), passed(*sorted(REQUIRED)))]
    images = published(approved, [outcome("ghcr"), outcome("x.y/z")], REGISTRIES)
    report = PublishReport(sha=SHA, release=True, seconds=1, images=images)
    assert report.references() == [
        f"ghcr.io/awdemos/cowabungaai/api:0.1.0@{DIGEST}",
        f"x.y/z/api:0.1.0@{DIGEST}",
    ]
    assert [place.reference for place in report.images[0].places][1] == f"x.y/z/api@{DIGEST}"
    assert parse_report(report.model_dump_json(), "published.json") == report


def test_what_could_not_be_sent_is_told_with_what_was() -> None:
    approved = [Approved(candidate(), passed(*REQUIRED))]
    outcomes = [outcome("ghcr"), outcome("x.y/z", "registry x.y/z: gone")]
    images = published(approved, outcomes, REGISTRIES)
    assert failures(outcomes, images).splitlines() == [
        "api: registry x.y/z: gone",
        f"published: ghcr.io/awdemos/cowabungaai/api:0.1.0@{DIGEST}",
        "Run it again: what the registries have is not sent again.",
    ]
    assert failures(outcomes[:1], images) == ""
