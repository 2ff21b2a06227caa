# SPDX-License-Identifier: Apache-2.0
"""The request of completions."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from cowabungaai_api.schemas.base import Sampled, TokenId, conflict

MAX_PROMPTS = 2048
MAX_CHOICES = 4096
Tokens = Annotated[list[TokenId], Field(min_length=1, fail_fast=True)]
Texts = Annotated[list[str], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True)]
TokenLists = Annotated[list[Tokens], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True)]


class CompletionRequest(Sampled):
    """The body of the request."""

    prompt: str | Texts | Tokens | TokenLists = Field(description="Text, texts, or their tokens.")
    best_of: int | None = Field(default=None, ge=1, le=20)
    echo: bool | None = None
    logprobs: int | None = Field(default=None, ge=0, le=5)
    suffix: str | None = None

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        n = self.n or 1
        if self.best_of is not None:
            if self.best_of < n:
                raise conflict("best_of", f"must be at least 'n', which is {n}")
            if self.stream and self.best_of > n:
                raise conflict("best_of", "more than 'n' cannot be streamed")
        if self.echo and self.suffix:
            raise conflict("echo", "not allowed together with 'suffix'")
        if n * self.prompt_count > MAX_CHOICES:
            raise conflict("n", f"prompts times 'n' must be at most {MAX_CHOICES}")
        return self

    @property
    def prompt_count(self) -> int:
        """How many prompts there are."""
        return 1 if isinstance(self.prompt, str) or isinstance(self.prompt[0], int) else len(self.prompt)
