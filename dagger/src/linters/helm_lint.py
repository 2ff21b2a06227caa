# SPDX-License-Identifier: Apache-2.0
"""`helm lint --strict` of every chart with its values, each finding with its file and line."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from linters.chart_copies import built_copies
from linters.charts import Rendering, renderings
from linters.finding import Finding, tell

# A message may go on in further lines, up to the next one, or to an empty one.
MESSAGE = re.compile(r"^\[(?:ERROR|WARNING)\] (?P<file>[\w./-]+): (?P<message>.*(?:\n(?!\[)[^\n]+)*)", re.MULTILINE)


def findings_of(rendering: Rendering, output: str) -> Iterator[Finding]:
    """What helm tells of a chart.

    Args:
        rendering: The chart.
        output: Of `helm lint`.
    """
    for found in MESSAGE.finditer(output):
        file = found["file"] if Path(rendering.chart, found["file"]).is_file() else "Chart.yaml"
        yield rendering.finding(found["message"], file)


def main() -> int:
    """Lint all charts.

    Returns:
        The exit code: 1 where something was found.
    """
    with built_copies(Path()) as findings:
        broken = {finding.file for finding in findings}
        for rendering in renderings(Path()):
            if f"{rendering.chart}/Chart.yaml" in broken:
                continue
            with tempfile.TemporaryDirectory() as scratch:
                command = ["helm", "lint", "--strict", rendering.chart, *rendering.options(Path(scratch))]
                finished = subprocess.run(command, capture_output=True, text=True, check=False)
            if finished.returncode:
                output = finished.stdout + finished.stderr
                findings.extend(list(findings_of(rendering, output)) or [rendering.finding(output)])
    return tell(findings)


if __name__ == "__main__":
    sys.exit(main())
