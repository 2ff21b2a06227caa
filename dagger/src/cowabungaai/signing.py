# SPDX-License-Identifier: Apache-2.0
"""Signs what leaves the building: packages by zarf, provenance and checksums as sigstore bundles."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import dagger
from dagger import dag

from cowabungaai import provenance
from cowabungaai.errors import ReleaseError
from cowabungaai.tools import go_tool
from cowabungaai.wheels import BUILD_IMAGE, shell

KEY = "/run/secrets/signing.key"
TOKEN = "/run/secrets/identity-token"  # noqa: S105 - a path
PASSWORD = "COSIGN_PASSWORD"  # noqa: S105 - the name of a variable
PUBLIC = "cosign.pub"
PROVENANCE = "provenance"
CHECKSUMS = "checksums.txt"
SEAL = f"{CHECKSUMS}.sigstore.json"
FOLDERS = ("packages", "bundles")
# Git's digests: SHA-1, or SHA-256.
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# Everything in the sources, as in-toto's dirHash has it.
LISTING = "find . -type f | cut -c3- | LC_ALL=C sort | xargs -r -d '\\n' sha256sum"


@dataclass(frozen=True)
class Keyless:
    """Who vouches for a certificate, and who writes down when it was used.

    Attributes:
        token: OpenID Connect token of whoever signs.
        fulcio: Address of the certificate authority.
        rekor: Address of the transparency log.
    """

    token: dagger.Secret
    fulcio: str
    rekor: str


@dataclass(frozen=True)
class Signature:
    """How things are signed: by a key and its password, or without a key."""

    key: dagger.Secret | None = None
    password: dagger.Secret | None = None
    keyless: Keyless | None = None

    def __post_init__(self) -> None:
        if (self.key is None) == (self.keyless is None):
            raise ReleaseError("expected --key with --key-password, or --identity-token for a signature without a key")

    @property
    def options(self) -> str:
        """courier's options, as a shell reads them."""
        if self.keyless is None:
            return f"--key {KEY}"
        services = shlex.join(["--fulcio-url", self.keyless.fulcio, "--rekor-url", self.keyless.rekor])
        return f"--keyless --identity-token-file {TOKEN} {services}"

    @property
    def zarf_options(self) -> str:
        """zarf's options, likewise."""
        if self.keyless is None:
            return f"--signing-key {KEY}"
        services = shlex.join(["--fulcio-url", self.keyless.fulcio, "--rekor-url", self.keyless.rekor])
        return f'--keyless --confirm --identity-token "$(cat {TOKEN})" {services}'


def check_commit(sha: str) -> None:
    """Refuse what SLSA's provenance has no place for, before hours of work.

    Args:
        sha: The commit; empty where it is not known.

    Raises:
        ReleaseError: It is not the whole digest of a commit.
    """
    if sha and not COMMIT.fullmatch(sha):
        raise ReleaseError(
            f"--sha: expected all 40 digits of a commit, as `git rev-parse HEAD` prints them, got {sha!r}"
        )


async def check_key(source: dagger.Directory, signature: Signature) -> None:
    """Open the key with its password, before hours of work.

    Args:
        source: The root of the repository.
        signature: How things will be signed.
    """
    if signature.keyless is None:
        asked = await _container(source, signature)
        await asked.with_exec(["courier", "public-key", "--key", KEY, "--output", f"/{PUBLIC}"]).sync()


async def sign(
    source: dagger.Directory,
    files: dagger.Directory,
    signature: Signature,
    parameters: Mapping[str, Any],
    sha: str = "",
) -> dagger.Directory:
    """Sign a folder: its packages, a provenance of each package and bundle, and checksums of everything.

    Packages that this key has signed already stay as they are, byte for byte.

    Args:
        source: The root of the repository.
        files: Holds packages/ and bundles/, or one of them, and whatever else is released.
        signature: How.
        parameters: The arguments that everything was made with; those of one file below its name.
        sha: The commit; empty where it is not known.

    Raises:
        ReleaseError: There is nothing to sign, or the commit is none.
    """
    check_commit(sha)
    container = await _container(source, signature)
    signed = container.with_directory("/files", files).with_exec(shell(_sign_packages(signature)))
    folder = signed.directory("/files")
    found = [path for name in FOLDERS for path in await folder.glob(f"{name}/*.tar*")]
    if not found:
        raise ReleaseError("nothing to sign: expected packages/*.tar.zst or bundles/*.tar.zst in --files")
    described = signed.with_exec(shell(_describe(found)))
    build = await _build(source, sha)
    statements = dag.directory()
    for number, path in enumerate(found):
        about = provenance.parse_description(await described.file(f"/descriptions/{number}").contents())
        own = parameters.get(about.name, {key: value for key, value in parameters.items() if "." not in key})
        statements = statements.with_new_file(
            PurePosixPath(path).name, provenance.statement(about, own, build).to_json()
        )
    attested = signed.with_directory("/statements", statements).with_exec(shell(_attest(signature)))
    return await attested.directory("/files").sync()


async def signed_packages(
    source: dagger.Directory, packages: Mapping[str, dagger.File], signature: Signature
) -> dagger.Directory:
    """A folder with packages/ signed, and with a key cosign.pub; bundles are made of these.

    Args:
        source: The root of the repository.
        packages: By their files' names.
        signature: How.
    """
    container = await _container(source, signature)
    for name, file in packages.items():
        container = container.with_file(f"/files/packages/{name}", file)
    return container.with_exec(shell(_sign_packages(signature))).directory("/files")


async def _container(source: dagger.Directory, signature: Signature) -> dagger.Container:
    container = dag.container().from_(BUILD_IMAGE)
    for tool in ("zarf", "courier"):
        container = container.with_mounted_file(f"/usr/local/bin/{tool}", await go_tool(source, tool))
    if signature.key is not None:
        container = container.with_mounted_secret(KEY, signature.key)
    if signature.password is not None:
        container = container.with_secret_variable(PASSWORD, signature.password)
    if signature.keyless is not None:
        container = container.with_mounted_secret(TOKEN, signature.keyless.token)
    return container


def _sign_packages(signature: Signature) -> str:
    """Signs the packages that this key has not signed yet; an unsigned one stays nowhere."""
    again = "false" if signature.keyless else f'zarf package verify "$one" --key {PUBLIC}'
    public = "" if signature.keyless else f"courier public-key --key {KEY} --output {PUBLIC}"
    return f"""
cd /files
{public}
for one in packages/*.tar*; do
  [ -e "$one" ] || continue
  {again} >/dev/null 2>&1 || zarf package sign "$one" --overwrite --no-color --output packages {signature.zarf_options}
done
"""


def _describe(found: list[str]) -> str:
    lines = [
        f"courier describe {shlex.quote(f'/files/{path}')} > /descriptions/{number}"
        for number, path in enumerate(found)
    ]
    return "\n".join(["mkdir /descriptions", *lines])


def _attest(signature: Signature) -> str:
    """Signs the statements, then the checksums of everything; with a key, verifies it as an operator would."""
    check = "" if signature.keyless else f"courier verify . --key {PUBLIC}"
    return f"""
cd /files
rm -rf {PROVENANCE} {CHECKSUMS} {SEAL}
mkdir {PROVENANCE}
for one in /statements/*; do
  courier attest "$one" {signature.options} --output "{PROVENANCE}/$(basename "$one"){provenance.SUFFIX}"
done
courier checksums .
courier sign {CHECKSUMS} {signature.options}
{check}
"""


async def _build(source: dagger.Directory, sha: str) -> provenance.Build:
    """What is known of the build: the sources' digests, images that others stand on, tools."""
    listing = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_directory("/source", source)
        .with_workdir("/source")
        .with_exec(shell(LISTING))
    )
    base = await dag.container().from_(BUILD_IMAGE).image_ref()
    project = await dag.current_module().source().file("pyproject.toml").contents()
    modules = [
        (await source.file(path).contents(), await source.file(path.replace("go.mod", "go.sum")).contents())
        for path in await source.glob("toolchain/go/*/go.mod")
    ]
    return provenance.Build(
        module_version=tomllib.loads(project)["project"]["version"],
        engine_version=await dag.version(),
        sha=sha,
        base_images={BUILD_IMAGE: base.rpartition("@")[2]},
        listing=await listing.stdout(),
        go_modules=provenance.go_tools(modules),
    )


def parse_parameters(text: str) -> dict[str, Any]:
    """The arguments that everything was made with.

    Args:
        text: A JSON object.

    Raises:
        ReleaseError: It is none.
    """
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise ReleaseError(f"--parameters: expected a JSON object, got {text!r}: {error}") from error
    if not isinstance(parameters, dict):
        raise ReleaseError(f"--parameters: expected a JSON object, got {text!r}")
    return parameters
