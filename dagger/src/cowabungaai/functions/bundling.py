# SPDX-License-Identifier: Apache-2.0
"""Functions that put packages together to what an enclave installs, prove that it does, and send it to registries."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import Doc, function

from cowabungaai import airgap_proof as airgap
from cowabungaai import bundles
from cowabungaai.errors import BuildError
from cowabungaai.functions.base import ExitCode, Models, Suite
from cowabungaai.functions.publishing import Publishing, Registries, Via
from cowabungaai.signing import Signature, check_key
from cowabungaai.steps import step

Variant = Annotated[str, Doc("Of variants.yaml in the bundle's folder: cpu, gpu, small")]


class Bundling(Publishing):
    """Bundles."""

    @function
    async def bundle(
        self,
        name: Annotated[str, Doc("A folder below bundles/: dev or latest")],
        *,
        variant: Variant = "cpu",
        version: Annotated[str, Doc("Of the bundle; the gateway's by default")] = "",
        services: Annotated[list[str] | None, Doc("Only these of its services")] = None,
        models_dir: Models = None,
        key: Annotated[
            dagger.Secret | None,
            Doc("Private key that signs its packages, such as file:cosign.key; `sign` with it signs the bundle itself"),
        ] = None,
        key_password: Annotated[dagger.Secret | None, Doc("Its password, such as env:COSIGN_PASSWORD")] = None,
    ) -> dagger.Directory:
        """The UDS bundle of packages that are built for it, and uds-config.yaml, with every setting of it."""
        if key_password is not None and key is None:
            raise BuildError("--key-password is that of --key, which is missing")
        project = await self._project()
        chosen = await bundles.chosen(project, name, variant, version, services)
        signature = Signature(key, key_password) if key is not None else None
        if signature:
            async with step("open the signing key"):
                await check_key(self.source, signature)
        made = await bundles.packages_of(project, chosen.services, chosen.variant, models_dir)
        made, public = await bundles.signed(project, made, signature) if signature else (made, "")
        async with step(f"bundle {name}"):
            return await (await bundles.uds_bundle(project, chosen, made, public)).sync()

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def airgap_proof(
        self,
        suite: Suite,
        *,
        bundle: Annotated[dagger.File | None, Doc("A bundle; by default the one that is built by name")] = None,
        name: Annotated[str, Doc("A folder below bundles/, where no file is given")] = "latest",
        variant: Variant = "cpu",
        models_dir: Models = None,
        exit_code: ExitCode = 1,
    ) -> dagger.Directory:
        """Installs a bundle without a network and runs the conformance suite on it: proof.json, index.html, logs."""
        project = await self._project()
        if bundle is None:
            chosen = await bundles.chosen(project, name, variant, "")
            packages = await bundles.packages_of(project, chosen.services, chosen.variant, models_dir)
            made = await bundles.uds_bundle(project, chosen, packages)
            bundle = made.file((await made.glob("*.tar.zst"))[0])
        async with step("airgap-proof"):
            proved = await airgap.prove(project, bundle, suite)
            return (proved.check() if exit_code else proved).report

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def publish_bundle(
        self,
        bundle: Annotated[dagger.File, Doc("That `bundle` or `release` made")],
        registries: Registries = None,
        via: Via = None,
    ) -> list[str]:
        """Send a bundle to registries, as PREFIX/bundles/NAME:VERSION; the references by digest."""
        targets = self._targets(registries, via)
        async with step("publish bundle"):
            return await bundles.publish(self.source, bundle, targets)
