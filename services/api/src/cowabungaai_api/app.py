# SPDX-License-Identifier: Apache-2.0
"""Makes the gateway's app."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress

from fastapi import FastAPI

from cowabungaai_api import errors
from cowabungaai_api.auth import router as auth_router
from cowabungaai_api.auth.service import Auth
from cowabungaai_api.config.file import GatewayConfig
from cowabungaai_api.config.settings import Settings
from cowabungaai_api.endpoints import OPENAI, OWN
from cowabungaai_api.gateway import Gateway
from cowabungaai_api.openapi import document
from cowabungaai_api.reload import Reloader
from cowabungaai_api.routers import health, models, states
from cowabungaai_api.routing.router import Router
from cowabungaai_api.state import State


def create_app(settings: Settings, config: GatewayConfig, auth: Auth) -> tuple[Gateway, State]:
    """Makes an app that offers the configured models.

    Args:
        settings: of the process.
        config: models and backends.
        auth: who may call; open for as long as the app is.

    Returns:
        The app, and its state.
    """
    state = State(settings, config, auth)
    app = make_fastapi(lambda: _running(state))
    app.state.gateway, app.state.auth = state, auth
    return Gateway(app, state), state


def make_fastapi(running: Callable[[], AbstractAsyncContextManager[None]] = nullcontext) -> FastAPI:
    """Makes what answers all but the endpoints that models answer; its OpenAPI document has those too.

    Args:
        running: what surrounds the app's life.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running():
            yield

    # The interactive pages would load scripts from the internet.
    app = FastAPI(title="CowabungaAI", version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None)
    errors.install(app)
    app.include_router(health.router)
    for prefix in (OPENAI, OWN):
        app.include_router(models.router, prefix=prefix)
    app.include_router(states.router, prefix=OWN)
    app.include_router(auth_router.router, prefix=OWN)
    app.openapi = document(app)  # type: ignore[method-assign]  # FastAPI's own way to extend the document
    return app


@asynccontextmanager
async def _running(state: State) -> AsyncIterator[None]:
    """Routes requests for as long as it lasts."""
    settings = state.settings
    state.router = Router(state.config, state.metrics.attempt_failed)
    state.metrics.watch_pools(lambda: state.router.pools.values(), asyncio.get_running_loop().time)
    reloading = None
    if settings.config is not None:
        reloading = asyncio.create_task(Reloader(settings.config, state, settings.reload_seconds).run())
    # What lives as long as the process need not be looked at by every collection.
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        if reloading is not None:
            reloading.cancel()
            with suppress(asyncio.CancelledError):
                await reloading
        await state.router.close()
