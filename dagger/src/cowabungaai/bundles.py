# SPDX-License-Identifier: Apache-2.0
"""Makes UDS bundles of built packages, by the real uds."""

from __future__ import annotations

import base64
import json
import random
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio
import dagger
import yaml
from dagger import dag

from cowabungaai import bundle_definition as definitions
from cowabungaai import signing
from cowabungaai.bundle_definition import DEFINITION, FOLDER, PACKAGES, VARIANTS
from cowabungaai.errors import BuildError, PublishError
from cowabungaai.images import version_of
from cowabungaai.packages import ZARF_CACHE, Packaged, Wanted, gpu_values, zarf_package
from cowabungaai.publish import Targets, check_targets
from cowabungaai.registries import BOUND_HOST, DOCKER_HUB
from cowabungaai.signing import Signature
from cowabungaai.sources import Project
from cowabungaai.stack import gateway_of
from cowabungaai.steps import for_each, step
from cowabungaai.tools import go_tool
from cowabungaai.weights import brought_for
from cowabungaai.wheels import BUILD_IMAGE, shell

DOCKER_CONFIG = "/run/docker"
UDS_CACHE = "/root/.uds-cache"
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
# Of sending a bundle; of images push_messages.py says so.
ATTEMPTS = 6
FIRST_WAIT = 1.0
# The distribution specification's codes for that, and the status that comes with them: as uds writes them, and zarf.
REFUSED = re.compile(
    r"status code (401|403)\b|\b(401 Unauthorized|403 Forbidden)\b|\b(UNAUTHORIZED|DENIED|unauthorized|denied): "
)


@dataclass(frozen=True)
class Bundle:
    """A bundle's definition below bundles/.

    Attributes:
        name: Its folder.
        variant: Of its variants.yaml, such as cpu or gpu.
        version: Of the bundle.
        services: That it has, in the order in which they are deployed.
    """

    name: str
    variant: str
    version: str
    services: tuple[str, ...]


async def chosen(project: Project, name: str, variant: str, version: str, only: list[str] | None = None) -> Bundle:
    """A bundle by its name.

    Args:
        project: Sources and catalog.
        name: Its folder below bundles/.
        variant: Of its variants.yaml, such as cpu or gpu.
        version: Of the bundle; the gateway's where it is empty.
        only: Of its services.

    Raises:
        BuildError: There is no such bundle or variant, or it has not all of these services.
    """
    known = sorted(path.split("/")[1] for path in await project.source.glob(f"{FOLDER}/*/{DEFINITION}"))
    if name not in known:
        raise BuildError(f"no bundle is named {name!r}; the bundles are: {', '.join(known)}")
    variants = await project.source.file(f"{FOLDER}/{name}/{VARIANTS}").contents()
    services = definitions.services_of(variants, name, variant, project.catalog)
    if missing := [service for service in only or [] if service not in services]:
        raise BuildError(f"bundle {name!r} ({variant}) has no service {missing[0]!r}; it has: {', '.join(services)}")
    version = version or await version_of(project.source, gateway_of(project).name)
    return Bundle(name, variant, version, tuple(service for service in services if not only or service in only))


def check_provable(project: Project, bundle: Bundle) -> None:
    """Refuse, before hours of work, a bundle of which `airgap-proof` could ask nothing.

    Args:
        project: Sources and catalog.
        bundle: Which.

    Raises:
        BuildError: It has no gateway, or no backend.
    """
    specs = [project.catalog.get(service) for service in bundle.services]
    if gateway_of(project) not in specs or not any(spec.is_backend for spec in specs):
        raise BuildError(
            f"bundle {bundle.name!r} of {', '.join(bundle.services)}: a release is asked before it leaves, for which "
            f"it needs the gateway, {gateway_of(project).name}, and a service that serves models"
        )


async def packages_of(
    project: Project, services: Sequence[str], variant: str, models: dagger.Directory | None = None
) -> dict[str, Packaged]:
    """The packages of services, by their names, as a variant has them.

    Args:
        project: Sources and catalog.
        services: Names.
        variant: Such as cpu or gpu; see bundle_definition.flavor_in.
        models: A folder of models that are packaged in place of the default ones.
    """

    async def one(name: str) -> Packaged:
        spec = project.catalog.get(name)
        wanted = Wanted(definitions.flavor_in(spec, variant), await brought_for(spec, models))
        return await zarf_package(project, name, wanted)

    return await for_each("package", services, one)


async def signed(
    project: Project, packages: Mapping[str, Packaged], signature: Signature
) -> tuple[dict[str, Packaged], str]:
    """The same packages, signed, and the key by which uds verifies them; that is empty where they are signed without.

    Args:
        project: Sources and catalog.
        packages: By their services.
        signature: How they are signed.
    """
    async with step("sign packages"):
        files = {one.report.file: one.file for one in packages.values()}
        folder = await (await signing.signed_packages(project.source, files, signature)).sync()
    public = "" if signature.keyless else await folder.file(signing.PUBLIC).contents()
    by_service = {
        service: replace(one, file=folder.file(f"packages/{one.report.file}")) for service, one in packages.items()
    }
    return by_service, public


async def uds_bundle(
    project: Project, bundle: Bundle, packages: Mapping[str, Packaged], public_key: str = ""
) -> dagger.Directory:
    """A folder with the bundle, and uds-config.yaml, which has every setting of it.

    Args:
        project: Sources and catalog.
        bundle: Which.
        packages: By their services, signed or not.
        public_key: By which uds verifies them when they are deployed; empty where they are not signed.

    Raises:
        BuildError: The definition lacks one of the packages.
    """
    definition = await project.source.file(f"{FOLDER}/{bundle.name}/{DEFINITION}").contents()
    reports = [packages[service].report for service in bundle.services]
    of_gpus = [report.service for report in reports if report.flavor == "gpu"]
    filled = definitions.filled(
        definition,
        reports,
        project.catalog,
        name=bundle.name,
        variant=bundle.variant,
        version=bundle.version,
        gpu_values={service: await gpu_values(project.source, service) for service in of_gpus},
    )
    if public_key:
        filled["packages"] = [{**entry, "publicKey": public_key} for entry in filled["packages"]]
    folder = dag.directory().with_new_file(DEFINITION, yaml.safe_dump(filled, sort_keys=False, width=120))
    for service in bundle.services:
        packaged = packages[service]
        folder = folder.with_file(f"{PACKAGES}/{packaged.report.file}", packaged.file)
    architecture = (await dag.default_platform()).split("/")[1]
    run = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_file("/usr/local/bin/uds", await go_tool(project.source, "uds"))
        .with_mounted_directory("/bundle", folder)
        .with_workdir("/bundle")
        .with_exec(["mkdir", "/out"])
        .with_exec(
            shell(
                f"uds create . --confirm --no-progress --architecture={architecture} --output=/out\n"
                f"rm -rf {ZARF_CACHE} {UDS_CACHE}"
            )
        )
    )
    made = run.directory("/out")
    files = await made.glob("uds-bundle-*.tar.zst")
    if len(files) != 1:
        raise BuildError(f"uds made {len(files)} bundles of {bundle.name}, expected one")
    return made.with_new_file("uds-config.yaml", definitions.config_for(filled))


async def publish(source: dagger.Directory, bundle: dagger.File, targets: Targets) -> list[str]:
    """Send a bundle to registries, one after the other; a failure of one does not keep the others back.

    Args:
        source: The root of the repository, from which the tools are built.
        bundle: That uds made.
        targets: Where it goes.

    Returns:
        Where it is, by digest.

    Raises:
        PublishError: It is no bundle; a registry refuses the credentials, and nothing is sent; or one did not take it:
            the message tells which, and where it is.
    """
    name = await bundle.name()
    # uds knows a bundle by its name.
    if not re.fullmatch(r"uds-bundle-.+\.tar\.zst", name):
        raise PublishError(f"{name}: expected a bundle, uds-bundle-NAME-ARCHITECTURE-VERSION.tar.zst")
    path = f"/bundle/{name}"
    container = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_file("/usr/local/bin/uds", await go_tool(source, "uds"))
        .with_mounted_file("/usr/local/bin/zarf", await go_tool(source, "zarf"))
        .with_mounted_secret(f"{DOCKER_CONFIG}/config.json", await _docker_config(targets))
        .with_env_variable("DOCKER_CONFIG", DOCKER_CONFIG)
        .with_mounted_file(path, bundle)
        # What a registry holds changes: it is asked anew each time.
        .with_env_variable("COWABUNGAAI_RUN", secrets.token_hex(8))
    )
    if targets.bound is not None:
        container = container.with_service_binding(BOUND_HOST, targets.bound)
    told = await container.with_exec(["uds", "inspect", path, "--no-color", "--no-progress"]).stdout()
    metadata = yaml.safe_load(told)["metadata"]
    done: list[str] = []
    failed: list[str] = []
    targets = replace(targets, registries=tuple(registry.of_bundles() for registry in targets.registries))
    await check_targets(source, targets, [metadata["name"]])
    for registry in targets.registries:
        repository = registry.address
        plain = ["--insecure"] if registry.plain_http else []
        command = ["uds", "publish", path, f"oci://{repository}", "--no-progress", "--no-color", *plain]
        reference = f"{repository}/{metadata['name']}:{metadata['version']}"
        asking = ["zarf", "tools", "registry", "digest", *plain, reference]
        try:
            digest = await persistently(partial(_printed, container, [command, asking]))
        except dagger.QueryError as error:
            said = error.stderr.strip() if isinstance(error, dagger.ExecError) else ""
            failed.append(f"{registry.name}: {said or error}")
        else:
            done.append(f"{reference}@{digest.strip()}")
    if failed:
        raise PublishError("\n".join([*failed, *(f"published: {reference}" for reference in done)]))
    return done


async def _printed(container: dagger.Container, commands: Sequence[Sequence[str]], attempt: int) -> str:
    """What the last of the commands prints, which are run anew at each attempt."""
    trying = container.with_env_variable("COWABUNGAAI_ATTEMPT", str(attempt))
    for command in commands:
        trying = trying.with_exec(list(command))
    return await trying.stdout()


async def persistently(action: Callable[[int], Awaitable[str]], first_wait: float = FIRST_WAIT) -> str:
    """Do what may fail by a registry that is busy or gone for a moment; waits about double.

    uds tries some requests again by itself, but none whose connection breaks. What a registry has is not sent again; if
    it refuses, as to those who may not write, it is asked no more.

    Args:
        action: What is done; it is told which attempt this is, from 1.
        first_wait: Before the second attempt, in seconds.

    Raises:
        QueryError: Of the last attempt.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return await action(attempt)
        except dagger.QueryError as error:
            refused = isinstance(error, dagger.ExecError) and REFUSED.search(error.stderr)
            if attempt == ATTEMPTS or refused:
                raise
        await anyio.sleep(first_wait * 2 ** (attempt - 1) * random.uniform(0.5, 1))  # noqa: S311 - no secret


async def _docker_config(targets: Targets) -> dagger.Secret:
    """Credentials as uds and zarf read them; to both, Docker Hub's are those of its first address."""
    entries = {}
    for one in targets.credentials:
        account = f"{one.username}:{await one.secret.plaintext()}"
        key = DOCKER_HUB_KEY if one.host == DOCKER_HUB else one.host
        entries[key] = {"auth": base64.b64encode(account.encode()).decode()}
    return dag.set_secret(f"docker-config-{secrets.token_hex(4)}", json.dumps({"auths": entries}))
