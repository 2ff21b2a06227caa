# SPDX-License-Identifier: Apache-2.0
"""Every class of error that the client knows, as the gateway makes it raise one."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest

from conformance.ask import MESSAGES, SENTENCE, joined, said
from conformance.conftest import MakeKey
from conformance.strict import check_body
from conformance.strict import client as strict_client
from conformance.target import OPENAI, OWN, Target

pytestmark = [pytest.mark.endpoint("errors")]
chats = pytest.mark.needs("chat")
PATHS = ["/chat/completions", "/completions", "/embeddings"]
JSON = {"content-type": "application/json"}
NO_ECHO = "this-must-not-be-repeated"


def raised(client: openai.OpenAI, kind: type[openai.APIStatusError], **changes: Any) -> Any:
    """The error that a conversation raises."""
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**{"messages": MESSAGES, "max_tokens": 4, **changes})
    assert type(caught.value) is kind
    assert caught.value.request_id
    return caught.value


@pytest.mark.parametrize(
    "key", ["", "wrong", "cbai_short", "cbai_" + "0" * 49, "a.b.c", "sk-proj-0123456789"], ids=repr
)
def test_a_bad_key_is_an_authentication_error(target: Target, model: str, key: str) -> None:
    if not key:
        with target.http("") as http:
            answer = http.get(f"{OPENAI}/models")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        check_body("/models", 401, "application/json", answer.content)
        return
    error = raised(strict_client(target.base_url, key), openai.AuthenticationError, model=model)
    assert (error.code, error.type) == ("invalid_api_key", "authentication_error")
    assert key not in error.message
    assert error.response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Bearer", "Token x", "cbai_x"])
def test_another_scheme_is_an_authentication_error(target: Target, header: str) -> None:
    with httpx2.Client(base_url=target.root, headers={"authorization": header}) as http:
        assert http.get(f"{OPENAI}/models").status_code == 401


@chats
def test_a_model_that_the_key_may_not_use_is_denied(target: Target, model: str, make_key: MakeKey) -> None:
    key = make_key(models=["none-of-them-*"])["value"]
    error = raised(strict_client(target.base_url, key), openai.PermissionDeniedError, model=model)
    assert (error.code, error.type, error.param) == ("insufficient_permissions", "permission_error", "model")


def test_managing_keys_without_the_scope_is_denied(target: Target, make_key: MakeKey) -> None:
    with target.http(make_key(scopes=["inference"])["value"]) as http:
        for method, path in (("GET", ""), ("POST", ""), ("GET", "/x"), ("PATCH", "/x"), ("DELETE", "/x")):
            body: Any = {"json": {"name": "x"}} if method in ("POST", "PATCH") else {}
            answer = http.request(method, f"{OWN}/auth/api-keys{path}", **body)
            assert answer.status_code == 403, f"{method} {path}"
            assert answer.json()["error"]["code"] == "insufficient_permissions"


@chats
def test_asking_models_without_the_scope_is_denied(target: Target, model: str, make_key: MakeKey) -> None:
    key = make_key(scopes=["admin"])["value"]
    error = raised(strict_client(target.base_url, key), openai.PermissionDeniedError, model=model)
    assert error.code == "insufficient_permissions"


@chats
def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    error = raised(client, openai.NotFoundError, model="no-such-model")
    assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")
    assert "no-such-model" in error.message


@pytest.mark.parametrize("path", ["/nothing", "/assistants", "/chat", "/chat/completions/"])
def test_an_unknown_path_is_not_found(client: openai.OpenAI, path: str) -> None:
    with pytest.raises(openai.NotFoundError):
        client.post(path, body={}, cast_to=object)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_not_allowed(http: httpx2.Client, path: str, method: str) -> None:
    answer = http.request(method, OPENAI + path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    check_body(path, 405, "application/json", answer.content)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"model": }', b"[1]", b'"text"', b"null"], ids=repr)
def test_a_body_that_is_no_object_is_a_bad_request(http: httpx2.Client, path: str, content: bytes) -> None:
    answer = http.post(OPENAI + path, content=content, headers=JSON)
    assert answer.status_code == 400
    check_body(path, 400, "application/json", answer.content)
    assert answer.json()["error"]["code"] in ("invalid_json", "invalid_type")


@pytest.mark.parametrize("path", [*PATHS, "/audio/transcriptions"])
def test_another_content_type_is_refused(http: httpx2.Client, path: str) -> None:
    kind = "application/json" if path.startswith("/audio") else "text/plain"
    answer = http.post(OPENAI + path, content=b"{}", headers={"content-type": kind})
    assert answer.status_code == 415
    check_body(path, 415, "application/json", answer.content)
    assert answer.json()["error"]["code"] == "unsupported_media_type"


@chats
def test_a_body_that_is_too_large_is_refused(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=model, messages=said("x" * (9 * 1024 * 1024)))
    assert (caught.value.status_code, caught.value.code) == (413, "body_too_large")


@pytest.mark.needs("transcription")
@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({}, "invalid_form"),
        ({"file": (None, "text")}, "missing_required_parameter"),
        ({"file": ("empty.wav", b"")}, "invalid_value"),
        ({"other": ("a.wav", b"x")}, "invalid_type"),
    ],
    ids=["none", "text", "empty", "other"],
)
def test_a_form_without_a_file_is_a_bad_request(http: httpx2.Client, model: str, files: Any, code: str) -> None:
    if files:
        answer = http.post(f"{OPENAI}/audio/transcriptions", data={"model": model}, files=files)
    else:
        kind = {"content-type": "multipart/form-data"}
        answer = http.post(f"{OPENAI}/audio/transcriptions", content=b"x", headers=kind)
    assert answer.status_code == 400
    check_body("/audio/transcriptions", 400, "application/json", answer.content)
    assert answer.json()["error"]["code"] == code


def test_an_error_does_not_repeat_the_prompt(http: httpx2.Client, model: str) -> None:
    body = {"model": model, "messages": said(NO_ECHO), "temperature": NO_ECHO}
    answer = http.post(f"{OPENAI}/chat/completions", json=body)
    assert answer.status_code == 400
    assert NO_ECHO not in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_an_error_is_no_stream(http: httpx2.Client, path: str) -> None:
    body = {"model": "no-such-model", "messages": MESSAGES, "prompt": SENTENCE, "input": SENTENCE}
    wanted = {"/chat/completions": "messages", "/completions": "prompt", "/embeddings": "input"}[path]
    stream = {} if path == "/embeddings" else {"stream": True}
    answer = http.post(OPENAI + path, json={"model": body["model"], wanted: body[wanted], **stream})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/json")


@chats
@pytest.mark.exact
@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ("failed", (openai.InternalServerError, 500, "backend_failed")),
        ("crash", (openai.InternalServerError, 500, "backend_failed")),
        ("unavailable", (openai.InternalServerError, 503, "backend_unavailable")),
        ("timeout", (openai.InternalServerError, 504, "deadline_exceeded")),
        ("overloaded", (openai.RateLimitError, 429, "server_overloaded")),
        ("invalid", (openai.BadRequestError, 400, "invalid_value")),
        ("unsupported", (openai.BadRequestError, 400, "unsupported_operation")),
        ("not_found", (openai.NotFoundError, 404, "model_not_found")),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_backends_error_has_its_status(
    client: openai.OpenAI, model: str, control: str, expected: tuple[Any, int, str], stream: bool
) -> None:
    kind, status, code = expected
    error = raised(client, kind, model=model, messages=said(f"/repeat error={control}"), stream=stream)
    assert (error.status_code, error.code) == (status, code)
    if status in (429, 503):
        assert int(error.response.headers["retry-after"]) >= 1
        assert int(error.response.headers["retry-after-ms"]) > 0


@chats
@pytest.mark.exact
def test_an_overload_says_when_to_come_back(client: openai.OpenAI, model: str) -> None:
    messages = said("/repeat error=overloaded retry_after=2.5s")
    headers = raised(client, openai.RateLimitError, model=model, messages=messages).response.headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("3", "2500")


@chats
@pytest.mark.exact
@pytest.mark.parametrize("control", ["failed", "crash", "unavailable", "timeout"])
def test_an_error_amid_a_stream_is_raised(client: openai.OpenAI, model: str, control: str) -> None:
    stream = client.chat.completions.create(
        model=model, messages=said(f"/repeat error={control} after=2 -- one two three"), stream=True
    )
    chunks: list[Any] = []
    with pytest.raises(openai.APIError) as caught:
        chunks.extend(stream)
    assert joined(chunks) == "one two"
    assert caught.value.code
    assert caught.value.type == "server_error"


@chats
@pytest.mark.exact
def test_after_an_error_amid_a_stream_there_is_no_done(http: httpx2.Client, model: str) -> None:
    body = {"model": model, "messages": said("/repeat error=failed after=1 -- one two"), "stream": True}
    answer = http.post(f"{OPENAI}/chat/completions", json=body)
    assert answer.status_code == 200
    last = answer.text.removesuffix("\n\n").rpartition("\n\n")[2]
    assert last.startswith('data: {"error":')
    assert "[DONE]" not in answer.text
