# SPDX-License-Identifier: Apache-2.0
"""Calls to an engine, in turn; those that are alike, and wait, go together.

Encoding takes all of a processor for one window already, and decoding does not: measured on two cores, four windows
decoded together take 40 % of the time that they take one by one, and encoded together 115 %. So on a processor decoding
is batched and encoding is not; a GPU has room for both.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import ctranslate2  # type: ignore[import-untyped]
import numpy as np

from cowabungaai_sdk.blocking import CancelToken

POLL_S = 0.05
"""How soon a thread that waits for the engine notices that its caller has left."""
MERGED = (ctranslate2.DataType.float32, ctranslate2.DataType.float16)
"""Kinds of numbers that windows of several calls are put together of; others are decoded one by one."""


class CallerLeft(Exception):
    """Nobody waits for the work any more."""


class _Turn:
    """One call that waits.

    Args:
        kind: calls of the same kind may go together; None goes alone.
        work: what it brings.
        run: makes the results of several calls' work.
    """

    def __init__(self, kind: Hashable | None, work: Any, run: Callable[[Sequence[Any]], Sequence[Any]]) -> None:
        self.kind = kind
        self.work = work
        self.run = run
        self.result: Future[Any] = Future()


class Turns:
    """Threads that call the engine, one for each of its workers.

    Args:
        workers: how many.
        batch_size: the most calls that go together.
    """

    def __init__(self, workers: int, batch_size: int) -> None:
        self._batch_size = batch_size
        self._waiting: deque[_Turn] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._serve, name=f"engine-{i}", daemon=True) for i in range(workers)]
        for thread in self._threads:
            thread.start()

    def take(
        self,
        cancel: CancelToken,
        work: Any,
        run: Callable[[Sequence[Any]], Sequence[Any]],
        kind: Hashable | None = None,
    ) -> Any:
        """Waits for a turn, and for its result.

        Args:
            cancel: says when nobody waits any more; the engine still ends what it has begun.
            work: what the call brings.
            run: makes the results of a batch, in its order.
            kind: calls of the same kind may go together; None goes alone.

        Raises:
            CallerLeft: the caller has left, or the engine is closed.
            Exception: what run raised.
        """
        turn = _Turn(kind, work, run)
        with self._changed:
            if self._closed:
                raise CallerLeft
            self._waiting.append(turn)
            self._changed.notify()
        while not cancel.cancelled:
            try:
                return turn.result.result(POLL_S)
            except FutureTimeoutError:
                if turn.result.done():
                    raise
            except CancelledError:
                raise CallerLeft from None
        turn.result.cancel()
        raise CallerLeft

    def close(self) -> None:
        """Ends the threads, and the calls that still wait."""
        with self._changed:
            self._closed = True
            for turn in self._waiting:
                turn.result.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while batch := self._next():
            try:
                results = batch[0].run([turn.work for turn in batch])
            # Nothing is swallowed: those who wait raise it.
            except BaseException as error:
                for turn in batch:
                    turn.result.set_exception(error)
                continue
            for turn, result in zip(batch, results, strict=True):
                turn.result.set_result(result)

    def _next(self) -> list[_Turn]:
        """The oldest call and those like it; none where the engine is closed."""
        with self._changed:
            while True:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return []
                first = self._waiting.popleft()
                if first.result.set_running_or_notify_cancel():
                    return [first, *self._like(first)]

    def _like(self, first: _Turn) -> list[_Turn]:
        if first.kind is None:
            return []
        found: list[_Turn] = []
        for turn in [turn for turn in self._waiting if turn.kind == first.kind][: self._batch_size - 1]:
            self._waiting.remove(turn)
            if turn.result.set_running_or_notify_cancel():
                found.append(turn)
        return found


class Lane:
    """What one call has in place of a `ctranslate2.models.Whisper`: the same methods, but taking turns.

    Args:
        whisper: the engine.
        turns: its turns.
        cancel: says when the call is to end.
    """

    def __init__(self, whisper: ctranslate2.models.Whisper, turns: Turns, cancel: CancelToken) -> None:
        self._whisper = whisper
        self._turns = turns
        self._cancel = cancel
        self._on_gpu = whisper.device == "cuda"
        self.is_multilingual = whisper.is_multilingual
        self.device = whisper.device
        self.device_index = whisper.device_index

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool = False) -> ctranslate2.StorageView:
        """See CTranslate2."""
        if not self._on_gpu:
            return self._alone(lambda: self._whisper.encode(features))
        shape = tuple(features.shape)
        return self._turns.take(self._cancel, features, self._encode_together, ("encode", shape[1:]))

    def generate(
        self, features: ctranslate2.StorageView, prompts: list[list[int]], **settings: Any
    ) -> list[ctranslate2.models.WhisperGenerationResult]:
        """See CTranslate2; for one window."""

        def run(batch: Sequence[Any]) -> list[ctranslate2.models.WhisperGenerationResult]:
            whole = _together([encoded for encoded, _ in batch])
            found: list[ctranslate2.models.WhisperGenerationResult] = self._whisper.generate(
                whole, [prompt for _, prompt in batch], **settings
            )
            return found

        # The engine takes prompts of one length only.
        kind = ("generate", len(prompts[0]), tuple(sorted(settings.items()))) if features.dtype in MERGED else None
        return [self._turns.take(self._cancel, (features, prompts[0]), run, kind)]

    def align(self, *arguments: Any, **settings: Any) -> Any:
        """See CTranslate2."""
        return self._alone(lambda: self._whisper.align(*arguments, **settings))

    def detect_language(self, features: ctranslate2.StorageView) -> Any:
        """See CTranslate2."""
        return self._alone(lambda: self._whisper.detect_language(features))

    def _alone(self, run: Callable[[], Any]) -> Any:
        return self._turns.take(self._cancel, None, lambda _: [run()])

    def _encode_together(self, batch: Sequence[ctranslate2.StorageView]) -> list[ctranslate2.StorageView]:
        # On the CPU, where windows of different calls can be put together; it is a few megabytes each.
        whole = np.asarray(self._whisper.encode(_together(batch), to_cpu=True))
        return [ctranslate2.StorageView.from_array(np.ascontiguousarray(whole[i : i + 1])) for i in range(len(batch))]


def _together(batch: Sequence[ctranslate2.StorageView]) -> ctranslate2.StorageView:
    if len(batch) == 1:
        return batch[0]
    return ctranslate2.StorageView.from_array(np.concatenate([np.asarray(view) for view in batch]))
