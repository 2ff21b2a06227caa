# SPDX-License-Identifier: Apache-2.0
"""What people type to run this program, for messages that tell them to."""

import os

PROGRAM = os.environ.get("COWABUNGAAI_PROGRAM", "python -m cowabungaai_api")
"""A launcher that knows a shorter way says so in this variable."""
