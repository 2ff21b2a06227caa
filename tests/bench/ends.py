# SPDX-License-Identifier: Apache-2.0
"""How a benchmark ends: a failure or Ctrl-C is one message and the launcher's exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from cowabunga import console
from cowabunga.errors import CowabungaError

INTERRUPTED = 130


@contextmanager
def exit_codes(interrupted: str) -> Iterator[None]:
    """Turn what ends a benchmark early into its message and exit code.

    Args:
        interrupted: What is said after Ctrl-C.
    """
    try:
        yield
    except CowabungaError as error:
        console.show_error(error)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        console.err.print(interrupted)
        raise typer.Exit(INTERRUPTED) from None
