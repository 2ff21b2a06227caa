# SPDX-License-Identifier: Apache-2.0
"""Answers that stream or come whole: chat, completions, embeddings, audio, token counts."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Answer(BaseModel):
    """A part of an answer; OpenAI-compatible servers behind the gateway may add fields of their own."""

    model_config = ConfigDict(extra="allow")


class PromptTokensDetails(Answer):
    """Of the prompt's tokens."""

    cached_tokens: int


class CompletionTokensDetails(Answer):
    """Of the generated tokens."""

    reasoning_tokens: int


class TokenUsage(Answer):
    """Tokens that a request used."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


class TopLogprob(Answer):
    """A token that might have been chosen."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TopLogprob):
    """A token that was chosen."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(Answer):
    """Log probabilities of an answer."""

    content: list[TokenLogprob] | None
    refusal: list[TokenLogprob] | None


class CalledFunction(Answer):
    """A function and its arguments, in pieces where the answer is streamed."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(Answer):
    """A call that the model asks for; `index` only in streams."""

    index: int | None = None
    id: str | None = None
    type: Literal["function"] | None = None
    function: CalledFunction


class AssistantMessage(Answer):
    """An answer."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None


class ChatChoice(Answer):
    """A complete answer and why it ended."""

    index: int
    message: AssistantMessage
    logprobs: ChatLogprobs | None = None
    finish_reason: FinishReason


class ChatCompletion(Answer):
    """The whole answer of chat/completions; `model` is the name that the client used."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage
    system_fingerprint: str | None = None


class ChatDelta(Answer):
    """What a chunk adds; what it does not add is left out."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None


class ChatChunkChoice(Answer):
    """The next piece of an answer."""

    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None = None
    finish_reason: FinishReason | None


class ChatCompletionChunk(Answer):
    """One event of a stream. `id` and `created` are the same in all of them."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: TokenUsage | None = None
    system_fingerprint: str | None = None


class CompletionLogprobs(Answer):
    """Log probabilities of a continuation, in columns."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(Answer):
    """A continuation, or its next piece."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReason | None


class Completion(Answer):
    """The answer of completions; events of a stream have the same form."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: TokenUsage | None = None
    system_fingerprint: str | None = None


class Embedding(Answer):
    """A vector: numbers, or float32 in base64 (little-endian)."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Answer):
    """Tokens that embeddings used."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Answer):
    """The answer of embeddings, in the order of the inputs."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class AudioText(Answer):
    """The answer of audio endpoints in the format `json`."""

    text: str


class AudioVerbose(Answer):
    """The answer of audio endpoints in the format `verbose_json`."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: list[dict[str, Any]] | None = None
    words: list[dict[str, Any]] | None = None


class TokenCount(Answer):
    """The answer of tokens/count."""

    object: Literal["token_count"]
    model: str
    count: int


class TranscriptEvent(Answer):
    """One event of a streamed transcription."""

    type: Literal["transcript.text.delta", "transcript.text.done"]
    delta: str | None = None
    text: str | None = None
