"""Installs a module's dependencies, then the module, by the rules of the official runtime.

Usage: install.py dependencies|module
uv.lock wins over requirements.lock; without either, dependencies are resolved anew. The two steps are apart so that a
change of the module's sources leaves the installed dependencies as they are.
"""

import subprocess
import sys
from pathlib import Path

CLIENT = "dagger-io==0.21.8"
FACTS = Path("/facts")
EXPORTED = Path("/tmp/requirements.txt")  # noqa: S108 - inside a container of its own
VENV = Path("/opt/venv")


def run(*command: str) -> None:
    """Run a program; its failure ends this one."""
    finished = subprocess.run(command, check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


def installer(*, uv: bool, venv: bool) -> list[str]:
    """The command that installs requirements."""
    if not uv:
        return ["pip", "install"]
    return ["uv", "pip", "install", *(["--python", str(VENV)] if venv else [])]


def dependencies(facts: Path) -> None:
    """Install what the module's lock file names, and the client library."""
    uv = (facts / "use-uv").read_text() == "yes"
    if uv and (facts / "uv.lock").is_file():
        run("uv", "venv", str(VENV))
        export = ["uv", "export", "--frozen", "--no-dev", "--no-emit-project", "--no-emit-package", "dagger-io"]
        run(*export, "--project", str(facts), "--output-file", str(EXPORTED))
        run(*installer(uv=True, venv=True), "--no-deps", "-r", str(EXPORTED))
        run(*installer(uv=True, venv=True), CLIENT)
    elif uv and (facts / "requirements.lock").is_file():
        run(*installer(uv=True, venv=False), "--no-deps", "-r", str(facts / "requirements.lock"), CLIENT)
    else:
        run(*installer(uv=uv, venv=False), CLIENT)


def module(facts: Path) -> None:
    """Install the module in the working directory, so that it runs from its sources."""
    uv = (facts / "use-uv").read_text() == "yes"
    venv = uv and (facts / "uv.lock").is_file()
    locked = venv or (uv and (facts / "requirements.lock").is_file())
    run(*installer(uv=uv, venv=venv), *(["--no-deps"] if locked else []), "-e", ".")
    if uv:
        run("uv", "pip", "check", *(["--python", str(VENV)] if venv else []))
    else:
        run("pip", "check")
    # Bytecode of the module itself, which installers leave out where it runs from its sources.
    run(str(VENV / "bin/python") if venv else "python", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", ".")


if __name__ == "__main__":
    {"dependencies": dependencies, "module": module}[sys.argv[1]](FACTS)
