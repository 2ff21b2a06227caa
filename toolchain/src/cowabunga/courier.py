# SPDX-License-Identifier: Apache-2.0
"""The operator's program, `courier`, behind the launcher: the same commands, built first where the cache has none."""

from __future__ import annotations

import os
from collections.abc import Callable

import typer

from cowabunga import gotools

# What a release folder carries as tools/courier, too; its own exit codes go through.
COMMANDS = {
    "verify": "Check offline that what has arrived is what was made: signature, checksums, provenance, SBOMs, weights.",
    "split": "Split a file or a release folder over media: ./cowabunga split dist --size dvd --output media",
    "join": "Put split media together again, and check them: ./cowabunga join media/medium-* --output dist",
    "diff": "Tell what changed between two releases, or make a delta of them with --differential.",
    "apply": "Make the new release from the old one and a delta: ./cowabunga apply OLD DELTA --output NEW",
}


def add_commands(app: typer.Typer, settings: dict[str, object]) -> None:
    """Give the launcher courier's commands; arguments and `--help` go to courier.

    Args:
        app: The launcher's command line.
        settings: Of commands that pass everything on.
    """
    for name, text in COMMANDS.items():
        app.command(name, context_settings=settings, help=text)(_command(name))


def _command(name: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        program = gotools.ensure("courier") / "courier"
        os.execv(program, [str(program), name, *context.args])  # noqa: S606 - arguments are passed as they are, no shell

    return command
