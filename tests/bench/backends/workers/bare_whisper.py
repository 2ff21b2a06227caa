# SPDX-License-Identifier: Apache-2.0
"""faster-whisper as it comes: `python -m bench.backends.workers.bare_whisper MODEL COMPUTE_TYPE THREADS`."""

from __future__ import annotations

import sys
import time

from faster_whisper import WhisperModel

from bench.backends.workers.loop import serve


def main(folder: str, compute_type: str, threads: str) -> None:
    """Loads a model, and transcribes.

    Args:
        folder: the model's.
        compute_type: as CTranslate2 names it.
        threads: how many it has.
    """
    model = WhisperModel(folder, device="cpu", compute_type=compute_type, cpu_threads=int(threads))

    def transcribe(file: str, seconds: float, clients: int) -> float:
        """Seconds of speech that were written down a second; one after the other, as the library works."""
        begun = time.perf_counter()
        for _ in range(clients):
            assert list(model.transcribe(file, language="en", temperature=0, vad_filter=False)[0])
        return clients * seconds / (time.perf_counter() - begun)

    serve({"transcribe": transcribe})


if __name__ == "__main__":
    main(*sys.argv[1:])
