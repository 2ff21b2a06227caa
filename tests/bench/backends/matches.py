# SPDX-License-Identifier: Apache-2.0
"""The matches: which contenders meet, with which model, and how they are asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine
from bench.backends.contenders import WORKERS, Contender, library, openai_server, ours
from cowabunga import models, services
from cowabunga.errors import UsageError
from cowabunga.paths import CHECKOUT, cache_home, digest_of, logs
from cowabunga.process import run_logged
from cowabunga.python_tools import REQUIREMENTS

SPEECH = CHECKOUT / "tests" / "conformance" / "speech.ogg"
THREADS = str(len(os.sched_getaffinity(0)))
TOKENS = 64
PROMPTS = (
    "The history of the city begins with a small harbour, and",
    "In the garden behind the house there stood an old tree that",
    "A good engineer knows that every machine, however simple,",
    "When the train finally arrived, the passengers saw that",
)
WORDS = [
    "the",
    "river",
    "runs",
    "past",
    "a",
    "village",
    "of",
    "stone",
    "houses",
    "where",
    "people",
    "bake",
    "bread",
    "mend",
    "nets",
    "and",
    "tell",
    "stories",
]


@dataclass(frozen=True)
class Way:
    """A way of asking all contenders of a match.

    Attributes:
        title: In the report.
        unit: Of what is done.
        scenario: Of the workers.
        arguments: Of the scenario, for a round: no cache may know what is asked.
        goal: See report.Measure.
    """

    title: str
    unit: str
    scenario: str
    arguments: Callable[[int], Mapping[str, Any]]
    goal: float | None = None


@dataclass(frozen=True)
class Match:
    """Contenders and how they are asked.

    Attributes:
        service: Ours.
        title: What is measured.
        about: The model, and what is equal for all.
        contenders: Ours first.
        ways: In the order of the report.
        packages: What the contenders are made of; the versions are in the report.
    """

    service: str
    title: str
    about: str
    contenders: tuple[Contender, ...]
    ways: tuple[Way, ...]
    packages: tuple[str, ...]

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages, as locked for the service or for its peers."""
        locks = [services.FOLDER / self.service / "requirements.lock", *sorted(REQUIREMENTS.glob("bench-*.lock"))]
        return {name: next(filter(None, (machine.pinned(name, lock) for lock in locks)), "") for name in self.packages}


def llama() -> Match:
    """llama-cpp-python against the server that the library brings along."""

    def server(port: int) -> Sequence[str]:
        (entry, *_) = models.ensure("llama-cpp-python")
        (file,) = entry.path.glob("*.gguf")
        settings = ["--n_ctx", "2048", "--n_threads", THREADS, "--n_threads_batch", THREADS, "--n_batch", "512"]
        # By itself it ends an answer as soon as the next request comes.
        settings += ["--interrupt_requests", "false", "--verbose", "false"]
        return ["-m", f"{WORKERS}.llama_server", "--model", str(file), "--port", str(port), *settings]

    def numbered(number: int, prompts: Sequence[str]) -> dict[str, Any]:
        # Those of one client are others than those of several.
        return {"prompts": [f"{number}/{len(prompts)}. {prompt}" for prompt in prompts], "tokens": TOKENS}

    return Match(
        "llama-cpp-python",
        "Chat and completions on a CPU",
        f"Gemma 3 270M, Q4_K_M; greedy, {TOKENS} tokens an answer, streamed; {THREADS} threads each.",
        (
            ours("llama-cpp-python", "ours", {"context-length": "2048", "parallel": "4", "threads": THREADS}),
            openai_server("server", "llama_cpp.server", "llama-cpp-python", "bench-llama-server", server),
        ),
        (
            Way("1 client", "tokens/s", "complete", lambda number: numbered(number, PROMPTS[:1]), goal=0.95),
            Way("4 clients at once", "tokens/s", "complete", lambda number: numbered(number, PROMPTS), goal=1.0),
            Way(
                "A prompt of 700 words is read",
                "tokens/s",
                "read",
                lambda number: {
                    "prompt": f"{number}. {' '.join(WORDS[(at * 7 + at // 5) % len(WORDS)] for at in range(700))}"
                },
                goal=0.95,
            ),
        ),
        ("llama-cpp-python",),
    )


def whisper() -> Match:
    """whisper against bare faster-whisper."""
    seconds = 6.0

    def asked(clients: int) -> Callable[[int], dict[str, Any]]:
        return lambda _: {"file": str(SPEECH), "seconds": seconds, "clients": clients}

    def arguments() -> list[str]:
        (entry, *_) = models.ensure("whisper")
        return [str(entry.path), "int8", THREADS]

    return Match(
        "whisper",
        "Speech as text on a CPU",
        f"Whisper tiny.en, int8; 6 seconds of speech, beams of 5, no voice detection; {THREADS} threads each.",
        (
            ours("whisper", "ours", {"compute-type": "int8", "threads": THREADS}),
            library(
                "bare",
                "faster-whisper, bare",
                lambda: services.service_environment("whisper"),
                "bare_whisper",
                arguments,
            ),
        ),
        (
            Way("1 client", "s of speech/s", "transcribe", asked(1), goal=0.95),
            Way("4 clients at once", "s of speech/s", "transcribe", asked(4), goal=0.95),
        ),
        ("faster-whisper", "ctranslate2"),
    )


def embeddings(torch: Path | None = None) -> Match:
    """text-embeddings against fastembed, with the same graphs, and against sentence-transformers on torch.

    Args:
        torch: A Python that has sentence-transformers; without it torch is not measured.
    """

    def fast(precision: str) -> Contender:
        def arguments() -> list[str]:
            folder = _converted(precision)
            (file,) = folder.glob("*.onnx")
            return [str(folder), file.name, THREADS]

        def python() -> Path:
            return services.environment("bench-fastembed", REQUIREMENTS / "bench-fastembed.lock")

        return library(f"fastembed-{precision}", f"fastembed, {precision}", python, "fastembed_texts", arguments)

    def folder_and_threads() -> list[str]:
        (entry, *_) = models.ensure("text-embeddings")
        return [str(entry.path), THREADS]

    peers = [fast("int8"), fast("float32")]
    if torch is not None:
        peers.append(library("torch", "torch", lambda: torch, "torch_texts", folder_and_threads))

    def asked(count: int, clients: int, batch: int) -> Callable[[int], dict[str, Any]]:
        return lambda number: {
            "texts": _texts(count, f"{number}/{clients}/{batch}"),
            "clients": clients,
            "batch": batch,
        }

    return Match(
        "text-embeddings",
        "Embeddings on a CPU",
        f"all-MiniLM-L6-v2; texts of 4 to 60 words; {THREADS} threads each. fastembed runs the graphs that ours makes.",
        (
            ours("text-embeddings", "ours, int8", {"precision": "int8"}),
            ours("text-embeddings", "ours, float32", {"precision": "float32"}, "ours-float32"),
            *peers,
        ),
        (
            Way("Texts one by one", "texts/s", "embed", asked(40, 1, 1)),
            Way("8 clients, one text each", "texts/s", "embed", asked(160, 8, 1)),
            Way("Batches of 32", "texts/s", "embed", asked(320, 1, 32)),
            Way("Batches of 256", "texts/s", "embed", asked(512, 1, 256)),
        ),
        ("onnxruntime", "fastembed"),
    )


def _texts(count: int, mark: str) -> list[str]:
    """Texts of 4 to 60 words after a mark, none alike."""
    lengths = [4 + (at * 23) % 57 for at in range(count)]
    return [
        " ".join([f"{mark} {at}", *(WORDS[(at + word * 5) % len(WORDS)] for word in range(length))])
        for at, length in enumerate(lengths)
    ]


def _converted(precision: str) -> Path:
    """The default model's folder with an ONNX file, made by the service's own converter and kept in the cache."""
    (entry, *_) = models.ensure("text-embeddings")
    words, variables = services.command("text-embeddings", ["convert", str(entry.path)])
    key = digest_of(entry.path / "manifest.json", *services.load("text-embeddings").sources)
    folder = cache_home() / "bench-models" / f"{key}-{precision}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        command = [*words, str(folder), "--precision", precision]
        run_logged(command, logs() / "bench-convert.log", f"converting {entry.id}", env=variables)
    return folder


MATCHES: dict[str, Callable[[], Match]] = {
    "llama-cpp-python": llama,
    "whisper": whisper,
    "text-embeddings": embeddings,
}


def choose(names: Sequence[str], torch: Path | None = None) -> list[Match]:
    """The matches of services.

    Args:
        names: Of services.
        torch: A Python that has sentence-transformers, to be measured beside text-embeddings.

    Raises:
        UsageError: A service has none; the message lists those that have.
    """
    for name in names:
        if name not in MATCHES:
            raise UsageError(
                f"--services: {name!r} is measured against nobody", f"Those that are: {', '.join(MATCHES)}."
            )
    return [embeddings(torch) if name == "text-embeddings" else MATCHES[name]() for name in names]
