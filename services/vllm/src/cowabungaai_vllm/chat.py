# SPDX-License-Identifier: Apache-2.0
"""Conversations: the engine's output as pieces of an answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from cowabungaai_sdk import templates
from cowabungaai_sdk.backend import ChatDelta
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import ChatLogprobs, ChatRequest, ToolChoice
from cowabungaai_sdk.v1.common_pb2 import FINISH_REASON_STOP, FINISH_REASON_TOOL_CALLS
from cowabungaai_vllm.config import Config
from cowabungaai_vllm.generation import Counter, Runner, reason_of
from cowabungaai_vllm.library import Tokenizer
from cowabungaai_vllm.logprobs import tokens_of
from cowabungaai_vllm.parsing import FunctionReader, ParsedReader, Reader, RequiredReader, TextReader
from cowabungaai_vllm.sampling import chat_fields, format_fields
from cowabungaai_vllm.tools import mode_of, offered, parallel, schema_of


class Chat:
    """Answers conversations.

    Args:
        runner: has the engine.
        tokenizer: the model's.
        config: says which parsers the model needs.
    """

    def __init__(self, runner: Runner, tokenizer: Tokenizer, config: Config) -> None:
        self._runner = runner
        self._tokenizer = tokenizer
        self._config = config

    async def answer(self, request: ChatRequest, ids: list[int], adapter: Any) -> AsyncGenerator[ChatDelta, None]:
        """Answers piece by piece.

        Args:
            request: the conversation.
            ids: it as the model reads it.
            adapter: vLLM's LoRARequest; None for the model itself.

        Raises:
            InvalidRequestError: the engine, or the model's settings, cannot do what is asked for.
        """
        readers = [self._reader(request) for _ in range(request.n if request.HasField("n") else 1)]
        fields = chat_fields(request)
        if isinstance(readers[0], ParsedReader):
            # Parsers find their marks among the special tokens.
            fields["skip_special_tokens"] = readers[0].request.skip_special_tokens
        parameters = self._runner.parameters(fields, self._form(request))
        counter = Counter()
        outputs = self._runner.outputs(ids, parameters, adapter, request.user, counter)
        left = len(readers)
        async with aclosing(outputs):
            async for output in outputs:
                for one in output.outputs:
                    delta = self._delta(request, one, readers[one.index])
                    if delta.finish_reason is not None:
                        left -= 1
                    yield delta if left else replace(delta, usage=counter.usage())

    def _delta(self, request: ChatRequest, output: Any, reader: Reader) -> ChatDelta:
        reason = reason_of(output)
        piece = reader.read(output.text, output.token_ids, reason is not None)
        if reason == FINISH_REASON_STOP and reader.called:
            reason = FINISH_REASON_TOOL_CALLS
        logprobs = None
        if request.logprobs and output.logprobs is not None:
            logprobs = ChatLogprobs(content=tokens_of(output.token_ids, output.logprobs, request.top_logprobs))
        return ChatDelta(
            text=piece.text,
            reasoning=piece.reasoning,
            tool_calls=piece.tool_calls,
            finish_reason=reason,
            index=output.index,
            logprobs=logprobs,
        )

    def _form(self, request: ChatRequest) -> dict[str, Any] | None:
        match mode_of(request):
            case ToolChoice.MODE_REQUIRED:
                return {"json": schema_of(offered(request), parallel(request))}
            case ToolChoice.MODE_FUNCTION:
                return {"json": templates.schema(offered(request)[0])}
        return format_fields(request.response_format)

    def _reader(self, request: ChatRequest) -> Reader:
        mode = mode_of(request)
        if mode == ToolChoice.MODE_REQUIRED:
            return RequiredReader()
        if mode == ToolChoice.MODE_FUNCTION:
            return FunctionReader(request.tool_choice.function)
        wants_tools = mode == ToolChoice.MODE_AUTO
        if wants_tools and self._config.tool_call_parser is None:
            raise InvalidRequestError(
                "this model is served without a parser of tool calls; "
                "ask for tool_choice `required` or a function, or set tool_call_parser in its configuration",
                "tools",
            )
        if not wants_tools and self._config.reasoning_parser is None:
            return TextReader()
        return self._parsed(request, wants_tools)

    def _parsed(self, request: ChatRequest, wants_tools: bool) -> ParsedReader:
        library = self._runner.library
        tools = [templates.function(tool) for tool in offered(request)] if wants_tools else None
        seen = library.ChatCompletionRequest(
            model=request.model,
            messages=[{"role": "user", "content": ""}],
            tools=tools,
            tool_choice="auto" if tools else "none",
        )
        tool_parser = reasoning_parser = None
        if wants_tools:
            tool_parser = library.ToolParserManager.get_tool_parser(self._config.tool_call_parser)(
                self._tokenizer, seen.tools
            )
            seen = tool_parser.adjust_request(seen)
        if self._config.reasoning_parser is not None:
            reasoning_parser = library.ReasoningParserManager.get_reasoning_parser(self._config.reasoning_parser)(
                self._tokenizer
            )
            seen = reasoning_parser.adjust_request(seen)
        return ParsedReader(seen, tool_parser, reasoning_parser, parallel(request))
