# SPDX-License-Identifier: Apache-2.0
"""sentence-transformers on torch as it comes: `python -m bench.backends.workers.torch_texts FOLDER THREADS`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sized

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from sentence_transformers import SentenceTransformer

from bench.backends.workers.loop import one_after_the_other, serve


def main(folder: str, threads: str) -> None:
    """Loads a model, and embeds.

    Args:
        folder: the model's.
        threads: how many it has.
    """
    torch.set_num_threads(int(threads))
    model = SentenceTransformer(folder, device="cpu")

    def embed(texts: list[str]) -> Sized:
        found: Sized = model.encode(texts, batch_size=len(texts), show_progress_bar=False)
        return found

    serve({"embed": one_after_the_other(embed)})


if __name__ == "__main__":
    main(*sys.argv[1:])
