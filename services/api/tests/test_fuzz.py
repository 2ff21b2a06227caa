# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent, the gateway keeps to its OpenAPI document and never fails: schemathesis makes the requests."""

from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cowabungaai_api.app import make_fastapi
from support import ADMIN_KEY, Gateway

# schemathesis draws from `random` in its own strategies.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SETTINGS = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)


DOCUMENT = schemathesis.openapi.from_dict(make_fastapi().openapi())
OPERATIONS = {found.ok().label: found.ok() for found in DOCUMENT.get_all_operations()}


@pytest.mark.parametrize("label", OPERATIONS)
@given(data=st.data())
@SETTINGS
def test_every_operation_keeps_to_its_description(gateway: Gateway, label: str, data: st.DataObject) -> None:
    case = data.draw(OPERATIONS[label].as_strategy())
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    case.call_and_validate(base_url=gateway.url, checks=CHECKS, headers=headers)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
NAMES = [
    "messages", "prompt", "input", "stop", "tools", "tool_choice", "response_format", "stream", "stream_options", "n",
    "logit_bias", "logprobs", "top_logprobs", "temperature", "seed", "max_tokens", "user", "dimensions", "text",
]  # fmt: skip
PATHS = ["chat/completions", "completions", "embeddings", "tokens/count"]


@given(path=st.sampled_from(PATHS), body=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6))
@SETTINGS
def test_any_json_is_answered_or_refused(http: Any, path: str, body: dict[str, Any]) -> None:
    answer = http.post(f"/cowabungaai/v1/{path}", json={"model": "repeater", **body})
    assert answer.status_code in (200, 400, 413)
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@given(
    path=st.sampled_from([*PATHS, "audio/transcriptions"]),
    body=st.binary(max_size=300),
    kind=st.sampled_from(
        ["application/json", "multipart/form-data; boundary=x", "multipart/form-data", "", "text/plain"]
    ),
)
@SETTINGS
def test_any_bytes_are_refused(http: Any, path: str, body: bytes, kind: str) -> None:
    answer = http.post(f"/cowabungaai/v1/{path}", content=body, headers={"content-type": kind})
    assert answer.status_code in (400, 413, 415)
    assert answer.json()["error"]["type"] == "invalid_request_error"
