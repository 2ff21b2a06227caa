# SPDX-License-Identifier: Apache-2.0
"""A small reader of GBNF, to test grammars without llama.cpp: every way through them is tried."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{\d+(?:,\d*)?\}|[()|*+?]|[a-zA-Z][\w-]*)')


def matches(grammar: str, text: str) -> bool:
    """Whether a grammar allows exactly a text."""
    rules = {}
    for line in grammar.splitlines():
        name, body = line.split(" ::= ", 1)
        rules[name] = _alternatives(_TOKEN.findall(body))
    return len(text) in _ends(rules, ("rule", "root"), text, 0, {})


def _alternatives(tokens: list[str]) -> Any:
    sequences: list[list[Any]] = [[]]
    while tokens and tokens[0] != ")":
        token = tokens.pop(0)
        if token == "|":  # noqa: S105 - a bar, no password
            sequences.append([])
        elif token == "(":  # noqa: S105
            sequences[-1].append(_alternatives(tokens))
            tokens.pop(0)
        elif token[0] == '"':
            sequences[-1].append(("text", _unescaped(token[1:-1])))
        elif token[0] == "[":
            sequences[-1].append(("class", re.compile(token, re.DOTALL)))
        elif token[0] in "*+?{":
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(token) or _counts(token)
            sequences[-1].append(("repeat", sequences[-1].pop(), low, high))
        else:
            sequences[-1].append(("rule", token))
    return ("any", [("all", sequence) for sequence in sequences])


@lru_cache
def _counts(token: str) -> tuple[int, int | None]:
    low, comma, high = token[1:-1].partition(",")
    return int(low), (int(high) if high else None) if comma else int(low)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r", "t": "\t"}.get(found[1], found[1]), text)


def _ends(rules: dict[str, Any], item: Any, text: str, at: int, known: dict[Any, set[int]]) -> set[int]:
    if item[0] == "rule":
        key = (item[1], at)
        if key not in known:
            known[key] = _ends(rules, rules[item[1]], text, at, known)
        return known[key]
    return set(_found(rules, item, text, at, known))


def _found(rules: dict[str, Any], item: Any, text: str, at: int, known: dict[Any, set[int]]) -> Iterator[int]:
    match item:
        case ("text", literal):
            if text.startswith(literal, at):
                yield at + len(literal)
        case ("class", pattern):
            if at < len(text) and pattern.match(text[at]):
                yield at + 1
        case ("any", options):
            for option in options:
                yield from _ends(rules, option, text, at, known)
        case ("all", parts):
            places = {at}
            for part in parts:
                places = {end for place in places for end in _ends(rules, part, text, place, known)}
            yield from places
        case ("repeat", inner, low, high):
            places, count = {at}, 0
            seen: set[int] = set()
            while places:
                if count >= low:
                    yield from places
                    places -= seen
                    seen |= places
                if count == high:
                    return
                places = {end for place in places for end in _ends(rules, inner, text, place, known)}
                count += 1
