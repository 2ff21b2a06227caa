# SPDX-License-Identifier: Apache-2.0
"""A CowabungaAI backend that turns speech into text by Whisper models, on CTranslate2."""

import os

# Before any import of a library that could ask a hub: they read these once.
os.environ.update({"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRANSFORMERS_OFFLINE": "1"})
