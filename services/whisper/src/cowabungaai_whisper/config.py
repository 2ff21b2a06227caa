# SPDX-License-Identifier: Apache-2.0
"""How the backend behaves where a request does not say otherwise."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class WhisperConfig:
    """The backend's settings.

    Args:
        device: `cpu`, `cuda`, or `auto`: cuda where there is a device for it.
        compute_type: as CTranslate2 names it; `auto`: int8 on cpu, float16 on cuda.
        threads: that a worker computes with, on cpu; 0: one for each core it may use, and no more than 4.
        workers: how many windows, or batches of them, are worked on side by side.
        batch_size: the most windows that are decoded together.
        beam_size: how many beginnings of a text are followed at temperature 0.
        vad: whether speech is looked for first, where the request does not say.
        max_audio_bytes: the largest file.
        max_audio_s: the longest audio, in seconds.
    """

    device: str = "auto"
    compute_type: str = "auto"
    threads: int = 0
    workers: int = 1
    batch_size: int = 4
    beam_size: int = 5
    vad: bool = False
    max_audio_bytes: int = 512 * MIB
    max_audio_s: float = 14_400.0

    @property
    def concurrency(self) -> int:
        """How many calls are worked on at once: enough to fill every worker's batch."""
        return self.workers * self.batch_size
