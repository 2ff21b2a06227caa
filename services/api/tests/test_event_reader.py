# SPDX-License-Identifier: Apache-2.0
"""Server-sent events of servers that speak OpenAI's API: what is taken out of them, and what goes on."""

from collections.abc import Iterable

import orjson
import pytest

from cowabungaai_api.errors import ApiError
from cowabungaai_api.schemas.audio_request import TranscriptionRequest
from cowabungaai_api.schemas.chat_request import ChatCompletionRequest
from cowabungaai_api.upstream import events
from cowabungaai_api.upstream.base import Call
from cowabungaai_api.upstream.events import EventReader
from cowabungaai_sdk.errors import (
    BackendFailedError,
    BackendOverloadedError,
    BackendUnavailableError,
    InvalidRequestError,
    UnsupportedError,
)

USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
DONE = b"data: [DONE]\n\n"


def chat(model: str = "m", *, usage: bool = False) -> Call:
    value = {"model": model, "messages": [{"role": "user", "content": "a"}], "stream": True}
    if usage:
        value["stream_options"] = {"include_usage": True}
    return Call(b"", value, ChatCompletionRequest.model_validate(value))


def reader(call: Call, *, done_marker: bool = True) -> EventReader:
    return EventReader(call, done_marker, "vllm:8000")


def event(payload: object) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def delta(text: str, model: str = "m") -> bytes:
    return event({"id": "x", "model": model, "choices": [{"index": 0, "delta": {"content": text}}]})


def usage_event(usage: object = USAGE, model: str = "m") -> bytes:
    return event({"id": "x", "model": model, "choices": [], "usage": usage})


def read(found: EventReader, pieces: Iterable[bytes]) -> bytes:
    out = b"".join(found.feed(piece) for piece in pieces)
    return out + found.finish()


def payloads(out: bytes) -> list[dict[str, object]]:
    """What a strict reader of events gets."""
    assert out == b"" or out.endswith(b"\n\n")
    lines = [line for line in out.split(b"\n\n") if line and not line.startswith(b":")]
    assert all(line.startswith(b"data: ") and b"\n" not in line for line in lines)
    return [orjson.loads(line.removeprefix(b"data: ")) for line in lines]


def test_plain_events_go_on_as_they_are_without_being_parsed(monkeypatch):
    found = reader(chat())
    found.feed(delta("first"))

    def loads(_: bytes) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(events.orjson, "loads", loads)
    piece = delta("a") + delta("b") + delta("c")
    assert found.feed(piece) is piece


@pytest.mark.parametrize(
    "before",
    [b": ping\n", b"event: message\n", b"id: 7\nretry: 3\n", b":\n: \n", b"event:message\nid\n"],
    ids=["comment", "event", "id", "comments", "tight"],
)
def test_other_lines_of_an_event_are_ignored(before):
    call = chat()
    found = reader(call)
    out = read(found, [before + delta("a"), before + usage_event(), before + DONE])
    assert found.done
    assert not found.failed
    assert (call.use.prompt, call.use.completion) == (3, 5)
    assert [chunk["choices"][0]["delta"]["content"] for chunk in payloads(out)] == ["a"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_ends_of_lines_of_any_kind_however_they_are_cut(end, size):
    call = chat(usage=True)
    found = reader(call)
    stream = (b": ping\n\n" + delta("a") + b"event: x\n" + delta("b") + usage_event() + DONE).replace(b"\n", end)
    out = read(found, [stream[start : start + size] for start in range(0, len(stream), size)])
    assert out == delta("a") + delta("b") + usage_event()
    assert (found.done, call.use.completion) == (True, 5)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_an_event_goes_on_as_soon_as_it_is_complete(end):
    assert reader(chat()).feed(delta("a").replace(b"\n", end)) == delta("a")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("size", [1, 1000])
def test_lines_of_data_are_joined(end, size):
    lines = b'data: {"model":"m",\ndata:"choices":[{"index":0}]\ndata: }\n\n'.replace(b"\n", end)
    found = reader(chat())
    found.feed(delta("a"))
    out = read(found, [lines[start : start + size] for start in range(0, len(lines), size)])
    assert payloads(out) == [{"model": "m", "choices": [{"index": 0}]}]


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\n"])
def test_end_of_the_body_ends_the_last_event(tail):
    found = reader(chat())
    read(found, [delta("a"), b"data: [DONE]" + tail])
    assert found.done


def test_event_that_the_end_of_the_body_cut_is_not_passed_on():
    found = reader(chat())
    found.feed(delta("a"))
    found.feed(delta("b")[:-9])
    assert found.finish() == b""
    assert isinstance(found.failed, BackendFailedError)


def test_comments_are_dropped_until_data_came_and_kept_as_signs_of_life_after():
    found = reader(chat())
    assert found.feed(b": ping\n\n:\n\n") == b""
    assert found.feed(b": secret\n\n" + delta("a")) == delta("a")
    assert found.feed(b": secret\n\n") == b":\n\n"


def test_nothing_follows_done():
    found = reader(chat())
    assert found.feed(delta("a") + DONE + delta("b")) == delta("a")
    assert found.done


def test_text_that_looks_like_a_mark_is_text():
    found = reader(chat())
    texts = ["[DONE]", '"usage"', '"error"', 'say "model": "x"', "model", "\n\ndata: [DONE]\n\n"]
    out = read(found, [*map(delta, texts)])
    assert [chunk["choices"][0]["delta"]["content"] for chunk in payloads(out)] == texts
    assert not found.done
    assert not found.failed


@pytest.mark.parametrize("wanted", [True, False])
def test_usage_is_counted_and_passed_on_only_where_it_is_wanted(wanted):
    call = chat(usage=wanted)
    null = event({"model": "m", "choices": [{"index": 0}], "usage": None})
    out = payloads(read(reader(call), [null, usage_event(), DONE]))
    assert call.use.prompt == 3
    assert len(out) == (2 if wanted else 1)
    assert all(("usage" in chunk) is wanted for chunk in out)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ([1], (0, 0)),
        ("5", (0, 0)),
        (7, (0, 0)),
        ({"prompt_tokens": "5", "completion_tokens": [2]}, (0, 0)),
        ({"prompt_tokens": -5, "completion_tokens": 2}, (0, 2)),
        ({"prompt_tokens": True, "completion_tokens": 2.5}, (0, 0)),
        ({"input_tokens": 4, "output_tokens": 6}, (4, 6)),
    ],
)
def test_counts_that_are_none_are_left_out(usage, counted):
    call = chat()
    found = reader(call)
    read(found, [usage_event(usage), DONE])
    assert found.done
    assert (call.use.prompt, call.use.completion) == counted


@pytest.mark.parametrize("payload", [b'["usage"]', b'"error"', b'{usage: "usage"}', b'{"usage":'])
def test_event_that_is_no_object_is_a_failure_after_those_before(payload):
    found = reader(chat())
    assert found.feed(delta("a") + b"data: " + payload + b"\n\n" + delta("b")) == delta("a")
    assert isinstance(found.failed, BackendFailedError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 400, "type": "BadRequestError", "param": "messages"}, InvalidRequestError),
        ({"code": "422"}, InvalidRequestError),
        ({"code": "context_length_exceeded", "type": "invalid_request_error"}, InvalidRequestError),
        ({"code": 404}, UnsupportedError),
        ({"code": 404, "type": "NotFoundError"}, BackendFailedError),
        ({"code": 413}, ApiError),
        ({"code": 429}, BackendOverloadedError),
        ({"code": 503}, BackendUnavailableError),
        ({"code": 401}, BackendFailedError),
        ({"code": 500}, BackendFailedError),
        ({"code": 200}, BackendFailedError),
        ({"code": "²"}, BackendFailedError),
        ({"code": True, "type": ["x"]}, BackendFailedError),
    ],
)
def test_error_in_a_stream_means_what_its_code_does(error, kind):
    found = reader(chat())
    assert found.feed(b": ping\n\n" + event({"error": {"message": "secret", **error}}) + DONE) == b""
    assert type(found.failed) is kind
    if kind is InvalidRequestError:
        assert str(found.failed) == "secret"
        assert found.failed.param == error.get("param")
    elif kind is not ApiError:
        assert "secret" not in str(found.failed)


@pytest.mark.parametrize(
    "stream",
    [
        event({"object": "error", "message": "bad", "code": 400}),
        b'event: error\ndata: {"message":"bad","code":400}\n\n',
        event({"error": {"message": "bad", "code": 400}, "choices": [{"finish_reason": "error"}]}),
    ],
    ids=["old", "named", "with choices"],
)
def test_errors_of_other_shapes(stream):
    found = reader(chat())
    assert found.feed(stream) == b""
    assert isinstance(found.failed, InvalidRequestError)
    assert str(found.failed) == "bad"


@pytest.mark.parametrize("said", ["m", "/models/secret.gguf", "größe/模型", "", 'a"b\\'])
@pytest.mark.parametrize("blanks", [b'"model":', b'"model" : '])
@pytest.mark.parametrize("escape", [True, False])
@pytest.mark.parametrize("name", ["m", "naïve", "größe/模型"])
def test_model_has_always_the_clients_name(said, blanks, escape, name):
    model = orjson.dumps(said)
    if escape:
        model = b'"' + model.decode()[1:-1].encode("ascii", "backslashreplace").replace(b"\\xf6", b"\\u00f6") + b'"'
        model = model.replace(b"\\xdf", b"\\u00df")
    assert orjson.loads(model) == said
    chunks = [delta(text).replace(b'"model":"m"', blanks + model) for text in "abc"]
    last = usage_event().replace(b'"model":"m"', blanks + model)
    out = payloads(read(reader(chat(name, usage=True)), [chunks[0], chunks[1] + chunks[2], last, DONE]))
    assert [chunk["model"] for chunk in out] == [name] * 4


def test_model_that_changes_within_a_stream_has_the_clients_name_too():
    stream = [delta("a", ""), delta("b", "x") + delta("c", "x"), delta("d", "y") + delta("e", "x"), usage_event()]
    out = payloads(read(reader(chat(usage=True)), [*stream, DONE]))
    assert [chunk["model"] for chunk in out] == ["m"] * 6


def test_model_that_is_no_name_is_replaced():
    out = payloads(read(reader(chat()), [event({"model": None, "choices": []}), event({"model": 5, "choices": []})]))
    assert [chunk["model"] for chunk in out] == ["m", "m"]


def test_event_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(events, "EVENT_BYTES", 100)
    found = reader(chat())
    found.feed(b"data: " + b"x" * 80)
    with pytest.raises(BackendFailedError, match="longer than 100 bytes"):
        found.feed(b"x" * 80)


def test_event_nested_too_deeply_is_a_failure():
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    with pytest.raises(BackendFailedError, match="nested too deeply"):
        reader(chat()).feed(b'data: {"model":"other","choices":[' + deep + b"]}\n\n")


def transcript() -> Call:
    value = {"model": "m", "stream": True}
    return Call(b"", value, TranscriptionRequest.model_validate(value))


@pytest.mark.parametrize(
    ("last", "done"),
    [
        (event({"type": "transcript.text.done", "text": "a", "usage": {"input_tokens": 2, "output_tokens": 1}}), True),
        (event({"type": "transcript.text.done", "text": "a"}), True),
        (DONE, True),
        (event({"type": "transcript.text.delta", "delta": "transcript.text.done"}), False),
        (b"", False),
    ],
)
def test_transcript_is_complete_with_its_last_event(last, done):
    found = reader(transcript(), done_marker=False)
    first = event({"type": "transcript.text.delta", "delta": "a"})
    out = read(found, [first, last])
    assert out == first + (b"" if last == DONE else last)
    assert found.done is done
