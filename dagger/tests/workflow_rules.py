# SPDX-License-Identifier: Apache-2.0
"""What every workflow of GitHub Actions must keep to; actionlint knows the rest."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import dagger_commands
import yaml

WITH_VERSION = re.compile(r"uses:\s+\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
# A workflow of this repository, at the same commit.
OURS = "uses: ./.github/workflows/"
DAGGER = "dagger/dagger-for-github@"
CHECKOUT = "actions/checkout@"
# Of a script, the words of each dagger command, whose lines may be continued.
COMMAND = re.compile(r"(?:^|[|;(]|\$\(|&&)\s*dagger (?P<words>(?:\\\n|[^|;\n)])*)", re.MULTILINE)


# What a job that may write does with it.
NEEDS = {"contents": "gh release create", "packages": "with-registry-auth", "security-events": "upload-sarif"}


def problems(text: str, engine: str) -> list[str]:
    """What is wrong with a workflow.

    Args:
        text: Of its file.
        engine: The version that dagger.json asks for.
    """
    workflow: Mapping[Any, Any] = yaml.safe_load(text)
    # YAML 1.1 reads the key `on` as true.
    triggers = workflow.get("on", workflow.get(True))
    found = list(_whole(workflow, set(triggers), text))
    for name, job in workflow["jobs"].items():
        found += [f"{name}: {line}" for line in _job(job, engine)]
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\buses:\s", line) and OURS not in line and not WITH_VERSION.search(line):
            found.append(f"line {number}: expected uses: NAME@<40 hex digits> # vX.Y.Z, got {line.strip()!r}")
    return found


def _whole(workflow: Mapping[Any, Any], triggers: set[str], text: str) -> Iterator[str]:
    if "pull_request_target" in triggers:
        yield "pull_request_target gives a fork's code the repository's rights"
    if triggers & {"pull_request", "workflow_call"} and re.search(r"\bsecrets\b", text):
        yield "secrets in what runs for pull requests"
    permissions = workflow.get("permissions")
    if not isinstance(permissions, dict) or "write" in permissions.values():
        yield "expected permissions at the top that write nothing"
    concurrency = workflow.get("concurrency")
    if triggers == {"workflow_call"}:
        if concurrency is not None:
            yield "concurrency in what is called would wait for its caller"
    elif not isinstance(concurrency, dict) or not {"group", "cancel-in-progress"} <= concurrency.keys():
        yield "expected concurrency with group and cancel-in-progress"


def _job(job: Mapping[str, Any], engine: str) -> Iterator[str]:
    # GitHub takes no timeout of a job that calls a workflow.
    for key in ("permissions",) if "uses" in job else ("permissions", "timeout-minutes"):
        if key not in job:
            yield f"expected {key}"
    written = [scope for scope, right in (job.get("permissions") or {}).items() if right == "write"]
    for scope in written if "uses" not in job else ():
        if scope not in NEEDS or NEEDS[scope] not in str(job["steps"]):
            yield f"it may write {scope} and does nothing for which it needs that"
    if "secrets." in str(job) and "environment" not in job:
        yield "secrets outside an environment"
    steps = job.get("steps", [])
    for step in steps:
        used = step.get("uses", "")
        if used.startswith(DAGGER) and step.get("with", {}).get("version") != engine:
            yield f"expected version {engine} of dagger, as in dagger.json"
        if used.startswith(CHECKOUT) and step.get("with", {}).get("persist-credentials") is not False:
            yield "expected a checkout with persist-credentials: false"
        if "${{" in step.get("run", ""):
            yield "an expression inside a script; give it as a variable"
    commands = [found["words"] for step in steps for found in COMMAND.finditer(step.get("run", ""))]
    if "uses" not in job:
        found = [sum(step.get("uses", "").startswith(action) for step in steps) for action in (CHECKOUT, DAGGER)]
        if [*found, len(commands)] != [1, 1, 1]:
            told = f"{found[0]} checkouts, {found[1]} of {DAGGER.rstrip('@')}, {len(commands)} dagger commands"
            yield f"expected one checkout, one {DAGGER.rstrip('@')} and one dagger command; got {told}"
    for command in commands:
        yield from _command(command)


def _command(command: str) -> Iterator[str]:
    words = shlex.split(command.replace("\\\n", " "))
    if words[:1] == ["query"]:
        yield from (line for one in words[1:] if "{" in one for line in dagger_commands.wrong_query(one))
    else:
        yield from (f"dagger {shlex.join(words)}: {line}" for line in dagger_commands.problems(words))
