# SPDX-License-Identifier: Apache-2.0
"""Functions that change what is deployed."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import Doc, function

from cowabungaai import deployment
from cowabungaai.errors import ManifestError
from cowabungaai.functions.base import Base
from cowabungaai.steps import step


class Deploying(Base):
    """Deployment repositories."""

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # overloads lack it
    async def update_manifests(
        self,
        *,
        repository: Annotated[
            dagger.Directory | None, Doc("The deployment repository; the changes are to this folder")
        ] = None,
        images: Annotated[dagger.File | None, Doc("published.json, as publish leaves it")] = None,
        image: Annotated[
            list[str] | None,
            Doc(
                "NAME=REPOSITORY[:TAG]@sha256:DIGEST, what manifests name now and what they shall name; may be repeated"
            ),
        ] = None,
        git: Annotated[str | None, Doc("Or the address of the deployment repository")] = None,
        git_ref: Annotated[str | None, Doc("Its branch, tag or commit; the default branch where not given")] = None,
        git_token: Annotated[dagger.Secret | None, Doc("Token for it, such as env:NAME")] = None,
        git_via: Annotated[
            dagger.Service | None,
            Doc(
                "Its server, where only this machine reaches it, tcp://127.0.0.1:3000, for --git http://local:3000/..."
            ),
        ] = None,
    ) -> dagger.Changeset:
        """Set image digests in Kubernetes manifests and kustomize files; nothing else in them changes."""
        if (repository is None) == (git is None):
            raise ManifestError("expected either --repository or --git")
        if git is None and (git_ref is not None or git_token is not None or git_via is not None):
            raise ManifestError("--git-ref, --git-token and --git-via go with --git")
        explicit, reported = await deployment.read_updates(images, image or [], (await self._project()).catalog)
        async with step("update manifests"):
            tree = repository or await deployment.git_tree(git or "", git_ref, git_token, git_via)
            return await deployment.update(tree, explicit, reported)
