# SPDX-License-Identifier: Apache-2.0
"""The access log: a JSON line for each request on standard error, without any content of it."""

import asyncio
import os
import sys
from datetime import UTC, datetime

import orjson

FLUSH_S = 0.2
"""How long a line may wait to be written together with others, in seconds."""
FLUSH_LINES = 256


class AccessLog:
    """Collects lines and writes them together: a system call for each would cost a tenth of a request.

    Args:
        enabled: whether lines are written at all.
    """

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    def write(self, **fields: object) -> None:
        """Adds a line.

        Args:
            fields: what the line says; never content, queries or headers of a request.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "level": "info", "logger": "cowabungaai.api", "event": "request", **fields}
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        if len(self._lines) >= FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Writes what was collected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        data, self._lines = b"".join(self._lines), []
        sys.stderr.flush()
        while data:
            data = data[os.write(sys.stderr.fileno(), data) :]
