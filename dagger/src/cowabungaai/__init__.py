# SPDX-License-Identifier: Apache-2.0
"""CowabungaAI's pipeline: builds, tests and packages every inference service."""

import logging

from cowabungaai.client import share_converter
from cowabungaai.errors import PipelineError
from cowabungaai.main import Cowabungaai as Cowabungaai


def _is_unexpected(record: logging.LogRecord) -> bool:
    """Whether a record deserves its traceback; a user's mistake is told by its message, which the CLI prints."""
    return not (record.exc_info and isinstance(record.exc_info[1], PipelineError))


share_converter()
logging.getLogger("dagger.mod").addFilter(_is_unexpected)
