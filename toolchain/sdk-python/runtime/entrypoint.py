#!/usr/bin/env python
"""Serves the functions of the installed module to the engine."""

import sys

from dagger.mod.cli import app

if __name__ == "__main__":
    sys.exit(app(None, "--register" in sys.argv[1:]))
