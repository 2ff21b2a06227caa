# SPDX-License-Identifier: Apache-2.0
"""Texts as tokens, in bounded time and memory."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

# Requests are read side by side on threads of ours; more threads a request would only take CPUs from the engine.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
from tokenizers import Tokenizer

from cowabungaai_sdk.blocking import CancelToken
from cowabungaai_sdk.errors import BackendFailedError, InvalidRequestError
from cowabungaai_sdk.models import ModelError
from cowabungaai_sdk.v1.common_pb2 import TextInput
from cowabungaai_text_embeddings.config import MAX_REQUEST_TOKENS
from cowabungaai_text_embeddings.engine import Tokens
from cowabungaai_text_embeddings.folder import Folder

CHARACTERS_PER_TOKEN = 256
"""A text longer than this times the context is not read to its end."""
USUAL_CHARACTERS_PER_TOKEN = 8
"""A text shorter than this times the context is read whole, at once; a request may have this times its tokens."""
CHUNK_TEXTS, CHUNK_CHARACTERS = 64, 1 << 16
"""How much is read between two looks at whether the caller is still there; a token in the making takes 200 bytes."""
MARGIN = 128
"""Tokens before the end of a text's beginning that may change when more of the text is read: those of the last word,
which in BERT's tokenizers has 100 pieces at most."""


class Reader:
    """Reads texts of one model.

    Args:
        folder: the model's.
        context: the most tokens of a text, special ones included.
        prompt: goes before every text.
        most: the most tokens of a request's inputs together.

    Raises:
        ModelError: there is no tokenizer, or the prompt fills the context.
    """

    def __init__(self, folder: Folder, context: int, prompt: str, most: int = MAX_REQUEST_TOKENS) -> None:
        path = folder.transformer / "tokenizer.json"
        if not path.is_file():
            raise ModelError(
                f"{path} is missing; expected a tokenizer in this form: a vocabulary alone is not read. "
                "Load the model's tokenizer with transformers and save it again"
            )
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(path))
        # The library raises nothing narrower.
        except Exception as error:
            raise ModelError(f"{path} is no tokenizer: {error}; copy it there again") from error
        # The file holds what was set when it was saved.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.context = context
        self._prompt = prompt
        self._most = most
        self._lower = folder.text_settings.get("do_lower_case") is True
        self._vocabulary = folder.vocabulary or self._tokenizer.get_vocab_size()
        self._before, self._after = _special(self._tokenizer)
        self._room = context - len(self._before) - len(self._after)
        if self._room < 1 or (prompt and len(self._ids(prompt)) >= self._room):
            raise ModelError(f"{path}: special tokens and prompt leave no room in a context of {context} tokens")

    def check_size(self, inputs: Sequence[TextInput]) -> None:
        """Refuses a request that is too large before any of it is read.

        Args:
            inputs: texts or tokens.

        Raises:
            InvalidRequestError: it has more tokens than allowed, or more characters than so many tokens have as a rule.
        """
        if (count := sum(len(text.tokens.ids) for text in inputs)) > self._most:
            raise _too_large(f"{count} tokens", str(self._most))
        most = USUAL_CHARACTERS_PER_TOKEN * self._most
        if (count := sum(len(text.text) for text in inputs)) > most:
            expected = f"{most}, {USUAL_CHARACTERS_PER_TOKEN} for each of {self._most} tokens"
            raise _too_large(f"{count} characters", expected)

    def read(self, cancel: CancelToken, inputs: Sequence[TextInput], truncate: bool) -> list[Tokens]:
        """Reads inputs. Blocks.

        Args:
            cancel: says when to give up; what is returned then has no meaning.
            inputs: texts or tokens.
            truncate: whether what is too long is cut, rather than refused.

        Returns:
            The tokens of each, special ones included.

        Raises:
            InvalidRequestError: an input is too long, or has a token that is not in the vocabulary; or all inputs
                together have too many tokens.
            BackendFailedError: the tokenizer is not the model's.
        """
        found: list[Tokens] = []
        count = 0
        for chunk in _chunks(inputs):
            if cancel.cancelled:
                break
            usual = [self._prepared(text.text) for text in chunk if self._is_usual(text)]
            read = iter(self._tokenizer.encode_batch_fast(usual, add_special_tokens=False))
            for text in chunk:
                param = f"inputs[{len(found)}]"
                if text.WhichOneof("input") == "tokens":
                    found.append(self._given(text.tokens.ids, truncate, param))
                elif self._is_usual(text):
                    found.append(self._complete(next(read).ids, truncate, param))
                else:
                    found.append(self._complete(self._beginning(text.text, truncate, param), truncate, param))
                count += len(found[-1])
            if count > self._most:
                raise _too_large(f"{count} tokens or more", str(self._most))
        return found

    def count(self, cancel: CancelToken, text: str) -> int:
        """Counts the tokens of a text, special ones and prompt included. Blocks.

        Args:
            cancel: says when to give up; what is returned then has no meaning.
            text: of any length; a very long one is counted in parts, which may add some tokens.
        """
        found, start = len(self._before) + len(self._after), 0
        text = self._prepared(text)
        while start < len(text) and not cancel.cancelled:
            end = _cut(text, start + CHUNK_CHARACTERS)
            found += len(self._ids(text[start:end]))
            start = end
        return found

    def _is_usual(self, text: TextInput) -> bool:
        """Whether it is a text that is read whole."""
        return text.WhichOneof("input") == "text" and len(text.text) <= USUAL_CHARACTERS_PER_TOKEN * self.context

    def _prepared(self, text: str) -> str:
        text = self._prompt + text
        return text.lower() if self._lower else text

    def _ids(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def _beginning(self, text: str, truncate: bool, param: str) -> list[int]:
        """The first tokens of a long text: as many as the context has room for and one, or all."""
        most = CHARACTERS_PER_TOKEN * self.context
        if len(text) > most and not truncate:
            raise _too_long(f"the input has {len(text)} characters", self.context, param)
        text = self._prepared(text)
        length = USUAL_CHARACTERS_PER_TOKEN * self.context
        while True:
            end = _cut(text, length)
            ids = self._ids(text[:end])
            if len(ids) > self._room + MARGIN:
                return ids[: self._room + 1]
            if end >= len(text) or length >= most:
                return ids
            length *= 4

    def _given(self, ids: Sequence[int], truncate: bool, param: str) -> Tokens:
        if self._prompt:
            raise InvalidRequestError("the model puts a prompt before texts; send the text, not tokens", param)
        # Cut or refused before they are looked at: there may be millions of them.
        if truncate:
            ids = ids[: self.context + 1]
        elif len(ids) > self.context:
            raise _too_long(f"the input has {len(ids)} tokens", self.context, param)
        wrong = next((number for number in ids if number >= self._vocabulary), None)
        if wrong is not None:
            raise InvalidRequestError(f"token {wrong} is none; expected 0 to {self._vocabulary - 1}", param)
        return self._complete(self._bare(ids), truncate, param)

    def _bare(self, ids: Sequence[int]) -> Sequence[int]:
        """Tokens without the special ones that may be there already, before and after."""
        before, after = len(self._before), len(self._after)
        if tuple(ids[:before]) == self._before:
            ids = ids[before:]
        if tuple(ids[max(0, len(ids) - after) :]) == self._after:
            ids = ids[: len(ids) - after]
        return ids

    def _complete(self, ids: Sequence[int], truncate: bool, param: str) -> Tokens:
        if len(ids) > self._room:
            if not truncate:
                count = len(ids) + len(self._before) + len(self._after)
                raise _too_long(f"the input has {count} tokens or more", self.context, param)
            ids = ids[: self._room]
        found = [*self._before, *ids, *self._after]
        if not found:
            raise InvalidRequestError("the input has no token that the model reads; send other text", param)
        if (largest := max(found)) >= self._vocabulary:
            raise BackendFailedError(f"the tokenizer made token {largest}; the model has {self._vocabulary} of them")
        return np.array(found, np.int32)


def _too_long(what: str, context: int, param: str) -> InvalidRequestError:
    message = f"{what}; the model reads {context} tokens; shorten it, or set truncate"
    return InvalidRequestError(message, param, "context_length_exceeded")


def _too_large(what: str, expected: str) -> InvalidRequestError:
    message = f"the inputs have {what} together; expected at most {expected}; send fewer at once"
    return InvalidRequestError(message, "inputs", "max_tokens_per_request")


def _special(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens that the tokenizer puts before and after a text."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    bare = len(tokenizer.encode("a", add_special_tokens=False).ids)
    before = next((at for at, special in enumerate(encoding.special_tokens_mask) if not special), 0)
    return tuple(encoding.ids[:before]), tuple(encoding.ids[before + bare :])


def _cut(text: str, length: int) -> int:
    """Where to cut a text so that no word is split, if there is a gap near by; at most `length`."""
    if length >= len(text):
        return len(text)
    gap = max(text.rfind(" ", length - 256, length), text.rfind("\n", length - 256, length))
    return gap if gap > 0 else length


def _chunks(inputs: Sequence[TextInput]) -> Iterator[list[TextInput]]:
    chunk: list[TextInput] = []
    size = 0
    for text in inputs:
        if chunk and (len(chunk) >= CHUNK_TEXTS or size + len(text.text) > CHUNK_CHARACTERS):
            yield chunk
            chunk, size = [], 0
        chunk.append(text)
        size += len(text.text)
    if chunk:
        yield chunk
