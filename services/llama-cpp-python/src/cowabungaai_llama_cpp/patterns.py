# SPDX-License-Identifier: Apache-2.0
"""Regular expressions of JSON Schema as GBNF, as far as a grammar can express them."""

import re
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MAX_PATTERN = 500
"""The most characters of a pattern."""
MAX_REPEAT = 1000
"""The largest counted repetition."""
MAX_RULE = 20_000
"""The most characters of the rule that a pattern becomes."""

_ANY = r'([^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))'
"""Any character of a string as JSON writes it."""

_DATE = '[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])'
_TIME = (
    '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,9})?'
    ' ("Z" | [+-] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])'
)
_HEX = "[0-9a-fA-F]"

FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f'{_DATE} "T" {_TIME}',
    "uuid": f'{_HEX}{{8}} "-" {_HEX}{{4}} "-" {_HEX}{{4}} "-" {_HEX}{{4}} "-" {_HEX}{{12}}',
}
"""The formats of strings that have a grammar; days that a month lacks are not told apart."""

_CLASSES = {
    codes.CATEGORY_DIGIT: "0-9",
    codes.CATEGORY_WORD: "a-zA-Z0-9_",
    codes.CATEGORY_SPACE: " ",
}


class PatternError(ValueError):
    """A pattern that cannot be a grammar; the message says why."""


def pattern_rule(pattern: Any) -> str:
    """What matches the content of a JSON string that a pattern is found in.

    A pattern without `^` or `$` may be found anywhere, so any text may be around it.

    Args:
        pattern: as the schema has it.

    Raises:
        PatternError: it is none, or has lookaround, references or the like.
    """
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN:
        raise PatternError(f"it is no text of at most {MAX_PATTERN} characters")
    try:
        tree = list(parser.parse(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternError(f"it cannot be read: {error}") from error
    begins = bool(tree) and tree[0] == (codes.AT, codes.AT_BEGINNING)
    ends = bool(tree) and tree[-1] == (codes.AT, codes.AT_END)
    inner = tree[int(begins) : len(tree) - int(ends)]
    body = _sequence(inner)
    found = f"{'' if begins else _ANY + '*'} ({body}) {'' if ends else _ANY + '*'}".strip()
    if len(found) > MAX_RULE:
        raise PatternError("it is too large")
    return found


def _sequence(tree: Any) -> str:
    return " ".join(_item(operator, argument) for operator, argument in tree) or '""'


def _item(operator: Any, argument: Any) -> str:
    if operator is codes.LITERAL:
        return _literal(argument)
    if operator is codes.ANY:
        return _ANY
    if operator is codes.IN:
        return _characters(argument)
    if operator is codes.NOT_LITERAL:
        return _characters([(codes.NEGATE, None), (codes.LITERAL, argument)])
    if operator is codes.BRANCH:
        return "(" + " | ".join(_sequence(branch) for branch in argument[1]) + ")"
    if operator is codes.SUBPATTERN and not argument[1] and not argument[2]:
        return f"({_sequence(argument[3])})"
    if operator in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        low, high, tree = argument
        unbounded = high == codes.MAXREPEAT
        if low > MAX_REPEAT or (not unbounded and high > MAX_REPEAT):
            raise PatternError(f"it repeats something more than {MAX_REPEAT} times")
        return f"({_sequence(tree)}){{{low},{'' if unbounded else high}}}"
    raise PatternError(f"it has {str(operator).lower()}")


def _literal(code: int) -> str:
    character = chr(code)
    if code < 0x20 or code == 0x7F:
        raise PatternError("it has control characters")
    if character in '"\\':
        # As JSON writes them: a backslash, and the character.
        return f'"\\\\\\{character}"'
    return f'"{character}"'


def _characters(items: Any) -> str:
    negated = bool(items) and items[0][0] is codes.NEGATE
    parts = [_range(operator, argument) for operator, argument in (items[1:] if negated else items)]
    if negated:
        # What JSON writes with a backslash is left out, too: the rule stays one of single characters.
        return f'[^{"".join(parts)}"\\\\\\x00-\\x1F\\x7F]'
    special = [
        _literal(argument) for operator, argument in items if operator is codes.LITERAL and chr(argument) in '"\\'
    ]
    plain = "".join(part for part in parts if part)
    return "(" + " | ".join([*([f"[{plain}]"] if plain else []), *special]) + ")"


def _range(operator: Any, argument: Any) -> str:
    if operator is codes.LITERAL:
        return "" if chr(argument) in '"\\' else _member(argument)
    if operator is codes.RANGE:
        low, high = argument
        if any(low <= ord(character) <= high for character in '"\\') or low < 0x20:
            raise PatternError("it has a range of characters that JSON writes in more than one way")
        return f"{_member(low)}-{_member(high)}"
    if operator is codes.CATEGORY and argument in _CLASSES:
        return _CLASSES[argument]
    raise PatternError(f"it has a class of characters with {str(operator).lower()}")


def _member(code: int) -> str:
    """A character inside a class, by its number: none of them then has a meaning of its own."""
    if code < 0x20:
        raise PatternError("it has control characters")
    return f"\\U{code:08X}" if code > 0xFFFF else f"\\u{code:04X}" if code > 0xFF else f"\\x{code:02X}"
