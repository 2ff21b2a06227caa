# SPDX-License-Identifier: Apache-2.0
"""Prompts continued: each one a job; the answers come in the order of the prompts."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from cowabungaai_llama_cpp import request
from cowabungaai_llama_cpp.chat import REASONS
from cowabungaai_llama_cpp.job import Job, Part, PromptScores, Totals
from cowabungaai_llama_cpp.model import ServedModel
from cowabungaai_llama_cpp.sampler import Likelihood
from cowabungaai_sdk.backend import CompletionDelta
from cowabungaai_sdk.blocking import CancelToken, run_blocking
from cowabungaai_sdk.errors import BackendFailedError, InvalidRequestError
from cowabungaai_sdk.v1.common_pb2 import TextInput, TokenLogprob, Usage
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest

MAX_PROMPTS = 2048
"""The most prompts of a request, as OpenAI has it."""
AHEAD = 256
"""How many pieces the engine may be ahead of its reader, over all prompts."""


@dataclass(slots=True)
class Continuation:
    """One prompt's answer in the making, where it is not sent before it is complete.

    Args:
        texts: its pieces.
        likelihoods: of its tokens.
        reason: why it ended.
    """

    texts: list[str] = field(default_factory=list)
    likelihoods: list[Likelihood] = field(default_factory=list)
    reason: str = "stop"

    @property
    def score(self) -> float:
        """How likely the model finds it, by token: the natural logarithm."""
        values = [found.logprob for found in self.likelihoods]
        return sum(values) / len(values) if values else float("-inf")


Found = CompletionDelta | Totals


async def continue_prompts(model: ServedModel, asked: CompletionRequest) -> AsyncGenerator[CompletionDelta, None]:
    """Continues the prompts, all side by side.

    Args:
        model: who does.
        asked: the prompts, checked by the SDK.

    Raises:
        InvalidRequestError: it asks for what the model cannot do, or does not fit the context.
    """
    jobs = await run_blocking(model.threads, _plan, model, asked)
    n = asked.n if asked.HasField("n") else 1
    generators = [
        _best(model, asked, number, job, n) if len(job.seeds) > n else _continued(model, asked, number, job, n)
        for number, job in enumerate(jobs)
    ]
    generated = cached = 0
    async with aclosing(together(generators)) as parts:
        async for part in parts:
            if isinstance(part, Totals):
                generated += part.generated
                cached += part.cached
            else:
                yield part
    prompt_tokens = sum(len(job.prompt) for job in jobs)
    usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=generated, cached_prompt_tokens=cached)
    yield CompletionDelta(usage=usage)


async def together(generators: Sequence[AsyncGenerator[Found, None]]) -> AsyncGenerator[Found, None]:
    """Yields what several generators yield, as it comes; the first error ends all of them.

    Args:
        generators: they are closed at the end.
    """
    if len(generators) == 1:
        async with aclosing(generators[0]) as only:
            async for part in only:
                yield part
        return
    queue: asyncio.Queue[Found | Exception | None] = asyncio.Queue(AHEAD)

    async def read(generator: AsyncGenerator[Found, None]) -> None:
        async with aclosing(generator):
            try:
                async for part in generator:
                    await queue.put(part)
            # Nothing is swallowed: it is raised below.
            except Exception as error:
                await queue.put(error)
            await queue.put(None)

    readers = [asyncio.create_task(read(generator)) for generator in generators]
    try:
        left = len(readers)
        while left:
            found = await queue.get()
            if isinstance(found, Exception):
                raise found
            if found is None:
                left -= 1
            else:
                yield found
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _continued(
    model: ServedModel, asked: CompletionRequest, number: int, job: Job, n: int
) -> AsyncGenerator[Found, None]:
    """One prompt's choices, piece by piece."""
    started: set[int] = set()
    echoed = _Echo(model, asked, number, job)
    async with aclosing(_parts(model, job)) as parts:
        async for part in parts:
            if isinstance(part, PromptScores):
                echoed.scores = part.likelihoods
            elif isinstance(part, Totals):
                yield part
            else:
                index = number * n + part.index
                if asked.echo and part.index not in started:
                    started.add(part.index)
                    yield CompletionDelta(echoed.text, index=index, logprobs=echoed.logprobs())
                reason = REASONS[part.ended] if part.ended else None
                yield CompletionDelta(part.text, reason, index=index, logprobs=_shown(model, asked, part.likelihoods))


async def _best(
    model: ServedModel, asked: CompletionRequest, number: int, job: Job, n: int
) -> AsyncGenerator[Found, None]:
    """One prompt's likeliest continuations, once all are there."""
    found = [Continuation() for _ in job.seeds]
    echoed = _Echo(model, asked, number, job)
    async with aclosing(_parts(model, job)) as parts:
        async for part in parts:
            if isinstance(part, PromptScores):
                echoed.scores = part.likelihoods
            elif isinstance(part, Totals):
                yield part
            else:
                one = found[part.index]
                one.texts.append(part.text)
                one.likelihoods.extend(part.likelihoods)
                one.reason = part.ended or one.reason
    best = sorted(found, key=lambda one: one.score, reverse=True)[:n]
    for rank, one in enumerate(best):
        index = number * n + rank
        if asked.echo:
            yield CompletionDelta(echoed.text, index=index, logprobs=echoed.logprobs())
        logprobs = _shown(model, asked, one.likelihoods)
        yield CompletionDelta("".join(one.texts), REASONS[one.reason], index=index, logprobs=logprobs)


class _Echo:
    """A prompt as it stands before its continuations."""

    def __init__(self, model: ServedModel, asked: CompletionRequest, number: int, job: Job) -> None:
        self._model, self._asked, self._job = model, asked, job
        given = asked.prompts[number]
        self.text = given.text if given.WhichOneof("input") == "text" else model.weights.text(job.prompt)
        self.scores: Sequence[Likelihood] = ()

    def logprobs(self) -> list[TokenLogprob]:
        """Those of the prompt's tokens, where they are asked for; the one that begins every text is left out."""
        if not self._asked.HasField("logprobs"):
            return []
        weights, prompt = self._model.weights, self._job.prompt
        shown = [request.logprob(weights, found, self._asked.logprobs) for found in self.scores]
        if prompt[0] == weights.bos:
            return shown
        data = weights.piece(prompt[0], special=True)
        return [TokenLogprob(token=data.decode(errors="replace"), token_bytes=data), *shown]


def _parts(model: ServedModel, job: Job) -> AsyncGenerator[Part, None]:
    if model.engine is None:
        raise BackendFailedError("the model has no engine")
    return model.engine.generate(job)


def _shown(model: ServedModel, asked: CompletionRequest, found: Sequence[Likelihood]) -> list[TokenLogprob]:
    if not asked.HasField("logprobs"):
        return []
    return [request.logprob(model.weights, likelihood, asked.logprobs) for likelihood in found]


def _plan(cancel: CancelToken, model: ServedModel, asked: CompletionRequest) -> list[Job]:
    if len(asked.prompts) > MAX_PROMPTS:
        message = f"there are {len(asked.prompts)} prompts; expected at most {MAX_PROMPTS}"
        raise InvalidRequestError(message, "prompts")
    weights, sampling = model.weights, asked.sampling
    n = asked.n if asked.HasField("n") else 1
    generated = asked.best_of if asked.HasField("best_of") else n
    options, stops = request.options(sampling, weights), request.stops(sampling)
    jobs = []
    for number, given in enumerate(asked.prompts):
        param = f"prompts[{number}]"
        prompt = _prompt(model, asked, given, param)
        wanted = asked.logprobs if asked.HasField("logprobs") else None
        job = Job(
            prompt,
            options,
            request.seeds(sampling, generated),
            request.room(model.limits, len(prompt), sampling, param),
            stops=stops,
            top_logprobs=0 if wanted is None and generated > n else wanted,
            scores_prompt=asked.echo and wanted is not None and len(prompt) > 1,
            owner=asked.user,
        )
        jobs.append(job)
    return jobs


def _prompt(model: ServedModel, asked: CompletionRequest, given: TextInput, param: str) -> list[int]:
    """A prompt's tokens; with a suffix, in the order that models trained to fill gaps read them."""
    prompt = request.tokens_of(model.limits, given, param)
    if not asked.HasField("suffix"):
        return prompt
    before, after, middle = model.weights.infill_tokens
    if min(before, after, middle) < 0:
        raise InvalidRequestError("the model was not trained to fill gaps; leave suffix out", "suffix")
    if asked.echo:
        raise InvalidRequestError("echo cannot be combined with suffix", "echo")
    request.check_text(model.limits, asked.suffix, "suffix")
    suffix = model.weights.tokenize(asked.suffix, add_special=False, parse_special=False)
    start = [prompt.pop(0)] if prompt and model.weights.adds_bos and prompt[0] == model.weights.bos else []
    return [*start, before, *prompt, after, *suffix, middle]
