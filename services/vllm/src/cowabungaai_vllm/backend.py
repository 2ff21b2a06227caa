# SPDX-License-Identifier: Apache-2.0
"""The backend: one vLLM engine, one model, and its adapters."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import ParamSpec, TypeVar

from cowabungaai_sdk.backend import ChatDelta, CompletionDelta
from cowabungaai_sdk.blocking import run_blocking
from cowabungaai_sdk.checks import refuse_verbosity
from cowabungaai_sdk.manifest import ModelError
from cowabungaai_sdk.models import LocalModel
from cowabungaai_sdk.v1.chat_pb2 import ChatRequest
from cowabungaai_sdk.v1.completion_pb2 import CompletionRequest
from cowabungaai_sdk.v1.models_pb2 import (
    CAPABILITY_CHAT,
    CAPABILITY_COMPLETION,
    CAPABILITY_TOKEN_COUNT,
    Model,
)
from cowabungaai_sdk.v1.tokens_pb2 import CountTokensRequest
from cowabungaai_vllm import library as libraries
from cowabungaai_vllm.chat import Chat
from cowabungaai_vllm.completion import Completion
from cowabungaai_vllm.config import Config, engine_arguments
from cowabungaai_vllm.generation import Runner
from cowabungaai_vllm.library import Library
from cowabungaai_vllm.prompts import Prompts

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("cowabungaai.vllm")

CAPABILITIES = (CAPABILITY_CHAT, CAPABILITY_COMPLETION, CAPABILITY_TOKEN_COUNT)
WATCH_S = 2.0
"""How often the engine is asked whether it lives, in seconds."""
SHUTDOWN_S = 10.0
"""How long the engine's processes may take to end, in seconds."""


class VllmBackend:
    """Answers conversations and continues prompts by vLLM.

    Args:
        model: the model's folder.
        config: everything else.
        load_library: imports vLLM.
    """

    def __init__(self, model: LocalModel, config: Config, load_library: Callable[[], Library] = libraries.load) -> None:
        self._model = model
        self._config = config
        self._load_library = load_library
        self._context_length: int | None = None
        # One, since tokenizers are not made for more.
        self._thread = ThreadPoolExecutor(1, "tokenizer")
        self._runner: Runner | None = None
        self._watch: asyncio.Task[None] | None = None
        self.max_concurrency = config.max_concurrency
        self.system_fingerprint = f"vllm-{libraries.version()}-{model.digest[:12]}"

    async def load(self) -> None:
        """Checks the model, and starts the engine, which reads the weights.

        Raises:
            ModelError: the folder holds no model that vLLM reads, or the configuration does not fit vLLM.
        """
        await asyncio.to_thread(self._model.verify)
        check(self._model.path)
        template = self._config.chat_template.read_text() if self._config.chat_template else None
        library = await asyncio.to_thread(self._load_library)
        arguments = engine_arguments(self._config, self._model.path, self._model.id, library.engine_argument_names)
        _check_parsers(self._config, library)
        try:
            # Not on a thread: the engine belongs to the loop that it is made in. Nothing else runs on it yet but
            # health, which says that the model is loading.
            engine = library.AsyncLLM.from_engine_args(library.AsyncEngineArgs(**arguments))
        except (ValueError, OSError, library.VLLMClientError) as error:
            raise ModelError(f"vLLM cannot serve {self._model.path}: {error}") from error
        self._runner = Runner(library, engine)
        tokenizer = engine.get_tokenizer()
        self._context_length = int(engine.model_config.max_model_len)
        self._prompts = Prompts(tokenizer, self._context_length, template, self._config.template_arguments)
        self._chat = Chat(self._runner, tokenizer, self._config)
        self._completion = Completion(self._runner, self._prompts)
        self._adapters = {
            adapter.id: library.LoRARequest(adapter.id, number, str(adapter.path))
            for number, adapter in enumerate(self._config.adapters, 1)
        }
        self._watch = asyncio.create_task(self._end_with_the_engine())

    async def close(self) -> None:
        """Ends the engine's processes."""
        if self._watch is not None:
            self._watch.cancel()
        if self._runner is not None:
            await asyncio.to_thread(self._runner.engine.shutdown, SHUTDOWN_S)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def models(self) -> Sequence[Model]:
        """The model, and then its adapters."""
        described = self._model.describe(CAPABILITIES, self._context_length)
        adapters = [
            Model(
                id=adapter.id,
                capabilities=CAPABILITIES,
                context_length=self._context_length,
                description=f"LoRA adapter of {self._model.id}",
            )
            for adapter in self._config.adapters
        ]
        return [described, *adapters]

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Answers a conversation; see chat.py."""
        refuse_verbosity(request)
        effort = request.reasoning_effort
        ids = await self._on_thread(self._prompts.conversation, request.messages, request.tools, effort)
        answer = self._chat.answer(request, ids, self._adapters.get(request.model))
        async with aclosing(answer) as deltas:
            async for delta in deltas:
                yield delta

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[CompletionDelta, None]:
        """Continues prompts; see completion.py."""
        prompts = [await self._on_thread(self._prompts.text, prompt) for prompt in request.prompts]
        continued = self._completion.continue_prompts(request, prompts, self._adapters.get(request.model))
        async with aclosing(continued) as deltas:
            async for delta in deltas:
                yield delta

    async def count_tokens(self, request: CountTokensRequest) -> int:
        """Counts as the model reads."""
        if request.WhichOneof("input") == "text":
            return await self._on_thread(self._prompts.count, request.text)
        conversation = request.conversation
        return len(await self._on_thread(self._prompts.conversation, conversation.messages, conversation.tools))

    async def _on_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await run_blocking(self._thread, lambda _: function(*args, **kwargs))

    async def _end_with_the_engine(self) -> None:
        """Ends the server when the engine has died: only a new process can start another one."""
        # vLLM tells nobody that its engine died; it can only be asked.
        while self._runner is not None and not self._runner.engine.errored:  # noqa: ASYNC110
            await asyncio.sleep(WATCH_S)
        log.critical("the engine has died; the backend ends")
        os.kill(os.getpid(), signal.SIGTERM)


def check(folder: Path) -> None:
    """Refuses what is no model's folder before the engine takes a minute to say so.

    Args:
        folder: the model's.

    Raises:
        ModelError: a file is missing.
    """
    if not folder.is_dir():
        if folder.suffix == ".gguf":
            return
        raise ModelError(f"{folder} is no folder; expected a Hugging Face model's folder, or a GGUF file")
    if not (folder / "config.json").is_file() and not (folder / "params.json").is_file():
        raise ModelError(f"{folder} has no config.json; expected a Hugging Face model's folder")
    patterns = ("*.safetensors", "*.bin", "*.pt", "*.gguf")
    if not any(found for pattern in patterns for found in folder.glob(pattern)):
        raise ModelError(f"{folder} has no weights; expected a file such as model.safetensors")


def _check_parsers(config: Config, library: Library) -> None:
    for name, value, known in (
        ("tool_call_parser", config.tool_call_parser, library.ToolParserManager),
        ("reasoning_parser", config.reasoning_parser, library.ReasoningParserManager),
    ):
        if value is not None and value not in known.list_registered():
            raise ModelError(f"{name}: vLLM has no {value!r}; it has: {', '.join(sorted(known.list_registered()))}")
