# SPDX-License-Identifier: Apache-2.0
"""Provenance: the form that SLSA and in-toto ask for, and what is in it."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cowabungaai import provenance
from cowabungaai.errors import ReleaseError
from cowabungaai.provenance import Build, Debian, Described, Digested
from cowabungaai.signing import parse_parameters

ROOT = Path(__file__).parents[2]
ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
LISTING = f"{TWO}  services/api/requirements.lock\n{THREE}  services/api/src/a.py\n{ONE}  toolchain/go/zarf/go.sum\n"
DESCRIBED = Described(
    name="zarf-package-cowabungaai-api-amd64-0.1.0.tar.zst",
    sha256=ONE,
    size=1234,
    root=Digested(name="zarf.yaml", sha256=TWO),
    images=[Digested(name="ghcr.io/cowabungaai/api:0.1.0", sha256=THREE)],
    models=[Digested(name="gemma", sha256=TWO)],
    bases=[Digested(name="registry.example/python:3.13", sha256=TWO)],
    debian=[Debian(name="zlib1g", version="1:1.3+1-1", architecture="amd64", sha256=THREE)],
)
BUILD = Build(
    module_version="0.1.0",
    engine_version="v0.21.8",
    sha="a" * 40,
    base_images={"python:3.13-slim-trixie": f"sha256:{ONE}"},
    listing=LISTING,
)
DIGESTS = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]+$"}}
RESOURCE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "uri": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:"},
        "digest": DIGESTS,
        "content": {"type": "string"},
        "downloadLocation": {"type": "string"},
        "mediaType": {"type": "string"},
        "annotations": {"type": "object"},
    },
    "anyOf": [{"required": ["uri"]}, {"required": ["digest"]}, {"required": ["content"]}],
    "additionalProperties": False,
}
# What the specifications ask for: in-toto's statement and resource descriptor, SLSA's predicate, all version 1.
SCHEMA = {
    "type": "object",
    "required": ["_type", "subject", "predicateType", "predicate"],
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {"type": "array", "minItems": 1, "items": {**RESOURCE, "required": ["digest"]}},
        "predicateType": {"const": "https://slsa.dev/provenance/v1"},
        "predicate": {
            "type": "object",
            "required": ["buildDefinition", "runDetails"],
            "properties": {
                "buildDefinition": {
                    "type": "object",
                    "required": ["buildType", "externalParameters"],
                    "properties": {
                        "buildType": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:"},
                        "externalParameters": {"type": "object"},
                        "internalParameters": {"type": "object"},
                        "resolvedDependencies": {"type": "array", "items": RESOURCE},
                    },
                    "additionalProperties": False,
                },
                "runDetails": {
                    "type": "object",
                    "required": ["builder"],
                    "properties": {
                        "builder": {
                            "type": "object",
                            "required": ["id"],
                            "properties": {
                                "id": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:"},
                                "version": {"type": "object", "additionalProperties": {"type": "string"}},
                                "builderDependencies": {"type": "array", "items": RESOURCE},
                            },
                            "additionalProperties": False,
                        },
                        "metadata": {"type": "object"},
                        "byproducts": {"type": "array", "items": RESOURCE},
                    },
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


def made(**changes: Any) -> dict[str, Any]:
    build = BUILD.model_copy(update=changes)
    text = provenance.statement(DESCRIBED, {"service": "api", "flavor": "cpu"}, build).to_json()
    read: dict[str, Any] = json.loads(text)
    return read


def dependencies(statement: dict[str, Any]) -> dict[str, dict[str, str]]:
    found = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    return {one["name"]: one["digest"] for one in found}


def test_a_statement_has_the_form_that_the_specifications_ask_for() -> None:
    Draft202012Validator(SCHEMA).validate(made())


def test_the_subject_is_the_file_and_what_it_stands_on() -> None:
    file, root = made()["subject"]
    assert file == {"name": DESCRIBED.name, "digest": {"sha256": ONE}, "annotations": {"size": "1234"}}
    assert root == {"name": f"{DESCRIBED.name}#zarf.yaml", "digest": {"sha256": TWO}}


def test_everything_that_went_in_is_named_with_its_digest() -> None:
    listed = {"dirHash": hashlib.sha256(LISTING.encode()).hexdigest()}
    assert dependencies(made()) == {
        "sources": {**listed, "gitCommit": "a" * 40},
        "lock:services/api/requirements.lock": {"sha256": TWO},
        "lock:toolchain/go/zarf/go.sum": {"sha256": ONE},
        "base:python:3.13-slim-trixie": {"sha256": ONE},
        "image:ghcr.io/cowabungaai/api:0.1.0": {"sha256": THREE},
        "model:gemma": {"sha256": TWO},
        "base:registry.example/python:3.13": {"sha256": TWO},
        "deb:zlib1g@1:1.3+1-1": {"sha256": THREE},
    }
    assert dependencies(made(sha=""))["sources"] == listed


def test_a_debian_package_has_an_address_that_others_understand() -> None:
    found = made()["predicate"]["buildDefinition"]["resolvedDependencies"]
    (address,) = [one["uri"] for one in found if one["name"].startswith("deb:")]
    assert address == "pkg:deb/debian/zlib1g@1:1.3%2B1-1?arch=amd64"


def test_the_same_build_makes_the_same_text() -> None:
    reordered = Described.model_validate_json(DESCRIBED.model_dump_json())
    texts = {
        provenance.statement(one, order, BUILD).to_json()
        for one in (DESCRIBED, reordered)
        for order in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    }
    assert len(texts) == 1


def test_go_tools_have_the_digests_of_their_go_sum() -> None:
    module = ROOT / "toolchain/go/zarf"
    (found,) = provenance.go_tools([((module / "go.mod").read_text(), (module / "go.sum").read_text())])[:1]
    name, _, version = found.name.removeprefix("go:").partition("@")
    line = f"{name} {version} h1:{base64.b64encode(bytes.fromhex(found.digest['dirHash'])).decode()}"
    assert line in (module / "go.sum").read_text().splitlines()
    assert found.uri == f"pkg:golang/{name}@{version}"


def test_modules_that_only_others_need_are_left_to_go_sum() -> None:
    described = "require a.example/a v1.0.0\nrequire (\n\tb.example/b v2.0.0\n\tc.example/c v3.0.0 // indirect\n)\n"
    digest = base64.b64encode(bytes(32)).decode()
    sums = "".join(
        f"{name} v{number}.0.0 h1:{digest}\n"
        for number, name in enumerate(("a.example/a", "b.example/b", "c.example/c"), 1)
    )
    names = [one.name for one in provenance.go_tools([(described, sums)])]
    assert names == ["go:a.example/a@v1.0.0", "go:b.example/b@v2.0.0"]


@pytest.mark.parametrize("digest", ["", "12", "Z" * 64, "sha256:" + ONE])
def test_what_is_no_digest_makes_no_provenance(digest: str) -> None:
    wrong = DESCRIBED.model_copy(update={"sha256": digest})
    with pytest.raises(ReleaseError, match="provenance of zarf-package-cowabungaai-api"):
        provenance.statement(wrong, {}, BUILD)


def test_a_description_that_is_none_is_told() -> None:
    with pytest.raises(ReleaseError, match="courier describe"):
        provenance.parse_description("{}")


@pytest.mark.parametrize("text", ["", "[]", "{", "1"])
def test_parameters_are_a_json_object(text: str) -> None:
    with pytest.raises(ReleaseError, match="--parameters"):
        parse_parameters(text)
