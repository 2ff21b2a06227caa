# SPDX-License-Identifier: Apache-2.0
"""Which requests belong together, so that a replica finds their beginning in its cache."""

import zlib
from typing import Any

from cowabungaai_api.schemas.chat_request import ChatCompletionRequest
from cowabungaai_api.schemas.completion_request import CompletionRequest

PREFIX_CHARACTERS = 1024
"""How much of a prompt must be the same."""


def affinity_key(request: Any, *, whole: bool) -> bytes | None:
    """The key of a request.

    It is the client's own prompt_cache_key, or else what stays the same in a growing conversation: its beginning up to
    the first message of the user.

    Args:
        request: any request, checked.
        whole: whether the beginning counts, where the client names no key.

    Returns:
        The key, or None where requests have nothing in common that a cache could hold.
    """
    match request:
        case ChatCompletionRequest(prompt_cache_key=str() as key):
            return key.encode()[:64]
        case _ if not whole:
            return None
        case ChatCompletionRequest(messages=messages):
            texts = []
            for message in messages:
                texts.append(f"{message.role}:{message.content}")
                if message.role == "user":
                    break
            return _digest("\n".join(texts))
        case CompletionRequest(prompt=prompt):
            return _digest(prompt if isinstance(prompt, str) else str(prompt[:PREFIX_CHARACTERS]))
    return None


def _digest(text: str) -> bytes:
    return b"%08x" % zlib.crc32(text[:PREFIX_CHARACTERS].encode())
