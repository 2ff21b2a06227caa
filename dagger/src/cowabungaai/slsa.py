# SPDX-License-Identifier: Apache-2.0
"""The forms of in-toto's statement and SLSA's provenance, both version 1, as far as they are used.

They are those of https://slsa.dev/spec/v1.1/provenance and of in-toto's attestation framework.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
HEX = r"^([0-9a-f]{2})+$"

Hex = Annotated[str, Field(pattern=HEX)]
Uri = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9+.-]*:.+$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Resource(_Model):
    """A thing that has a digest, or an address, or both.

    Attributes:
        name: What people and checks call it.
        uri: Where it comes from, or what it is.
        digest: Algorithm to hexadecimal digits.
        annotations: What else is known.
    """

    name: str = Field(default="", exclude_if=lambda value: not value)
    uri: Uri | None = None
    digest: dict[str, Hex] = Field(default={}, exclude_if=lambda value: not value)
    annotations: dict[str, str] = Field(default={}, exclude_if=lambda value: not value)

    @model_validator(mode="after")
    def _identified(self) -> Resource:
        if not self.digest and self.uri is None:
            raise ValueError(f"{self.name!r} has neither a digest nor a uri")
        if "sha256" in self.digest and len(self.digest["sha256"]) != 64:
            raise ValueError(f"{self.name!r}: a SHA-256 has 64 digits, got {len(self.digest['sha256'])}")
        return self


class BuildDefinition(_Model):
    """What was asked for, and what went in.

    Attributes:
        build_type: How to read the parameters.
        external_parameters: The arguments of the call.
        resolved_dependencies: Everything that went in.
    """

    build_type: Uri
    external_parameters: dict[str, Any]
    resolved_dependencies: list[Resource]


class Builder(_Model):
    """Who made it; `version` is of its parts, by their names."""

    id: Uri
    version: dict[str, str]


class RunDetails(_Model):
    """How it was made. There are no times and no id of the run: they would differ between runs that make the same."""

    builder: Builder


class Predicate(_Model):
    """SLSA's provenance."""

    build_definition: BuildDefinition
    run_details: RunDetails


class Subject(Resource):
    """What was made; it always has a name and a digest."""

    @model_validator(mode="after")
    def _digested(self) -> Subject:
        if not self.name or "sha256" not in self.digest:
            raise ValueError("a subject has a name and a sha256")
        return self


class Statement(_Model):
    """An in-toto statement."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(default=STATEMENT_TYPE, alias="_type")
    subject: list[Subject] = Field(min_length=1)
    predicate_type: Literal["https://slsa.dev/provenance/v1"] = PREDICATE_TYPE
    predicate: Predicate

    def to_json(self) -> str:
        """The statement's text; the same for the same statement."""
        return json.dumps(self.model_dump(by_alias=True, exclude_none=True), sort_keys=True, indent=1) + "\n"
