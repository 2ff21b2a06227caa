# SPDX-License-Identifier: Apache-2.0
"""What all functions share: their arguments' types, and the project that they work on."""

from __future__ import annotations

from typing import Annotated

import dagger
from dagger import DefaultPath, Doc, Ignore

from cowabungaai import lint
from cowabungaai.sources import Project, load_project

Service = Annotated[str, Doc("Name of a service, as in `services`")]
Flavor = Annotated[str, Doc("cpu or gpu, where the service has both")]
Source = Annotated[
    dagger.Directory,
    Doc("Root of the repository"),
    DefaultPath("/"),
    Ignore(
        [
            "*",
            "!services",
            "!packages",
            "!bundles",
            "!docs/charts.md",
            "!toolchain/go",
            "!toolchain/images",
            "!toolchain/requirements",
            "**/__pycache__",
        ]
    ),
]
Repository = Annotated[
    dagger.Directory,
    Doc("Root of the repository"),
    DefaultPath("/"),
    Ignore(list(lint.LEFT_OUT)),
]
Suite = Annotated[
    dagger.Directory,
    Doc("The conformance suite"),
    DefaultPath("/tests/conformance"),
    Ignore(["**/__pycache__"]),
]
EndToEnd = Annotated[
    dagger.Directory,
    Doc("The suite of the whole stack"),
    DefaultPath("/tests/e2e"),
    Ignore(["**/__pycache__"]),
]
LoadSuite = Annotated[
    dagger.Directory,
    Doc("The load test"),
    DefaultPath("/tests/load"),
    Ignore(["**/__pycache__"]),
]
ExitCode = Annotated[int, Doc("0 returns the reports also where something failed; `passed` in them tells")]
Models = Annotated[
    dagger.Directory | None,
    Doc(
        "Folder of models, SERVICE/ID/manifest.json, that `./cowabunga models path` names, or one like it; services"
        " that have none there have their default one"
    ),
]


class Base:
    """State of the module's object."""

    source: dagger.Directory
    locked: bool

    async def _project(self) -> Project:
        return await load_project(self.source, locked=self.locked)
