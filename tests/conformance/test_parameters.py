# SPDX-License-Identifier: Apache-2.0
"""Every wrong, unsupported or unknown parameter is refused by its name, in the client's BadRequestError."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from conformance.ask import MESSAGES, SENTENCE, WEATHER, Sound, said

INVALID, TYPE, MISSING = "invalid_value", "invalid_type", "missing_required_parameter"
UNKNOWN, UNSUPPORTED = "unknown_parameter", "unsupported_parameter"
REQUIRED: dict[str, dict[str, Any]] = {
    "/chat/completions": {"messages": MESSAGES},
    "/completions": {"prompt": SENTENCE},
    "/embeddings": {"input": SENTENCE},
}
GONE = object()
Case = tuple[dict[str, Any], str, str]
SAMPLED: list[Case] = [
    ({"temperature": 2.1}, "temperature", INVALID),
    ({"temperature": -0.1}, "temperature", INVALID),
    ({"temperature": "hot"}, "temperature", TYPE),
    ({"top_p": 1.1}, "top_p", INVALID),
    ({"top_p": -1}, "top_p", INVALID),
    ({"frequency_penalty": 3}, "frequency_penalty", INVALID),
    ({"presence_penalty": -3}, "presence_penalty", INVALID),
    ({"logit_bias": {"5": 101}}, "logit_bias.5", INVALID),
    ({"logit_bias": {"five": 1}}, "logit_bias.five", INVALID),
    ({"seed": "x"}, "seed", TYPE),
    ({"seed": 2**63}, "seed", INVALID),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop", INVALID),
    ({"stop": 5}, "stop", TYPE),
    ({"n": 0}, "n", INVALID),
    ({"n": 129}, "n", INVALID),
    ({"n": "2"}, "n", TYPE),
    ({"max_tokens": 0}, "max_tokens", INVALID),
    ({"max_tokens": 1.5}, "max_tokens", TYPE),
    ({"max_tokens": 2**32}, "max_tokens", INVALID),
    ({"stream": "yes"}, "stream", TYPE),
    ({"stream_options": {"include_usage": True}}, "stream_options", INVALID),
    ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation", INVALID),
    ({"stream": True, "stream_options": {"other": 1}}, "stream_options.other", UNKNOWN),
    ({"user": 5}, "user", TYPE),
    ({"model": GONE}, "model", MISSING),
    ({"model": 5}, "model", TYPE),
    ({"model": ""}, "model", INVALID),
    ({"min_p": 2}, "min_p", INVALID),
    ({"top_k": -2}, "top_k", INVALID),
    ({"repetition_penalty": 0}, "repetition_penalty", INVALID),
    ({"min_tokens": -1}, "min_tokens", INVALID),
    ({"no_such_parameter": 1}, "no_such_parameter", UNKNOWN),
]
CHAT: list[Case] = [
    ({"max_completion_tokens": 0}, "max_completion_tokens", INVALID),
    ({"max_completion_tokens": 5, "max_tokens": 5}, "max_tokens", INVALID),
    ({"logprobs": 2}, "logprobs", TYPE),
    ({"top_logprobs": 2}, "top_logprobs", INVALID),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", INVALID),
    ({"messages": GONE}, "messages", MISSING),
    ({"messages": []}, "messages", INVALID),
    ({"messages": "hello"}, "messages", TYPE),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", INVALID),
    ({"messages": [{"content": "x"}]}, "messages[0].role", MISSING),
    ({"messages": [*MESSAGES, {"role": "user"}]}, "messages[1].content", MISSING),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", TYPE),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", INVALID),
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type", INVALID),
    ({"messages": [{"role": "user", "content": "x", "mood": 1}]}, "messages[0].mood", UNKNOWN),
    ({"messages": [{"role": "assistant"}]}, "messages[0].content", INVALID),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", MISSING),
    ({"tools": [{"type": "function"}]}, "tools[0].function", MISSING),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name", INVALID),
    ({"tools": [WEATHER, WEATHER]}, "tools", INVALID),
    ({"tools": [WEATHER], "tool_choice": "any"}, "tool_choice", INVALID),
    ({"tool_choice": "required"}, "tool_choice", INVALID),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "nope"}}},
        "tool_choice",
        INVALID,
    ),
    ({"response_format": {"type": "xml"}}, "response_format.type", INVALID),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", MISSING),
    ({"reasoning_effort": "huge"}, "reasoning_effort", INVALID),
    ({"verbosity": "loud"}, "verbosity", INVALID),
    ({"user": "a", "safety_identifier": "b"}, "user", INVALID),
    *[
        ({name: value}, name, UNSUPPORTED)
        for name, value in {
            "audio": {"voice": "alloy", "format": "wav"},
            "function_call": "auto",
            "functions": [{"name": "f"}],
            "metadata": {"a": "b"},
            "modalities": ["text", "audio"],
            "moderation": {},
            "prediction": {"type": "content", "content": "x"},
            "prompt_cache_retention": "24h",
            "service_tier": "flex",
            "store": True,
            "web_search_options": {},
        }.items()
    ],
]
COMPLETIONS: list[Case] = [
    ({"prompt": GONE}, "prompt", MISSING),
    ({"prompt": []}, "prompt", INVALID),
    ({"prompt": 5}, "prompt", TYPE),
    ({"logprobs": 6}, "logprobs", INVALID),
    ({"best_of": 1, "n": 2}, "best_of", INVALID),
    ({"best_of": 21}, "best_of", INVALID),
    ({"echo": "yes"}, "echo", TYPE),
    ({"echo": True, "suffix": "x"}, "echo", INVALID),
    ({"suffix": 5}, "suffix", TYPE),
    ({"messages": MESSAGES}, "messages", UNKNOWN),
]
EMBEDDINGS: list[Case] = [
    ({"input": GONE}, "input", MISSING),
    ({"input": ""}, "input", INVALID),
    ({"input": []}, "input", INVALID),
    ({"input": ["a", ""]}, "input[1]", INVALID),
    ({"input": [[]]}, "input[0]", INVALID),
    ({"input": [[1, -1]]}, "input[0][1]", INVALID),
    ({"input": ["a"] * 2049}, "input", INVALID),
    ({"input": 5}, "input", TYPE),
    ({"dimensions": 0}, "dimensions", INVALID),
    ({"dimensions": "8"}, "dimensions", TYPE),
    ({"encoding_format": "hex"}, "encoding_format", INVALID),
    ({"user": 5}, "user", TYPE),
    ({"model": GONE}, "model", MISSING),
    ({"stream": True}, "stream", UNKNOWN),
]


def refused(client: openai.OpenAI, path: str, body: dict[str, Any]) -> openai.BadRequestError:
    """The error that the client raises for a request."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.post(path, body=body, cast_to=object)
    return caught.value


def described(case: Case) -> str:
    """A case's name: the parameter and the value's beginning."""
    value = next(iter(case[0].values()))
    return f"{case[1]} {case[2]} {'' if value is GONE else str(value)[:24]}"


@pytest.mark.parametrize(
    ("path", "case"),
    [
        pytest.param(
            path,
            case,
            id=f"{path[1:]} {described(case)}",
            marks=[pytest.mark.endpoint(path[1:]), pytest.mark.needs(able)],
        )
        for path, able, cases in (
            ("/chat/completions", "chat", [*SAMPLED, *CHAT]),
            ("/completions", "completion", [*SAMPLED, *COMPLETIONS]),
            ("/embeddings", "embedding", EMBEDDINGS),
        )
        for case in cases
    ],
)
def test_a_wrong_parameter_is_refused_by_name(client: openai.OpenAI, model: str, path: str, case: Case) -> None:
    changes, param, code = case
    body = {"model": model, **REQUIRED[path], **changes}
    error = refused(client, path, {name: value for name, value in body.items() if value is not GONE})
    assert (error.param, error.code, error.type) == (param, code, "invalid_request_error")
    assert param.split(".")[-1].split("[")[0] in error.message or param in error.message


@pytest.mark.endpoint("chat/completions")
@pytest.mark.needs("chat")
@pytest.mark.parametrize(
    ("part", "param", "code"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            "messages[0].content[0].image_url.url",
            INVALID,
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}},
            "messages[0].content[0].image_url.url",
            "invalid_base64",
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "ogg"}},
            "messages[0].content[0].input_audio.format",
            INVALID,
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "file_id": "file-1"}},
            "messages[0].content[0].file.file_id",
            UNKNOWN,
        ),
        ({"type": "text"}, "messages[0].content[0].text", MISSING),
    ],
    ids=["remote image", "no base64", "audio format", "stored file", "text"],
)
def test_a_wrong_part_is_refused_by_name(client: openai.OpenAI, model: str, part: Any, param: str, code: str) -> None:
    error = refused(client, "/chat/completions", {"model": model, "messages": [{"role": "user", "content": [part]}]})
    assert (error.param, error.code) == (param, code)


@pytest.mark.endpoint("audio")
@pytest.mark.needs("transcription", "translation")
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    "case",
    [
        ("transcriptions", {"response_format": "xml"}, "response_format", INVALID),
        ("transcriptions", {"temperature": 2}, "temperature", INVALID),
        ("transcriptions", {"language": "English"}, "language", INVALID),
        ("transcriptions", {"timestamp_granularities": ["word"]}, "timestamp_granularities", INVALID),
        (
            "transcriptions",
            {"timestamp_granularities": ["day"], "response_format": "verbose_json"},
            "timestamp_granularities[0]",
            INVALID,
        ),
        ("transcriptions", {"stream": True, "response_format": "srt"}, "stream", INVALID),
        ("transcriptions", {"include": ["logprobs"]}, "include", UNSUPPORTED),
        ("transcriptions", {"extra_body": {"diarize": "yes"}}, "diarize", UNKNOWN),
        ("translations", {"response_format": "xml"}, "response_format", INVALID),
        ("translations", {"extra_body": {"language": "de"}}, "language", UNKNOWN),
    ],
    ids=str,
)
def test_a_wrong_field_of_a_form_is_refused_by_name(
    client: openai.OpenAI, model: str, sound: Sound, case: tuple[str, Any, str, str]
) -> None:
    kind, parameters, param, code = case
    endpoint: Any = getattr(client.audio, kind)
    with pytest.raises(openai.BadRequestError) as caught:
        endpoint.create(model=model, file=sound, **parameters)
    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.exact
@pytest.mark.endpoint("chat/completions")
@pytest.mark.parametrize("stream", [False, True])
def test_a_mistake_that_the_backend_finds_has_its_name(client: openai.OpenAI, model: str, stream: bool) -> None:
    error = refused(
        client,
        "/chat/completions",
        {"model": model, "messages": said("/repeat volume=11"), "stream": stream},
    )
    assert error.param == "messages"
    assert "volume=11" in error.message
