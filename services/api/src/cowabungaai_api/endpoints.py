# SPDX-License-Identifier: Apache-2.0
"""The endpoints that models answer, and under which paths they are found."""

from dataclasses import dataclass

from pydantic import BaseModel

from cowabungaai_api.operations.audio import Transcription, Translation
from cowabungaai_api.operations.chat import Chat
from cowabungaai_api.operations.completion import Completion
from cowabungaai_api.operations.embedding import Embedding
from cowabungaai_api.operations.tokens import TokenCount
from cowabungaai_api.schemas import responses
from cowabungaai_api.upstream.base import Operation

OPENAI = "/openai/v1"
OWN = "/cowabungaai/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint.

    Args:
        operation: what it asks of a backend.
        summary: a sentence for the OpenAPI document.
        answers: the model of a whole answer; None where it is no JSON.
        events: the model of a stream's events, where it streams.
        form: whether its body is a form with a file.
        prefixes: under which paths it is found.
    """

    operation: Operation
    summary: str
    answers: tuple[type[BaseModel], ...]
    events: type[BaseModel] | None = None
    form: bool = False
    prefixes: tuple[str, ...] = (OPENAI, OWN)

    @property
    def name(self) -> str:
        """Its path without prefix and slash, for metrics and traces."""
        return self.operation.path.removeprefix("/")


AUDIO = (responses.AudioText, responses.AudioVerbose)
ENDPOINTS = (
    Endpoint(Chat(), "Answers a conversation.", (responses.ChatCompletion,), responses.ChatCompletionChunk),
    Endpoint(Completion(), "Continues texts.", (responses.Completion,), responses.Completion),
    Endpoint(Embedding(), "Embeds texts.", (responses.EmbeddingList,)),
    Endpoint(Transcription(), "Writes down speech.", AUDIO, responses.TranscriptEvent, form=True),
    Endpoint(Translation(), "Writes down speech in English.", AUDIO, form=True),
    Endpoint(TokenCount(), "Counts the tokens of a text or a conversation.", (responses.TokenCount,), prefixes=(OWN,)),
)


def by_path() -> dict[str, Endpoint]:
    """All endpoints by their whole path."""
    return {prefix + endpoint.operation.path: endpoint for endpoint in ENDPOINTS for prefix in endpoint.prefixes}
