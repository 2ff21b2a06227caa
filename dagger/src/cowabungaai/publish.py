# SPDX-License-Identifier: Apache-2.0
"""Sends approved images to registries, by the push program in a container."""

from __future__ import annotations

import re
import secrets
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dagger
from dagger import dag
from pydantic import ValidationError

from cowabungaai.errors import PublishError
from cowabungaai.gates import Approved, Candidate
from cowabungaai.published import PublishedImage, failures, published, push_request
from cowabungaai.push_messages import PushAnswer, PushRequest
from cowabungaai.registries import BOUND_HOST, Registry
from cowabungaai.steps import step
from cowabungaai.tools import go_tool
from cowabungaai.wheels import BUILD_IMAGE

LAYOUTS = "/images"
REQUEST = "/request.json"
ANSWER = "/answer.json"
SECRETS = "/run/registry-secrets"
TAIL_LINES = 20
NO_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Credentials:
    """Who writes to a registry.

    Attributes:
        host: The registry's, as registries.canonical has it.
        username: May be anything where the secret is a token.
        secret: Password or token.
    """

    host: str
    username: str
    secret: dagger.Secret


@dataclass(frozen=True)
class Targets:
    """Where images go.

    Attributes:
        registries: All of them.
        credentials: For those that have any.
        bound: A registry that only the caller's machine reaches, known to containers as `local`.
    """

    registries: tuple[Registry, ...]
    credentials: tuple[Credentials, ...]
    bound: dagger.Service | None

    def files(self) -> dict[str, tuple[str, str]]:
        """Host to username and the path of the password's file in the pushing container."""
        return {one.host: (one.username, _secret_file(one.host)) for one in self.credentials}


def _secret_file(host: str) -> str:
    return f"{SECRETS}/{re.sub('[^a-z0-9.-]', '_', host)}"


async def check_targets(source: dagger.Directory, targets: Targets, services: Sequence[str]) -> None:
    """Ask every registry whether the credentials may write, before anything is built.

    Args:
        source: The root of the repository.
        targets: Where images go.
        services: What is to be published.

    Raises:
        PublishError: A registry refuses them; the message tells which.
    """
    request = push_request({name: (NO_DIGEST, []) for name in services}, targets.registries, targets.files(), LAYOUTS)
    async with step("ask registries for access"):
        answer = await _run(await _container(source, targets), request, "-check")
    _check_access(answer)


def _check_access(answer: PushAnswer) -> None:
    if answer.refused:
        raise PublishError("\n".join(["nothing was published: no access", *answer.refused]))


async def push(
    source: dagger.Directory, targets: Targets, approved: Sequence[Approved], tags: Callable[[Candidate], list[str]]
) -> list[PublishedImage]:
    """Send images to every registry; a failure of one does not keep the others back.

    Args:
        source: The root of the repository.
        targets: Where images go.
        approved: What is sent.
        tags: Of an image.

    Raises:
        PublishError: Something could not be sent; the message tells what, where, and what was published.
    """
    images: dict[str, tuple[str, list[str]]] = {}
    container = await _container(source, targets)
    for one in approved:
        candidate = one.candidate
        images[candidate.service] = (candidate.digest, tags(candidate))
        container = container.with_mounted_directory(f"{LAYOUTS}/{candidate.service}", _layout(candidate.archive))
    request = push_request(images, targets.registries, targets.files(), LAYOUTS)
    async with step(f"push {', '.join(images)} to {', '.join(registry.name for registry in targets.registries)}"):
        answer = await _run(container, request)
    _check_access(answer)
    done = published(approved, answer.outcomes, targets.registries)
    if told := failures(answer.outcomes, done):
        raise PublishError(told)
    return done


def _layout(archive: dagger.File) -> dagger.Directory:
    """The OCI layout that an archive holds."""
    unpack = dag.container().from_(BUILD_IMAGE).with_mounted_file("/image.tar", archive)
    return unpack.with_exec(["python", "-m", "tarfile", "-e", "/image.tar", "/layout"]).directory("/layout")


async def _container(source: dagger.Directory, targets: Targets) -> dagger.Container:
    container = (
        dag.container().from_(BUILD_IMAGE).with_mounted_file("/usr/local/bin/push", await go_tool(source, "push"))
    )
    if targets.bound is not None:
        container = container.with_service_binding(BOUND_HOST, targets.bound)
    for one in targets.credentials:
        container = container.with_mounted_secret(_secret_file(one.host), one.secret)
    return container


async def _run(container: dagger.Container, request: PushRequest, *options: str) -> PushAnswer:
    ran = (
        container.with_new_file(REQUEST, request.model_dump_json())
        # Each run is another one, not one out of the engine's cache.
        .with_env_variable("COWABUNGAAI_RUN", f"{time.time()}-{secrets.token_hex(4)}")
        .with_exec(["push", *options], redirect_stdin=REQUEST, redirect_stdout=ANSWER, expect=dagger.ReturnType.ANY)
    )
    code = await ran.exit_code()
    try:
        return PushAnswer.model_validate_json(await ran.file(ANSWER).contents())
    except ValidationError as error:
        tail = "\n".join((await ran.stderr()).splitlines()[-TAIL_LINES:])
        raise PublishError(f"{shlex.join(['push', *options])} ended with exit code {code}:\n{tail}") from error
