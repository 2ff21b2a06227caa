# SPDX-License-Identifier: Apache-2.0
"""Transcripts in the forms that OpenAI's audio endpoints offer besides JSON: text, SubRip, WebVTT."""

from collections.abc import Iterable

from cowabungaai_sdk.v1.audio_pb2 import Segment


def plain(segments: Iterable[Segment]) -> str:
    """The text alone.

    Args:
        segments: in their order.
    """
    return "".join(segment.text for segment in segments).strip()


def srt(segments: Iterable[Segment]) -> str:
    """SubRip: a number, the times, the text, an empty line.

    Args:
        segments: in their order.
    """
    return "".join(
        f"{number}\n{_time(segment.start, ',')} --> {_time(segment.end, ',')}\n{_line(segment)}\n\n"
        for number, segment in enumerate(segments, 1)
    )


def vtt(segments: Iterable[Segment]) -> str:
    """WebVTT (W3C): a header, then times and text.

    Args:
        segments: in their order.
    """
    cues = (f"{_time(s.start, '.')} --> {_time(s.end, '.')}\n{_line(s)}\n\n" for s in segments)
    return "WEBVTT\n\n" + "".join(cues)


def _line(segment: Segment) -> str:
    """A cue's text: an arrow would be read as another cue's times, an empty line as the cue's end."""
    return "\n".join(line for line in segment.text.strip().splitlines() if line.strip()).replace("-->", "->")


def _time(seconds: float, point: str) -> str:
    milliseconds = round(max(0.0, seconds) * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
