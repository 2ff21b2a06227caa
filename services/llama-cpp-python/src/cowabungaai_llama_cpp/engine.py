# SPDX-License-Identifier: Apache-2.0
"""The engine: one thread a model that generates all answers at once, a token of each in every step."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from cowabungaai_llama_cpp.answer import LEAST, Answer
from cowabungaai_llama_cpp.candidates import Candidates
from cowabungaai_llama_cpp.config import LlamaConfig
from cowabungaai_llama_cpp.context import AbortedError, Chunk, Context, NoRoomError
from cowabungaai_llama_cpp.job import Job, Part, Piece, PromptScores, Ticket, Totals
from cowabungaai_llama_cpp.sampler import DeadEndError, Likelihood, Likelihoods, Sampler
from cowabungaai_llama_cpp.slots import Slot, choose
from cowabungaai_llama_cpp.text import Released
from cowabungaai_llama_cpp.weights import Weights
from cowabungaai_sdk.errors import BackendError, BackendFailedError, BackendUnavailableError

log = logging.getLogger("cowabungaai.llama_cpp")

SHARE = 4
"""While answers are generated, a step reads at most batch_size / SHARE tokens of prompts, so that none stalls."""


class Engine:
    """Generates the answers of one model.

    Args:
        weights: the model.
        length: the context's length, in tokens.
        config: the settings.

    Raises:
        ModelError: there is no memory for it.
    """

    def __init__(self, weights: Weights, length: int, config: LlamaConfig) -> None:
        self._weights = weights
        self._context = Context(weights, length, config)
        self._length = length
        self._ends = frozenset(weights.end_tokens)
        self._candidates = Candidates()
        self._likelihoods = Likelihoods()
        self._slots = [Slot(number) for number in range(config.parallel)]
        self._answers: list[Answer] = []
        self._waiting: deque[tuple[Ticket, int]] = deque()
        self._arrived: deque[Ticket] = deque()
        self._staged: dict[Ticket, list[Part | Exception]] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._takings = 0
        self._thread = threading.Thread(target=self._run, name="llama-engine", daemon=True)
        self._thread.start()

    async def generate(self, job: Job) -> AsyncGenerator[Part, None]:
        """Generates a job's answers side by side.

        Args:
            job: checked: llama.cpp ends the process where it is given nonsense.

        Yields:
            Its pieces; the totals come last.

        Raises:
            BackendFailedError: the engine failed.
            BackendUnavailableError: the engine is stopped.
        """
        ticket = Ticket(job, asyncio.get_running_loop(), left=len(job.seeds))
        with self._changed:
            if self._stopping:
                raise BackendUnavailableError("the engine is stopped")
            self._arrived.append(ticket)
            self._changed.notify()
        try:
            async with aclosing(ticket.parts()) as parts:
                async for part in parts:
                    yield part
        finally:
            self._cancel(ticket)

    def close(self) -> None:
        """Ends the thread, and what it works on; blocks for at most the step that runs now."""
        with self._changed:
            self._stopping = True
            self._context.abort()
            self._changed.notify()
        self._thread.join()
        for answer in self._answers:
            answer.sampler.close()
        self._likelihoods.close()
        self._candidates.close()
        self._context.close()

    def _cancel(self, ticket: Ticket) -> None:
        """Makes the engine drop a job that has not ended, also in the midst of a step."""
        with self._changed:
            ticket.cancelled = True
            if any(answer.ticket is ticket for answer in list(self._answers)):
                self._context.abort()

    def _run(self) -> None:
        while self._take():
            try:
                self._step()
            except AbortedError:
                log.debug("a step was aborted")
            except Exception:
                # Whatever it was, nobody may wait for ever, and the cache may hold anything.
                log.exception("the engine failed; all answers in the making are lost")
                self._fail_all()
            self._deliver()
        for ticket in {answer.ticket for answer in self._answers} | {ticket for ticket, _ in self._waiting}:
            self._stage(ticket, BackendUnavailableError("the engine is stopped"))
        self._deliver()

    def _take(self) -> bool:
        """Waits for work, takes it, and drops what nobody wants any more; False is the end."""
        with self._changed:
            while not (self._arrived or self._waiting or self._answers or self._stopping):
                self._changed.wait()
            if self._stopping:
                self._waiting.extend((ticket, 0) for ticket in self._arrived)
                return False
            self._context.clear_abort()
            self._waiting.extend((ticket, 0) for ticket in self._arrived)
            self._arrived.clear()
            gone = [answer for answer in self._answers if answer.ticket.cancelled]
        for answer in gone:
            self._release(answer)
        if any(ticket.cancelled for ticket, _ in self._waiting):
            self._waiting = deque(item for item in self._waiting if not item[0].cancelled)
        return True

    def _step(self) -> None:
        """Decodes a token of every answer, and then as much of the prompts as there is room for.

        Each prompt by itself: llama.cpp would split a batch of sequences of different lengths anyway.
        """
        self._admit()
        writing = [answer for answer in self._answers if not answer.reads]
        if writing:
            self._decode(writing, [answer.chunk(1) for answer in writing])
        size = self._context.batch_size
        room = size // SHARE if writing else size
        for answer in [answer for answer in self._answers if answer.reads]:
            if room < LEAST:
                return
            chunk = answer.chunk(room)
            self._decode([answer], [chunk])
            room -= len(chunk.tokens)

    def _decode(self, answers: list[Answer], chunks: list[Chunk]) -> None:
        try:
            rows = self._context.decode(chunks)
        except NoRoomError:
            if not self._forget():
                raise
            rows = self._context.decode(chunks)
        for answer, chunk, row in zip(answers, chunks, rows, strict=True):
            answer.slot.tokens.extend(chunk.tokens)
            if answer.reads:
                self._has_read(answer, chunk, row)
            if chunk.last and answer in self._answers:
                self._continue(answer, row)

    def _admit(self) -> None:
        """Gives waiting answers the slots that are free, first come, first served."""
        while self._waiting:
            ticket, index = self._waiting[0]
            job = ticket.job
            recurrent = self._weights.is_recurrent
            choice = choose(self._slots, job.prompt, job.owner, self._usable, shared=not recurrent)
            if choice is None:
                return
            self._waiting.popleft()
            slot, length = choice.slot, 0 if job.scores_prompt and index == 0 else choice.length
            try:
                sampler = Sampler(
                    self._weights, job.options, job.seeds[index], job.prompt, self._length + 1, job.grammar
                )
            # What a grammar can be wrong in was found before the job came here.
            except Exception as error:
                self._fail(ticket, BackendFailedError(f"no sampler could be made: {type(error).__name__}"))
                continue
            if choice.source is None or choice.source is slot or not length:
                length = length if self._context.keep(slot.sequence, length) else 0
            else:
                self._context.share(choice.source.sequence, slot.sequence, length)
            self._takings += 1
            slot.tokens, slot.owner, slot.busy, slot.used = job.prompt[:length], job.owner, True, self._takings
            if index == 0:
                ticket.cached = length
            answer = Answer(ticket, index, slot, sampler, length)
            self._answers.append(answer)

    def _usable(self, slot: Slot, length: int) -> bool:
        """Whether a sequence can be gone on from there: with a sliding window the cache forgets what left it."""
        if self._weights.is_recurrent:
            return length == len(slot.tokens)
        first = self._context.first_position(slot.sequence)
        return 0 <= first <= max(0, length - self._weights.window)

    def _has_read(self, answer: Answer, chunk: Chunk, row: int) -> None:
        """Takes note that a piece of the prompt was read."""
        prompt = answer.job.prompt
        if chunk.scored:
            first = row - len(chunk.tokens) + 1
            following = prompt[answer.read + 1 : answer.read + 1 + len(chunk.tokens)]
            for offset, token in enumerate(following):
                answer.scores.append(self._likelihood(answer, first + offset, token))
        answer.read += len(chunk.tokens)
        if answer.read < len(prompt):
            return
        ticket = answer.ticket
        if answer.scored:
            self._stage(ticket, PromptScores(answer.scores))
        if answer.index == 0:
            # The other answers share the prompt, so they begin once it has been read.
            self._waiting.extendleft((ticket, index) for index in range(len(answer.job.seeds) - 1, 0, -1))

    def _continue(self, answer: Answer, row: int) -> None:
        """Chooses an answer's next token, and sends its text."""
        job = answer.job
        if job.max_tokens == 0:
            self._end(answer, Released(), "length")
            return
        try:
            token = answer.sampler.sample(self._context.handle, row, self._candidates)
        except DeadEndError:
            message = "the model's vocabulary cannot write what the grammar wants here"
            self._fail(answer.ticket, BackendFailedError(message))
            return
        if token in self._ends:
            self._end(answer, answer.text.flush(), "stop")
            return
        answer.next = token
        answer.generated += 1
        answer.ticket.generated += 1
        mark = None if job.top_logprobs is None else self._likelihood(answer, row, token)
        piece = self._weights.piece(token, special=job.shows_special)
        released = answer.text.feed(piece, mark, stops=answer.generated > job.options.min_tokens)
        if released.stopped:
            self._end(answer, released, "stop")
        elif answer.generated >= job.max_tokens:
            rest = answer.text.flush()
            self._end(answer, Released(released.text + rest.text, released.marks + rest.marks), "length")
        elif released.text or released.marks:
            self._stage(answer.ticket, Piece(answer.index, released.text, released.marks))

    def _likelihood(self, answer: Answer, row: int, token: int) -> Likelihood:
        top = answer.job.top_logprobs or 0
        return self._likelihoods.read(self._context.handle, row, self._candidates, token, top)

    def _end(self, answer: Answer, released: Released[Likelihood], reason: str) -> None:
        ticket = answer.ticket
        self._stage(ticket, Piece(answer.index, released.text, released.marks, reason))
        ticket.left -= 1
        if not ticket.left:
            self._stage(ticket, Totals(ticket.generated, ticket.cached))
        self._release(answer)

    def _release(self, answer: Answer) -> None:
        """Frees an answer's slot, which keeps its tokens for prompts that begin with them."""
        answer.sampler.close()
        answer.slot.busy = False
        self._answers.remove(answer)

    def _fail(self, ticket: Ticket, error: BackendError) -> None:
        self._stage(ticket, error)
        ticket.cancelled = True
        for answer in [answer for answer in self._answers if answer.ticket is ticket]:
            self._release(answer)

    def _fail_all(self) -> None:
        for ticket in {answer.ticket for answer in self._answers}:
            self._fail(ticket, BackendFailedError("the engine failed; its log says where"))
        self._context.clear()
        for slot in self._slots:
            slot.tokens = []

    def _forget(self) -> bool:
        """Empties the slots that are free; whether there was anything in them."""
        held = [slot for slot in self._slots if slot.tokens and not slot.busy]
        for slot in held:
            self._context.keep(slot.sequence, 0)
            slot.tokens = []
        return bool(held)

    def _stage(self, ticket: Ticket, part: Part | Exception) -> None:
        self._staged.setdefault(ticket, []).append(part)

    def _deliver(self) -> None:
        """Sends the step's pieces; an event loop is woken once, whatever the number of answers."""
        if not self._staged:
            return
        staged, self._staged = self._staged, {}
        loops: dict[asyncio.AbstractEventLoop, list[tuple[Ticket, list[Part | Exception]]]] = {}
        for ticket, parts in staged.items():
            loops.setdefault(ticket.loop, []).append((ticket, parts))
        for loop, found in loops.items():
            # A loop that was closed has no reader.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_arrive, found)


def _arrive(found: list[tuple[Ticket, list[Part | Exception]]]) -> None:
    for ticket, parts in found:
        ticket.arrive(parts)
