# SPDX-License-Identifier: Apache-2.0
"""Entry point: turns every failure into one message and a documented exit code."""

from __future__ import annotations

import os
import signal
import sys

from cowabunga import console
from cowabunga.cli import app
from cowabunga.errors import CowabungaError
from cowabunga.process import failure_of

INTERRUPTED = 130


def main() -> int:
    """Run the command line; the process's exit code."""
    # An ended session ends like Ctrl-C, so that what was begun is cleaned up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # The registry's unprivileged user must be able to read what is made here.
    os.umask(0o022)
    try:
        app(prog_name="cowabunga")
    except CowabungaError as error:
        console.show_error(error)
        return error.exit_code
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        console.err.print("interrupted; finished parts are kept, run it again to go on")
        return INTERRUPTED
    except OSError as error:
        failure = failure_of(error)
        console.show_error(failure)
        return failure.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
