# SPDX-License-Identifier: Apache-2.0
"""Draws architecture.svg, the README's picture of how it all hangs together.

`python docs/architecture.py` writes the file anew. It needs nothing besides Python, and the picture needs no network:
its colours follow the reader's light or dark scheme, its fonts are the reader's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

TARGET = Path(__file__).with_suffix(".svg")
WIDTH, MARGIN, GAP = 760, 20, 12
LEFT_WIDTH = 164
MAIN_LEFT = 216
MAIN_WIDTH = WIDTH - MARGIN - MAIN_LEFT
PADDING = 14
LINE_HEIGHT = 18

STYLE = """
  .page { fill: #ffffff; }
  text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
  .line { font-size: 13px; fill: #3d4958; }
  .title { font-size: 15px; font-weight: 600; fill: #16202c; }
  .name { font-size: 13px; font-weight: 600; fill: #16202c; }
  rect { stroke-width: 1.5; }
  .outside { fill: #f1f3f6; stroke: #8793a3; }
  .ours { fill: #e9f1fb; stroke: #3a73b5; }
  .engine { fill: #f4f0fb; stroke: #7a5bb5; stroke-dasharray: 7 4; }
  .result { fill: #e8f5ee; stroke: #2b8355; }
  .chip { fill: #ffffff; stroke: #bcc6d2; stroke-width: 1; }
  .arrow { fill: none; stroke: #4c5a6b; stroke-width: 2; }
  .head { fill: #4c5a6b; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #12171e; }
    .line { fill: #b4c0cf; }
    .title, .name { fill: #eef2f7; }
    .outside { fill: #1c232d; stroke: #77859a; }
    .ours { fill: #16273c; stroke: #5b9be6; }
    .engine { fill: #221c33; stroke: #a98be3; }
    .result { fill: #142a20; stroke: #4db983; }
    .chip { fill: #12171e; stroke: #46525f; }
    .arrow { stroke: #a5b2c2; }
    .head { fill: #a5b2c2; }
  }
"""

DESCRIPTION = (
    "On a machine, the launcher ./cowabunga prepares a toolchain once: Go tool modules, Debian images and wheels, all "
    "from package mirrors. With it runs the engine, in a container of its own with its own network, with a registry of "
    "base images and a runtime for Python modules. The engine loads the Dagger module, which turns the sources of all "
    "services into what lies in dist: OCI archives, a build report and Zarf packages. These are carried into an "
    "enclave and installed there without a network."
)


@dataclass(frozen=True)
class Box:
    """A rectangle with a title and lines of text; places are in the picture's units."""

    kind: str
    left: float
    top: float
    width: float
    height: float
    title: str = ""
    lines: Sequence[str] = ()

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.top + self.height

    def svg(self) -> list[str]:
        """Its elements."""
        shape = f'x="{self.left:g}" y="{self.top:g}" width="{self.width:g}" height="{self.height:g}" rx="8"'
        text = [_text(self.left + PADDING, self.top + 24, self.title, "title")] if self.title else []
        text += [
            _text(self.left + PADDING, self.top + 24 + 20 + LINE_HEIGHT * number, line)
            for number, line in enumerate(self.lines)
        ]
        return [f'<rect class="{self.kind}" {shape}/>', *text]


def _text(x: float, y: float, words: str, kind: str = "line") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(words)}</text>'


def chips(box: Box, top: float, contents: Sequence[Sequence[str]]) -> list[str]:
    """A row of small boxes inside a box; the first line of each is its name.

    Args:
        box: Around them.
        top: Where the row begins.
        contents: The lines of each.
    """
    width = (box.width - 2 * PADDING - GAP * (len(contents) - 1)) / len(contents)
    height = 14 + LINE_HEIGHT * max(map(len, contents))
    drawn = []
    for number, (name, *lines) in enumerate(contents):
        left = box.left + PADDING + number * (width + GAP)
        drawn += Box("chip", left, top, width, height).svg()
        drawn.append(_text(left + 10, top + 20, name, "name"))
        drawn += [_text(left + 10, top + 20 + LINE_HEIGHT * (row + 1), line) for row, line in enumerate(lines)]
    return drawn


def arrow(start: tuple[float, float], end: tuple[float, float]) -> list[str]:
    """A straight arrow, level or upright."""
    (x1, y1), (x2, y2) = start, end
    level = y1 == y2
    shaft = f"M{x1:g} {y1:g}H{x2 - 8:g}" if level else f"M{x1:g} {y1:g}V{y2 - 8:g}"
    head = (
        f"M{x2:g} {y2:g}l-11 -6v12z"  # points right
        if level
        else f"M{x2:g} {y2:g}l-6 -11h12z"  # points down
    )
    return [f'<path class="arrow" d="{shaft}"/>', f'<path class="head" d="{head}"/>']


def draw() -> str:
    """The picture."""
    launcher = Box(
        "ours",
        MAIN_LEFT,
        MARGIN,
        MAIN_WIDTH,
        62,
        "./cowabunga",
        ["prepares everything once, then runs what was asked for"],
    )
    toolchain = Box(
        "ours",
        MAIN_LEFT,
        launcher.bottom + 30,
        MAIN_WIDTH,
        130,
        "toolchain/",
        ["pinned by lock files, built once into a cache outside the checkout"],
    )
    engine = Box(
        "engine",
        MAIN_LEFT,
        toolchain.bottom + 30,
        MAIN_WIDTH,
        262,
        "The engine, in a container of its own",
        ["runc; its own network through slirp4netns, the machine's stays as it is"],
    )
    module = Box(
        "ours",
        engine.left + PADDING,
        engine.top + 144,
        engine.width - 2 * PADDING,
        102,
        "Dagger module",
        ["Python; one folder per service, no service is named in it"],
    )
    dist = Box("result", MAIN_LEFT, engine.bottom + 30, MAIN_WIDTH, 82, "dist/")
    enclave = Box(
        "outside",
        MAIN_LEFT,
        dist.bottom + 30,
        MAIN_WIDTH,
        62,
        "Enclave",
        ["zarf package deploy: no network, no registry, nothing is pulled"],
    )

    machine = Box("outside", MARGIN, launcher.top, LEFT_WIDTH, launcher.height, "A machine", ["laptop, CI, enclave"])
    packages = [
        "Debian packages",
        "Go modules",
        "Python wheels",
        "",
        "for the tools, and",
        "for what is built",
        "with them; no image",
        "registry is asked",
    ]
    mirrors_height = engine.top + 132 - toolchain.top
    mirrors = Box("outside", MARGIN, toolchain.top, LEFT_WIDTH, mirrors_height, "Package mirrors", packages)
    folders = ["services/", "packages/"]
    sources = Box("ours", MARGIN, module.top, LEFT_WIDTH, module.height, "Sources", folders)

    middle = MAIN_LEFT + MAIN_WIDTH / 2
    body = [
        *(part for box in (machine, launcher, mirrors, toolchain, engine, sources, module) for part in box.svg()),
        *dist.svg(),
        *enclave.svg(),
        *chips(
            toolchain,
            toolchain.top + 62,
            [
                ["Go tool modules", "dagger, zarf, uds, …"],
                ["Debian images", "debian, python"],
                ["Wheels", "Go, uv"],
            ],
        ),
        *chips(
            engine,
            engine.top + 62,
            [
                ["Dagger engine", "cache, containers,", "services"],
                ["Registry", "on its loopback, as", "docker.io"],
                ["Python runtime", "loads the module", "without a registry"],
            ],
        ),
        *chips(module, module.top + 56, [["services"], ["build-all"], ["test"], ["package"]]),
        *chips(dist, dist.top + 36, [["OCI archives"], ["build-report.json"], ["Zarf packages"]]),
        *arrow((machine.right, machine.top + 31), (launcher.left, machine.top + 31)),
        *arrow((mirrors.right, toolchain.top + 65), (toolchain.left, toolchain.top + 65)),
        *arrow((mirrors.right, engine.top + 88), (engine.left, engine.top + 88)),
        *arrow((sources.right, module.top + 51), (module.left, module.top + 51)),
        *arrow((middle, launcher.bottom), (middle, toolchain.top)),
        *arrow((middle, toolchain.bottom), (middle, engine.top)),
        *arrow((middle, engine.bottom), (middle, dist.top)),
        *arrow((middle, dist.bottom), (middle, enclave.top)),
    ]
    height = enclave.bottom + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
            'aria-labelledby="title description">',
            '<title id="title">How CowabungaAI hangs together</title>',
            f'<desc id="description">{escape(DESCRIPTION)}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height:g}" rx="10"/>',
            *body,
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(draw())
