"""Reads what the runtime must know of a Python module, by the rules of the official runtime.

Usage: discover.py MODULE_FOLDER FACTS_FOLDER MODULE_NAME DEPENDENCIES_JSON
Writes one file per fact: base-image, package, main-object, use-uv, and copies of the lock files.
"""

import json
import re
import shutil
import sys
import tomllib
from pathlib import Path

DEFAULT_IMAGE = "python:3.13-slim-trixie"
LOCKS = ("uv.lock", "requirements.lock")


def words(name: str) -> list[str]:
    """The words of a name in camel, snake, kebab or spaced form."""
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)


def main_object(name: str) -> str:
    """Name of the module's main class: the module's name in PascalCase."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))


def package_name(project: str) -> str:
    """Import package of a distribution's name."""
    return re.sub(r"[^a-z0-9_]", "", re.sub(r"[-_.]+", "_", project.lower())).strip("_")


def base_image(config: dict[str, object], requires_python: str, pinned: str) -> str:
    """Image to start from: configured, else by the Python version that the module asks for, else the default."""
    if configured := config.get("base-image"):
        return str(configured)
    minimum = re.fullmatch(r"(?:==|>=)\s*([0-9.]+)\s*", requires_python)
    version = pinned or (minimum.group(1) if minimum else "")
    return f"python:{version}-slim" if version else DEFAULT_IMAGE


def discover(module: Path, name: str, dependencies: list[str]) -> dict[str, str]:
    """All facts of a module.

    Raises:
        ValueError: It cannot run in this engine; the message says why.
    """
    if dependencies:
        raise ValueError(
            f"module {name!r} depends on {', '.join(dependencies)}: this engine's Python runtime generates no "
            "bindings for other modules. Use an engine with the official runtime."
        )
    file = module / "pyproject.toml"
    if not file.is_file():
        raise ValueError(f"module {name!r} has no pyproject.toml beside its sources")
    project = tomllib.loads(file.read_text())
    metadata, config = project.get("project", {}), project.get("tool", {}).get("dagger", {})
    version_file = module / ".python-version"
    pinned = version_file.read_text().strip() if version_file.is_file() else ""
    kebab = "-".join(words(main_object(name))).lower()
    return {
        "base-image": base_image(config, metadata.get("requires-python", "").strip(), pinned),
        "package": package_name(metadata.get("name", kebab)),
        "main-object": main_object(name),
        "use-uv": "yes" if config.get("use-uv", True) else "no",
    }


def main(module: Path, facts: Path, name: str, dependencies: str) -> None:
    """Write the facts of a module."""
    facts.mkdir(parents=True)
    for fact, value in discover(module, name, json.loads(dependencies)).items():
        (facts / fact).write_text(value)
    for lock in (*LOCKS, "pyproject.toml"):
        if (module / lock).is_file():
            shutil.copy(module / lock, facts)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])
    except (ValueError, tomllib.TOMLDecodeError) as error:
        sys.exit(str(error))
