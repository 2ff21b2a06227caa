# SPDX-License-Identifier: Apache-2.0
"""Checks a model's folder, or describes one that has no manifest: `python describe_model.py FOLDER OUT [ID LICENCE]`.

OUT gets manifest.json, and facts.json: what it says, and the digest that names the weights. Needs nothing but Python's
standard library.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from cowabungaai_sdk import manifest as manifests
from cowabungaai_sdk.manifest import NAME, Manifest, ModelError


def described(folder: Path, model_id: str, licence: str) -> Manifest:
    """What a folder holds, every file checked.

    Args:
        folder: of the model.
        model_id: the id, where the folder has no manifest.
        licence: of the weights, where the folder has no manifest.

    Raises:
        ModelError: the folder is not as its manifest says, has none and no id and licence are given, or has both.
    """
    manifest = manifests.read(folder)
    given = bool(model_id or licence)
    if manifest is None:
        if not (model_id and licence):
            raise ModelError(
                f"the model has no {NAME}: give its id and its licence, or add it by `./cowabunga models add`"
            )
        return manifests.describe(folder, model_id, licence)
    if given and (manifest.id, manifest.licence) != (model_id or manifest.id, licence or manifest.licence):
        raise ModelError(
            f"{NAME} says {manifest.id!r}, licence {manifest.licence!r}; given were {model_id!r}, {licence!r}. "
            "Leave them out"
        )
    manifests.verify(folder, manifest)
    return manifest


def main(folder: str, out: str, model_id: str = "", licence: str = "") -> None:
    """Write what was found."""
    manifest = described(Path(folder), model_id, licence)
    target = Path(out)
    target.mkdir(parents=True, exist_ok=True)
    (target / NAME).write_text(manifest.to_json())
    (target / "facts.json").write_text(json.dumps({**asdict(manifest), "digest": manifest.digest}))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ModelError as error:
        sys.exit(f"error: {error}")
