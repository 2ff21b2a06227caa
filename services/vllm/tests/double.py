# SPDX-License-Identifier: Apache-2.0
"""An engine double with exactly vLLM's interface: its parameters' classes have the fields of the pinned wheel's.

It answers with its prompt, token by token; its tokens are words. What it is asked to do it does as far as the service
shows it: it stops at max_tokens, gives n answers, writes the JSON that a test wants, and has log probabilities.
"""

import asyncio
import json
from dataclasses import field, make_dataclass
from enum import Enum
from types import SimpleNamespace

from cowabungaai_vllm.library import NAMES, Library
from wheel import MISSING, fields

CONTEXT = 64
CALL_START, CALL_END = "<tool_call>", "</tool_call>"
THOUGHT_END = "</think>"


class ClientError(Exception):
    """Stands for VLLMClientError."""

    def __init__(self, message, parameter=None):
        super().__init__(message)
        self.parameter = parameter


class DeadError(Exception):
    """Stands for EngineDeadError."""


class Kind(Enum):
    """Stands for RequestOutputKind."""

    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2


def struct(name):
    """A class with the fields that the wheel's class of this name has, and no others."""

    def init(self, **given):
        known = fields(NAMES[name], name)
        if unknown := given.keys() - known.keys():
            raise TypeError(f"{name} has no {sorted(unknown)}")
        for field_name, default in known.items():
            setattr(self, field_name, given.get(field_name, None if default is MISSING else default))
        if name == "SamplingParams":
            _check(self)

    return type(name, (), {"__init__": init})


def _check(parameters):
    if not 0 < parameters.top_p <= 1:
        raise ClientError(f"top_p must be in (0, 1], got {parameters.top_p}.", "top_p")
    if parameters.max_tokens is not None and parameters.max_tokens < 1:
        raise ClientError(f"max_tokens must be at least 1, got {parameters.max_tokens}.", "max_tokens")


class Tokenizer:
    """Words as tokens; ids are given as words are met."""

    max_chars_per_token = 32

    def __init__(self):
        self._words = ["<bos>"]

    def encode(self, text, truncation=None, max_length=None, add_special_tokens=True):
        parts = text.replace(" ", "\0 ").split("\0")
        ids = [self._id(part) for part in parts if part]
        return [0, *ids] if add_special_tokens else ids

    def decode(self, ids, skip_special_tokens=False):
        return "".join(self._words[number] for number in ids if number)

    def apply_chat_template(self, messages, tools=None, **kwargs):
        if kwargs["chat_template"] == "refuse":
            raise ValueError("roles must alternate")
        assert kwargs["add_generation_prompt"]
        assert kwargs["tokenize"]
        self.seen = SimpleNamespace(messages=messages, tools=tools, kwargs=kwargs)
        return self.encode(messages[-1]["content"])

    def word(self, number):
        return self._words[number]

    def _id(self, word):
        if word not in self._words:
            self._words.append(word)
        return self._words.index(word)


class ToolParser:
    """Reads calls between marks, whole."""

    def __init__(self, tokenizer, tools=None):
        self.current_tool_id = -1

    def adjust_request(self, request):
        request.skip_special_tokens = False
        return request

    def get_remaining_unstreamed_args(self):
        return ""

    def extract_tool_calls_streaming(
        self, previous_text, current_text, delta_text, previous_token_ids, current_token_ids, delta_token_ids, request
    ):
        assert current_text == previous_text + delta_text
        assert current_token_ids == [*previous_token_ids, *delta_token_ids]
        start = current_text.find(CALL_START)
        if start < 0:
            return SimpleNamespace(content=delta_text, tool_calls=[])
        calls = []
        if current_text.count(CALL_END) > previous_text.count(CALL_END):
            self.current_tool_id += 1
            written = current_text.split(CALL_START)[self.current_tool_id + 1].split(CALL_END)[0]
            call = json.loads(written)
            function = SimpleNamespace(name=call["name"], arguments=json.dumps(call["arguments"]))
            calls.append(SimpleNamespace(index=self.current_tool_id, id=f"c{self.current_tool_id}", function=function))
        return SimpleNamespace(content=None, tool_calls=calls)


class ReasoningParser:
    """Reads thoughts up to a mark."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer

    def adjust_request(self, request):
        return request

    def is_reasoning_end_streaming(self, input_ids, delta_ids):
        return THOUGHT_END in self._tokenizer.decode(input_ids)

    def extract_content_ids(self, input_ids):
        return []

    def extract_reasoning_streaming(
        self, previous_text, current_text, delta_text, previous_token_ids, current_token_ids, delta_token_ids
    ):
        if THOUGHT_END in delta_text:
            thought, _, content = delta_text.partition(THOUGHT_END)
            return SimpleNamespace(reasoning=thought, content=content)
        return SimpleNamespace(reasoning=delta_text, content=None)


class Manager:
    """Stands for ToolParserManager and ReasoningParserManager."""

    def __init__(self, **known):
        self._known = known

    def list_registered(self):
        return list(self._known)

    def get_tool_parser(self, name):
        return self._known[name]

    get_reasoning_parser = get_tool_parser


class Engine:
    """Stands for AsyncLLM; everything that it was given is kept for the tests."""

    made = None

    def __init__(self, arguments):
        self.arguments = arguments
        self.model_config = SimpleNamespace(max_model_len=CONTEXT)
        self.tokenizer = Tokenizer()
        self.errored = False
        self.calls = []
        self.running = 0
        self.ended = False
        self.delay_s = 0.0
        self.answer = None
        self.failure = None

    @classmethod
    def from_engine_args(cls, engine_args):
        if "broken" in engine_args.model:
            raise ValueError("no such architecture")
        cls.made = cls(engine_args)
        return cls.made

    def get_tokenizer(self):
        return self.tokenizer

    def shutdown(self, timeout=None):
        self.ended = True

    async def generate(self, prompt, sampling_params, request_id, *, lora_request=None):
        self.calls.append(SimpleNamespace(prompt=prompt, parameters=sampling_params, adapter=lora_request))
        self.running += 1
        try:
            if self.failure is not None:
                raise self.failure
            async for output in self._outputs(prompt["prompt_token_ids"], sampling_params):
                yield output
        finally:
            self.running -= 1

    async def _outputs(self, ids, parameters):
        answer = self._answer(ids, parameters)
        limit = CONTEXT - len(ids) if parameters.max_tokens is None else parameters.max_tokens
        reason = "length" if len(answer) > limit else "stop"
        answer = answer[:limit]
        whole = parameters.output_kind == Kind.FINAL_ONLY
        pieces = [answer] if whole else [[number] for number in answer]
        for position, piece in enumerate(pieces):
            await asyncio.sleep(self.delay_s)
            last = position == len(pieces) - 1
            outputs = [
                self._output(index, piece, parameters, reason if last else None) for index in range(parameters.n)
            ]
            if not self.tokenizer or not outputs:
                return
            yield SimpleNamespace(
                outputs=outputs, num_cached_tokens=1, prompt_logprobs=self._of_prompt(ids, parameters), finished=last
            )

    def _answer(self, ids, parameters):
        if parameters.structured_outputs is not None:
            return self.tokenizer.encode(self.answer or "{}", add_special_tokens=False)
        if self.answer is not None:
            return self.tokenizer.encode(self.answer, add_special_tokens=False)
        return [number for number in ids if number]

    def _output(self, index, piece, parameters, reason):
        logprobs = None if parameters.logprobs is None else [self._position(number, index) for number in piece]
        return SimpleNamespace(
            index=index,
            text=self.tokenizer.decode(piece),
            token_ids=piece,
            cumulative_logprob=None if logprobs is None else -float(len(piece)) / (index + 1),
            logprobs=logprobs,
            finish_reason=reason,
        )

    def _of_prompt(self, ids, parameters):
        if parameters.prompt_logprobs is None:
            return None
        return [None, *(self._position(number, 0) for number in ids[1:])]

    def _position(self, number, index):
        return {
            number: SimpleNamespace(logprob=-1.0 - index, decoded_token=self.tokenizer.word(number)),
            0: SimpleNamespace(logprob=-2.0 - index, decoded_token=self.tokenizer.word(0)),
        }


def library():
    """vLLM, as far as the service sees it."""
    arguments = fields(NAMES["AsyncEngineArgs"], "EngineArgs") | fields(NAMES["AsyncEngineArgs"], "AsyncEngineArgs")
    return Library(
        SamplingParams=struct("SamplingParams"),
        StructuredOutputsParams=struct("StructuredOutputsParams"),
        RequestOutputKind=Kind,
        AsyncEngineArgs=make_dataclass("AsyncEngineArgs", [(name, object, field(default=None)) for name in arguments]),
        AsyncLLM=Engine,
        LoRARequest=lambda *given: SimpleNamespace(
            **dict(zip(fields(NAMES["LoRARequest"], "LoRARequest"), given, strict=False))
        ),
        ToolParserManager=Manager(marks=ToolParser),
        ReasoningParserManager=Manager(thoughts=ReasoningParser),
        ChatCompletionRequest=lambda **given: SimpleNamespace(skip_special_tokens=True, **given),
        tokens_input=lambda ids, *, prompt=None, cache_salt=None: {
            "type": "token",
            "prompt_token_ids": ids,
            "cache_salt": cache_salt,
        },
        VLLMClientError=ClientError,
        EngineDeadError=DeadError,
    )
