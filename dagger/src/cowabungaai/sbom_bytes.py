# SPDX-License-Identifier: Apache-2.0
"""Bills of materials without what chance and the clock put into them: the same bytes for the same image."""

from __future__ import annotations

import json
import re
import uuid
from itertools import count

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
    known: dict[str, str] = {}

    def stable(identifier: str, what: str) -> None:
        names = (f"{seed} {what} {number}" for number in count())
        made = (str(uuid.uuid5(NAMESPACE, name)) for name in names)
        known[identifier] = next(one for one in made if one not in known.values())

    document = json.loads(text)
    main = document.get("metadata", {}).get("component", {})
    for component in (main, *document.get("components", [])):
        if UUID.fullmatch(component.get("bom-ref", "")):
            stable(component["bom-ref"], " ".join(str(component.get(key)) for key in ("type", "name", "version")))
    for identifier in UUID.findall(text):
        if identifier not in known:
            stable(identifier, "document")
    document = json.loads(TIME.sub(time, UUID.sub(lambda found: known[found[0]], text)))
    # CycloneDX lists are in the order of the random identifiers.
    for part, key in (("components", "bom-ref"), ("dependencies", "ref")):
        if part in document:
            document[part] = sorted(document[part], key=lambda one: str(one.get(key)))
    for dependency in document.get("dependencies", []):
        dependency["dependsOn"] = sorted(dependency.get("dependsOn", []))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
