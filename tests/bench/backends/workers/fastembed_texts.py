# SPDX-License-Identifier: Apache-2.0
"""fastembed as it comes: `python -m bench.backends.workers.fastembed_texts FOLDER MODEL_FILE THREADS`."""

from __future__ import annotations

import sys

from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType

from bench.backends.workers.loop import one_after_the_other, serve

NAME = "measured"


def main(folder: str, file: str, threads: str) -> None:
    """Loads a model whose tokens are averaged to a vector of length 1, and embeds.

    Args:
        folder: the model's, with tokenizer and ONNX file.
        file: the ONNX file, below the folder.
        threads: how many it has.
    """
    # The source is where it would be downloaded from; the folder is here already.
    TextEmbedding.add_custom_model(
        NAME,
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf=NAME),
        dim=384,
        model_file=file,
        additional_files=[f"{file}.data"],
    )
    model = TextEmbedding(NAME, specific_model_path=folder, threads=int(threads))

    serve({"embed": one_after_the_other(lambda texts: list(model.embed(texts, batch_size=len(texts))))})


if __name__ == "__main__":
    main(*sys.argv[1:])
