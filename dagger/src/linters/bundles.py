# SPDX-License-Identifier: Apache-2.0
"""UDS bundles against the schema that uds-cli publishes, and their variants: `bundles.py uds.schema.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonschema import ValidationError, validators
from yaml.reader import ReaderError

from linters.finding import Finding, tell
from linters.places import line_of

BUNDLES = "bundles/*/uds-bundle.yaml"
SERVICES = "services/*/service.yaml"
VARIANTS = "variants.yaml"
# What `--variant` may name. Of services without the flavor gpu a variant gpu has the other one.
CPU, GPU = "cpu", "gpu"
KNOWN = (CPU, GPU, "small")
PREFIX = "cowabungaai-"


def findings_of(file: str, text: str, schema: dict[str, Any]) -> Iterator[Finding]:
    """What is wrong with a bundle.

    Args:
        file: Its path.
        text: What it says.
        schema: uds-cli's.
    """
    try:
        bundle = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        yield _unreadable(file, text, error)
        return
    for mistake in validators.validator_for(schema)(schema).iter_errors(bundle):
        path = list(mistake.absolute_path)
        place = ".".join(map(str, path)) or "the bundle"
        yield Finding(file, line_of(text, [*path, *_unknown_key(mistake)]), f"{place}: {mistake.message}")


def _unreadable(file: str, text: str, error: yaml.YAMLError | ValueError) -> Finding:
    if isinstance(error, ReaderError):
        # It has a position instead of a line, and a number instead of what cannot be shown.
        line = text.count("\n", 0, error.position) + 1
        return Finding(file, line, f"no YAML: character U+{error.character:04X}: {error.reason}")
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return Finding(file, mark.line + 1 if mark else 1, f"no YAML: {problem or error}")


def variants_of(file: str, text: str, flavors: Mapping[str, Sequence[str]], definition: str) -> Iterator[Finding]:
    """What is wrong with a bundle's variants.

    Args:
        file: Path of its variants.yaml.
        text: What that says.
        flavors: Of each service.
        definition: What its uds-bundle.yaml says.
    """
    try:
        variants = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        yield _unreadable(file, text, error)
        return
    if not isinstance(variants, dict):
        yield Finding(file, 1, "expected a list of services for each variant")
        return
    packages = _packages(definition)
    for variant, services in variants.items():
        if variant not in KNOWN:
            yield Finding(file, line_of(text, [variant]), f"{variant}: expected one of {', '.join(KNOWN)}")
        if not isinstance(services, list) or not services:
            yield Finding(file, line_of(text, [variant]), f"{variant}: expected a list of services")
            continue
        for number, service in enumerate(services):
            if wrong := _wrong(variant, service, services[:number], flavors, packages):
                yield Finding(file, line_of(text, [variant, number]), f"{variant}.{number}: {wrong}")


def _wrong(
    variant: str, service: object, before: list[Any], flavors: Mapping[str, Sequence[str]], packages: list[str] | None
) -> str | None:
    """What is wrong with a service of a variant."""
    if not isinstance(service, str) or service not in flavors:
        return f"expected one of {', '.join(sorted(flavors))}, got {service!r}"
    if service in before:
        return f"{service} is named twice"
    if variant != GPU and CPU not in flavors[service]:
        return f"{service} has no flavor {CPU}; it has: {', '.join(flavors[service])}"
    if packages is not None and PREFIX + service not in packages:
        return f"the bundle has no package {PREFIX}{service}"
    return None


def _packages(definition: str) -> list[str] | None:
    """Names of the packages of a bundle; None where it is wrong, which is told by itself."""
    try:
        return [package["name"] for package in yaml.safe_load(definition)["packages"]]
    except (yaml.YAMLError, ValueError, KeyError, TypeError):
        return None


def _flavors(files: Sequence[Path]) -> dict[str, list[str]]:
    """Flavors of each service; all of one whose service.yaml is wrong, which another check tells."""
    found = {}
    for file in files:
        try:
            found[file.parent.name] = [str(flavor) for flavor in yaml.safe_load(file.read_text())["flavors"]]
        except (yaml.YAMLError, ValueError, KeyError, TypeError):
            found[file.parent.name] = [CPU, GPU]
    return found


def check(file: Path, schema: dict[str, Any], flavors: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """What is wrong with a bundle, and with the variants beside it.

    Args:
        file: Its uds-bundle.yaml.
        schema: uds-cli's.
        flavors: Of each service.
    """
    definition, variants = _decoded(file), file.with_name(VARIANTS)
    if isinstance(definition, Finding):
        yield definition
        definition = ""
    else:
        yield from findings_of(str(file), definition, schema)
    if not variants.is_file():
        yield Finding(str(variants), 1, "no such file; expected a list of services for each variant")
    elif isinstance(text := _decoded(variants), Finding):
        yield text
    else:
        yield from variants_of(str(variants), text, flavors, definition)


def _decoded(file: Path) -> str | Finding:
    """What a file says, or where it is no text."""
    content = file.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Finding(str(file), line, f"not UTF-8: byte 0x{content[error.start]:02X}")


def _unknown_key(mistake: ValidationError) -> list[str]:
    """The key that should not be there, whose own line is then the one to tell."""
    instance: Any = mistake.instance
    if mistake.validator != "additionalProperties" or not isinstance(instance, dict):
        return []
    return [key for key in instance if repr(key) in mistake.message][:1]


def main(arguments: list[str]) -> int:
    """Check all bundles.

    Args:
        arguments: The schema's file.

    Returns:
        The exit code: 1 where something was found.
    """
    schema = json.loads(Path(arguments[0]).read_text())
    flavors = _flavors(sorted(Path().glob(SERVICES)))
    return tell(finding for file in sorted(Path().glob(BUNDLES)) for finding in check(file, schema, flavors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
