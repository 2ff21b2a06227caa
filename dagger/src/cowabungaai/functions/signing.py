# SPDX-License-Identifier: Apache-2.0
"""The function that signs what leaves the building."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import Doc, function

from cowabungaai import signing
from cowabungaai.functions.base import Base
from cowabungaai.steps import step


class Signing(Base):
    """Signatures, provenance, checksums."""

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def sign(
        self,
        files: Annotated[dagger.Directory, Doc("Folder with packages/ and bundles/, and what else is released")],
        *,
        key: Annotated[dagger.Secret | None, Doc("Private key, such as file:cosign.key, of `courier keygen`")] = None,
        key_password: Annotated[dagger.Secret | None, Doc("Its password, such as env:COSIGN_PASSWORD")] = None,
        identity_token: Annotated[
            dagger.Secret | None,
            Doc("Or an OpenID Connect token: a signature without a key, for which a network is needed"),
        ] = None,
        fulcio_url: Annotated[str, Doc("Certificate authority for that")] = "https://fulcio.sigstore.dev",
        rekor_url: Annotated[str, Doc("Transparency log for that")] = "https://rekor.sigstore.dev",
        parameters: Annotated[str, Doc("What everything was made with, for the provenance: a JSON object")] = "{}",
        sha: Annotated[str, Doc("The commit, for the provenance")] = "",
    ) -> dagger.Directory:
        """The folder with packages signed, provenance/, checksums.txt and its signature, cosign.pub.

        Where there is a key, all of it is then verified as an operator would. Bundles hold packages: make them by
        `bundle` with the same key, or of packages that this function has signed.
        """
        keyless = signing.Keyless(identity_token, fulcio_url, rekor_url) if identity_token else None
        signature = signing.Signature(key, key_password, keyless)
        async with step("sign"):
            return await signing.sign(self.source, files, signature, signing.parse_parameters(parameters), sha)
