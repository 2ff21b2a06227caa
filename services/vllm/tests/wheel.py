# SPDX-License-Identifier: Apache-2.0
"""Reads vLLM's interface out of the pinned wheel's sources, which are parsed and never run."""

import ast
import os
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

MISSING = object()


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function.

    Args:
        name: its name.
        has_default: whether it may be left out.
        keyword_only: whether it must be named.
    """

    name: str
    has_default: bool
    keyword_only: bool


def wheel() -> Path:
    """The pinned wheel; the test is skipped where it is not given."""
    folder = os.environ.get("COWABUNGAAI_TEST_WHEELS")
    if not folder:
        pytest.skip(
            "COWABUNGAAI_TEST_WHEELS is not set; `dagger call test --service vllm` sets it to a folder of wheels"
        )
    (found,) = Path(folder).glob("vllm-*.whl")
    return found


@cache
def tree(module: str) -> ast.Module:
    """A module's sources, parsed."""
    with zipfile.ZipFile(wheel()) as archive:
        names = set(archive.namelist())
        path = module.replace(".", "/")
        file = f"{path}.py" if f"{path}.py" in names else f"{path}/__init__.py"
        return ast.parse(archive.read(file))


def definition(module: str, name: str) -> ast.AST:
    """A class or function that a module defines, or None where it only imports it."""
    found = [node for node in ast.walk(tree(module)) if getattr(node, "name", None) == name]
    assert found, f"{module} has no {name}"
    return found[0]


def fields(module: str, name: str) -> dict[str, object]:
    """A class's annotated fields with their defaults; MISSING where there is none, None where it is no literal."""
    found = {}
    for node in definition(module, name).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = MISSING if node.value is None else _literal(node.value)
    return found


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def method(module: str, class_name: str, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """A method's definition."""
    for node in definition(module, class_name).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
    raise AssertionError(f"{class_name} has no method {name}")


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[Parameter]:
    """A function's parameters, without self and cls."""
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    first_default = len(plain) - len(arguments.defaults)
    found = [Parameter(one.arg, position >= first_default, False) for position, one in enumerate(plain)]
    found += [
        Parameter(one.arg, default is not None, True)
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    return [one for one in found if one.name not in ("self", "cls")]


def attributes_set(module: str, class_name: str) -> set[str]:
    """The attributes that a class's methods set on self, and its annotated fields."""
    node = definition(module, class_name)
    found = {
        target.attr
        for assignment in ast.walk(node)
        if isinstance(assignment, ast.Assign | ast.AnnAssign)
        for target in (assignment.targets if isinstance(assignment, ast.Assign) else [assignment.target])
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
    }
    return found | set(fields(module, class_name))
