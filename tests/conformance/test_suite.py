# SPDX-License-Identifier: Apache-2.0
"""The suite itself: its strictness is strict, and its report counts."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from conformance.strict import EventChecker, check_body
from conformance.target import Target, TargetError, choose_model, from_environment

pytestmark = pytest.mark.endpoint("suite")
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "x"}, "logprobs": None, "finish_reason": "stop"}
    ],
    "usage": USAGE,
}
CHUNK: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}],
}
ERROR: dict[str, Any] = {"message": "m", "type": "invalid_request_error", "param": None, "code": None}


def check(path: str, status: int, body: dict[str, Any]) -> None:
    """Checks an answer in JSON."""
    check_body(path, status, "application/json", json.dumps(body).encode())


def test_a_good_answer_passes() -> None:
    check("/chat/completions", 200, CHAT)
    check("/chat/completions", 400, {"error": ERROR})
    EventChecker("/chat/completions").feed(b"data: " + json.dumps(CHUNK).encode() + b"\n\ndata: [DONE]\n\n")


@pytest.mark.parametrize(
    "change",
    [
        {"created": "1700000000"},
        {"created": 1.5},
        {"object": "chat"},
        {"usage": {**USAGE, "total_tokens": "2"}},
        {"id": None},
        {"choices": None},
        {"choices": [{**CHAT["choices"][0], "finish_reason": None}]},
        {"choices": [{**CHAT["choices"][0], "message": {"role": "robot", "content": "x"}}]},
    ],
    ids=str,
)
def test_a_wrong_answer_is_found(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        check("/chat/completions", 200, {**CHAT, **change})


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "m"},
        {"error": "m"},
        {"error": {**ERROR, "type": "oops"}},
        {"error": {name: value for name, value in ERROR.items() if name != "param"}},
        {"error": {**ERROR, "trace": "x"}},
        {"error": ERROR, "detail": "m"},
    ],
    ids=str,
)
def test_an_error_of_another_form_is_found(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        check("/chat/completions", 400, body)


@pytest.mark.parametrize("change", [{"created": "1"}, {"choices": [{"index": 0}]}], ids=str)
def test_a_wrong_event_is_found(change: dict[str, Any]) -> None:
    event = b"data: " + json.dumps({**CHUNK, **change}).encode() + b"\n\n"
    checker = EventChecker("/chat/completions")
    checker.feed(event[:9])
    with pytest.raises(ValidationError):
        checker.feed(event[9:])


def test_the_report_counts_by_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "test_sample.py"
    file.write_text(
        textwrap.dedent(
            """
            import pytest
            @pytest.mark.endpoint("a")
            def test_one(): pass
            @pytest.mark.endpoint("a")
            def test_two(): assert False
            @pytest.mark.endpoint("b")
            def test_three(): pytest.skip("for a reason")
            """
        )
    )
    monkeypatch.setenv("COWABUNGAAI_REPORT", str(tmp_path / "report.json"))
    code = pytest.main(
        [
            "-q",
            "-p",
            "conformance.conftest",
            "-p",
            "no:cacheprovider",
            "-c",
            "/dev/null",
            f"--rootdir={tmp_path}",
            str(file),
        ]
    )
    assert code == 1
    a, b = {"passed": 1, "failed": 1, "skipped": 0}, {"passed": 0, "failed": 0, "skipped": 1}
    expected = {"passed": 1, "failed": 1, "skipped": 1, "endpoints": {"a": a, "b": b}}
    assert json.loads((tmp_path / "report.json").read_text()) == expected


@pytest.mark.parametrize(
    ("url", "key", "named"),
    [
        ("http://127.0.0.1:1", "k", "COWABUNGAAI_BASE_URL"),
        ("127.0.0.1:1/openai/v1", "k", "COWABUNGAAI_BASE_URL"),
        ("http://127.0.0.1:1/openai/v1", "", "COWABUNGAAI_API_KEY"),
    ],
)
def test_a_wrong_setting_is_told_by_name(monkeypatch: pytest.MonkeyPatch, url: str, key: str, named: str) -> None:
    monkeypatch.setenv("COWABUNGAAI_BASE_URL", url)
    monkeypatch.setenv("COWABUNGAAI_API_KEY", key)
    with pytest.raises(TargetError, match=named):
        from_environment()


def test_a_model_that_is_not_there_is_told_with_those_that_are(
    target: Target, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COWABUNGAAI_MODEL", "nope")
    with pytest.raises(TargetError, match=f"'nope'; expected one of .*{model}"):
        choose_model(target)
