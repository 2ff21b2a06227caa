# SPDX-License-Identifier: Apache-2.0
"""UDS bundles against the schema that uds-cli publishes: `bundles.py uds.schema.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import ValidationError, validators

from linters.finding import Finding, tell
from linters.places import line_of

BUNDLES = "bundles/*/uds-bundle.yaml"


def findings_of(file: str, text: str, schema: dict[str, Any]) -> Iterator[Finding]:
    """What is wrong with a bundle.

    Args:
        file: Its path.
        text: What it says.
        schema: uds-cli's.
    """
    try:
        bundle = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        yield Finding(file, error.problem_mark.line + 1 if error.problem_mark else 1, f"no YAML: {error.problem}")
        return
    for mistake in validators.validator_for(schema)(schema).iter_errors(bundle):
        path = list(mistake.absolute_path)
        place = ".".join(map(str, path)) or "the bundle"
        yield Finding(file, line_of(text, [*path, *_unknown_key(mistake)]), f"{place}: {mistake.message}")


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
    files = sorted(Path().glob(BUNDLES))
    return tell(finding for file in files for finding in findings_of(str(file), file.read_text(), schema))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
