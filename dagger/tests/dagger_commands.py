# SPDX-License-Identifier: Apache-2.0
"""Whether a `dagger` command line asks for functions and arguments that the module has; told without an engine."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import EnumType
from fnmatch import fnmatch
from typing import Any

import dagger
from dagger.client.base import Type
from dagger.mod import default_module

import cowabungaai

# Options of dagger itself; those with a value take the next word.
OPTIONS = {
    "--silent": False,
    "-s": False,
    "--quiet": False,
    "-q": False,
    "--progress": True,
    "--output": True,
    "-o": True,
}
JSON = {"--json": False, "-j": False}


@dataclass(frozen=True)
class Argument:
    """Of a function; one that takes no value is set by its name alone, and no choices mean any value."""

    takes_value: bool
    required: bool
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """A function: its arguments as on the command line, and what it returns."""

    arguments: Mapping[str, Argument]
    returns: Any


def kebab(name: str) -> str:
    """A Python name as on the command line."""
    return name.replace("_", "-")


def functions_of(kind: Any) -> dict[str, Call]:
    """Functions and fields of an object, of the module's own or of dagger's core; none of what is no object."""
    args = typing.get_args(kind)
    kind = next((one for one in args if one is not type(None)), kind) if args else kind
    module = default_module()
    if isinstance(kind, type) and kind.__module__.startswith("cowabungaai"):
        described = module.get_object(kind.__name__)
        found = {kebab(name): Call({}, str) for name in described.fields}
        return found | {
            kebab(name): Call(
                {
                    f"--{kebab(one.name)}": Argument(
                        one.resolved_type is not bool, not one.is_optional, _choices(one.resolved_type)
                    )
                    for one in function.parameters.values()
                },
                function.return_type,
            )
            for name, function in described.functions.items()
        }
    # Of a type that is named before it is defined, only the name is the real one's.
    kind = getattr(dagger, getattr(kind, "__name__", ""), kind)
    if isinstance(kind, type) and issubclass(kind, Type):
        public = (one for one in inspect.getmembers(kind, inspect.isfunction) if not one[0].startswith("_"))
        return {kebab(name): _core(function) for name, function in public}
    return {}


def _choices(kind: Any) -> tuple[str, ...]:
    """Members of an enum, as on the command line, where case does not count."""
    return tuple(name.lower() for name in kind.__members__) if isinstance(kind, EnumType) else ()


def _core(function: Any) -> Call:
    hints = typing.get_type_hints(function)
    parameters = [one for one in inspect.signature(function).parameters.values() if one.name != "self"]
    return Call(
        {
            f"--{kebab(one.name)}": Argument(
                bool not in (hints.get(one.name), *typing.get_args(hints.get(one.name))),
                one.default is inspect.Parameter.empty,
            )
            for one in parameters
        },
        hints.get("return"),
    )


def root() -> dict[str, Call]:
    """Functions of the module's object."""
    return functions_of(cowabungaai.Cowabungaai)


def constructor() -> dict[str, Argument]:
    """Arguments that stand before the first function."""
    described = default_module().get_object("Cowabungaai").get_constructor()
    return {
        f"--{kebab(one.name)}": Argument(one.resolved_type is not bool, required=False)
        for one in described.parameters.values()
    }


def problems(words: list[str]) -> list[str]:
    """What is wrong with a command.

    Args:
        words: Of the command, without `dagger` itself.
    """
    verb, rest = _verb(words)
    if verb == "call":
        return list(_wrong_call(rest))
    if verb == "check":
        return list(_wrong_check(rest))
    return [f"expected dagger call or dagger check, got dagger {verb}"]


def _verb(words: list[str]) -> tuple[str, list[str]]:
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if OPTIONS.get(option.partition("=")[0]) and "=" not in option:
            rest = rest[1:]
    return (rest[0], rest[1:]) if rest else ("", [])


def _wrong_call(words: list[str]) -> Iterator[str]:
    """Walks the chain of functions."""
    name, available = "the module", root()
    arguments = {
        **constructor(),
        **{option: Argument(value, required=False) for option, value in (OPTIONS | JSON).items()},
    }
    given: set[str] = set()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            option, equals, value = word.partition("=")
            if option not in arguments:
                yield f"{name} has no argument {option}"
                return
            given.add(option)
            if arguments[option].takes_value and not equals:
                if not rest or rest[0].startswith("--"):
                    yield f"{name}: {option} has no value"
                    return
                value = rest.pop(0)
            if arguments[option].choices and value.lower() not in arguments[option].choices:
                yield f"{name}: {option} is none of {', '.join(arguments[option].choices)}: {value}"
            continue
        yield from _missing(name, arguments, given)
        if word not in available:
            yield f"{name} has no function {word}"
            return
        call = available[word]
        name, available, arguments, given = word, functions_of(call.returns), dict(call.arguments), set()
    yield from _missing(name, arguments, given)
    if name == "the module":
        yield "no function is called"


def _missing(name: str, arguments: Mapping[str, Argument], given: set[str]) -> Iterator[str]:
    for option, argument in arguments.items():
        if argument.required and option not in given:
            yield f"{name} needs {option}"


def _wrong_check(words: list[str]) -> Iterator[str]:
    """Whether each pattern names a check."""
    described = default_module()
    names = ["checks", *(f"checks:{kebab(name)}" for name in described.get_object("Checks").functions)]
    for word in words:
        if not word.startswith("-") and not any(fnmatch(name, word) for name in names):
            yield f"no check is named {word}"


def wrong_query(text: str) -> list[str]:
    """Names in a GraphQL query that the module does not have.

    Args:
        text: Such as `{services{name kind}}`, without arguments.
    """
    wrong: list[str] = []
    stack: list[dict[str, Call]] = []
    available = root()
    returned: dict[str, Call] = {}
    for part in re.findall(r"[{}]|\w+", text.removeprefix("query")):
        if part == "{":
            stack.append(available)
            available = returned or available
        elif part == "}":
            available = stack.pop()
        else:
            name = kebab(re.sub(r"([A-Z])", r"-\1", part).lower())
            if name not in available:
                return [*wrong, f"no field {part}"]
            returned = functions_of(available[name].returns)
    return wrong
