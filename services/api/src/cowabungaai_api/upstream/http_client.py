# SPDX-License-Identifier: Apache-2.0
"""A small HTTP/1.1 client for proxying: connections that are kept for the next request.

Measured against aiohttp's client, the fastest general one for asyncio: 18 against 80 microseconds of CPU a request
(docs/benchmarks.md), where the whole of a request costs about 100.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit

from cowabungaai_api.upstream.connection import Connection
from cowabungaai_sdk.errors import BackendUnavailableError

IDLE_S = 45.0
"""How long an unused connection is kept, in seconds; servers commonly keep it longer, so they rarely close first."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a server is.

    Args:
        host: name or address.
        port: TCP port.
        tls: whether it is HTTPS.
        path: what precedes the paths of the API, without a slash at the end.
    """

    host: str
    port: int
    tls: bool
    path: str

    @classmethod
    def parse(cls, url: str) -> "Origin":
        """Takes a URL apart.

        Args:
            url: `http[s]://HOST[:PORT][/PATH]`.
        """
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        return cls(parts.hostname or "", parts.port or (443 if tls else 80), tls, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """As in the Host header."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class HttpClient:
    """Connections to one server, kept for the next request.

    Args:
        origin: the server.
        connect_timeout_s: how long a connection may take to be made, in seconds.
        tls: how certificates are checked; the machine's authorities by default.
    """

    def __init__(self, origin: Origin, connect_timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        self.origin = origin
        self._connect_timeout_s = connect_timeout_s
        self._tls = tls or ssl.create_default_context() if origin.tls else None
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()

    async def acquire(self) -> tuple[Connection, bool]:
        """Gives a connection, and whether it is a new one.

        Raises:
            BackendUnavailableError: the server cannot be reached.
        """
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and now - connection.idle_since < IDLE_S:
                return connection, False
            self._drop(connection)
        return await self._connect(), True

    async def _connect(self) -> Connection:
        origin = self.origin
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await asyncio.get_running_loop().create_connection(
                    Connection,
                    origin.host,
                    origin.port,
                    ssl=self._tls,
                    server_hostname=origin.host if self._tls else None,
                )
        except (OSError, UnicodeError, TimeoutError) as error:
            reason = str(error) or f"no connection within {self._connect_timeout_s:g} s"
            message = f"cannot connect to {origin.authority}: {reason}"
            raise BackendUnavailableError(message, connected=False) from error
        self._open.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Takes a connection back; it is kept where its exchange is complete and it may be kept.

        Args:
            connection: one that acquire gave.
        """
        connection.rest()
        now = asyncio.get_running_loop().time()
        if connection.complete and connection.keep and connection.usable:
            connection.idle_since = now
            self._idle.append(connection)
        else:
            self._drop(connection)
        # The next request takes the newest, so that the others only grow old.
        while self._idle and not (self._idle[0].usable and now - self._idle[0].idle_since < IDLE_S):
            self._drop(self._idle.popleft())

    def _drop(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.close()

    async def begin(self, timeout_s: float, *parts: bytes) -> Connection:
        """Sends a request and waits for the answer's status.

        A kept connection that the server has just closed is replaced by a new one: nothing of an answer was there yet.

        Args:
            timeout_s: how long the whole answer may take, in seconds.
            parts: the request's bytes.

        Raises:
            BackendUnavailableError: the server cannot be reached, or closed the connection.
            BackendTimeoutError: it did not answer in time.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            connection, fresh = await self.acquire()
            try:
                connection.send(deadline, *parts)
                await connection.head()
            except BackendUnavailableError:
                self._drop(connection)
                if fresh:
                    raise
            except BaseException:
                self._drop(connection)
                raise
            else:
                return connection

    async def exchange(self, timeout_s: float, *parts: bytes) -> tuple[Connection, bytes]:
        """Sends a request and reads the whole answer.

        Args:
            timeout_s: how long both may take, in seconds.
            parts: the request's bytes.

        Returns:
            The connection, for its status and content type, and the body.

        Raises:
            BackendError: the server cannot be reached, broke the connection, or did not answer in time.
        """
        connection = await self.begin(timeout_s, *parts)
        try:
            return connection, await connection.read_all()
        finally:
            self.release(connection)

    async def close(self) -> None:
        """Closes all connections."""
        for connection in list(self._open):
            self._drop(connection)
        self._idle.clear()
