# SPDX-License-Identifier: Apache-2.0
"""What `./cowabunga serve` does: the built images on the loopback, and a key for as long as they are served."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cowabunga import console, dagger, models, store
from cowabunga.errors import JobError, PortInUseError, UsageError
from cowabunga.paths import CHECKOUT, cache_home
from cowabunga.process import need
from cowabunga.services import module_of

GATEWAY_PORT = 8080
# The form of a key is told in one place; the file needs nothing but Python itself.
KEYS = CHECKOUT / "services" / "api" / "src" / "cowabungaai_api" / "auth" / "keys.py"
KEY_VARIABLE = "COWABUNGA_SERVE_KEY"


def serve(port: int, backends: list[str]) -> None:
    """Serve the built images on the machine's loopback until interrupted.

    Args:
        port: TCP port.
        backends: Services that answer, each under its own name, and under the ids of its models.

    Raises:
        PortInUseError: Another process listens on the port.
        UsageError: The port cannot be used for another reason.
        JobError: Serving ended by itself.
    """
    with _bound(port) as listener:
        session = dagger.prepare()
        _serve(session, port, listener, backends)


def _serve(session: dagger.Session, port: int, listener: socket.socket, backends: list[str]) -> None:
    with admin_key(port) as (key, file):
        console.note(f"base URL http://127.0.0.1:{port}/openai/v1 once it is up; Ctrl-C ends it")
        console.note(f"the API key, for this run alone: export OPENAI_API_KEY=$(cat {file})")
        chosen = [f"--models={backend}" for backend in backends]
        if any([models.ensure(backend) for backend in backends]):
            chosen.append(f"--models-dir={models.folder()}")
        arguments = ["serve", f"--admin-key=env:{KEY_VARIABLE}", *chosen, "up", "--ports", f"{port}:{GATEWAY_PORT}"]
        within, pass_fds = _alone(session, port, listener)
        # By the environment: the arguments of a process are seen by everybody on the machine.
        with_key = replace(session, environment={**session.environment, KEY_VARIABLE: key})
        code = dagger.run(with_key, ["call", *arguments], within=within, pass_fds=pass_fds)
    if code:
        raise JobError(f"serving ended with exit code {code}", "What dagger said is above.")


@contextmanager
def admin_key(port: int) -> Iterator[tuple[str, Path]]:
    """A new key, and the file that holds it for as long as the context lasts; only its owner can read it.

    Args:
        port: On which is served; the file is named for it.
    """
    folder = cache_home() / "run" / "serve"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    file = folder / f"{port}.key"
    # One that a killed run left behind might have another mode.
    file.unlink(missing_ok=True)
    key = str(module_of(KEYS).generate())
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as sink:
            sink.write(f"{key}\n")
        yield key, file
    finally:
        file.unlink(missing_ok=True)


def _alone(session: dagger.Session, port: int, listener: socket.socket) -> tuple[list[str], list[int]]:
    """What dagger runs within, so that its listener, which is on all addresses, is reached from the loopback alone."""
    if session.foreign_engine is not None or os.geteuid() != 0:
        console.warn(
            f"port {port} is open to other machines too: only root, with an engine of its own, can keep it here"
        )
        listener.close()
        return [], []
    descriptor = listener.fileno()
    within = [need("unshare"), "--net", sys.executable, "-m", "cowabunga.loopback", str(descriptor), str(port)]
    return within, [descriptor]


@contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    """A socket that has the port of the machine's loopback, and does not listen yet."""
    with store.locked_if_free(f"serve-{port}") as held, socket.socket() as listener:
        if not held:
            raise PortInUseError(f"port {port} is in use by another serve", "Choose another with --port.")
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UsageError(
                    f"port {port} cannot be used: {error.strerror}", "Choose another with --port."
                ) from error
            raise PortInUseError(f"port {port} is in use", "Choose another with --port.") from error
        yield listener
