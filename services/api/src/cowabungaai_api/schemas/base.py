# SPDX-License-Identifier: Apache-2.0
"""What the request models share. A documented parameter takes effect, or is refused by name."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

INT64 = 2**63
UINT32 = 2**32

Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
MAX_MESSAGES = 4096
"""How many messages, parts of one, and tools there may be."""
TokenId = Annotated[int, Field(ge=0, lt=UINT32)]
LogitBias = dict[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], Annotated[float, Field(ge=-100, le=100)]]
Stop = Annotated[str, Field(min_length=1)]


def conflict(param: str, message: str) -> PydanticCustomError:
    """An error about parameters that do not go together.

    Args:
        param: the parameter at fault.
        message: what was expected.
    """
    return PydanticCustomError("conflict", "{message}", {"message": message, "param": param})


class Strict(BaseModel):
    """A part of a request: no conversion of types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Request(Strict):
    """A whole request.

    Unknown parameters are kept apart: whether they are refused depends on the backend that the model leads to.
    """

    model_config = ConfigDict(extra="allow", strict=True)

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset()
    """Documented parameters of which only the values that ask for nothing are accepted."""

    model: str = Field(min_length=1, max_length=256, description="One of those that the models endpoint lists.")

    @property
    def unknown(self) -> dict[str, Any]:
        """Parameters that OpenAI does not document."""
        return self.__pydantic_extra__ or {}


class StreamOptions(Strict):
    """Options of a stream."""

    include_usage: bool | None = Field(
        default=None, description="Send the usage at the end, in a chunk without choices."
    )
    include_obfuscation: bool | None = Field(
        default=None, json_schema_extra={"enum": [False, None]}, description="Padding of chunks; only false is offered."
    )

    @model_validator(mode="after")
    def _no_obfuscation(self) -> Self:
        if self.include_obfuscation:
            raise conflict("include_obfuscation", "padding of chunks is not offered; send false or leave it out")
        return self


class Streamed(Request):
    """A request whose answer may be streamed."""

    stream: bool | None = Field(default=None, description="Answer with server-sent events.")
    stream_options: StreamOptions | None = None

    @model_validator(mode="after")
    def _options_belong_to_streams(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise conflict("stream_options", "only allowed when 'stream' is true")
        return self

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


class Sampled(Streamed):
    """A request whose answer is sampled. The last four parameters are common extensions of OpenAI's."""

    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: LogitBias | None = Field(default=None, max_length=1024)
    seed: int | None = Field(default=None, ge=-INT64, lt=INT64)
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    n: int | None = Field(default=None, ge=1, le=128)
    max_tokens: int | None = Field(default=None, ge=1, lt=UINT32)
    user: str | None = Field(default=None, max_length=512)
    top_k: int | None = Field(default=None, ge=-1, lt=UINT32)
    min_p: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10, allow_inf_nan=False)
    min_tokens: int | None = Field(default=None, ge=0, lt=UINT32)

    @property
    def token_limit(self) -> int | None:
        """The most tokens to generate for one choice."""
        return self.max_tokens
