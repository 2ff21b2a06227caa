# SPDX-License-Identifier: Apache-2.0
"""Reads the server-sent events of a server that speaks OpenAI's API, and writes them as the client gets them.

The format is that of https://html.spec.whatwg.org/multipage/server-sent-events.html; each event goes on as one line of
data.
"""

import re
from typing import Any

import orjson

from cowabungaai_api.errors import ApiError
from cowabungaai_api.upstream.base import Call, TokenUse
from cowabungaai_api.upstream.refusals import refusal_in_stream
from cowabungaai_sdk.errors import BackendError, BackendFailedError

DATA = b"data: "
DONE = b"[DONE]"
END = b"\n\n"
KEEPALIVE = b":\n\n"
TRANSCRIBED = b"transcript.text.done"
"""The type of the last event of a transcript."""
EVENT_BYTES = 8 * 1024 * 1024
"""The longest event that is waited for, in bytes."""
# A quotation mark within a string has a backslash before it.
_MODEL = re.compile(rb'(?<!\\)"model"\s*:\s*("(?:[^"\\]|\\.)*")')


class EventReader:
    """Passes server-sent events on, with the client's name of the model, and takes the usage out of them.

    Args:
        call: gets the usage; its request says whether the client wants it too.
        done_marker: whether the stream must end with `[DONE]`; that of a transcript may also end with its last event.
        where: the server, for messages.
    """

    def __init__(self, call: Call, done_marker: bool, where: str) -> None:
        self._call = call
        self._where = where
        self._done_marker = done_marker
        self._wants_usage: bool = getattr(call.request, "include_usage", True)
        self._model: str = call.request.model
        self._named: bytes | None = None
        """How the server writes the model's name, as in the last event that was looked at."""
        self._renamed = b'"model":' + orjson.dumps(self._model)
        self._same_name = False
        self._rest = b""
        self._after_cr = False
        self._begun = False
        self.done = False
        """Whether the stream is complete."""
        self.failed: BackendError | ApiError | None = None
        """What ended the stream, after the events that feed returned."""

    def feed(self, piece: bytes) -> bytes:
        """Takes what came, and returns the events that are complete.

        Args:
            piece: the next bytes of the body.

        Raises:
            BackendFailedError: an event is too long, or nested too deeply.
        """
        if self._after_cr or b"\r" in piece:
            piece = self._with_newlines(piece)
        data = self._rest + piece if self._rest else piece
        end = data.rfind(END)
        if end < 0:
            self._keep(data)
            return b""
        self._keep(data[end + 2 :])
        data = data[: end + 2]
        # Most reads hold nothing but deltas: these go on as they are.
        if self._plain(data):
            return data if self._same_name else data.replace(self._named or b"", self._renamed)
        return self._each(data.split(END))

    def finish(self) -> bytes:
        """Takes the body's end, which also ends an event; returns that.

        Raises:
            BackendFailedError: the event is nested too deeply.
        """
        rest, self._rest = self._rest, b""
        return self._each([rest], cut=True)

    def _with_newlines(self, piece: bytes) -> bytes:
        """Writes all ends of lines as one byte, also where CR and LF come apart."""
        if self._after_cr:
            piece = piece.removeprefix(b"\n")
        self._after_cr = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _keep(self, rest: bytes) -> None:
        if len(rest) > EVENT_BYTES:
            raise BackendFailedError(f"an event is longer than {EVENT_BYTES} bytes")
        self._rest = rest

    def _plain(self, data: bytes) -> bool:
        """Whether each event is one line, names the model as the last one did, and holds nothing of note."""
        if self._named is None:
            return False
        count = data.count(END)
        return (
            data.count(b"\n") == 2 * count
            and data.startswith(b"data:")
            and data.count(self._named) == count
            and not self._notable(data)
        )

    def _notable(self, data: bytes) -> bool:
        return (
            b'"usage"' in data or DONE in data or b'"error"' in data or (not self._done_marker and TRANSCRIBED in data)
        )

    def _each(self, events: list[bytes], *, cut: bool = False) -> bytes:
        out = []
        for event in events:
            if self.done or self.failed:
                break
            out.append(self._one(event, cut=cut))
        return b"".join(out)

    def _one(self, event: bytes, *, cut: bool) -> bytes:
        """Writes an event, given its lines; one that the body's end may have cut is always parsed."""
        payload, name = _fields(event)
        if not payload:
            # Until something has come an error can still be a status, and another replica can be asked.
            return KEEPALIVE if self._begun and event.strip(b"\n").startswith(b":") else b""
        if payload == DONE:
            self.done = True
            return b""
        known = b'"model"' not in payload or (self._named is not None and payload.count(self._named) == 1)
        if known and not cut and name != b"error" and not self._notable(payload):
            self._begun = True
            if self._named is not None:
                payload = payload.replace(self._named, self._renamed)
            return DATA + payload + END
        try:
            found = orjson.loads(payload)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self.failed = BackendFailedError(f"{self._where} sent an event that is not a JSON object")
            return b""
        if found.get("error") or found.get("object") == "error" or name == b"error":
            self.failed = refusal_in_stream(found, self._where)
            return b""
        return self._object(found, payload)

    def _object(self, found: dict[str, Any], payload: bytes) -> bytes:
        changed = self._rename(found, payload)
        if not self._done_marker and found.get("type") == TRANSCRIBED.decode():
            self.done = True
        usage = found.get("usage")
        if usage:
            read_usage(usage, self._call.use)
        if not self._wants_usage and "usage" in found:
            del found["usage"]
            changed = True
            if usage and not found.get("choices"):
                return b""
        self._begun = True
        return DATA + (write(found) if changed else payload) + END

    def _rename(self, found: dict[str, Any], payload: bytes) -> bool:
        """Gives an event the client's name of the model, and learns how the server writes it."""
        if "model" not in found:
            return False
        said = found["model"]
        for match in _MODEL.finditer(payload):
            if orjson.loads(match[1]) == said:
                self._named = match[0]
                self._same_name = said == self._model
                break
        found["model"] = self._model
        return bool(said != self._model)


def read_usage(usage: object, use: TokenUse) -> None:
    """Copies the counts of an answer; what cannot be counts is left out.

    Args:
        usage: as OpenAI writes it.
        use: gets the counts.
    """
    if isinstance(usage, dict):
        use.prompt = _count(usage.get("prompt_tokens")) or _count(usage.get("input_tokens"))
        use.completion = _count(usage.get("completion_tokens")) or _count(usage.get("output_tokens"))


def write(found: dict[str, Any]) -> bytes:
    """Writes a server's object again.

    Args:
        found: the object.

    Raises:
        BackendFailedError: it is nested too deeply.
    """
    try:
        return orjson.dumps(found)
    except orjson.JSONEncodeError as error:
        raise BackendFailedError("the backend's answer is nested too deeply") from error


def _count(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0


def _fields(event: bytes) -> tuple[bytes, bytes]:
    """An event's data and name. What parts lines of data stands between JSON's tokens, where a blank is as good."""
    data, name = [], b""
    for line in event.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.strip())
        elif field == b"event":
            name = value.strip()
    return b" ".join(data).strip(), name
