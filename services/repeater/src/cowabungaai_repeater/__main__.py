"""Serves the repeater: `python -m cowabungaai_repeater --port 50051`. Exit status as cowabungaai_sdk.serve's."""

import sys

from cowabungaai_repeater.backend import Repeater
from cowabungaai_sdk.serve import run

if __name__ == "__main__":
    sys.exit(run(Repeater, prog="cowabungaai_repeater"))
