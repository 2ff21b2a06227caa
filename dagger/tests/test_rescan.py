# SPDX-License-Identifier: Apache-2.0
"""What is scanned again of a published.json."""

from __future__ import annotations

import json

import pytest

from cowabungaai.errors import PublishError
from cowabungaai.published import parse_report

PLACE = {
    "registry": "ghcr",
    "reference": "ghcr.io/a/api@sha256:1",
    "tagged": "ghcr.io/a/api:1@sha256:1",
    "tags": ["1"],
    "bytes_sent": 1,
    "requests": 1,
    "failed": 0,
    "seconds": 0.1,
}
IMAGE: dict[str, object] = {"service": "api", "flavor": "cpu", "version": "1", "digest": "sha256:1", "gates": []}
REPORT = {"schema_version": 1, "sha": None, "release": True, "seconds": 1.0}


def report(*images: dict[str, object]) -> str:
    """A published.json."""
    return json.dumps({**REPORT, "images": images})


def test_each_image_is_scanned_once_by_its_digest() -> None:
    elsewhere = {**PLACE, "reference": "docker.io/a/api@sha256:1"}
    gpu = {**IMAGE, "flavor": "gpu", "places": [{**PLACE, "reference": "ghcr.io/a/api@sha256:2"}]}
    text = report({**IMAGE, "places": [PLACE, elsewhere]}, gpu)
    found = parse_report(text, "published.json").by_name()
    assert {name: (image.service, image.places[0].reference) for name, image in found.items()} == {
        "api": ("api", "ghcr.io/a/api@sha256:1"),
        "api-gpu": ("api", "ghcr.io/a/api@sha256:2"),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "published.json: expected the published.json that publish leaves; the file: Invalid JSON"),
        ("{}", "published.json: expected the published.json that publish leaves; sha: Field required"),
        (report(), "published.json: expected images with the places that they were sent to, got none"),
        (
            report({**IMAGE, "places": []}),
            "published.json: expected images with the places that they were sent to, got none",
        ),
    ],
)
def test_what_is_no_report_is_refused(text: str, expected: str) -> None:
    with pytest.raises(PublishError) as refused:
        parse_report(text, "published.json")
    assert str(refused.value).startswith(expected)
