# SPDX-License-Identifier: Apache-2.0
"""What must never end a service: too many clients, clients that leave, prompts and recordings without end.

`silence.flac` is two hours of digital silence, 8000 samples a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from conformance.ask import MESSAGES, SENTENCE, Sound, check_chat, said
from conformance.strict import client as strict_client
from conformance.target import OPENAI, Model, Target

SILENCE = Path(__file__).parent / "silence.flac"
CLIENTS = 100
TIMEOUT_S = 300
TOO_LONG = ("context_length_exceeded", "max_tokens_per_request")
FREE_S = 20
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat/completions", {"messages": MESSAGES, "max_tokens": 8}),
    "completion": ("completions", {"prompt": SENTENCE, "max_tokens": 8}),
    "embedding": ("embeddings", {"input": SENTENCE}),
}
PROMPTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "chat": lambda text: {"messages": said(text)},
    "completion": lambda text: {"prompt": text},
    "embedding": lambda text: {"input": text},
}
EACH = [
    pytest.param(kind, marks=[pytest.mark.needs(kind), pytest.mark.endpoint(path)])
    for kind, (path, _) in REQUESTS.items()
]


def ask_all_at_once(ask: Callable[[int], httpx2.Response]) -> None:
    """A hundred clients: each is answered, or told when to come back, and the next one is answered.

    Args:
        ask: asks; gets the client's number.
    """
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(ask, range(CLIENTS)))
    counts = Counter(answer.status_code for answer in answers)
    assert set(counts) <= {200, 429, 503}, counts
    assert counts[200]
    for answer in answers:
        assert answer.status_code == 200 or (answer.json()["error"]["message"] and answer.headers["retry-after"])
    assert ask(0).status_code == 200


@pytest.mark.parametrize("kind", EACH)
def test_a_hundred_clients_are_answered_or_told_to_come_back(http: httpx2.Client, model: str, kind: str) -> None:
    path, body = REQUESTS[kind]
    ask_all_at_once(lambda _: http.post(f"{OPENAI}/{path}", json={"model": model, **body}, timeout=TIMEOUT_S))


@pytest.mark.needs("transcription")
@pytest.mark.endpoint("audio")
def test_a_hundred_recordings_are_written_or_told_to_come_back(http: httpx2.Client, model: str, sound: Sound) -> None:
    path, asked = f"{OPENAI}/audio/transcriptions", {"model": model, "temperature": 0.1}
    ask_all_at_once(lambda _: http.post(path, data=asked, files={"file": sound}, timeout=TIMEOUT_S))


@pytest.mark.needs("chat")
@pytest.mark.endpoint("chat/completions")
def test_clients_that_leave_in_mid_answer_leave_the_model_free(client: openai.OpenAI, model: str) -> None:
    for _ in range(40):
        with client.chat.completions.create(
            model=model, messages=said("word " * 300), max_tokens=400, stream=True
        ) as answer:
            next(iter(answer))
    # What they left would take minutes.
    patient = client.with_options(timeout=FREE_S, max_retries=0)
    assert check_chat(patient.chat.completions.create(model=model, messages=MESSAGES, max_tokens=8), model)


@pytest.mark.parametrize("characters", [4_000_000, 10_000_000])
@pytest.mark.parametrize("kind", EACH)
def test_a_prompt_without_end_is_refused(http: httpx2.Client, chosen: Model, kind: str, characters: int) -> None:
    path, body = REQUESTS[kind]
    prompt = PROMPTS[kind]("lorem " * (characters // 6))
    answer = http.post(f"{OPENAI}/{path}", json={"model": chosen.id, **body, **prompt}, timeout=TIMEOUT_S)
    if characters == 10_000_000:
        assert (answer.status_code, answer.json()["error"]["type"]) == (413, "invalid_request_error")
    elif chosen.context_length is None:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["error"]["code"] in TOO_LONG) == (400, True)
    assert http.post(f"{OPENAI}/{path}", json={"model": chosen.id, **body}, timeout=TIMEOUT_S).status_code == 200


@pytest.mark.needs("transcription")
@pytest.mark.endpoint("audio")
@pytest.mark.parametrize("chunking", [None, "auto"], ids=["all", "speech first"])
def test_two_hours_of_silence_have_no_words(target: Target, chosen: Model, chunking: str | None) -> None:
    if chosen.exact:
        pytest.skip(f"{chosen.id} tells the facts of WAV files only")
    asked: dict[str, Any] = {"chunking_strategy": chunking} if chunking else {}
    with strict_client(target.base_url, target.key) as client:
        answer = client.with_options(timeout=TIMEOUT_S).audio.transcriptions.create(
            model=chosen.id, file=(SILENCE.name, SILENCE.read_bytes()), response_format="verbose_json", **asked
        )
    assert (answer.text, answer.segments or []) == ("", [])
    assert answer.duration == pytest.approx(7200, abs=1)
