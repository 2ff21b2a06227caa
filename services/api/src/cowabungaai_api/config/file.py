# SPDX-License-Identifier: Apache-2.0
"""What the configuration file holds: models, the backends that answer them, and how callers are checked."""

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from cowabungaai_api.auth.config import AuthConfig

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_ADDRESS = re.compile(rf"(\[[0-9A-Fa-f:.]+\]|{_HOST}):(\d{{1,5}})")
_PATH = re.compile(r"[!-~]*")
SCHEMES = ("grpc", "http", "https")


def _replica(text: str) -> str:
    """Completes `HOST:PORT`, which means gRPC."""
    url = text if "://" in text else f"grpc://{text}"
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    match = _ADDRESS.fullmatch(authority)
    bad_port = match is not None and not 0 < int(match[2]) < 65536
    bare_http = match is None and scheme != "grpc" and bool(re.fullmatch(_HOST, authority))
    if (
        not _PATH.fullmatch(path)
        or scheme not in SCHEMES
        or bad_port
        or (match is None and not bare_http)
        or (scheme == "grpc" and slash)
    ):
        raise PydanticCustomError(
            "replica", "expected HOST:PORT, grpc://HOST:PORT or http[s]://HOST[:PORT]/PATH, with a port from 1 to 65535"
        )
    return url.rstrip("/")


Replica = Annotated[str, AfterValidator(_replica)]
Name = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\s,=]+$")]
Seconds = Annotated[float, Field(gt=0, le=86400)]


class Part(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Health(Part):
    """How replicas are asked whether they serve.

    Args:
        interval_s: how often, in seconds.
        timeout_s: how long the answer may take, in seconds.
        path: of HTTP replicas: what answers with a status below 500 when they serve. gRPC replicas have grpc.health.v1.
    """

    interval_s: Seconds = 5.0
    timeout_s: Seconds = 2.0
    path: str = Field(default="/health", pattern=r"^/\S*$")


class Ejection(Part):
    """When a replica that fails is left alone, and for how long.

    Args:
        failures: how many failures in a row; a connection that cannot be made counts as enough.
        base_s: for how long the first time, in seconds; twice as long each time it fails again.
        max_s: the longest time, in seconds.
    """

    failures: int = Field(default=3, ge=1)
    base_s: Seconds = 1.0
    max_s: Seconds = 60.0


class Backend(Part):
    """Replicas that serve the same models: a list, or a name whose addresses are looked up again and again.

    Args:
        replicas: `grpc://HOST:PORT`, or base URLs of OpenAI-compatible servers such as `http://vllm:8000/v1`.
        dns: the same for one name; each of its addresses is a replica.
        dns_refresh_s: how often the name is looked up, in seconds.
        concurrency: how many requests a replica gets at once; no limit by default.
        queue: how many requests wait when every replica has as many as it may.
        queue_timeout_s: how long they wait, in seconds.
        connect_timeout_s: how long a connection may take to be made, in seconds.
        timeout_s: how long an answer may take, in seconds.
        retries: how many other replicas are tried while nothing was sent to the client yet.
        affinity: whether conversations with the same beginning go to the same replica, which has it in its cache.
        api_key_env: environment variable with the bearer token for HTTP replicas.
        api_key_file: file with it.
        extra_parameters: parameters unknown to OpenAI's API that are passed on to HTTP replicas.
        health: active health checks.
        ejection: passive health checks.
    """

    replicas: tuple[Replica, ...] = ()
    dns: Replica | None = None
    dns_refresh_s: Seconds = 10.0
    concurrency: int | None = Field(default=None, ge=1)
    queue: int = Field(default=256, ge=0)
    queue_timeout_s: Seconds = 30.0
    connect_timeout_s: Seconds = 2.0
    timeout_s: Seconds = 600.0
    retries: int = Field(default=2, ge=0, le=10)
    affinity: bool = False
    api_key_env: str | None = None
    api_key_file: str | None = None
    extra_parameters: tuple[str, ...] = ()
    health: Health = Health()
    ejection: Ejection = Ejection()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.replicas) == (self.dns is not None):
            raise PydanticCustomError("source", "give either 'replicas' or 'dns'")
        if self.dns and self.dns.startswith("https://"):
            # Certificates are for names, and each replica would be asked by its address.
            raise PydanticCustomError("source", "'dns' cannot be https; list the replicas by name instead")
        if self.dns and urlsplit(self.dns).port is None:
            raise PydanticCustomError("source", "'dns' needs a port")
        if len(set(self.replicas)) < len(self.replicas):
            raise PydanticCustomError("source", "a replica is listed twice")
        over_grpc = [url for url in (*self.replicas, self.dns or "") if url.startswith("grpc://")]
        if self.extra_parameters and over_grpc:
            raise PydanticCustomError("source", "'extra_parameters' need HTTP replicas; the contract of gRPC has none")
        if self.api_key_env and self.api_key_file:
            raise PydanticCustomError("source", "give either 'api_key_env' or 'api_key_file'")
        return self


class Model(Part):
    """A model that the gateway offers.

    Args:
        name: what clients call it.
        backend: a backend by name, or the address of its only replica.
        backend_model: what the backend calls it; the same as `name` unless given.
        aliases: other names for it.
        fallbacks: models that answer instead, in this order, while no replica of its backend can.
    """

    name: Name
    backend: str = Field(min_length=1)
    backend_model: str | None = Field(default=None, min_length=1)
    aliases: tuple[Name, ...] = ()
    fallbacks: tuple[Name, ...] = ()


def _by_name(value: object) -> object:
    """Accepts models as a mapping by name, too."""
    if not isinstance(value, dict):
        return value
    if wrong := [name for name, model in value.items() if not isinstance(model, dict)]:
        message = f"expected a mapping with 'backend', got {value[wrong[0]]!r}"
        raise _at(("models", str(wrong[0])), message)
    return [{"name": name, **model} for name, model in value.items()]


def _not_empty(models: tuple[Model, ...]) -> tuple[Model, ...]:
    # A length of pydantic's would be told as too small also where an element is wrong.
    if not models:
        raise PydanticCustomError("empty", "expected at least one model")
    return models


class GatewayConfig(Part):
    """The whole file.

    Args:
        models: the models offered.
        backends: the backends that they name.
        auth: JWT issuers, and limits of callers that have none of their own.
    """

    models: Annotated[tuple[Model, ...], BeforeValidator(_by_name), AfterValidator(_not_empty)]
    backends: dict[str, Backend] = {}
    auth: AuthConfig = AuthConfig()

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        seen: set[str] = set()
        for number, model in enumerate(self.models):
            for name in (model.name, *model.aliases):
                if name in seen:
                    raise _at(("models", number), f"{name!r} is the name or alias of two models")
                seen.add(name)
        names = {model.name for model in self.models}
        for number, model in enumerate(self.models):
            if unknown := [name for name in model.fallbacks if name not in names or name == model.name]:
                raise _at(("models", number, "fallbacks"), f"{unknown[0]!r} is no other model")
            if model.backend not in self.backends:
                self._check_address(number, model.backend)
        return self

    def _check_address(self, number: int, backend: str) -> None:
        if "://" not in backend and ":" not in backend:
            known = ", ".join(self.backends) or "none"
            raise _at(("models", number, "backend"), f"{backend!r} is no backend (there is {known}) and no address")
        try:
            _replica(backend)
        except PydanticCustomError as error:
            raise _at(("models", number, "backend"), f"{error.message()}, got {backend!r}") from error

    def backend_of(self, model: Model) -> tuple[str, Backend]:
        """The backend of a model, and its name.

        Args:
            model: one of models.
        """
        if model.backend in self.backends:
            return model.backend, self.backends[model.backend]
        return model.backend, Backend(replicas=(_replica(model.backend),))


def _at(where: tuple[int | str, ...], message: str) -> PydanticCustomError:
    return PydanticCustomError("reference", "{message}", {"message": message, "where": where})
