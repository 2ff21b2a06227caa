"""What all calls have in common: readiness, error statuses, a log line, and the count of those in flight."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from cowabungaai_sdk.errors import PARAM_KEY, BackendError, BackendUnavailableError, InvalidRequestError

log = logging.getLogger("cowabungaai.server")

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class Call:
    """What the log line of a call says besides its method, status and duration.

    Args:
        fields: more fields for the line; never content of the request.
    """

    fields: dict[str, object] = field(default_factory=dict)


class Calls:
    """Runs the server's calls. While `refusal` is set, it is the answer to new ones."""

    def __init__(self) -> None:
        self.refusal: str | None = "the backend is loading its model"
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def wait_idle(self) -> None:
        """Returns once no call is in flight."""
        await self._idle.wait()

    @asynccontextmanager
    async def serve(self, method: str, context: Context) -> AsyncIterator[Call]:
        """Surrounds the handling of one call: exceptions become statuses, and the end is logged.

        Args:
            method: the method's name, for the log.
            context: the call's context; it is aborted where the body raises.
        """
        call, started, status = Call(), time.perf_counter(), "CANCELLED"
        self._in_flight += 1
        self._idle.clear()
        try:
            if self.refusal:
                raise BackendUnavailableError(self.refusal)
            yield call
            status = "OK"
        except BackendError as error:
            status = error.code.name
            await self._abort(context, error)
        except Exception as error:
            status = "INTERNAL"
            log.exception("call failed", extra={"fields": {"method": method}})
            await context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__} in the backend; its log says where")
        finally:
            milliseconds = round((time.perf_counter() - started) * 1000, 1)
            log.info("call", extra={"fields": {"method": method, "status": status, "ms": milliseconds, **call.fields}})
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    @staticmethod
    async def _abort(context: Context, error: BackendError) -> None:
        param = error.param if isinstance(error, InvalidRequestError) else None
        await context.abort(error.code, str(error), ((PARAM_KEY, param),) if param else ())
