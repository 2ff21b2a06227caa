# SPDX-License-Identifier: Apache-2.0
"""The request of embeddings."""

from typing import Annotated, Literal

from pydantic import Field

from cowabungaai_api.schemas.base import Request, TokenId

MAX_INPUTS = 2048
Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[list[TokenId], Field(min_length=1, fail_fast=True)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
TokenLists = Annotated[list[Tokens], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]


class EmbeddingRequest(Request):
    """The body of the request."""

    input: Text | Texts | Tokens | TokenLists = Field(description="Text, texts, or their tokens.")
    dimensions: int | None = Field(default=None, ge=1, le=65536)
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = Field(default=None, max_length=512)
