# SPDX-License-Identifier: Apache-2.0
"""What all calls have in common: readiness, slots, error statuses, and what is logged, counted and traced of them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from cowabungaai_sdk import telemetry
from cowabungaai_sdk.admission import Admission
from cowabungaai_sdk.errors import BackendError, BackendUnavailableError
from cowabungaai_sdk.v1.common_pb2 import FinishReason

if TYPE_CHECKING:
    from cowabungaai_sdk.metrics import Metrics

log = logging.getLogger("cowabungaai.server")

MESSAGE_CHARACTERS = 600
"""The longest error message that is sent; gRPC takes up to nine bytes for a character, of some 8,000."""

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class Call:
    """What is known of one call besides its content.

    Args:
        method: the method's name.
        started: when it came, by time.perf_counter.
        status: how it ended, as the name of a gRPC status.
        model: the model asked for, once it is known to exist: an unknown name may be anything.
        queued_s: how long it waited for a slot, in seconds; None before it had one.
        first_piece_s: how long the first piece of the answer took, in seconds.
        prompt_tokens: tokens read.
        completion_tokens: tokens generated.
        finish_reasons: of the choices, as their names.
    """

    method: str
    started: float
    status: str = "CANCELLED"
    model: str = ""
    queued_s: float | None = None
    first_piece_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reasons: tuple[str, ...] = ()

    def piece(self) -> None:
        """Marks that the backend gave a piece of its answer."""
        if self.first_piece_s is None:
            self.first_piece_s = time.perf_counter() - self.started

    def finish(self, reasons: tuple[FinishReason, ...]) -> None:
        """Keeps why the choices ended.

        Args:
            reasons: one a choice.
        """
        self.finish_reasons = tuple(_REASONS[reason] for reason in reasons)

    def fields(self) -> dict[str, object]:
        """The log line's fields."""
        times = {"queued_ms": self.queued_s, "first_piece_ms": self.first_piece_s}
        return {
            "method": self.method,
            "status": self.status,
            "ms": _milliseconds(time.perf_counter() - self.started),
            **({"model": self.model} if self.model else {}),
            **{name: _milliseconds(seconds) for name, seconds in times.items() if seconds is not None},
            **({} if self.prompt_tokens is None else {"prompt_tokens": self.prompt_tokens}),
            **({} if self.completion_tokens is None else {"completion_tokens": self.completion_tokens}),
        }


class Calls:
    """Runs the server's calls. While `refusal` is set, it is the answer to new ones.

    Args:
        admission: the engine's slots.
        metrics: counts calls; None where nobody asks.
    """

    def __init__(self, admission: Admission, metrics: "Metrics | None" = None) -> None:
        self.refusal: str | None = "the backend is loading its model"
        self.in_flight = 0
        self._admission = admission
        self._metrics = metrics
        self._idle = asyncio.Event()
        self._idle.set()

    async def wait_idle(self) -> None:
        """Returns once no call is in flight."""
        await self._idle.wait()

    @asynccontextmanager
    async def serve(self, method: str, context: Context, always: bool = False) -> AsyncIterator[Call]:
        """Surrounds the handling of one call: exceptions become statuses, and the end is recorded.

        Args:
            method: the method's name.
            context: the call's context; it is aborted where the body raises.
            always: whether the call is answered while the backend loads or drains too.
        """
        call = Call(method, time.perf_counter())
        self.in_flight += 1
        self._idle.clear()
        try:
            with _span(call, context):
                try:
                    if self.refusal and not always:
                        raise BackendUnavailableError(self.refusal)
                    yield call
                    call.status = "OK"
                except BackendError as error:
                    call.status = error.code.name
                    if error.code is grpc.StatusCode.INTERNAL:
                        log.exception("call failed", extra={"fields": {"method": method}})
                    await context.abort(error.code, _short(str(error)), error.trailers())
                except Exception as error:
                    call.status = "INTERNAL"
                    log.exception("call failed", extra={"fields": {"method": method}})
                    message = f"{type(error).__name__} in the backend; its log says where"
                    await context.abort(grpc.StatusCode.INTERNAL, message)
                except asyncio.CancelledError:
                    left = context.time_remaining()
                    late = left is not None and left <= _EARLY_S
                    call.status = "DEADLINE_EXCEEDED" if late else "CANCELLED"
                    raise
        finally:
            self._record(call)
            self.in_flight -= 1
            if not self.in_flight:
                self._idle.set()

    @asynccontextmanager
    async def slot(self, call: Call) -> AsyncIterator[None]:
        """Holds a slot of the engine for the body.

        Args:
            call: gets the time that the wait took.

        Raises:
            BackendOverloadedError: every slot is taken and the queue is full.
        """
        async with self._admission.slot() as waited_s:
            call.queued_s = waited_s
            yield

    def _record(self, call: Call) -> None:
        if log.isEnabledFor(logging.INFO):
            log.info("call", extra={"fields": call.fields()})
        if self._metrics is not None:
            self._metrics.observe(call, time.perf_counter() - call.started)


# A caller's time begins when it sends, ours when we read: it gives up, and says so, a little before we would.
_EARLY_S = 0.1
_REASONS = {number: name.removeprefix("FINISH_REASON_").lower() for name, number in FinishReason.items()}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _short(message: str) -> str:
    """Cuts a message that quotes a long value: gRPC replaces a status that does not fit its headers by another."""
    return message if len(message) <= MESSAGE_CHARACTERS else f"{message[:MESSAGE_CHARACTERS]}..."


def _span(call: Call, context: Context) -> AbstractContextManager[None]:
    return telemetry.server_span(call, context.invocation_metadata()) if telemetry.enabled() else nullcontext()
