# SPDX-License-Identifier: Apache-2.0
"""Engines that block: their work on threads of their own, their pieces on the event loop.

self._threads = ThreadPoolExecutor(max_workers=1)  # one for each call that the engine can work on at once

def _generate(self, cancel: CancelToken, request: ChatRequest) -> Generator[ChatDelta, None, None]:
    for token in self._engine.generate(...):
        if cancel.cancelled:
            return
        yield ChatDelta(token)

async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
    async with aclosing(in_thread(self._threads, self._generate, request)) as deltas:
        async for delta in deltas:
            yield delta
"""

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Executor, Future
from contextlib import closing
from typing import Concatenate, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

BUFFER = 64
"""How many pieces an engine may be ahead of its caller."""


class CancelToken:
    """Tells a thread that nobody waits for its work any more."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether the work is to be given up; look at it as often as the engine allows."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleeps, but no longer than until the work is to be given up.

        Args:
            seconds: how long, at most.

        Returns:
            Whether the work is to be given up.
        """
        return self._event.wait(seconds)

    def cancel(self) -> None:
        """Gives the work up."""
        self._event.set()


async def run_blocking(
    executor: Executor, function: Callable[Concatenate[CancelToken, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Runs a blocking function on a thread. When the caller leaves, its token says so, and its end is awaited.

    Args:
        executor: whose threads to use; a call waits where all are taken.
        function: what to run; its first argument is the token.
        args: the other arguments.
        kwargs: the other arguments.

    Raises:
        Exception: what the function raised.
    """
    cancel = CancelToken()
    context = contextvars.copy_context()
    work = executor.submit(lambda: context.run(function, cancel, *args, **kwargs))
    done = asyncio.wrap_future(work)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        cancel.cancel()
        await _ended(work, done)
        raise


async def in_thread(
    executor: Executor,
    function: Callable[Concatenate[CancelToken, P], Generator[T, None, None]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> AsyncGenerator[T, None]:
    """Runs a blocking generator on a thread and yields its pieces on the event loop.

    The thread wakes the loop only where the loop waits for it: pieces that come faster than they are taken travel
    together. When the caller leaves, the token says so, and the generator's end is awaited, so that the engine is not
    given the next call while it still works for this one.

    Args:
        executor: whose threads to use; a call waits where all are taken.
        function: makes the generator; its first argument is the token.
        args: the other arguments.
        kwargs: the other arguments.

    Yields:
        The pieces, in order.

    Raises:
        Exception: what the generator raised, after the pieces before it.
    """
    cancel = CancelToken()
    pipe: _Pipe[T] = _Pipe(asyncio.get_running_loop(), cancel)

    def produce() -> None:
        error: BaseException | None = None
        try:
            with closing(function(cancel, *args, **kwargs)) as pieces:
                for piece in pieces:
                    if not pipe.put(piece):
                        return
        # Nothing is swallowed: the reader raises it.
        except BaseException as raised:
            error = raised
        finally:
            pipe.end(error)

    work = executor.submit(contextvars.copy_context().run, produce)
    done = asyncio.wrap_future(work)
    try:
        while pieces := await pipe.take():
            for piece in pieces:
                yield piece
    finally:
        pipe.give_up()
        await _ended(work, done)


async def _ended(work: Future[T], done: asyncio.Future[T]) -> None:
    """Waits until a thread has left its work; drops work that no thread has begun."""
    if not work.cancel():
        await asyncio.wait([done])


class _Pipe(Generic[T]):
    """Takes pieces from one thread to the event loop; holds at most BUFFER of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, cancel: CancelToken) -> None:
        self._loop = loop
        self._cancel = cancel
        self._pieces: deque[T] = deque()
        self._changed = threading.Condition()
        self._wake = asyncio.Event()
        self._reader_waits = False
        self._ended = False
        self._error: BaseException | None = None

    def put(self, piece: T) -> bool:
        """Adds a piece, from the thread; waits while the pipe is full.

        Returns:
            Whether the reader still wants more.
        """
        with self._changed:
            while len(self._pieces) >= BUFFER and not self._cancel.cancelled:
                self._changed.wait()
            if self._cancel.cancelled:
                return False
            self._pieces.append(piece)
            self._wake_reader()
        return True

    def end(self, error: BaseException | None) -> None:
        """Says, from the thread, that no piece follows, and why, where that is an error."""
        with self._changed:
            self._ended = True
            self._error = error
            self._wake_reader()

    async def take(self) -> list[T]:
        """Waits for pieces, on the event loop; an empty list is the end."""
        while True:
            with self._changed:
                if self._pieces:
                    pieces = list(self._pieces)
                    self._pieces.clear()
                    self._changed.notify()
                    return pieces
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return []
                self._wake.clear()
                self._reader_waits = True
            await self._wake.wait()

    def give_up(self) -> None:
        """Says, on the event loop, that no piece is wanted any more."""
        self._cancel.cancel()
        with self._changed:
            self._reader_waits = False
            self._changed.notify()

    def _wake_reader(self) -> None:
        if self._reader_waits:
            self._reader_waits = False
            self._loop.call_soon_threadsafe(self._wake.set)
