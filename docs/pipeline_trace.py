# SPDX-License-Identifier: Apache-2.0
"""Captures what a run of the pipeline tells collectors of traces, and draws it: pipeline_trace.json and .svg.

    python docs/pipeline_trace.py capture ./cowabunga dagger call build-all
    python docs/pipeline_trace.py

The first runs a command with a collector of its own on the loopback; it needs opentelemetry-proto, which the tests'
environment has. The second draws what was captured, and needs nothing besides Python; the picture needs no network.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_suffix(".svg")
DATA = Path(__file__).with_suffix(".json")
WIDTH, MARGIN, ROW, LABEL = 760, 20, 24, 250
MAX_ROWS = 32
# Of what takes less than this part of the run nothing could be seen.
LEAST_PART = 0.01
MAX_WORDS = 38
# What the engine was asked for, but not what it tells of its own work on that.
CALLS = ("resume withExec", "withExec", "Container.withExec", "File.export", "Directory.export")
LOADING = "load workspace: ."

STYLE = """
  .page { fill: #ffffff; }
  text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
  text { font-size: 13px; }
  .name { fill: #16202c; }
  .soft { fill: #566173; font-size: 12px; }
  .grid { stroke: #e1e5eb; }
  .step { fill: #2f6fb8; }
  .inner { fill: #a9c3e3; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #12171e; }
    .name { fill: #eef2f7; }
    .soft { fill: #a3afc0; }
    .grid { stroke: #2c3541; }
    .step { fill: #5b9be6; }
    .inner { fill: #38567c; }
  }
"""


@dataclass(frozen=True)
class Span:
    """Something that took time.

    Attributes:
        name: What.
        start, end: In seconds since the run began.
        depth: How many of the drawn spans it is inside of.
        step: Whether it is a step of the pipeline, such as "build api".
    """

    name: str
    start: float
    end: float
    depth: int
    step: bool


def capture(command: list[str]) -> list[Span]:
    """Run a command, and keep what is worth drawing of what it tells.

    Args:
        command: Program and arguments.

    Raises:
        CalledProcessError: It failed.
    """
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    told: dict[bytes, Any] = {}
    scopes: dict[bytes, str] = {}

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        # A span is told when it begins, too; only one that has ended has an end.
                        for span in scope.spans:
                            if span.end_time_unix_nano > span.start_time_unix_nano:
                                told[span.span_id], scopes[span.span_id] = span, scope.scope.name
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        try:
            subprocess.run(command, check=True, env={**os.environ, **variables})
        finally:
            server.shutdown()
    return chosen(told, scopes)


def chosen(told: dict[bytes, Any], scopes: dict[bytes, str]) -> list[Span]:
    """The steps of the pipeline, and the longest of what the engine did in them, in the order in which they are drawn.

    Args:
        told: Spans by their ids, as OTLP has them.
        scopes: Of each, what told it.
    """
    begun = min(span.start_time_unix_nano for span in told.values())
    ended = max(span.end_time_unix_nano for span in told.values())
    steps = {key for key in told if scopes[key] == "cowabungaai"}
    worth = {
        key
        for key, span in told.items()
        if span.end_time_unix_nano - span.start_time_unix_nano > LEAST_PART * (ended - begun)
    }
    inner = {key for key in worth - steps if told[key].name.startswith(CALLS)}
    by_length = sorted(inner, key=lambda key: told[key].start_time_unix_nano - told[key].end_time_unix_nano)
    kept = steps | set(by_length[: max(0, MAX_ROWS - len(steps))])

    def step_around(key: bytes) -> bytes | None:
        above = told[key].parent_span_id
        while above in told:
            if above in steps:
                return bytes(above)
            above = told[above].parent_span_id
        return None

    def seconds(key: bytes, depth: int) -> Span:
        span = told[key]
        start, end = ((moment - begun) / 1e9 for moment in (span.start_time_unix_nano, span.end_time_unix_nano))
        return Span(span.name, round(start, 3), round(end, 3), depth, key in steps or span.name == LOADING)

    loading = [key for key, span in told.items() if span.name == LOADING]
    ordered = [seconds(key, 0) for key in loading]
    for step in sorted(steps, key=lambda key: told[key].start_time_unix_nano):
        ordered.append(seconds(step, 0))
        within = [key for key in kept - steps if step_around(key) == step]
        ordered += [seconds(key, 1) for key in sorted(within, key=lambda key: told[key].start_time_unix_nano)]
    return ordered


def draw(spans: list[Span], title: str) -> str:
    """The picture.

    Args:
        spans: From the top to the bottom.
        title: The command that was run.
    """
    longest = max(span.end for span in spans)
    left, right, top = MARGIN + LABEL, WIDTH - MARGIN - 54, 74
    bottom = top + ROW * len(spans)

    def place(moment: float) -> float:
        return left + (right - left) * moment / longest

    lines = []
    step = next(one for one in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200) if longest / one <= 8)
    for number in range(int(longest // step) + 1):
        x = place(number * step)
        lines.append(f'<path class="grid" d="M{x:.1f} {top - 8}V{bottom}"/>')
        lines.append(f'<text class="soft" x="{x:.1f}" y="{top - 14}" text-anchor="middle">{number * step} s</text>')
    for row, span in enumerate(spans):
        y = top + ROW * row
        words = span.name if len(span.name) <= MAX_WORDS else span.name[: MAX_WORDS - 1] + "…"
        shape, ink = ("step", "name") if span.step else ("inner", "soft")
        start, end = place(span.start), place(span.end)
        size = f'width="{max(1.0, end - start):.1f}" height="{ROW - 9}"'
        lines += [
            f'<text class="{ink}" x="{MARGIN + 14 * span.depth}" y="{y + 15}">{escape(words)}</text>',
            f'<rect class="{shape}" x="{start:.1f}" y="{y + 4}" {size} rx="2"/>',
            f'<text class="soft" x="{end + 5:.1f}" y="{y + 15}">{span.end - span.start:.1f} s</text>',
        ]
    height = bottom + MARGIN
    box = f'viewBox="0 0 {WIDTH} {height}"'
    described = (
        f"Steps of the pipeline and what the engine ran in them, one under the other, over {longest:.0f} seconds."
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-labelledby="title desc">',
            f'<title id="title">A trace of {escape(title)}</title>',
            f'<desc id="desc">{described}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="page" x="0" y="0" width="{WIDTH}" height="{height}" rx="10"/>',
            f'<text class="name" x="{MARGIN}" y="34">{escape(title)}</text>',
            *lines,
            "</svg>\n",
        ]
    )


def main(arguments: list[str]) -> None:
    """Capture, where a command is given; draw."""
    if arguments[:1] == ["capture"]:
        spans = capture(arguments[1:])
        title = " ".join(arguments[1:])
        DATA.write_text(json.dumps({"title": title, "spans": [asdict(span) for span in spans]}, indent=1) + "\n")
    described = json.loads(DATA.read_text())
    TARGET.write_text(draw([Span(**span) for span in described["spans"]], described["title"]))


if __name__ == "__main__":
    main(sys.argv[1:])
