# SPDX-License-Identifier: Apache-2.0
"""Makes the ways to replicas, from what the configuration says of their backend."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from cowabungaai_api.config.file import Backend
from cowabungaai_api.config.load import ConfigError
from cowabungaai_api.upstream.base import Upstream
from cowabungaai_api.upstream.grpc import GrpcUpstream
from cowabungaai_api.upstream.http import HttpUpstream

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The largest message of gRPC; larger than the largest body, which base64 in it makes smaller."""
_KEY = re.compile(r"[!-~]+")


def connector(name: str, backend: Backend) -> Callable[[str], Upstream]:
    """Makes what connects to a backend's replicas.

    Args:
        name: the backend's name, for messages.
        backend: its configuration.

    Raises:
        ConfigError: its API key is missing, or cannot stand in a header.
    """
    key = _api_key(name, backend)
    if key is not None and not _KEY.fullmatch(key):
        source = "api_key_env" if backend.api_key_env else "api_key_file"
        raise ConfigError(f"backends.{name}.{source}: the key is empty, or has characters that no header can hold")

    def connect(address: str) -> Upstream:
        if address.startswith("grpc://"):
            return GrpcUpstream(address.removeprefix("grpc://"), MAX_MESSAGE_BYTES)
        return HttpUpstream(address, key, backend.health.path, backend.connect_timeout_s)

    return connect


def _api_key(name: str, backend: Backend) -> str | None:
    if backend.api_key_env:
        if not (key := os.environ.get(backend.api_key_env)):
            raise ConfigError(f"backends.{name}.api_key_env: the environment has no {backend.api_key_env}")
        return key.strip()
    if backend.api_key_file:
        try:
            return Path(backend.api_key_file).read_text().strip()
        except OSError as error:
            message = f"backends.{name}.api_key_file: {backend.api_key_file} cannot be read: {error.strerror}"
            raise ConfigError(message) from error
    return None
