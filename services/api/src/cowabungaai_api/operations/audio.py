# SPDX-License-Identifier: Apache-2.0
"""audio/transcriptions and audio/translations: sends the file to the backend, and writes the transcript as asked."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import orjson

from cowabungaai_api.operations.common import event
from cowabungaai_api.operations.subtitles import plain, srt, vtt
from cowabungaai_api.schemas.audio_request import AudioRequest, TranscriptionRequest, TranslationRequest
from cowabungaai_api.schemas.base import Request
from cowabungaai_api.upstream.base import Call, Reply, Upload
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.errors import BackendFailedError
from cowabungaai_sdk.v1 import audio_pb2

PIECE_BYTES = 256 * 1024
"""How much of a file goes into one message."""
TEXT = b"text/plain; charset=utf-8"
LANGUAGES = {
    "ar": "arabic", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "fi": "finnish", "fr": "french", "he": "hebrew", "hi": "hindi", "hu": "hungarian", "id": "indonesian",
    "it": "italian", "ja": "japanese", "ko": "korean", "nl": "dutch", "no": "norwegian", "pl": "polish",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish", "th": "thai", "tr": "turkish",
    "uk": "ukrainian", "vi": "vietnamese", "zh": "chinese",
}  # fmt: skip
"""verbose_json names languages in words; those that are not here keep their code."""


class _Audio:
    """What both operations share."""

    path: str
    request: type[Request]
    task: audio_pb2.AudioTask
    task_name: str
    done_marker = False

    async def unary(self, client: BackendClient, call: Call, model: str) -> Reply:
        """See Operation."""
        answer = await client.transcribe(
            self._options(call, model), _pieces(call.upload), timeout_s=call.timeout_s, metadata=call.metadata
        )
        _count(answer.facts, call)
        return self._reply(answer.segments, answer.facts, call.request)

    async def stream(self, client: BackendClient, call: Call, model: str) -> AsyncGenerator[bytes, None]:
        """See Operation."""
        chunks = client.transcribe_stream(
            self._options(call, model), _pieces(call.upload), timeout_s=call.timeout_s, metadata=call.metadata
        )
        async with aclosing(chunks):
            text, facts = "", None
            async for chunk in chunks:
                for segment in chunk.segments:
                    delta = segment.text if text else segment.text.lstrip()
                    text += delta
                    yield event({"type": "transcript.text.delta", "delta": delta})
                if chunk.HasField("facts"):
                    facts = chunk.facts
        if facts is None:
            raise BackendFailedError("the backend's stream ended without its facts")
        _count(facts, call)
        # Of a stream's usage OpenAI knows tokens alone.
        tokens = {"usage": _usage(facts)} if facts.HasField("input_tokens") else {}
        yield event({"type": "transcript.text.done", "text": text.rstrip(), **tokens})

    def _options(self, call: Call, model: str) -> audio_pb2.TranscribeOptions:
        request = call.request
        return audio_pb2.TranscribeOptions(
            model=model,
            task=self.task,
            filename=call.upload.filename if call.upload else "",
            language=getattr(request, "language", None),
            prompt=request.prompt,
            temperature=request.temperature,
            word_timestamps="word" in (getattr(request, "timestamp_granularities", None) or ()),
            voice_activity_detection=True if getattr(request, "chunking_strategy", None) else None,
        )

    def _reply(
        self, segments: Sequence[audio_pb2.Segment], facts: audio_pb2.AudioFacts, request: AudioRequest
    ) -> Reply:
        match request.response_format:
            case "text":
                return Reply(f"{plain(segments)}\n".encode(), TEXT)
            case "srt":
                return Reply(srt(segments).encode(), TEXT)
            case "vtt":
                return Reply(vtt(segments).encode(), TEXT)
            case "verbose_json":
                return Reply(orjson.dumps(self._verbose(segments, facts, request)))
            case _:
                return Reply(orjson.dumps({"text": plain(segments), "usage": _usage(facts)}))

    def _verbose(
        self, segments: Sequence[audio_pb2.Segment], facts: audio_pb2.AudioFacts, request: AudioRequest
    ) -> dict[str, Any]:
        granularities = getattr(request, "timestamp_granularities", None) or ["segment"]
        out: dict[str, Any] = {
            "task": self.task_name,
            "language": LANGUAGES.get(facts.language, facts.language),
            "duration": facts.duration,
            "text": plain(segments),
            "usage": {"type": "duration", "seconds": _whole_seconds(facts)},
        }
        if "segment" in granularities:
            out["segments"] = [_segment(segment) for segment in segments]
        if "word" in granularities:
            out["words"] = [
                {"word": word.word.strip(), "start": word.start, "end": word.end}
                for segment in segments
                for word in segment.words
            ]
        return out


class Transcription(_Audio):
    """Text in the language spoken; implements Operation."""

    path = "/audio/transcriptions"
    request: type[Request] = TranscriptionRequest
    task = audio_pb2.AUDIO_TASK_TRANSCRIBE
    task_name = "transcribe"


class Translation(_Audio):
    """Text in English; implements Operation."""

    path = "/audio/translations"
    request: type[Request] = TranslationRequest
    task = audio_pb2.AUDIO_TASK_TRANSLATE
    task_name = "translate"


async def _pieces(upload: Upload | None) -> AsyncIterator[bytes]:
    data = memoryview(upload.data if upload else b"")
    for start in range(0, len(data), PIECE_BYTES):
        yield bytes(data[start : start + PIECE_BYTES])


def _count(facts: audio_pb2.AudioFacts, call: Call) -> None:
    call.use.prompt, call.use.completion = facts.input_tokens, facts.output_tokens


def _whole_seconds(facts: audio_pb2.AudioFacts) -> int:
    """Seconds as OpenAI counts them: begun ones count."""
    return -int(-facts.duration // 1)


def _usage(facts: audio_pb2.AudioFacts) -> dict[str, Any]:
    """Tokens where the engine counts them, else the duration."""
    if not facts.HasField("input_tokens"):
        return {"type": "duration", "seconds": _whole_seconds(facts)}
    counts = {"input_tokens": facts.input_tokens, "output_tokens": facts.output_tokens}
    return {"type": "tokens", **counts, "total_tokens": facts.input_tokens + facts.output_tokens}


def _segment(segment: audio_pb2.Segment) -> dict[str, Any]:
    return {
        "id": segment.id,
        "seek": segment.seek,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }
