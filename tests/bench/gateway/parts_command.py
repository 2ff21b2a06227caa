# SPDX-License-Identifier: Apache-2.0
"""The command `./cowabunga bench parts`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Annotated

import typer
from rich.table import Table

from bench.ends import exit_codes
from bench.gateway.measure import MODULE
from cowabunga import console, gotools, services, store
from cowabunga.errors import JobError
from cowabunga.paths import CHECKOUT
from cowabunga.python_tools import REQUIREMENTS
from shared.ports import free_port


def parts(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False) -> None:
    """Measure the HTTP servers, HTTP clients and JSON libraries that the gateway's were chosen among; 2 minutes."""
    with exit_codes("interrupted"), store.locked("bench"):
        python = services.environment("bench-parts", REQUIREMENTS / "bench-parts.lock")
        program = gotools.program(MODULE, "gatewaybench")
        path = [CHECKOUT / "tests", *services.load("api").sources]
        with console.step("measuring servers, clients and JSON", "bench-parts"):
            done = subprocess.run(
                [python, "-m", "bench.gateway.parts", program, str(free_port())],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
                stdout=subprocess.PIPE,
                check=False,
            )
        if done.returncode:
            raise JobError(f"measuring ended with {done.returncode}", "What it said is above.")
    if as_json:
        sys.stdout.write(done.stdout.decode())
        return
    for name, rows in json.loads(done.stdout).items():
        if isinstance(rows, dict):
            columns = list(next(iter(rows.values())))
            table = Table(name, *columns, box=None, pad_edge=False)
            for row, cells in rows.items():
                table.add_row(row, *(str(cells[column]) for column in columns))
            console.out.print(table)
