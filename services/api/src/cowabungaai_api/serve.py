# SPDX-License-Identifier: Apache-2.0
"""Runs the gateway in this process: the listener, the drain, the first words."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
import uvloop

from cowabungaai_api.app import create_app
from cowabungaai_api.auth.errors import AuthError
from cowabungaai_api.auth.service import Auth, how_to_make_admin_key
from cowabungaai_api.config.file import GatewayConfig
from cowabungaai_api.config.settings import Settings
from cowabungaai_api.connection import BoundedConnection
from cowabungaai_api.endpoints import OPENAI, OWN
from cowabungaai_api.program import PROGRAM
from cowabungaai_api.state import State
from cowabungaai_sdk import logs, telemetry

log = logging.getLogger("cowabungaai.api")

HOW_TO_GET_A_KEY = f"POST {OWN}/auth/api-keys with an admin key, or {PROGRAM} keys create --name NAME"


class Server(uvicorn.Server):
    """Stops in two steps, so that no request is lost: first it says that it stops, then it does.

    In the first, /readyz says no and every answer closes its connection, so that load balancers and clients turn away
    while all that still comes is answered. In the second the listener is closed, and what is in flight ends.

    Args:
        config: uvicorn's.
        state: gets `draining`.
        delay_s: how long the first step takes, in seconds.
        greet: called as soon as requests are answered.
    """

    def __init__(self, config: uvicorn.Config, state: State, delay_s: float, greet: Callable[[], None]) -> None:
        super().__init__(config)
        self._state = state
        self._delay_s = delay_s
        self._greet = greet
        self._loop = asyncio.get_running_loop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to answer."""
        await super().startup(sockets)
        if self.started:
            self._greet()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Takes a signal; the second one stops at once."""
        if self._state.draining or not self._delay_s:
            self._state.draining = True
            super().handle_exit(sig, frame)
            return
        self._state.draining = True
        self._captured_signals.append(sig)
        log.info("draining", extra={"fields": {"seconds": self._delay_s}})
        self._loop.call_soon_threadsafe(self._loop.call_later, self._delay_s, setattr, self, "should_exit", True)


def serve(settings: Settings, config: GatewayConfig) -> int:
    """Serves until SIGTERM or SIGINT.

    Args:
        settings: of the process.
        config: models and backends.

    Returns:
        The exit status.
    """
    logs.configure(settings.log_level)
    # Each plugin that is set up has a line of its own.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        print(f"error: cannot listen on {settings.host} port {settings.port}: {error.strerror}", file=sys.stderr)
        return 1
    # uvicorn raises the signal again, after it has drained, for whoever handled it before.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    telemetry.configure("cowabungaai-api")
    try:
        uvloop.run(_serve(settings, config, listener))
    except AuthError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        telemetry.shutdown()
    return 0


async def _serve(settings: Settings, config: GatewayConfig, listener: socket.socket) -> None:
    admin_key = settings.admin_key.get_secret_value() if settings.admin_key else None
    auth = Auth(settings.database_url.get_secret_value(), config.auth, admin_key)
    try:
        has_admin = await auth.open()
        await _serve_with(auth, settings, config, listener, has_admin=has_admin)
    finally:
        await auth.close()


async def _serve_with(
    auth: Auth, settings: Settings, config: GatewayConfig, listener: socket.socket, *, has_admin: bool
) -> None:
    app, state = create_app(settings, config, auth)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, state.reload_now.set)
    server = Server(
        uvicorn.Config(
            app,
            http=BoundedConnection,
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=settings.drain_seconds,
            limit_concurrency=settings.max_connections,
        ),
        state,
        settings.drain_delay_seconds,
        lambda: _greet(settings, config, listener.getsockname()[1], has_admin=has_admin),
    )
    await server.serve([listener])


def _greet(settings: Settings, config: GatewayConfig, port: int, *, has_admin: bool) -> None:
    """Says where the API is, and how to get a key."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104 - compared, not bound
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}{OPENAI}"
    fields = {"base_url": url, "host": settings.host, "port": port, "models": [model.name for model in config.models]}
    log.info("serving", extra={"fields": fields})
    how = HOW_TO_GET_A_KEY if has_admin else how_to_make_admin_key()
    log.log(logging.INFO if has_admin else logging.WARNING, "keys", extra={"fields": {"how": how}})
