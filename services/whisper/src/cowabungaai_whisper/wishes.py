# SPDX-License-Identifier: Apache-2.0
"""What a request asks for, read once, and refused where the model cannot do it."""

from collections.abc import Collection
from dataclasses import dataclass

from cowabungaai_sdk.errors import InvalidRequestError
from cowabungaai_sdk.v1.audio_pb2 import AUDIO_TASK_TRANSLATE, TranscribeOptions

FALLBACK = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Temperatures, tried one after the other until the text is probable, and repeats itself little."""
PROMPT_CHARACTERS = 16_384
"""The end of a prompt that is looked at; the 223 tokens that Whisper reads of it are fewer characters."""

_OWN_CODES = {"jv": "jw"}
"""Whisper's own codes for languages, by ISO 639-1's."""
_ISO_CODES = {own: code for code, own in _OWN_CODES.items()}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request asks for.

    Args:
        translate: whether the text is to be English, whatever is spoken.
        language: what is spoken, by Whisper's code; None means find out.
        prompt: text that came before; may be empty.
        temperatures: to try one after the other.
        words: whether words with times are wanted.
        vad: whether speech is looked for first.
    """

    translate: bool
    language: str | None
    prompt: str
    temperatures: tuple[float, ...]
    words: bool
    vad: bool


def read(options: TranscribeOptions, languages: Collection[str], vad: bool) -> Wishes:
    """Reads a request's options.

    Args:
        options: as they came, checked as checks.check_transcription says.
        languages: the codes that the model knows, Whisper's own.
        vad: whether speech is looked for first, where the request does not say.

    Raises:
        InvalidRequestError: the model does not know the language.
    """
    # As OpenAI has it, 0 is not one temperature but the first of several.
    has_one = options.HasField("temperature") and options.temperature > 0
    return Wishes(
        translate=options.task == AUDIO_TASK_TRANSLATE,
        language=_language(options.language, languages) if options.HasField("language") else None,
        prompt=options.prompt.strip()[-PROMPT_CHARACTERS:],
        temperatures=(round(options.temperature, 6),) if has_one else FALLBACK,
        words=options.word_timestamps,
        vad=options.voice_activity_detection if options.HasField("voice_activity_detection") else vad,
    )


def iso_code(language: str) -> str:
    """A language's code as the contract has it.

    Args:
        language: by Whisper's code.
    """
    return _ISO_CODES.get(language, language)


def _language(given: str, languages: Collection[str]) -> str:
    code = given.lower()
    own = _OWN_CODES.get(code, code)
    if own in languages:
        return own
    known = ", ".join(sorted(map(iso_code, languages)))
    raise InvalidRequestError(f"the model does not know the language {given!r}; it knows {known}", "language")
