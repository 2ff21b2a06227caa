"""The gateway's configuration: settings of the process from its environment, models from a YAML file."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if not match or not 0 < int(match[2]) < 65536:
        raise PydanticCustomError("address", "expected HOST:PORT with a port from 1 to 65535")
    return text


Address = Annotated[str, AfterValidator(_address)]
"""`HOST:PORT`; an IPv6 address stands in brackets."""


class ConfigError(Exception):
    """The configuration is wrong; the message says where, what was expected, and what was found."""


class ModelRoute(BaseModel):
    """A model that the gateway offers.

    Args:
        name: what clients call it.
        backend: the address of the backend that serves it.
        backend_model: what the backend calls it; the same as `name` unless given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    backend: Address
    backend_model: str | None = Field(default=None, min_length=1)


class ModelsFile(BaseModel):
    """The file of models: `models: [{name, backend}]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[ModelRoute, ...] = Field(min_length=1)


class GatewayConfig(BaseModel):
    """What an app is made from.

    Args:
        models: the models offered, by distinct names.
        request_timeout_s: deadline of one request at its backend, in seconds.
        max_body_bytes: the largest request body, in bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[ModelRoute, ...]
    request_timeout_s: float = Field(default=600.0, gt=0)
    max_body_bytes: int = Field(default=8 * 1024 * 1024, gt=0)


class Settings(BaseSettings):
    """Settings of the process; each from the environment variable `COWABUNGAAI_API_<NAME>`.

    Args:
        config: the YAML file of models.
        models: models without a file, `NAME=HOST:PORT` with commas between; for development.
        host: address to listen on.
        port: TCP port to listen on; 0 takes a free one.
        request_timeout_s: deadline of one request at its backend, in seconds.
        max_body_bytes: the largest request body, in bytes.
        drain_seconds: how long requests in flight may go on after the stop began, in seconds.
        log_level: least severe log lines to write.
    """

    model_config = SettingsConfigDict(env_prefix="COWABUNGAAI_API_", frozen=True)

    config: Path | None = None
    models: str = ""
    # In a container only its own network namespace is listened on; the cluster's policy decides who gets there.
    host: str = "0.0.0.0"  # noqa: S104
    port: int = Field(default=8080, ge=0, le=65535)
    request_timeout_s: float = Field(default=600.0, gt=0)
    max_body_bytes: int = Field(default=8 * 1024 * 1024, gt=0)
    drain_seconds: int = Field(default=30, ge=0)
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
