# SPDX-License-Identifier: Apache-2.0
"""A file on its way in: kept in memory while it is small, in a temporary file without a name after that."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile

from cowabungaai_sdk.errors import BackendFailedError, BackendOverloadedError, InvalidRequestError
from cowabungaai_whisper.config import MIB

MEMORY_BYTES = 8 * MIB
"""Files up to this size never touch the disk."""


@asynccontextmanager
async def spooled(audio: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[SpooledTemporaryFile[bytes]]:
    """Takes a file in whole, since some formats cannot be read without going back and forth.

    Args:
        audio: the file's bytes.
        max_bytes: the largest size.

    Yields:
        The file, at its beginning; it is gone after the body.

    Raises:
        InvalidRequestError: the file is larger.
        BackendOverloadedError: there is no room for it.
        BackendFailedError: it cannot be kept for another reason.
    """
    with SpooledTemporaryFile[bytes](max_size=MEMORY_BYTES) as file:
        size = 0
        async for piece in audio:
            size += len(piece)
            if size > max_bytes:
                message = f"the file has more than {max_bytes} bytes, which is the most; send it in parts"
                raise InvalidRequestError(message, "file", "audio_too_large")
            if size <= MEMORY_BYTES:
                file.write(piece)
            else:
                await _write(file, piece)
        file.seek(0)
        yield file


async def _write(file: SpooledTemporaryFile[bytes], piece: bytes) -> None:
    try:
        await asyncio.to_thread(file.write, piece)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise BackendOverloadedError("there is no room for the file now; try again later") from error
        raise BackendFailedError(f"the file cannot be kept: {error.strerror}") from error
