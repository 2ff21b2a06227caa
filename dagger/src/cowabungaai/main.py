# SPDX-License-Identifier: Apache-2.0
"""The module's object, of which `dagger call build-all`, `dagger call test --service api` and so on are functions."""

from __future__ import annotations

from typing import Annotated

from dagger import Doc, field, object_type

from cowabungaai.functions.base import Source
from cowabungaai.functions.bundling import Bundling
from cowabungaai.functions.deploying import Deploying
from cowabungaai.functions.for_env import Environments
from cowabungaai.functions.linting import Linting
from cowabungaai.functions.proving import Proving
from cowabungaai.functions.publishing import Publishing, RegistryAuth
from cowabungaai.functions.releasing import Releasing
from cowabungaai.functions.reporting import Reporting
from cowabungaai.functions.reproducing import Reproducing
from cowabungaai.functions.rescanning import Rescanning
from cowabungaai.functions.scanning import Scanning
from cowabungaai.functions.shipping import Shipping
from cowabungaai.functions.signing import Signing


@object_type
class Cowabungaai(
    Bundling,
    Deploying,
    Environments,
    Linting,
    Proving,
    Releasing,
    Reproducing,
    Rescanning,
    Publishing,
    Reporting,
    Scanning,
    Shipping,
    Signing,
):
    """Builds, tests and packages every inference service of CowabungaAI."""

    source: Source = field()
    locked: Annotated[bool, Doc("Fail where the mirror no longer has a pinned Debian package")] = field(default=False)
    registry_auth: list[RegistryAuth] = field(default=list, init=False)
