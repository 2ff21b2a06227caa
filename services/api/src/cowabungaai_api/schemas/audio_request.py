# SPDX-License-Identifier: Apache-2.0
"""The requests of audio/transcriptions and audio/translations, as fields of a form."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from cowabungaai_api.schemas.base import Request, conflict

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
Granularities = Annotated[list[Literal["word", "segment"]], Field(min_length=1, max_length=2)]


class AudioRequest(Request):
    """What both have, besides `file`. A form's fields are texts, which are converted."""

    model_config = ConfigDict(strict=False)

    prompt: str | None = Field(default=None, max_length=8192)
    response_format: ResponseFormat = "json"
    temperature: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)


class TranslationRequest(AudioRequest):
    """Fields of audio/translations."""


class TranscriptionRequest(AudioRequest):
    """Fields of audio/transcriptions."""

    UNSUPPORTED: ClassVar[frozenset[str]] = frozenset({"include", "known_speaker_names", "known_speaker_references"})

    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$", description="ISO 639-1 code.")
    timestamp_granularities: Granularities | None = None
    stream: bool | None = None
    chunking_strategy: Literal["auto"] | None = None
    include: Annotated[list[Any], Field(max_length=0)] | None = None
    known_speaker_names: Annotated[list[Any], Field(max_length=0)] | None = None
    known_speaker_references: Annotated[list[Any], Field(max_length=0)] | None = None

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.timestamp_granularities and self.response_format != "verbose_json":
            raise conflict("timestamp_granularities", "only allowed when 'response_format' is 'verbose_json'")
        if self.stream and self.response_format not in ("json", "text"):
            raise conflict("stream", "only allowed when 'response_format' is 'json' or 'text'")
        return self
