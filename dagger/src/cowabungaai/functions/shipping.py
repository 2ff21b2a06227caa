# SPDX-License-Identifier: Apache-2.0
"""Functions that make of images what leaves the building."""

from __future__ import annotations

import dagger
from dagger import function

from cowabungaai import packages
from cowabungaai.functions.base import Base, Flavor, Service
from cowabungaai.steps import step


class Shipping(Base):
    """Packages."""

    @function
    async def package(self, service: Service, flavor: Flavor = "cpu") -> dagger.File:
        """The Zarf package of a service, made from its image without any registry."""
        async with step(f"package {service}"):
            return await packages.zarf_package(await self._project(), service, flavor)
