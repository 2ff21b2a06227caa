# SPDX-License-Identifier: Apache-2.0
"""What the tests of this service share: speech, files of every format, and small models.

speech/*.ogg were made by espeak-ng 1.51 (`espeak-ng -v en-us -s 130 -w garden.wav "..."`) from the sentences of SPEECH,
and encoded as Opus, 16 kbit/s, by PyAV.
"""

import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import av
import ctranslate2
import numpy as np
import tokenizers
from numpy.typing import NDArray

from cowabungaai_sdk.models import LocalModel
from cowabungaai_sdk.v1.audio_pb2 import AUDIO_TASK_TRANSCRIBE, TranscribeOptions, Transcription
from cowabungaai_whisper.sound import RATE, Sound

SPEECH = {
    "garden": "She planted yellow flowers in the garden behind the old stone house.",
    "dog": "The little dog was sitting in the middle of the road, waiting for his friend.",
    "letter": "Yesterday I received a long letter from my father about the summer holidays.",
}
FOLDER = Path(__file__).parent / "speech"
WIDTH = 16
"""Of the small models' layers."""

Samples = NDArray[np.float32]


def speech_file(name: str) -> bytes:
    return (FOLDER / f"{name}.ogg").read_bytes()


def spoken(name: str) -> Samples:
    with Sound(io.BytesIO(speech_file(name)), 60) as sound:
        return sound.read(60 * RATE)


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), np.float32)


def noise(seconds: float, level: float = 0.05) -> Samples:
    return np.random.default_rng(0).normal(0, level, int(seconds * RATE)).astype(np.float32)


def wav(samples: Samples) -> bytes:
    return wav_head(2 * len(samples)) + (samples * 32_767).astype("<i2").tobytes()


def wav_head(length: int) -> bytes:
    """The beginning of a WAV file of that many bytes of samples."""
    form = (16).to_bytes(4, "little") + b"\1\0\1\0" + RATE.to_bytes(4, "little") + (2 * RATE).to_bytes(4, "little")
    whole = (36 + length).to_bytes(4, "little")
    return b"RIFF" + whole + b"WAVEfmt " + form + b"\2\0\20\0data" + length.to_bytes(4, "little")


def encoded(samples: Samples, container: str, codec: str, rate: int = RATE, **options: str) -> bytes:
    """The samples as a file of another format."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        form = stream.codec_context.codec.audio_formats[0].name
        fifo, size = av.AudioFifo(), {"aac": 1024, "wmav2": 2048, "libmp3lame": 1152}.get(codec, 960)
        frame = av.AudioFrame.from_ndarray((samples * 32_767).astype(np.int16)[None, :], "s16", "mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(form, "mono", rate)
        for made in [*resampler.resample(frame), *resampler.resample(None)]:
            made.pts = None
            fifo.write(made)
        while part := fifo.read(size) or fifo.read():
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


def options(**wishes: object) -> TranscribeOptions:
    return TranscribeOptions(**{"model": "m", "task": AUDIO_TASK_TRANSCRIBE, **wishes})


async def pieces(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def text_of(answer: Transcription) -> str:
    return "".join(segment.text for segment in answer.segments)


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def wrong_words(text: str, expected: str) -> int:
    """How many words must be changed, put in or left out, to come from the one to the other."""
    found, wanted = words_of(text), words_of(expected)
    row = list(range(len(wanted) + 1))
    for i, word in enumerate(found, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(wanted, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


def small_model(folder: Path, multilingual: bool = True) -> LocalModel:
    """A model with weights by chance: it writes nonsense, but is like a real one in all else."""
    spec = ctranslate2.specs.WhisperSpec(1, 2, 1, 2)
    random = np.random.default_rng(7)
    tokens = _tokens(multilingual)
    for name in [name for name, value in spec.variables().items() if value is None]:
        *path, attribute = name.split("/")
        found = spec
        for part in path:
            several, _, index = part.rpartition("_")
            found = getattr(found, part) if hasattr(found, part) else getattr(found, several)[int(index)]
        setattr(found, attribute, random.normal(0, 0.3, _shape(name, len(tokens))).astype(np.float32))
    spec.encoder.position_encodings.encodings = random.normal(0, 0.3, (1500, WIDTH)).astype(np.float32)
    spec.decoder.position_encodings.encodings = random.normal(0, 0.3, (448, WIDTH)).astype(np.float32)
    # A few words, and the end, are far more probable than all else; texts are short, and silence is none.
    bias = np.zeros(len(tokens), np.float32)
    bias[1000:1004], bias[tokens.index("<|endoftext|>")], bias[tokens.index("<|nospeech|>")] = 11, 12, -50
    spec.decoder.projection.bias = bias
    spec.register_vocabulary(tokens)
    spec.config.lang_ids = [i for i, token in enumerate(tokens) if re.fullmatch(r"<\|[a-z]{2,3}\|>", token)]
    spec.config.suppress_ids, spec.config.suppress_ids_begin, spec.config.alignment_heads = [], [], [(0, 0)]
    folder.mkdir(parents=True, exist_ok=True)
    spec.validate()
    spec.save(str(folder))
    _tokenizer(tokens).save(str(folder / "tokenizer.json"))
    return LocalModel("m", folder)


def _shape(name: str, vocabulary: int) -> tuple[int, ...]:
    """The shape of a layer's weights, by its name."""
    shapes = {
        "conv1/weight": (WIDTH, 80, 3),
        "conv2/weight": (WIDTH, WIDTH, 3),
        "decoder/embeddings/weight": (vocabulary, WIDTH),
        "decoder/projection/weight": (vocabulary, WIDTH),
        "ffn/linear_0/weight": (4 * WIDTH, WIDTH),
        "ffn/linear_1/weight": (WIDTH, 4 * WIDTH),
        "self_attention/linear_0/weight": (3 * WIDTH, WIDTH),
        "/attention/linear_1/weight": (2 * WIDTH, WIDTH),
        "gamma": (WIDTH,),
        "beta": (WIDTH,),
    }
    return next((shape for end, shape in shapes.items() if name.endswith(end)), (WIDTH, WIDTH))


def _tokens(multilingual: bool) -> list[str]:
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"Ġw{i}" for i in range(50_256 - len(letters)))]
    languages = ["en", "zh", "de", "es", "jw"] if multilingual else ["en"]
    filler = [f"<|x{i}|>" for i in range(99 - len(languages))]
    tasks = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    special = ["endoftext", "startoftranscript", *languages]
    times = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    # The empty token is how CTranslate2 knows a multilingual model.
    return [
        *words,
        *([""] if multilingual else []),
        *(f"<|{name}|>" for name in special),
        *filler,
        *(f"<|{name}|>" for name in tasks),
        *times,
    ]


def _tokenizer(tokens: list[str]) -> tokenizers.Tokenizer:
    first = tokens.index("<|endoftext|>")
    made = tokenizers.Tokenizer(tokenizers.models.BPE({token: i for i, token in enumerate(tokens[:first])}, []))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens([tokenizers.AddedToken(token, special=True) for token in tokens[first:-1501]])
    return made
