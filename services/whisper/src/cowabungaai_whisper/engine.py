# SPDX-License-Identifier: Apache-2.0
"""One model, loaded once, and what a call needs of it."""

import copy

import ctranslate2  # type: ignore[import-untyped]
from faster_whisper import WhisperModel  # type: ignore[import-untyped]
from faster_whisper.feature_extractor import FeatureExtractor  # type: ignore[import-untyped]
from faster_whisper.tokenizer import Tokenizer  # type: ignore[import-untyped]
from faster_whisper.transcribe import TranscriptionOptions, get_suppressed_tokens  # type: ignore[import-untyped]
from faster_whisper.vad import get_vad_model  # type: ignore[import-untyped]

from cowabungaai_sdk.blocking import CancelToken
from cowabungaai_sdk.cpus import usable_cpus
from cowabungaai_sdk.models import ModelError
from cowabungaai_whisper.config import WhisperConfig
from cowabungaai_whisper.turns import Lane, Turns
from cowabungaai_whisper.weights import Weights
from cowabungaai_whisper.wishes import Wishes

MAX_THREADS = 4
"""Threads of a worker where none are set: more make a window hardly faster."""


class Engine:
    """A loaded model; its methods block.

    Args:
        weights: the model's folder, inspected.
        config: how to load it.

    Raises:
        ModelError: it cannot be loaded as the settings say.
    """

    def __init__(self, weights: Weights, config: WhisperConfig) -> None:
        device = device_of(config)
        try:
            self._model = WhisperModel(
                str(weights.folder),
                device=device,
                compute_type=compute_type_of(config),
                cpu_threads=config.threads or min(MAX_THREADS, usable_cpus()),
                num_workers=config.workers,
                local_files_only=True,
            )
        # Whatever it is: the libraries raise built-in exceptions, tokenizers Exception itself.
        except Exception as error:
            raise ModelError(f"{weights.folder} cannot be loaded on {device}: {error}") from error
        self._model.feature_extractor = FeatureExtractor(
            **{**self._model.feat_kwargs, "feature_size": weights.mel_bands}
        )
        # Loaded here, so that no call waits for it.
        get_vad_model()
        self.extractor = self._model.feature_extractor
        self.turns = Turns(config.workers, config.batch_size)
        self.batch_size = config.batch_size
        self.beam_size = config.beam_size
        self.languages = languages_of(self._model)

    def lane(self, cancel: CancelToken) -> WhisperModel:
        """The model for one call: its work takes turns with that of others.

        Args:
            cancel: says when the call is to end; then CallerLeft is raised where it waits for the engine.
        """
        lane = copy.copy(self._model)
        lane.model = Lane(self._model.model, self.turns, cancel)
        return lane

    def tokenizer(self, language: str, translate: bool) -> Tokenizer:
        """The model's tokenizer, set for a task.

        Args:
            language: one of languages.
            translate: whether the task is translation.
        """
        task = "translate" if translate else "transcribe"
        return Tokenizer(self._model.hf_tokenizer, self._model.model.is_multilingual, task, language)

    def options(self, wishes: Wishes, tokenizer: Tokenizer) -> TranscriptionOptions:
        """What faster-whisper needs to know; where a request has no say, its own defaults.

        Args:
            wishes: the request's.
            tokenizer: of the same task.
        """
        return TranscriptionOptions(
            beam_size=self.beam_size,
            best_of=5,
            patience=1,
            length_penalty=1,
            repetition_penalty=1,
            no_repeat_ngram_size=0,
            log_prob_threshold=-1.0,
            no_speech_threshold=0.6,
            compression_ratio_threshold=2.4,
            condition_on_previous_text=True,
            prompt_reset_on_temperature=0.5,
            temperatures=list(wishes.temperatures),
            initial_prompt=prompt_tokens(wishes.prompt, tokenizer),
            prefix=None,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            without_timestamps=False,
            max_initial_timestamp=1.0,
            word_timestamps=wishes.words,
            prepend_punctuations="\"'“¿([{-",
            append_punctuations="\"'.。,，!！?？:：”)]}、",  # noqa: RUF001 - these marks are meant
            multilingual=False,
            max_new_tokens=None,
            clip_timestamps=[0.0],
            hallucination_silence_threshold=None,
            hotwords=None,
        )

    def close(self) -> None:
        """Ends the engine's threads and frees the model."""
        self.turns.close()
        self._model.model.unload_model()


def prompt_tokens(prompt: str, tokenizer: Tokenizer) -> list[int]:
    """A prompt as tokens, those left out that control the model: a text could name them.

    Args:
        prompt: any text.
        tokenizer: the model's.
    """
    if not prompt:
        return []
    return [token for token in tokenizer.encode(f" {prompt}") if token < tokenizer.eot]


def languages_of(model: WhisperModel) -> frozenset[str]:
    """The languages that a model knows, by Whisper's codes.

    Args:
        model: any.
    """
    known: list[str] = model.supported_languages
    return frozenset(code for code in known if model.hf_tokenizer.token_to_id(f"<|{code}|>") is not None)


def device_of(config: WhisperConfig) -> str:
    """Where a model runs.

    Args:
        config: with the device, or `auto`.
    """
    if config.device != "auto":
        return config.device
    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


def compute_type_of(config: WhisperConfig) -> str:
    """What a model computes with.

    Args:
        config: with the type, or `auto`.

    Raises:
        ModelError: the device cannot.
    """
    device = device_of(config)
    if device == "cuda" and not ctranslate2.get_cuda_device_count():
        raise ModelError("there is no CUDA device here; choose --device cpu")
    if config.compute_type == "auto":
        return "float16" if device == "cuda" else "int8"
    able = sorted(ctranslate2.get_supported_compute_types(device))
    if config.compute_type not in able:
        raise ModelError(
            f"{device} does not compute with {config.compute_type!r}; choose a --compute-type of {', '.join(able)}"
        )
    return config.compute_type
