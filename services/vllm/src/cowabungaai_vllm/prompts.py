# SPDX-License-Identifier: Apache-2.0
"""From conversations and texts to token ids, within the model's context."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cowabungaai_sdk import templates
from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.chat_pb2 import ChatMessage, ContentPart, Tool
from cowabungaai_sdk.v1.common_pb2 import TextInput
from cowabungaai_vllm.library import Tokenizer


class Prompts:
    """Makes prompts; blocks, since long texts take long.

    Args:
        tokenizer: the model's.
        context_length: in tokens.
        template: a chat template; None is the tokenizer's own.
        arguments: variables of the template.
    """

    def __init__(
        self, tokenizer: Tokenizer, context_length: int, template: str | None, arguments: Mapping[str, Any]
    ) -> None:
        self._tokenizer = tokenizer
        self._length = context_length
        self._template = template
        self._arguments = arguments

    def conversation(
        self, messages: Sequence[ChatMessage], tools: Sequence[Tool], reasoning_effort: str = ""
    ) -> list[int]:
        """A conversation as the model reads it.

        Args:
            messages: oldest first.
            tools: the functions offered.
            reasoning_effort: how much to think; empty where the request does not say.

        Raises:
            InvalidRequestError: a part is no text, the template refuses the conversation, or it is too long.
        """
        self._bound(sum(len(part.text) for message in messages for part in message.content), "messages")
        effort: dict[str, Any] = {}
        if reasoning_effort:
            effort = {"reasoning_effort": reasoning_effort, "enable_thinking": reasoning_effort != "none"}
        try:
            ids = self._tokenizer.apply_chat_template(
                [templates.message(message, _text(message.content)) for message in messages],
                tools=[templates.function(tool) for tool in tools] or None,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
                chat_template=self._template,
                **{**self._arguments, **effort},
            )
        except InvalidRequestError:
            raise
        # A template is a program of the model's makers: what it raises says what it cannot read, such as two messages
        # of one role in a row. Its message is fit for the caller, who wrote the conversation.
        except Exception as error:
            raise InvalidRequestError(f"the model's chat template refuses the messages: {error}", "messages") from error
        return self._fitting([int(number) for number in ids], "messages")

    def text(self, given: TextInput, param: str = "prompt") -> list[int]:
        """A text's token ids, or the ids that were given.

        Args:
            given: either.
            param: its name, for errors.

        Raises:
            InvalidRequestError: it is empty, or too long.
        """
        if given.WhichOneof("input") == "tokens":
            ids = list(given.tokens.ids)
        else:
            self._bound(len(given.text), param)
            ids = self._tokenizer.encode(given.text)
        if not ids:
            raise InvalidRequestError("the prompt is empty; expected at least one token", param)
        return self._fitting(ids, param)

    def count(self, text: str) -> int:
        """How many tokens a text has, special ones left out.

        Args:
            text: any.
        """
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids."""
        return self._tokenizer.decode(ids)

    def _bound(self, characters: int, param: str) -> None:
        """Refuses what cannot fit before it is tokenised."""
        if characters > self._length * self._tokenizer.max_chars_per_token:
            raise self._too_long(f"{characters} characters", param)

    def _fitting(self, ids: list[int], param: str) -> list[int]:
        if len(ids) >= self._length:
            raise self._too_long(f"{len(ids)} tokens", param)
        return ids

    def _too_long(self, found: str, param: str) -> InvalidRequestError:
        return InvalidRequestError(
            f"the prompt has {found}, and the model's context holds {self._length} tokens of prompt and answer",
            param,
            "context_length_exceeded",
        )


def _text(parts: Iterable[ContentPart]) -> str:
    texts = []
    for part in parts:
        kind = part.WhichOneof("part")
        if kind not in ("text", "refusal"):
            raise InvalidRequestError(f"a message has a part of type {kind}, and this backend reads text", "messages")
        texts.append(getattr(part, kind))
    return "".join(texts)
