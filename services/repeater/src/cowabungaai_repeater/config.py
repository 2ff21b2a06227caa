# SPDX-License-Identifier: Apache-2.0
"""How the repeater behaves where a request does not say otherwise."""

from dataclasses import dataclass

from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1 import models_pb2
from cowabungaai_sdk.v1.models_pb2 import Model

MAX_DIMENSIONS = 4096


@dataclass(frozen=True, slots=True)
class RepeaterConfig:
    """The repeater's settings.

    Args:
        models: the names it serves; they differ in nothing else.
        name: tells replicas apart, as system_fingerprint.
        context_length: the most tokens that a prompt and its answer may have together; None means no limit.
        dimensions: length of a vector where the request asks for none.
        delay_s: time for a token, in seconds.
        first_delay_s: time before the first token, in seconds.
    """

    models: tuple[str, ...] = ("repeater",)
    name: str = "repeater"
    context_length: int | None = None
    dimensions: int = 384
    delay_s: float = 0.0
    first_delay_s: float = 0.0

    def model(self, name: str) -> Model:
        """What is said of a model.

        Args:
            name: one of models.
        """
        return Model(
            id=name,
            created=1_735_689_600,  # 2025-01-01: fixed, so that answers are the same on every start
            owned_by="cowabungaai",
            capabilities=[
                models_pb2.CAPABILITY_CHAT,
                models_pb2.CAPABILITY_COMPLETION,
                models_pb2.CAPABILITY_EMBEDDING,
                models_pb2.CAPABILITY_TRANSCRIPTION,
                models_pb2.CAPABILITY_TRANSLATION,
                models_pb2.CAPABILITY_TOKEN_COUNT,
            ],
            context_length=self.context_length,
            dimensions=self.dimensions,
            description="Repeats what it is given; for tests.",
        )

    def room(self, prompt_tokens: int, max_tokens: int | None, param: str) -> int | None:
        """How many tokens an answer may have.

        Args:
            prompt_tokens: tokens of the prompt.
            max_tokens: what the request says; None where it says nothing.
            param: the parameter that holds the prompt, for the error.

        Returns:
            The most tokens; None means no limit.

        Raises:
            InvalidRequestError: prompt and answer do not fit the context.
        """
        if self.context_length is None:
            return max_tokens
        wanted = prompt_tokens + (1 if max_tokens is None else max_tokens)
        if wanted > self.context_length:
            answer = "an answer" if max_tokens is None else f"max_tokens {max_tokens}"
            message = f"the prompt's {prompt_tokens} tokens and {answer} exceed the context of {self.context_length}"
            raise InvalidRequestError(message, param, "context_length_exceeded")
        return self.context_length - prompt_tokens if max_tokens is None else max_tokens
