# SPDX-License-Identifier: Apache-2.0
"""Bills of materials without what chance and the clock put into them: the same bytes for the same image."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections import Counter, defaultdict
from typing import Any

UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[1-7][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b")
TIME = re.compile(r"\b20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]+)?(Z|\+00:00)")
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/awdemos/cowabungaai/sbom")


def reproducible(text: str, seed: str, time: str) -> str:
    """A document whose random identifiers, times and order are always the same for the same image.

    Args:
        text: Of the document.
        seed: What tells images apart, such as the digest.
        time: Put in place of all times, such as 2025-08-09T00:00:00Z.
    """
    named = _descriptions(json.loads(text))
    for identifier in UUID.findall(text):
        named.setdefault(identifier, f"document {len(named)}")
    document = json.loads(TIME.sub(time, UUID.sub(lambda found: _identifier(seed, named[found[0]]), text)))
    # CycloneDX lists are in the order of the random identifiers.
    for part, key in (("components", "bom-ref"), ("dependencies", "ref")):
        if part in document:
            document[part] = sorted(document[part], key=lambda one: str(one.get(key)))
    for dependency in document.get("dependencies", []):
        dependency["dependsOn"] = sorted(dependency.get("dependsOn", []))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _descriptions(document: dict[str, Any]) -> dict[str, str]:
    """What tells each component from all others, by its bom-ref: what it is, and what it is connected with.

    A package that is in an image twice has two components, whose identifiers are random. They may differ by nothing
    but what depends on them, or on what they depend, so that components are described by their neighbours' descriptions
    as well, until nothing more is told apart.
    """
    components = [document.get("metadata", {}).get("component", {}), *document.get("components", [])]
    found = {one["bom-ref"]: _digest({**one, "bom-ref": None}) for one in components if "bom-ref" in one}
    needs, needed = defaultdict(list), defaultdict(list)
    for dependency in document.get("dependencies", []):
        for other in dependency.get("dependsOn", []):
            needs[dependency["ref"]].append(other)
            needed[other].append(dependency["ref"])
    while True:
        told_apart = len(set(found.values()))
        found = {
            ref: _digest([told, *(sorted(found.get(other, "") for other in links[ref]) for links in (needs, needed))])
            for ref, told in found.items()
        }
        counts = Counter(found.values())
        if len(counts) > told_apart:
            continue
        alike = [told for told, number in counts.items() if number > 1]
        if not alike:
            return found
        # It makes no difference which of them it is; but what is connected with it is to be told by that.
        chosen = min(alike)
        found[next(ref for ref, told in found.items() if told == chosen)] = _digest([chosen, "chosen"])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _identifier(seed: str, name: str) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{seed} {name}"))
