"""Docstrings that render: an entry for each parameter, each on lines of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import egolib

ROOT = Path(egolib.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
ENTRY = re.compile(r"^ {4}(\*{0,2}\w+)(?: \([^)]*\))?:", re.MULTILINE)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Functions and methods without an underscore, of classes without one."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, Function):
                    yield f"{node.name}.{inner.name}", inner


def parameters(function: Function) -> list[str]:
    """Names of a function's parameters, but for ``self`` and ``cls``."""
    a = function.args
    names = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    names += [p.arg for p in (a.vararg, a.kwarg) if p is not None]
    return [name for name in names if name not in ("self", "cls") and not name.startswith("_")]


def entries(docstring: str) -> set[str]:
    """Names in the section ``Args``."""
    return {name.lstrip("*") for name in ENTRY.findall(_section(docstring))}


def lacking(function: Function) -> list[str]:
    """Parameters without an entry, where there are three or more."""
    names = parameters(function)
    if function.name.startswith("_") or len(names) < 3 or _is_command(function):
        return []
    return [name for name in names if name not in entries(ast.get_docstring(function) or "")]


def _is_command(function: Function) -> bool:
    """Commands describe their options where they are declared."""
    calls = [d.func for d in function.decorator_list if isinstance(d, ast.Call)]
    return any(getattr(call, "attr", "") == "command" for call in calls)


def test_entries_are_read():
    args = "    a: one\n        more.\n    b (int): two\n    c, d: no.\n"
    assert entries(f"Does it.\n\nArgs:\n{args}\nReturns:\n    e: x") == {"a", "b"}


@pytest.mark.parametrize("file", FILES, ids=[str(f.relative_to(ROOT)) for f in FILES])
def test_every_parameter_has_an_entry(file):
    functions = public_functions(ast.parse(file.read_text()))
    missing = {name: names for name, function in functions if (names := lacking(function))}
    assert not missing


JOINED = re.compile(r"^ {4}\*{0,2}\w+(?:, \*{0,2}\w+)+:|^ {4}\w+: .*[.;] \w+: \(", re.MULTILINE)


@pytest.mark.parametrize("file", FILES, ids=[str(f.relative_to(ROOT)) for f in FILES])
def test_entries_are_not_joined(file):
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, kinds)]
    joined = {n.name: JOINED.findall(_section(ast.get_docstring(n) or "")) for n in nodes}
    assert not {name: found for name, found in joined.items() if found}


def _section(docstring: str) -> str:
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", docstring, re.MULTILINE | re.DOTALL)
    return section.group(1) if section else ""
