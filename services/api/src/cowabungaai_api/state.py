# SPDX-License-Identifier: Apache-2.0
"""What the gateway runs with, made when the app starts."""

import asyncio
from dataclasses import dataclass, field

from cowabungaai_api.auth.service import Auth
from cowabungaai_api.config.file import GatewayConfig
from cowabungaai_api.config.settings import Settings
from cowabungaai_api.metrics import Metrics
from cowabungaai_api.routing.router import Router


@dataclass(slots=True)
class State:
    """What the gateway runs with.

    Args:
        settings: of the process.
        config: the configuration in use.
        auth: who may call, and how much.
        metrics: the metrics.
        router: where requests go; there as soon as the app has started.
        draining: whether the gateway is about to stop.
        reload_now: set it to have the configuration file read at once.
    """

    settings: Settings
    config: GatewayConfig
    auth: Auth
    metrics: Metrics = field(default_factory=Metrics)
    router: Router = field(init=False)
    draining: bool = False
    reload_now: asyncio.Event = field(default_factory=asyncio.Event)
