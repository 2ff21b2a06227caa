# SPDX-License-Identifier: Apache-2.0
"""What `./cowabunga serve` does: the built images on the loopback, and a key for as long as they are served."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cowabunga import console, dagger, models
from cowabunga.errors import JobError, PortInUseError, UsageError
from cowabunga.paths import CHECKOUT, cache_home
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
    _check_port(port)
    session = dagger.prepare()
    with admin_key(port) as (key, file):
        console.note(f"base URL http://127.0.0.1:{port}/openai/v1 once it is up; Ctrl-C ends it")
        console.note(f"the API key, for this run alone: export OPENAI_API_KEY=$(cat {file})")
        chosen = [f"--models={backend}" for backend in backends]
        if any([models.ensure(backend) for backend in backends]):
            chosen.append(f"--models-dir={models.folder()}")
        arguments = ["serve", f"--admin-key=env:{KEY_VARIABLE}", *chosen, "up", "--ports", f"{port}:{GATEWAY_PORT}"]
        # By the environment: the arguments of a process are seen by everybody on the machine.
        with_key = replace(session, environment={**session.environment, KEY_VARIABLE: key})
        code = dagger.run(with_key, ["call", *arguments])
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


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UsageError(
                    f"port {port} cannot be used: {error.strerror}", "Choose another with --port."
                ) from error
            raise PortInUseError(f"port {port} is in use", "Choose another with --port.") from error
