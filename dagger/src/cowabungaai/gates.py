# SPDX-License-Identifier: Apache-2.0
"""What an image must pass before it may be published; there is no other way to get an approved one."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import dagger
from pydantic import BaseModel, ConfigDict

from cowabungaai import checks, images, scan_run
from cowabungaai.archives import facts_of
from cowabungaai.errors import PipelineError, PublishError
from cowabungaai.report import archive_name
from cowabungaai.sources import Project
from cowabungaai.steps import outcomes

TESTS = "unit tests"
SCAN = "scan"
REQUIRED = frozenset((TESTS, SCAN))


@dataclass(frozen=True)
class Candidate:
    """An image that may be published once it has passed all gates.

    Attributes:
        service: The service's name.
        flavor: cpu or gpu.
        version: The service's.
        digest: Of the image's manifest.
        archive: OCI archive with the image; these bytes are what registries get, and what is scanned.
        image: What the archive was packed from; in it the tests run.
    """

    service: str
    flavor: str
    version: str
    digest: str
    archive: dagger.File
    image: images.BuiltImage


class Passed(BaseModel):
    """A gate that an image has passed.

    Attributes:
        gate: Which.
        digest: Of the image that passed.
        found: What was seen, in a line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gate: str
    digest: str
    found: str


@dataclass(frozen=True)
class Approved:
    """An image that has passed every gate.

    Raises:
        PublishError: It has not, or what passed is another image.
    """

    candidate: Candidate
    passed: tuple[Passed, ...]

    def __post_init__(self) -> None:
        """Refuse what did not pass."""
        ours = {one.gate for one in self.passed if one.digest == self.candidate.digest}
        if missing := REQUIRED - ours:
            image = f"{self.candidate.service}: the image {self.candidate.digest}"
            raise PublishError(f"{image} has not passed: {', '.join(sorted(missing))}")


# Says in a line what it saw, or raises a PipelineError.
Gate = Callable[[Candidate], Awaitable[str]]


def gates_of(project: Project, settings: scan_run.Settings) -> dict[str, Gate]:
    """All gates by name.

    Args:
        project: Sources and catalog.
        settings: How findings of the scan are judged.
    """

    async def tests(candidate: Candidate) -> str:
        ran = await checks.run_in(project, candidate.image)
        summary = ran.check(f"unit tests of {candidate.service} failed in its image").summary
        return f"{summary.tests - summary.skipped} passed, {summary.skipped} skipped"

    async def scan(candidate: Candidate) -> str:
        archives = {candidate.service: candidate.archive}
        await scan_run.scan_images(project, list(archives), candidate.flavor, settings, archives=archives)
        return f"nothing of {','.join(settings.severities)} that is not accepted"

    return {TESTS: tests, SCAN: scan}


async def candidate_of(project: Project, service: str, flavor: str) -> Candidate:
    """Build a service's image and read its digest.

    Args:
        project: Sources and catalog.
        service: The service.
        flavor: cpu or gpu.

    Raises:
        PipelineError: It could not be built.
    """
    image = await images.build(project, service, flavor)
    archive = await images.archive(project, image)
    facts = await facts_of(archive, archive_name(service, flavor))
    return Candidate(service, flavor, await images.version_of(project.source, service), facts.digest, archive, image)


async def approve(
    names: Sequence[str], build: Callable[[str], Awaitable[Candidate]], gates: Mapping[str, Gate]
) -> list[Approved]:
    """Build services and pass them through all gates; one that fails keeps all of them back.

    Args:
        names: The services.
        build: Makes the candidate of one.
        gates: By name.

    Raises:
        PublishError: One or more failed; the message has every failure, and what passed.
    """

    async def one(name: str) -> Approved | list[PipelineError]:
        candidate = await build(name)

        async def through(gate: str) -> Passed:
            return Passed(gate=gate, digest=candidate.digest, found=await gates[gate](candidate))

        ended = await outcomes(f"publish {name}:", gates, through)
        failed = [end for end in ended.values() if isinstance(end, PipelineError)]
        return failed or Approved(candidate, tuple(end for end in ended.values() if isinstance(end, Passed)))

    # Tests of engines use two processors each.
    ended = await outcomes("publish", names, one, max(1, (os.cpu_count() or 1) // 2))
    approved = [end for end in ended.values() if isinstance(end, Approved)]
    if len(approved) == len(names):
        return approved
    raise PublishError(_kept_back(ended, approved))


def _kept_back(
    ended: Mapping[str, Approved | list[PipelineError] | PipelineError], approved: Sequence[Approved]
) -> str:
    lines = ["nothing was published: not every image passed"]
    for name, end in ended.items():
        if isinstance(end, PipelineError):
            lines.append(f"{name}: {end}")
        elif isinstance(end, list):
            lines += [f"{name}: {failure}" for failure in end]
    for one in approved:
        seen = "; ".join(f"{passed.gate}: {passed.found}" for passed in one.passed)
        lines.append(f"{one.candidate.service}: passed ({seen}), kept back with the others")
    return "\n".join(lines)
