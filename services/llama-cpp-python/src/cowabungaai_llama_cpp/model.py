# SPDX-License-Identifier: Apache-2.0
"""One model being served: its file, its engine, its template."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from cowabungaai_llama_cpp import templates
from cowabungaai_llama_cpp.config import DEFAULT_CONTEXT, LlamaConfig
from cowabungaai_llama_cpp.embedder import Embedder
from cowabungaai_llama_cpp.engine import Engine
from cowabungaai_llama_cpp.request import Limits
from cowabungaai_llama_cpp.templates import ChatTemplate
from cowabungaai_llama_cpp.toolcalls import CallFormat, format_of
from cowabungaai_llama_cpp.weights import Weights, gguf_file
from cowabungaai_sdk.models import LocalModel, ModelError
from cowabungaai_sdk.v1 import models_pb2
from cowabungaai_sdk.v1.models_pb2 import Capability, Model


class ServedModel:
    """A model in memory. Everything blocks.

    Args:
        local: where it is.
        config: the settings.

    Raises:
        ModelError: it cannot be served; the message says why.
    """

    def __init__(self, local: LocalModel, config: LlamaConfig) -> None:
        self.local = local
        local.verify()
        self.weights = Weights(gguf_file(local), repack=not config.reproducible)
        self.engine: Engine | None = None
        self.embedder: Embedder | None = None
        try:
            self._open(config)
        except BaseException:
            self.close()
            raise

    def _open(self, config: LlamaConfig) -> None:
        weights = self.weights
        if weights.has_encoder and not weights.is_embedder:
            raise ModelError(
                f"{self.local.path} is an encoder-decoder model; expected one that only decodes, or embeds"
            )
        trained = weights.training_length
        if config.context_length is not None and config.context_length > trained:
            message = f"--context-length is {config.context_length}; {self.local.path} was trained on {trained}"
            raise ModelError(f"{message}; lower it, or serve that model by a server of its own")
        length = config.context_length or min(trained, DEFAULT_CONTEXT)
        self.limits = Limits(weights, length)
        # What is computed at the first use, and takes a while, is made ready now.
        _ = (self.limits.text_bytes, weights.end_tokens)
        self.template = self._template(config)
        self.call_format: CallFormat = format_of(self.template.source) if self.template else CallFormat()
        self.threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="llama-prepare")
        if weights.is_embedder:
            self.embedder = Embedder(weights, length, config)
        else:
            self.engine = Engine(weights, length, replace(config, batch_size=min(config.batch_size, length)))

    def _template(self, config: LlamaConfig) -> ChatTemplate | None:
        weights = self.weights
        bos, eos = weights.name(weights.bos), weights.name(weights.eos)
        own = weights.template()
        if own is not None:
            return ChatTemplate(own, bos, eos)
        if config.chat_template is None:
            return None
        source, name = templates.read(config.chat_template)
        return ChatTemplate(source, bos, eos, name)

    def describe(self) -> Model:
        """The model as the contract lists it."""
        return self.local.describe(
            self._capabilities(), self.limits.length, self.weights.dimensions if self.embedder else None
        )

    def _capabilities(self) -> list[Capability]:
        found: list[Capability] = []
        if self.engine is not None:
            if self.template is not None:
                found.append(models_pb2.CAPABILITY_CHAT)
            found.append(models_pb2.CAPABILITY_COMPLETION)
        if self.embedder is not None:
            found.append(models_pb2.CAPABILITY_EMBEDDING)
        return [*found, models_pb2.CAPABILITY_TOKEN_COUNT]

    def close(self) -> None:
        """Ends the engine and frees the memory."""
        for part in (self.engine, self.embedder, self.weights):
            if part is not None:
                part.close()
        if hasattr(self, "threads"):
            self.threads.shutdown()
