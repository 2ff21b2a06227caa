# SPDX-License-Identifier: Apache-2.0
"""The backend: Whisper models behind the contract."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import BinaryIO, cast

from cowabungaai_sdk.blocking import CancelToken, in_thread
from cowabungaai_sdk.models import LocalModel
from cowabungaai_sdk.v1 import models_pb2
from cowabungaai_sdk.v1.audio_pb2 import AudioFacts, Segment, TranscribeOptions
from cowabungaai_sdk.v1.models_pb2 import Model
from cowabungaai_whisper.config import WhisperConfig
from cowabungaai_whisper.engine import Engine, compute_type_of
from cowabungaai_whisper.transcript import Transcript
from cowabungaai_whisper.upload import spooled
from cowabungaai_whisper.weights import Weights, inspect
from cowabungaai_whisper.wishes import Wishes, read


class Whisper:
    """Transcribes and translates.

    Args:
        models: what to serve, the default first.
        config: how.

    Raises:
        ModelError: a model's folder is not as it should be, or the device cannot compute as the settings say.
    """

    def __init__(self, models: Sequence[LocalModel], config: WhisperConfig | None = None) -> None:
        self._config = config or WhisperConfig()
        self._models = [(model, inspect(model.path)) for model in models]
        self._engines: dict[str, Engine] = {}
        self.max_concurrency = self._config.concurrency
        self.system_fingerprint = f"{models[0].digest[:12]}-{compute_type_of(self._config)}"
        self._threads = ThreadPoolExecutor(self.max_concurrency, "transcript")
        self._helpers = ThreadPoolExecutor(self.max_concurrency, "piece")

    async def load(self) -> None:
        """Compares the models with their manifests, and loads them."""
        for model, weights in self._models:
            await asyncio.to_thread(model.verify)
            self._engines[model.id] = await asyncio.to_thread(Engine, weights, self._config)

    async def close(self) -> None:
        """Ends all threads and frees the models."""
        await asyncio.to_thread(self._end)

    def models(self) -> Sequence[Model]:
        """The models; those that know English alone cannot translate."""
        return [model.describe(_capabilities(weights)) for model, weights in self._models]

    async def transcribe(
        self, options: TranscribeOptions, audio: AsyncIterator[bytes]
    ) -> AsyncGenerator[Segment | AudioFacts, None]:
        """Takes the whole file in, then yields the segments as they are found; see transcript.py.

        Args:
            options: what to do.
            audio: the file's bytes.

        Raises:
            InvalidRequestError: the model cannot do what is asked, or the file is no audio, too large or too long.
            BackendOverloadedError: there is no room for the file.
        """
        engine = self._engines[options.model]
        wishes = read(options, engine.languages, self._config.vad)
        async with spooled(audio, self._config.max_audio_bytes) as kept:
            file = cast(BinaryIO, kept)
            async with aclosing(in_thread(self._threads, self._work, engine, wishes, file)) as pieces:
                async for piece in pieces:
                    yield piece

    def _work(
        self, cancel: CancelToken, engine: Engine, wishes: Wishes, file: BinaryIO
    ) -> Generator[Segment | AudioFacts, None, None]:
        yield from Transcript(engine, wishes, self._helpers, cancel).of(file, self._config.max_audio_s)

    def _end(self) -> None:
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()
        self._threads.shutdown()
        self._helpers.shutdown()


def _capabilities(weights: Weights) -> list[models_pb2.Capability]:
    if weights.multilingual:
        return [models_pb2.CAPABILITY_TRANSCRIPTION, models_pb2.CAPABILITY_TRANSLATION]
    return [models_pb2.CAPABILITY_TRANSCRIPTION]
