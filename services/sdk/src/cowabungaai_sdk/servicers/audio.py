# SPDX-License-Identifier: Apache-2.0
"""AudioService on top of a TranscriptionBackend."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from cowabungaai_sdk.backend import TranscriptionBackend
from cowabungaai_sdk.catalog import Catalog
from cowabungaai_sdk.checks import check_transcription
from cowabungaai_sdk.errors import BackendFailedError, InvalidRequestError
from cowabungaai_sdk.servicers.calls import Call, Calls, Context
from cowabungaai_sdk.v1.audio_pb2 import (
    AUDIO_TASK_TRANSLATE,
    AudioFacts,
    Segment,
    TranscribeOptions,
    TranscribeRequest,
    Transcription,
    TranscriptionChunk,
)
from cowabungaai_sdk.v1.audio_pb2_grpc import AudioServiceServicer
from cowabungaai_sdk.v1.models_pb2 import CAPABILITY_TRANSCRIPTION, CAPABILITY_TRANSLATION


class AudioServicer(AudioServiceServicer):
    """Serves transcriptions.

    Args:
        backend: what makes them.
        catalog: its models.
        calls: the server's calls.
    """

    def __init__(self, backend: TranscriptionBackend, catalog: Catalog, calls: Calls) -> None:
        self._backend = backend
        self._catalog = catalog
        self._calls = calls

    async def Transcribe(self, requests: AsyncIterator[TranscribeRequest], context: Context) -> Transcription:
        """Collects the whole transcript; see audio.proto."""
        async with self._calls.serve("Transcribe", context) as call:
            answer = Transcription()
            async with aclosing(self._pieces(requests, call)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Segment):
                        answer.segments.append(piece)
                    else:
                        answer.facts.CopyFrom(piece)
            return answer
        raise AssertionError("unreachable: serve aborts the call where the body raises")

    async def TranscribeStream(self, requests: AsyncIterator[TranscribeRequest], context: Context) -> None:
        """Passes segments on as they are found; see audio.proto."""
        async with (
            self._calls.serve("TranscribeStream", context) as call,
            aclosing(self._pieces(requests, call)) as pieces,
        ):
            async for piece in pieces:
                if isinstance(piece, Segment):
                    await context.write(TranscriptionChunk(segments=[piece]))
                else:
                    await context.write(TranscriptionChunk(facts=piece))

    async def _pieces(
        self, requests: AsyncIterator[TranscribeRequest], call: Call
    ) -> AsyncGenerator[Segment | AudioFacts, None]:
        """Checks the options, and that the backend gives its facts once, at the end."""
        options = await self._options(requests, call)
        facts: AudioFacts | None = None
        async with self._calls.slot(call), aclosing(self._backend.transcribe(options, _audio(requests))) as pieces:
            async for piece in pieces:
                call.piece()
                if facts is not None:
                    raise BackendFailedError("the backend's transcript went on after its facts")
                if isinstance(piece, AudioFacts):
                    facts = piece
                    facts.model = facts.model or options.model
                yield piece
        if facts is None:
            raise BackendFailedError("the backend's transcript ended without facts")
        call.prompt_tokens = facts.input_tokens if facts.HasField("input_tokens") else None
        call.completion_tokens = facts.output_tokens if facts.HasField("output_tokens") else None

    async def _options(self, requests: AsyncIterator[TranscribeRequest], call: Call) -> TranscribeOptions:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("request") != "options":
            raise InvalidRequestError("the first message has no options", "options")
        translate = first.options.task == AUDIO_TASK_TRANSLATE
        self._catalog.find(first.options.model, CAPABILITY_TRANSLATION if translate else CAPABILITY_TRANSCRIPTION)
        call.model = first.options.model
        check_transcription(first.options)
        return first.options


async def _audio(requests: AsyncIterator[TranscribeRequest]) -> AsyncIterator[bytes]:
    """The file's bytes."""
    empty = True
    async for request in requests:
        if request.WhichOneof("request") != "audio":
            raise InvalidRequestError("a message after the first has no audio", "audio")
        if request.audio:
            empty = False
            yield request.audio
    if empty:
        raise InvalidRequestError("the audio is empty; expected a file", "audio")
