# SPDX-License-Identifier: Apache-2.0
"""What thresholds.yaml says, and what a measurement breaks of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Scenario = Literal["chat", "chat-stream", "embeddings"]


class LimitsError(Exception):
    """thresholds.yaml is wrong; the message names file, field, and what was expected."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Strict):
    """How a scenario is run, and what it must keep. Times are in milliseconds.

    Attributes:
        clients: Each asks again as soon as it has its answer.
        seconds: Of measuring.
        p50_ms, p95_ms, p99_ms: The most that so many percent of the answers may take, each as a whole.
        first_token_p95_ms: The most until the first piece of a stream.
        error_ratio: Failed answers by all, at most; from 0 to 1.
        requests_per_second: At least.
    """

    clients: int = Field(ge=1, le=10_000)
    seconds: float = Field(gt=0, le=3600)
    p50_ms: float | None = Field(default=None, gt=0)
    p95_ms: float | None = Field(default=None, gt=0)
    p99_ms: float | None = Field(default=None, gt=0)
    first_token_p95_ms: float | None = Field(default=None, gt=0)
    error_ratio: float = Field(ge=0, le=1)
    requests_per_second: float | None = Field(default=None, gt=0)


class MemoryLimits(_Strict):
    """Resident memory of a process.

    Attributes:
        most_mb: After the load, in megabytes (10^6 bytes).
        growth_mb: More than before it, after a warm-up.
    """

    most_mb: float = Field(gt=0)
    growth_mb: float = Field(gt=0)


class ServiceLimits(_Strict):
    """All limits of a load test.

    Attributes:
        warmup_seconds: Of asking before a scenario is measured.
        scenarios: In this order.
        gateway: Its memory.
        backend: Its memory.
    """

    warmup_seconds: float = Field(ge=0, le=600)
    scenarios: dict[Scenario, Limits] = Field(min_length=1)
    gateway: MemoryLimits
    backend: MemoryLimits


class Measured(BaseModel):
    """A scenario's figures; see Limits for the units.

    Attributes:
        scenario: Which.
        clients: At once.
        seconds: Of measuring.
        requests: Answers, with those that failed.
        failures: Those.
        errors: What was told of failures, and how often.
    """

    model_config = ConfigDict(frozen=True)

    scenario: Scenario
    clients: int
    seconds: float
    requests: int
    failures: int
    errors: dict[str, int]
    requests_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    first_token_p95_ms: float | None


class Memory(BaseModel):
    """Resident memory of a process around a scenario, in megabytes (10^6 bytes)."""

    model_config = ConfigDict(frozen=True)

    before_mb: float
    after_mb: float

    @property
    def growth_mb(self) -> float:
        """What came with the load."""
        return self.after_mb - self.before_mb


class LoadReport(BaseModel):
    """A load test; `schema_version` changes when a reader must change.

    Attributes:
        service: The backend.
        passed: Whether every limit was kept.
        broken: A line for each limit that was not.
        memory: Of `gateway` and `backend`.
    """

    schema_version: int = 1
    service: str
    passed: bool
    broken: list[str]
    scenarios: list[Measured]
    memory: dict[str, Memory]


def read(file: Path, service: str) -> ServiceLimits:
    """A service's limits; those of `default` where it has none of its own.

    Args:
        file: In the form of thresholds.yaml.
        service: Its name.

    Raises:
        LimitsError: The file is wrong, or has neither.
    """
    try:
        loaded = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise LimitsError(f"{file.name}: not valid YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise LimitsError(f"{file.name}: expected a mapping of services to limits")
    name = service if service in loaded else "default"
    if name not in loaded:
        raise LimitsError(
            f"{file.name}: expected limits of {service!r} or of 'default', got {', '.join(map(str, loaded))}"
        )
    try:
        return ServiceLimits.model_validate(loaded[name])
    except ValidationError as error:
        lines = (
            f"{file.name}: {'.'.join(map(str, (name, *mistake['loc'])))}: {mistake['msg']}, got {mistake['input']!r}"
            for mistake in error.errors()
        )
        raise LimitsError("\n".join(lines)) from error


def broken(limits: ServiceLimits, measured: list[Measured], memory: dict[str, Memory]) -> Iterator[str]:
    """A line for each limit that was not kept.

    Args:
        limits: Of the service.
        measured: The scenarios that were run.
        memory: Of `gateway` and `backend`.
    """
    for one in measured:
        yield from _broken_by(limits.scenarios[one.scenario], one)
    for process, most in (("gateway", limits.gateway), ("backend", limits.backend)):
        found = memory[process]
        if found.after_mb > most.most_mb:
            yield f"{process}: most_mb: {found.after_mb:.0f} MB, expected at most {most.most_mb:g}"
        if found.growth_mb > most.growth_mb:
            yield f"{process}: growth_mb: {found.growth_mb:.0f} MB, expected at most {most.growth_mb:g}"


def _broken_by(limits: Limits, one: Measured) -> Iterator[str]:
    if one.requests == 0:
        yield f"{one.scenario}: nothing was answered in {one.seconds:g} s"
        return
    for name in ("p50_ms", "p95_ms", "p99_ms", "first_token_p95_ms"):
        most, found = getattr(limits, name), getattr(one, name)
        if most is not None and (found is None or found > most):
            shown = "none" if found is None else f"{found:g} ms"
            yield f"{one.scenario}: {name}: {shown}, expected at most {most:g}"
    ratio = one.failures / one.requests
    if ratio > limits.error_ratio:
        told = "; ".join(f"{count} x {text}" for text, count in list(one.errors.items())[:3])
        yield (
            f"{one.scenario}: error_ratio: {one.failures} of {one.requests} answers failed, expected at most "
            f"{limits.error_ratio:g} of all: {told}"
        )
    least = limits.requests_per_second
    if least is not None and one.requests_per_second < least:
        yield f"{one.scenario}: requests_per_second: {one.requests_per_second:.1f}, expected at least {least:g}"
