"""How the service behaves where a request does not say otherwise."""

from dataclasses import dataclass

ENGINES = ("onnx", "torch")
PRECISIONS = ("int8", "float32")


@dataclass(frozen=True, slots=True)
class Settings:
    """The service's settings.

    Args:
        engine: onnx, which needs no torch, or torch, which the gpu flavor has.
        precision: int8 or float32; None means what a folder's ONNX file is, or int8. torch: float32, or None for what
            the model was saved as.
        threads: how many threads work on one batch; 0 means as many as the CPUs leave for each stream.
        streams: how many batches are worked on at once; 0 means the engine's own.
        max_batch_tokens: the most tokens of a batch, padding included; 0 means the engine's own.
        truncate: whether inputs that are too long are cut, where the request says nothing.
        context_length: the most tokens of an input; None means as the model says.
        prompt: the name of the model's prompt that goes before every text; None means its default, mostly none.
        matryoshka: whether vectors may be cut to any length; None means as the model says.
        device: torch's, such as cuda or cpu; None means the best that there is.
    """

    engine: str = "onnx"
    precision: str | None = None
    threads: int = 0
    streams: int = 0
    max_batch_tokens: int = 0
    truncate: bool = False
    context_length: int | None = None
    prompt: str | None = None
    matryoshka: bool | None = None
    device: str | None = None
