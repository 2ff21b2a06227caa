# SPDX-License-Identifier: Apache-2.0
"""Asks one of our backends by the SDK's client: `python -m bench.backends.workers.backend HOST:PORT MODEL`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.v1.audio_pb2 import AUDIO_TASK_TRANSCRIBE, TranscribeOptions
from cowabungaai_sdk.v1.common_pb2 import Sampling, TextInput
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest
from cowabungaai_sdk.v1.embedding_pb2 import EmbeddingRequest

from bench.backends.workers.loop import serve

TIMEOUT_S = 600


class Asker:
    """Scenarios for one backend.

    Args:
        target: its address.
        model: the model's id.
    """

    def __init__(self, target: str, model: str) -> None:
        self._target = target
        self._model = model

    def complete(self, prompts: list[str], tokens: int) -> float:
        """Tokens a second, a client for each prompt, all at once."""

        async def one(client: BackendClient, prompt: str) -> float:
            request = CompletionRequest(
                model=self._model,
                prompts=[TextInput(text=prompt)],
                sampling=Sampling(temperature=0, max_tokens=tokens, min_tokens=tokens),
            )
            used = 0
            async for chunk in client.complete_stream(request):
                used = chunk.usage.completion_tokens or used
            return float(used)

        return self._rate([partial(one, prompt=prompt) for prompt in prompts])

    def read(self, prompt: str) -> float:
        """Tokens of a prompt that were read a second, up to the first one written."""

        async def one(client: BackendClient) -> float:
            sampling = Sampling(temperature=0, max_tokens=1)
            request = CompletionRequest(model=self._model, prompts=[TextInput(text=prompt)], sampling=sampling)
            usage = (await client.complete(request)).usage
            return float(usage.prompt_tokens - usage.cached_prompt_tokens)

        return self._rate([one])

    def transcribe(self, file: str, seconds: float, clients: int) -> float:
        """Seconds of speech that were written down a second."""
        audio = Path(file).read_bytes()

        async def one(client: BackendClient) -> float:
            options = TranscribeOptions(
                model=self._model,
                task=AUDIO_TASK_TRANSCRIBE,
                filename=file,
                language="en",
                temperature=0,
                voice_activity_detection=False,
            )
            assert (await client.transcribe(options, _whole(audio))).segments
            return seconds

        return self._rate([one] * clients)

    def embed(self, texts: list[str], clients: int, batch: int) -> float:
        """Texts that were embedded a second."""

        async def one(client: BackendClient, own: list[str]) -> float:
            for start in range(0, len(own), batch):
                inputs = [TextInput(text=text) for text in own[start : start + batch]]
                found = await client.embed(EmbeddingRequest(model=self._model, inputs=inputs, truncate=True))
                assert len(found.vectors) == len(inputs)
            return float(len(own))

        shares = [texts[number::clients] for number in range(clients)]
        return self._rate([partial(one, own=share) for share in shares])

    def _rate(self, work: list[Callable[[BackendClient], Awaitable[float]]]) -> float:
        async def together() -> float:
            async with BackendClient(self._target, timeout_s=TIMEOUT_S) as client:
                await client.check_health()
                begun = time.perf_counter()
                done = await asyncio.gather(*(one(client) for one in work))
                return sum(done) / (time.perf_counter() - begun)

        return asyncio.run(together())


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data


if __name__ == "__main__":
    asker = Asker(sys.argv[1], sys.argv[2])
    serve({"complete": asker.complete, "read": asker.read, "transcribe": asker.transcribe, "embed": asker.embed})
