# SPDX-License-Identifier: Apache-2.0
"""Provenance: the form that SLSA and in-toto ask for, and what is in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
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


def sums(*modules: str) -> str:
    """A go.sum; the digest of each module is its number."""
    return "".join(
        f"{module} h1:{base64.b64encode(bytes([number] * 32)).decode()}\n{module}/go.mod h1:x=\n"
        for number, module in enumerate(modules)
    )


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
    known = sums("a.example/a v1.0.0", "b.example/b v2.0.0", "c.example/c v3.0.0")
    names = [one.name for one in provenance.go_tools([(described, known)])]
    assert names == ["go:a.example/a@v1.0.0", "go:b.example/b@v2.0.0"]


@pytest.mark.parametrize("file", sorted(ROOT.glob("toolchain/go/*/go.mod")), ids=lambda file: str(file.parent.name))
def test_what_is_compiled_for_each_tool_of_this_repository_is_named(file: Path) -> None:
    named = [
        one.name.removeprefix("go:").partition("@")[0]
        for one in provenance.go_tools([(file.read_text(), file.with_name("go.sum").read_text())])
    ]
    build = file.with_name("build.json")
    programs = json.loads(build.read_text())["binaries"].values() if build.exists() else []
    # The others are our own, among the sources.
    packages = {one["package"] for one in programs} - {"."}
    assert packages == {package for package in packages for name in named if f"{package}/".startswith(f"{name}/")}


BLOCKS = """\
module own.example/tools
tool (
	a.example/a/cmd/one
	a.example/a/cmd/two // with a comment
	own.example/tools/cmd/three
)
tool b.example/b
require(
	a.example/a v1.0.0 // indirect
	a.example v1.0.0 // indirect; as it is
	c.example/c v1.0.0 // pinned for a reason
)
require b.example/b v1.0.0 // indirect
require d.example/d v1.0.0
require e.example/e v1.0.0
replace (
	b.example/b => fork.example/b v2.0.0
	d.example/d v1.0.0 => ./shims/d
)
replace e.example/e v0.9.0 => ./shims/e
"""


def test_blocks_comments_and_replacements_are_read() -> None:
    found = provenance.go_tools(
        [(BLOCKS, sums("a.example/a v1.0.0", "c.example/c v1.0.0", "e.example/e v1.0.0", "fork.example/b v2.0.0"))]
    )
    assert {one.name: (one.uri, one.digest["dirHash"][:2]) for one in found} == {
        "go:a.example/a@v1.0.0": ("pkg:golang/a.example/a@v1.0.0", "00"),
        "go:c.example/c@v1.0.0": ("pkg:golang/c.example/c@v1.0.0", "01"),
        "go:e.example/e@v1.0.0": ("pkg:golang/e.example/e@v1.0.0", "02"),
        "go:fork.example/b@v2.0.0": ("pkg:golang/fork.example/b@v2.0.0", "03"),
    }


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ("module m\ntool a.example/b/cmd\n", "go.mod of m: no module with the tool a.example/b/cmd is required"),
        ("module m\nrequire a.example/b v1.0.0\n", "go.sum of m has no h1: digest of a.example/b v1.0.0"),
        (
            "module m\nrequire a.example/a v1.0.0\nreplace a.example/a => b.example/b v2.0.0\n",
            "go.sum of m has no h1: digest of b.example/b v2.0.0",
        ),
    ],
)
def test_a_tool_whose_module_or_digest_is_unknown_makes_no_provenance(described: str, told: str) -> None:
    with pytest.raises(ReleaseError, match=re.escape(told)):
        provenance.go_tools([(described, sums("a.example/a v1.0.0"))])


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
