# SPDX-License-Identifier: Apache-2.0
"""How an API key looks: `cbai_`, 256 random bits in base 62, and a checksum against typing errors and foreign keys."""

import re
import secrets
import zlib
from hashlib import sha256

PREFIX = "cbai_"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SECRET_BITS = 256
# The fewest digits that hold every value: 62 ** 43 > 2 ** 256, and 62 ** 6 > 2 ** 32.
SECRET_DIGITS = 43
CHECKSUM_DIGITS = 6
LENGTH = len(PREFIX) + SECRET_DIGITS + CHECKSUM_DIGITS
DISPLAY_LENGTH = len(PREFIX) + 6

_KEY = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{SECRET_DIGITS + CHECKSUM_DIGITS}}}", re.ASCII)


def generate() -> str:
    """Makes a new key."""
    return make(secrets.randbits(SECRET_BITS))


def make(secret: int) -> str:
    """Writes a secret as a key.

    Args:
        secret: the random bits, as a number.
    """
    body = PREFIX + _base62(secret, SECRET_DIGITS)
    return body + _checksum(body)


def is_well_formed(text: str) -> bool:
    """Whether a text has the form of a key, and its checksum is right; whether the key exists is another matter.

    Args:
        text: what a client sent.
    """
    if not _KEY.fullmatch(text):
        return False
    body, checksum = text[:-CHECKSUM_DIGITS], text[-CHECKSUM_DIGITS:]
    return _checksum(body) == checksum


def digest(key: str) -> bytes:
    """What is stored of a key.

    A fast hash is enough: slow ones make guessing passwords costly, while 256 random bits cannot be guessed at all.

    Args:
        key: the whole key.
    """
    return sha256(key.encode()).digest()


def display(key: str) -> str:
    """The beginning of a key, by which its owner knows it; 36 of its 256 bits.

    Args:
        key: the whole key.
    """
    return key[:DISPLAY_LENGTH]


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_DIGITS)


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, len(ALPHABET))
        text = ALPHABET[digit] + text
    return text
