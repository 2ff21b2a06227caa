# SPDX-License-Identifier: Apache-2.0
"""The pipeline's own speed: unchanged, after a line was changed, cold; and beside the way of its predecessor."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
# The smallest service: what is measured on it is the pipeline, not the service.
SERVICE = "repeater"
# Packaged by both ways: the one with the least to install, and one that needs what model servers do.
BOTH_WAYS = (SERVICE, "whisper")
