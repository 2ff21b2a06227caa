# SPDX-License-Identifier: Apache-2.0
"""Provenance in SLSA's form, version 1: what was made, of what, by whom, as an in-toto statement.

Whoever makes the same things of the same inputs by the same call gets the same statement: it has no time in it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from cowabungaai import go_mod
from cowabungaai.errors import ReleaseError
from cowabungaai.slsa import BuildDefinition, Builder, Predicate, Resource, RunDetails, Statement, Subject

BUILD_TYPE = "https://cowabunga.ai/build/dagger/v1"
BUILDER = "https://cowabunga.ai/builder/dagger"
# Follows the name of the file that a provenance is about, once it is signed.
SUFFIX = ".provenance.sigstore.json"
# Begin the names of dependencies that `courier verify` compares with what is in a package.
IMAGE = "image:"
MODEL = "model:"
# What decides which packages, modules and programs go in.
LOCKS = re.compile(r"(^|/)([\w.-]+\.lock|go\.sum)$")
# Begins digests in go.sum: of a list of the SHA-256 of each file.
HASH = "h1:"


class Digested(BaseModel):
    """A file, image or model, and its SHA-256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str


class Debian(Digested):
    """A Debian package that an image was made of; the SHA-256 is of its archive."""

    version: str
    architecture: str

    def resource(self) -> Resource:
        """It as an input."""
        address = f"pkg:deb/debian/{quote(self.name)}@{quote(self.version, safe=':')}?arch={quote(self.architecture)}"
        return Resource(name=f"deb:{self.name}@{self.version}", uri=address, digest={"sha256": self.sha256})


class Described(Digested):
    """What `courier describe` tells of a package or a bundle.

    Attributes:
        size: Bytes.
        root: The file inside that all others hang on.
        images: Their references, and the digests of their manifests.
        models: Their ids, and the digests of their weights.
        bases: Images that the images stand on, where that is not Debian's packages.
        debian: The packages otherwise.
    """

    size: int
    root: Digested
    images: list[Digested]
    models: list[Digested]
    bases: list[Digested]
    debian: list[Debian]


class Build(BaseModel):
    """What is known of a build, for all that it made.

    Attributes:
        module_version: Of the Dagger module.
        engine_version: Of the Dagger engine.
        sha: The commit; empty where nobody told it.
        base_images: Reference to digest, as sha256:<digits>, of images that things are built in.
        listing: What sha256sum prints for all sources, sorted by path.
        go_modules: The pinned tools' go.mod and go.sum, as `go_tools` reads them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    module_version: str
    engine_version: str
    sha: str = ""
    base_images: dict[str, str]
    listing: str
    go_modules: list[Resource] = []


def parse_description(text: str) -> Described:
    """What `courier describe` has printed.

    Args:
        text: Its output.

    Raises:
        ReleaseError: It is something else.
    """
    try:
        return Described.model_validate_json(text)
    except ValidationError as error:
        raise ReleaseError(f"courier describe: expected a description of a package or bundle: {error}") from error


def statement(described: Described, parameters: Mapping[str, Any], build: Build) -> Statement:
    """The provenance of a package or a bundle.

    Args:
        described: It.
        parameters: The arguments that it was made with.
        build: What is known of the build.

    Raises:
        ReleaseError: Something has no digest, or a wrong one.
    """
    try:
        file = Subject(
            name=described.name, digest={"sha256": described.sha256}, annotations={"size": str(described.size)}
        )
        root = Subject(name=f"{described.name}#{described.root.name}", digest={"sha256": described.root.sha256})
        return Statement(
            subject=[file, root],
            predicate=Predicate(
                build_definition=BuildDefinition(
                    build_type=BUILD_TYPE,
                    external_parameters=dict(parameters),
                    resolved_dependencies=dependencies(described, build),
                ),
                run_details=RunDetails(
                    builder=Builder(
                        id=BUILDER, version={"cowabungaai": build.module_version, "dagger": build.engine_version}
                    )
                ),
            ),
        )
    except ValidationError as error:
        raise ReleaseError(f"the provenance of {described.name} cannot be made: {error}") from error


def dependencies(described: Described, build: Build) -> list[Resource]:
    """Everything that went into a package or bundle, sorted by name.

    Args:
        described: It.
        build: What is known of the build.
    """
    found = [
        Resource(name="sources", digest=_sources(build)),
        *(Resource(name=f"lock:{path}", digest={"sha256": digest}) for path, digest in locks(build.listing)),
        *(_base(reference, digest.removeprefix("sha256:")) for reference, digest in build.base_images.items()),
        *(
            Resource(name=f"{IMAGE}{one.name}", uri=_oci(one.name), digest={"sha256": one.sha256})
            for one in described.images
        ),
        *(Resource(name=f"{MODEL}{one.name}", digest={"sha256": one.sha256}) for one in described.models),
        *(_base(one.name, one.sha256) for one in described.bases),
        *(one.resource() for one in described.debian),
        *build.go_modules,
    ]
    return sorted(found, key=lambda one: one.name)


def _sources(build: Build) -> dict[str, str]:
    """The sources' digests: in-toto's dirHash over the listing, and the commit, where it is known."""
    digest = {"dirHash": hashlib.sha256(build.listing.encode()).hexdigest()}
    return {**digest, "gitCommit": build.sha} if build.sha else digest


def _base(reference: str, digest: str) -> Resource:
    return Resource(name=f"base:{reference}", uri=_oci(reference), digest={"sha256": digest})


def _oci(reference: str) -> str:
    return f"oci://{reference}"


def locks(listing: str) -> list[tuple[str, str]]:
    """Paths and digests of the files that pin what is fetched.

    Args:
        listing: What sha256sum prints.
    """
    lines = (line.split("  ", 1) for line in listing.splitlines())
    return [(path, digest) for digest, path in lines if LOCKS.search(path)]


def go_tools(modules: Iterable[tuple[str, str]]) -> list[Resource]:
    """The Go modules that tools are compiled from, with the digests that their go.sum vouches for.

    Args:
        modules: go.mod and go.sum of each.

    Raises:
        ReleaseError: A tool's module is not required, or go.sum has no digest of a module.
    """
    found = {}
    for described, sums in modules:
        read = go_mod.parse(described)
        try:
            pinned = read.pinned()
        except LookupError as error:
            raise ReleaseError(f"go.mod of {read.name}: {error}; run go mod tidy") from error
        known = {(path, version): digest for path, version, digest in map(str.split, sums.splitlines())}
        for module in pinned:
            if not module.version:
                # A folder of ours, which is among the sources.
                continue
            digest = known.get((module.path, module.version), "")
            if not digest.startswith(HASH):
                raise ReleaseError(
                    f"go.sum of {read.name} has no {HASH} digest of {module.path} {module.version}; run go mod tidy"
                )
            name = f"go:{module.path}@{module.version}"
            encoded = base64.b64decode(digest.removeprefix(HASH)).hex()
            uri = f"pkg:golang/{module.path}@{module.version}"
            found[name] = Resource(name=name, uri=uri, digest={"dirHash": encoded})
    return list(found.values())
