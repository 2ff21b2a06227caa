# SPDX-License-Identifier: Apache-2.0
"""Whether the definitions in each chart's values.schema.json are those of packages/common/values.schema.json.

Helm reads no other file than a chart's own, and so what is shared stands in all of them; `--write` brings it there. A
chart that refers to no definition keeps its schema as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linters.finding import Finding, tell

SHARED = "packages/common/values.schema.json"
CHARTS = "packages/*/chart/values.schema.json"
REFERENCE = '"#/definitions/'
WRITE = "python3 -m linters.chart_schemas --write"


def written(schema: dict[str, Any]) -> str:
    """A schema as it stands in its file: a line for each definition and property.

    Args:
        schema: Of a chart's values.
    """
    parts = []
    for key, value in schema.items():
        if key in ("definitions", "properties"):
            lines = (f"    {json.dumps(name)}: {json.dumps(part)}" for name, part in sorted(value.items()))
            parts.append(f'  "{key}": {{\n' + ",\n".join(lines) + "\n  }")
        else:
            parts.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def findings(root: Path, *, write: bool = False) -> Iterator[Finding]:
    """Schemas whose definitions are not as they should be.

    Args:
        root: Of the repository.
        write: Whether they are brought to it, so that nothing is found.
    """
    shared = json.loads((root / SHARED).read_text())
    for file in sorted(root.glob(CHARTS)):
        text = file.read_text()
        name = str(file.relative_to(root))
        if REFERENCE not in text:
            continue
        try:
            wanted = written(json.loads(text) | {"definitions": shared["definitions"]})
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            yield Finding(name, 1, f"expected a JSON schema with properties: {error}")
            continue
        if text == wanted:
            continue
        if write:
            file.write_text(wanted)
            continue
        lines = zip([*text.splitlines(), ""], [*wanted.splitlines(), ""], strict=False)
        line = next((number for number, (is_, should) in enumerate(lines, 1) if is_ != should), 1)
        yield Finding(name, line, f"is not as {SHARED} says; run `{WRITE}` with dagger/src in PYTHONPATH")


def main(arguments: list[str]) -> int:
    """Check all schemas, or write them.

    Args:
        arguments: `--write`, or none.

    Returns:
        The exit code: 1 where something was found.
    """
    return tell(findings(Path(), write=arguments == ["--write"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
