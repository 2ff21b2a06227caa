# SPDX-License-Identifier: Apache-2.0
"""The request of tokens/count, an endpoint of our own."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from cowabungaai_api.schemas.base import MAX_MESSAGES, Request, conflict
from cowabungaai_api.schemas.chat_request import MAX_TOOLS, Message, Tool


class TokenCountRequest(Request):
    """The body of the request: a text, or a conversation as chat/completions takes it."""

    text: str | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)] | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None

    @model_validator(mode="after")
    def _one_input(self) -> Self:
        if (self.text is None) == (self.messages is None):
            raise conflict("text", "give either 'text' or 'messages'")
        if self.tools and self.messages is None:
            raise conflict("tools", "only allowed together with 'messages'")
        return self
