"""Makes the gateway's app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from cowabungaai_api import errors
from cowabungaai_api.backends import Backends
from cowabungaai_api.config import GatewayConfig
from cowabungaai_api.middleware import AccessLog, BodyLimit
from cowabungaai_api.routers import chat, health, models

PREFIX = "/openai/v1"


def create_app(config: GatewayConfig) -> FastAPI:
    """Makes an app that offers the configured models.

    Args:
        config: models and limits.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.backends = Backends(config)
        yield
        await app.state.backends.close()

    # The interactive pages would load scripts from the internet.
    app = FastAPI(title="CowabungaAI", version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None)
    # The one added last is the outermost.
    app.add_middleware(BodyLimit, max_bytes=config.max_body_bytes)
    app.add_middleware(AccessLog)
    errors.install(app)
    app.include_router(health.router)
    app.include_router(models.router, prefix=PREFIX)
    app.include_router(chat.router, prefix=PREFIX)
    return app
