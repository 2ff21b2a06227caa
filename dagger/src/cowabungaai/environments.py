# SPDX-License-Identifier: Apache-2.0
"""Environments that services are deployed to: what environments.yaml says of each, and what follows for a service."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import dagger
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from cowabungaai import yaml_files
from cowabungaai.errors import DeploymentError, PipelineError
from cowabungaai.findings import parse_severities
from cowabungaai.published import TAG
from cowabungaai.report import LeftOut
from cowabungaai.vulnerability_db import parse_age

FILE = "environments.yaml"
PLACEHOLDERS = {"version", "sha"}


@dagger.enum_type
class EnvironmentName(enum.Enum):
    """Where images are to be deployed; environments.yaml describes each."""

    development = "development"
    staging = "staging"
    production = "production"


class Policy(BaseModel):
    """What images must pass to be published for it.

    Attributes:
        severity: What a scan fails on, as its --severity.
        max_db_age: How old the scan's database may be, as its --max-db-age.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: str
    max_db_age: str

    @field_validator("severity", "max_db_age")
    @classmethod
    def _as_scan_reads_it(cls, text: str, info: ValidationInfo) -> str:
        try:
            (parse_severities if info.field_name == "severity" else parse_age)(text)
        except PipelineError as error:
            raise ValueError(str(error)) from error
        return text


class Environment(BaseModel):
    """One environment; see environments.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tags: list[str] = Field(min_length=1)
    policy: Policy
    values: dict[str, Any]
    services: dict[str, dict[str, Any]] = {}

    @field_validator("tags")
    @classmethod
    def _placeholders(cls, tags: list[str]) -> list[str]:
        for tag in tags:
            wrong = set(re.findall(r"\{([^}]*)\}", tag)) - PLACEHOLDERS
            if wrong or not TAG.fullmatch(re.sub(r"\{[^}]*\}", "0", tag)):
                raise ValueError("expected a tag with {version} and {sha} as its placeholders")
        return tags

    def tags_for(self, version: str, sha: str | None) -> list[str]:
        """An image's tags; those of a commit are left out where none is known.

        Args:
            version: The service's.
            sha: The commit.
        """
        shown = version.replace("+", "-")
        wanted = (tag for tag in self.tags if sha or "{sha}" not in tag)
        return [tag.format(version=shown, sha=sha) for tag in wanted]

    def values_for(self, service: str) -> dict[str, Any]:
        """A service's values: those of all services, and its own over them.

        Args:
            service: Its name.
        """
        return merged(self.values, self.services.get(service, {}))


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    development: Environment
    staging: Environment
    production: Environment


def load(name: EnvironmentName, text: str | None = None) -> Environment:
    """An environment's description.

    Args:
        name: Of it.
        text: What to read instead of environments.yaml.

    Raises:
        DeploymentError: The file is wrong; the message tells file, line and field.
    """
    content = text if text is not None else files("cowabungaai").joinpath(FILE).read_text()
    described = yaml_files.parse(content, FILE, _File, DeploymentError, "environments with tags, policy and values")
    found: Environment = getattr(described, name.value)
    return found


def named(name: str) -> Environment:
    """An environment's description, by its name as somebody types it.

    Args:
        name: Of it; case does not count.

    Raises:
        DeploymentError: There is none of this name; the message lists those that are.
    """
    if name.lower() not in EnvironmentName.__members__:
        listed = ", ".join(EnvironmentName.__members__)
        raise DeploymentError(f"no environment is named {name!r}; the environments are: {listed}")
    return load(EnvironmentName[name.lower()])


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two trees of values, as Helm joins them: mappings key by key, anything else as a whole."""
    result = dict(under)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


class DeployedService(BaseModel):
    """A service in an environment.

    Attributes:
        service: Its name.
        version: Its.
        digest: Of the image's manifest; the same in every environment.
        tags: That the image gets there.
        image: Reference with the first of the tags, and digest.
        values: File with the values of its chart; None where it has no chart.
    """

    model_config = ConfigDict(frozen=True)

    service: str
    version: str
    digest: str
    tags: list[str]
    image: str
    values: str | None


class Deployment(BaseModel):
    """What build-for-env leaves; `schema_version` changes when a reader must change.

    Attributes:
        environment: Its name.
        sha: The commit, where it is known.
        policy: What images must pass.
        services: That are deployed.
        unrouted: Services that the gateway's values do not name, and why; none where environments.yaml names its
            models, or where no gateway was built.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    environment: str
    sha: str | None
    policy: Policy
    services: list[DeployedService]
    unrouted: list[LeftOut] = []


def known_values(chart: str, values: str, library: str) -> dict[str, Any]:
    """What values a chart has, with their defaults: its own, and those that it imports.

    Args:
        chart: Text of its Chart.yaml.
        values: Text of its values.yaml.
        library: Text of the values.yaml of the chart that it imports from.
    """
    known = yaml.safe_load(values) or {}
    exports = (yaml.safe_load(library) or {}).get("exports", {})
    for dependency in (yaml.safe_load(chart) or {}).get("dependencies", []):
        for name in dependency.get("import-values", []):
            known = merged(exports.get(name, {}), known)
    return known


def chart_values(
    environment: Environment,
    service: str,
    known: Mapping[str, Any],
    image: str,
    follows: Mapping[str, Any] | None = None,
) -> str:
    """A values file for a service's chart, as YAML.

    Args:
        environment: The environment.
        service: Its name.
        known: The chart's values, as known_values has them.
        image: Reference of the image, with tag and digest.
        follows: Values that follow from the image's flavor, and from what was built; those of the environment count
            more.

    Raises:
        DeploymentError: A value is none of the chart's; the message lists those that are.
    """
    values = environment.values_for(service)
    check_values(environment, {service: known})
    return yaml.safe_dump({"image": image, **merged(follows or {}, values)}, sort_keys=False)


def check_values(environment: Environment, charts: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Refuse values that charts do not have.

    Args:
        environment: The environment.
        charts: By service, the values of its chart, as known_values has them; None where it has none.

    Raises:
        DeploymentError: A value is none of the chart's; the message lists those that are.
    """
    problems: list[str] = []
    for service, known in charts.items():
        if known is not None:
            problems += _unknown(environment.values_for(service), known, service, ())
    if problems:
        raise DeploymentError("\n".join(problems))


def _unknown(values: Mapping[str, Any], known: Mapping[str, Any], service: str, path: tuple[str, ...]) -> list[str]:
    problems = []
    for key, value in values.items():
        place = ".".join((*path, key))
        if key not in known:
            listed = ", ".join(map(str, known))
            problems.append(f"{FILE}: {service}: the chart has no value {place!r}; here it has: {listed}")
        # An empty mapping of the chart is one that users fill as they like.
        elif isinstance(value, Mapping) and isinstance(known[key], Mapping) and known[key]:
            problems += _unknown(value, known[key], service, (*path, key))
    return problems
