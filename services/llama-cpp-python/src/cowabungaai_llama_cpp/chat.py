# SPDX-License-Identifier: Apache-2.0
"""Conversations: what is asked for becomes a job, and the job's pieces become an answer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from cowabungaai_llama_cpp import conversation, grammars, request
from cowabungaai_llama_cpp.job import Job, Piece, Totals
from cowabungaai_llama_cpp.model import ServedModel
from cowabungaai_llama_cpp.sampler import GrammarError, Sampler, SamplingOptions
from cowabungaai_llama_cpp.toolcalls import CallBegins, CallReader, Found, new_id
from cowabungaai_sdk.backend import ChatDelta
from cowabungaai_sdk.blocking import CancelToken, run_blocking
from cowabungaai_sdk.checks import refuse_verbosity
from cowabungaai_sdk.errors import BackendFailedError, InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import ChatLogprobs, ChatMessage, ChatRequest, Tool, ToolCallDelta, ToolChoice
from cowabungaai_sdk.v1.common_pb2 import FINISH_REASON_LENGTH, FINISH_REASON_STOP, FINISH_REASON_TOOL_CALLS, Usage
from cowabungaai_sdk.v1.tokens_pb2 import Conversation

REASONS = {"stop": FINISH_REASON_STOP, "length": FINISH_REASON_LENGTH}


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer before it is generated.

    Args:
        job: for the engine.
        names: the functions that the answer may call; empty where calls are text like any other.
    """

    job: Job
    names: Sequence[str] = ()


async def answer(model: ServedModel, asked: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
    """Answers a conversation.

    Args:
        model: who answers.
        asked: the conversation, checked by the SDK.

    Raises:
        InvalidRequestError: it asks for what the model cannot do, or does not fit the context.
    """
    plan = await run_blocking(model.threads, _plan, model, asked)
    engine = model.engine
    if engine is None:
        raise BackendFailedError("the model has no engine")
    count = len(plan.job.seeds)
    readers = [CallReader(model.call_format, plan.names) if plan.names else None for _ in range(count)]
    async with aclosing(engine.generate(plan.job)) as parts:
        async for part in parts:
            if isinstance(part, Piece):
                for delta in _deltas(model, asked, part, readers[part.index]):
                    yield delta
            elif isinstance(part, Totals):
                usage = Usage(
                    prompt_tokens=len(plan.job.prompt),
                    completion_tokens=part.generated,
                    cached_prompt_tokens=part.cached,
                )
                yield ChatDelta(usage=usage)


def count(model: ServedModel, asked: Conversation) -> int:
    """How many tokens a conversation has as chat would read it. Blocks.

    Args:
        model: whose.
        asked: the conversation.

    Raises:
        InvalidRequestError: the model has no template, or it cannot write the conversation.
    """
    text = _write(model, asked.messages, asked.tools, "conversation.messages")
    return len(_tokens(model, text))


def _plan(cancel: CancelToken, model: ServedModel, asked: ChatRequest) -> Plan:
    weights, sampling = model.weights, asked.sampling
    template = model.template
    if template is None:
        raise InvalidRequestError("the model has no chat template; start it with --chat-template", "model")
    tools = _offered(asked)
    variables = _reasoning(model, asked)
    text = _write(model, asked.messages, tools, "messages", **variables)
    prompt = _tokens(model, text)
    job = Job(
        prompt,
        request.options(sampling, weights),
        request.seeds(sampling, asked.n if asked.HasField("n") else 1),
        request.room(model.limits, len(prompt), sampling, "messages"),
        stops=(*request.stops(sampling), *template.stops),
        grammar=_grammar(model, asked, tools),
        top_logprobs=asked.top_logprobs if asked.logprobs else None,
        # Some models write the mark of a call as a control token.
        shows_special=bool(tools),
        owner=asked.user,
    )
    if job.grammar is not None:
        _check_grammar(model, job.grammar)
    return Plan(job, [tool.name for tool in tools])


def _offered(asked: ChatRequest) -> list[Tool]:
    """The functions that may be called."""
    tools, choice = list(asked.tools), asked.tool_choice
    match choice.mode:
        case ToolChoice.MODE_NONE:
            return []
        case ToolChoice.MODE_FUNCTION:
            return [tool for tool in tools if tool.name == choice.function]
    return [tool for tool in tools if tool.name in choice.allowed] if choice.allowed else tools


def _reasoning(model: ServedModel, asked: ChatRequest) -> dict[str, object]:
    """What is said of reasoning to templates that ask; others are not asked to do what they cannot."""
    template = model.template
    refuse_verbosity(asked)
    if not asked.HasField("reasoning_effort"):
        return {}
    if asked.reasoning_effort == "none":
        return {"enable_thinking": False}
    if template is None or not template.mentions("reasoning_effort"):
        message = f"reasoning_effort is {asked.reasoning_effort!r}, which the model does not know; leave it out"
        raise InvalidRequestError(message, "reasoning_effort")
    return {"reasoning_effort": asked.reasoning_effort}


def _grammar(model: ServedModel, asked: ChatRequest, tools: Sequence[Tool]) -> str | None:
    try:
        schema = grammars.answer_schema(asked.response_format)
        forced = asked.tool_choice.mode in (ToolChoice.MODE_REQUIRED, ToolChoice.MODE_FUNCTION)
        parallel = not asked.HasField("parallel_tool_calls") or asked.parallel_tool_calls
        parallel = parallel and asked.tool_choice.mode != ToolChoice.MODE_FUNCTION
        if tools and forced:
            return grammars.call_grammar(tools, model.call_format, parallel=parallel)
        if tools and (schema is not None or not parallel or any(tool.strict for tool in tools)):
            return grammars.call_grammar(tools, model.call_format, parallel=parallel, text=True, schema=schema)
        return None if schema is None else grammars.answer_grammar(schema)
    except RecursionError as error:
        raise InvalidRequestError("a schema is nested too deep", "response_format") from error


def _check_grammar(model: ServedModel, grammar: str) -> None:
    try:
        Sampler(model.weights, SamplingOptions(), 0, (), 1, grammar).close()
    except GrammarError as error:
        raise InvalidRequestError(
            f"llama.cpp cannot read the grammar of the schema: {error}", "response_format"
        ) from error


def _write(
    model: ServedModel,
    messages: Sequence[ChatMessage],
    tools: Sequence[Tool],
    param: str,
    **variables: object,
) -> str:
    if model.template is None:
        raise InvalidRequestError("the model has no chat template; start it with --chat-template", "model")
    conversation.check_size(messages, tools, model.limits.text_bytes, param)
    return conversation.write(model.template, messages, tools, param, **variables)


def _tokens(model: ServedModel, text: str) -> list[int]:
    weights = model.weights
    request.check_text(model.limits, text, "messages")
    bos = weights.piece(weights.bos, special=True).decode(errors="replace") if weights.adds_bos else ""
    # Most templates write that token themselves.
    written = bool(bos) and text.startswith(bos)
    return weights.tokenize(text, add_special=not written, parse_special=True)


def _deltas(model: ServedModel, asked: ChatRequest, piece: Piece, reader: CallReader | None) -> list[ChatDelta]:
    logprobs = None
    if piece.likelihoods and asked.logprobs:
        found = [request.logprob(model.weights, likelihood, asked.top_logprobs) for likelihood in piece.likelihoods]
        logprobs = ChatLogprobs(content=found)
    reason = REASONS[piece.ended] if piece.ended else None
    if reader is None:
        return [ChatDelta(piece.text, index=piece.index, logprobs=logprobs, finish_reason=reason)]
    parts: list[Found] = reader.feed(piece.text)
    if piece.ended:
        parts += reader.finish()
        if reader.calls and reason == FINISH_REASON_STOP:
            reason = FINISH_REASON_TOOL_CALLS
    deltas = [_delta(model, part, piece.index) for part in parts]
    if logprobs is not None or reason is not None:
        last = deltas.pop() if deltas else ChatDelta(index=piece.index)
        deltas.append(replace(last, logprobs=logprobs, finish_reason=reason))
    return deltas


def _delta(model: ServedModel, part: Found, index: int) -> ChatDelta:
    if isinstance(part, str):
        return ChatDelta(part, index=index)
    if isinstance(part, CallBegins):
        call = ToolCallDelta(index=part.index, id=new_id(model.call_format), name=part.name)
    else:
        call = ToolCallDelta(index=part.index, arguments=part.arguments)
    return ChatDelta(index=index, tool_calls=[call])
