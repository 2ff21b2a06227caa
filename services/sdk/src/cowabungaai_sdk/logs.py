# SPDX-License-Identifier: Apache-2.0
"""Structured logs: one JSON object per line on standard error, made by the standard library's logging.

Nothing here writes the content of a request. Exceptions are logged by type and place, without their
message, because an engine's message may quote the conversation.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType

LEVELS = ("debug", "info", "warning", "error")
FRAMES = 8
"""How many of the innermost frames of an exception are logged."""

_ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time, level, logger, event, and what `extra={"fields": ...}` adds."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record's line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line.update(exception_fields(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def exception_fields(info: _ExceptionInfo) -> dict[str, object]:
    """Says of an exception what may be logged: its type and where it was raised.

    Args:
        info: as sys.exc_info() returns it.
    """
    kind, _, trace = info
    if kind is None:
        return {}
    frames = traceback.extract_tb(trace)[-FRAMES:]
    return {
        "exception": f"{kind.__module__}.{kind.__qualname__}",
        "trace": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def configure(level: str) -> None:
    """Sends the logs of the whole process to standard error as JSON lines.

    Args:
        level: one of LEVELS.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
