"""Replicas that speak OpenAI's API themselves: another gateway, which is a real one."""

import io
import wave

import openai
import pytest

from support import ADMIN_KEY

HELLO = [{"role": "user", "content": "hello big world"}]


@pytest.fixture(params=["same name", "another name"])
def proxy(request, start, gateway, monkeypatch):
    """The official client of a gateway in front of `gateway`."""
    monkeypatch.setenv("TEST_UPSTREAM_KEY", ADMIN_KEY)
    name = "repeater" if request.param == "same name" else "model"
    backend = {
        "replicas": [f"{gateway.url}/openai/v1"],
        "api_key_env": "TEST_UPSTREAM_KEY",
        "health": {"path": "/healthz"},
        "extra_parameters": ["guided_json"],
    }
    models = [{"name": name, "backend": "http", "backend_model": "repeater"}]
    with start({"models": models, "backends": {"http": backend}}).client() as client:
        client.model = name
        yield client


def test_chat(proxy):
    answer = proxy.chat.completions.create(model=proxy.model, messages=HELLO)
    assert (answer.model, answer.choices[0].message.content) == (proxy.model, "hello big world")


@pytest.mark.parametrize("include_usage", [True, False])
def test_chat_stream(proxy, include_usage):
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    chunks = list(proxy.chat.completions.create(model=proxy.model, messages=HELLO, stream=True, **options))
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "hello big world"
    assert {chunk.model for chunk in chunks} == {proxy.model}
    assert [chunk.usage is not None for chunk in chunks][-1] is include_usage
    assert all(chunk.choices for chunk in chunks[:-1])


def test_usage_of_streams_is_counted_also_where_nobody_asks(start, gateway, monkeypatch):
    monkeypatch.setenv("TEST_UPSTREAM_KEY", ADMIN_KEY)
    backend = {"replicas": [f"{gateway.url}/openai/v1"], "api_key_env": "TEST_UPSTREAM_KEY"}
    config = {"models": [{"name": "repeater", "backend": "http"}], "backends": {"http": backend}}
    front = start(config)
    with front.client() as client, front.http() as http:
        list(client.chat.completions.create(model="repeater", messages=HELLO, stream=True))
        text = http.get("/metrics").text
    assert 'cowabungaai_api_tokens_total{kind="completion",model="repeater"} 3.0' in text


def test_completion_and_embedding(proxy):
    assert proxy.completions.create(model=proxy.model, prompt="a b").choices[0].text == "a b"
    assert len(proxy.embeddings.create(model=proxy.model, input=["a", "b"]).data) == 2


def test_form_is_passed_on(proxy):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 8000)
    answer = proxy.audio.transcriptions.create(
        model=proxy.model,
        file=('ten "seconds".wav', out.getvalue()),
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    assert (answer.duration, len(answer.words) > 0) == (1.0, True)


def test_refusal_keeps_its_parameter_and_message(proxy):
    with pytest.raises(openai.BadRequestError, match="unknown control") as raised:
        proxy.chat.completions.create(model=proxy.model, messages=[{"role": "user", "content": "/repeat colour=red"}])
    assert raised.value.param == "messages"


@pytest.mark.parametrize(
    ("control", "status"), [("failed", 500), ("unavailable", 503), ("overloaded", 429), ("crash", 500)]
)
def test_error_keeps_its_class(proxy, control, status):
    with pytest.raises(openai.APIStatusError) as raised:
        proxy.chat.completions.create(
            model=proxy.model, messages=[{"role": "user", "content": f"/repeat error={control}"}]
        )
    assert raised.value.status_code == status


def test_error_in_mid_stream_raises(proxy):
    messages = [{"role": "user", "content": "/repeat error=failed after=2\na b c d"}]
    stream = proxy.chat.completions.create(model=proxy.model, messages=messages, stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


def test_extra_parameters_only_where_the_configuration_has_them(proxy):
    with pytest.raises(openai.BadRequestError) as raised:
        proxy.chat.completions.create(model=proxy.model, messages=HELLO, extra_body={"best_effort": True})
    assert raised.value.param == "best_effort"
    with pytest.raises(openai.BadRequestError, match="guided_json") as raised:
        # It is passed on, and the gateway behind, whose backend is not configured so, refuses it.
        proxy.chat.completions.create(model=proxy.model, messages=HELLO, extra_body={"guided_json": {}})


def test_endpoint_that_the_server_does_not_have_is_refused(start, gateway, monkeypatch):
    monkeypatch.setenv("TEST_UPSTREAM_KEY", ADMIN_KEY)
    backend = {"replicas": [f"{gateway.url}/openai/v1"], "api_key_env": "TEST_UPSTREAM_KEY"}
    with start({"models": [{"name": "repeater", "backend": "b"}], "backends": {"b": backend}}).http() as http:
        answer = http.post("/cowabungaai/v1/tokens/count", json={"model": "repeater", "text": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_operation")


def test_wrong_key_at_the_backend_is_the_gateways_fault(start, gateway, monkeypatch):
    monkeypatch.setenv("TEST_UPSTREAM_KEY", "wrong")
    backend = {"replicas": [f"{gateway.url}/openai/v1"], "api_key_env": "TEST_UPSTREAM_KEY"}
    with (
        start({"models": [{"name": "repeater", "backend": "b"}], "backends": {"b": backend}}).client() as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        client.chat.completions.create(model="repeater", messages=HELLO)
    assert (raised.value.status_code, raised.value.code) == (500, "backend_failed")
