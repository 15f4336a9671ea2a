"""Who may import whom: tasks use shared code and never each other; shared code uses no task;
and nobody imports, through others, what imports him."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import egolib
from egolib.config import TASKS

ROOT = Path(egolib.__file__).parent
ABOVE = {"cli", "interop", "__main__"}
FILES = sorted(ROOT.rglob("*.py"))


def imports(file: Path) -> set[str]:
    """The first part below ``egolib`` of everything that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {n.split(".")[1] for n in names if n.startswith("egolib.")}
    return found


@pytest.mark.parametrize("file", FILES, ids=[str(f.relative_to(ROOT)) for f in FILES])
def test_layers(file):
    part = file.relative_to(ROOT).parts[0].removesuffix(".py")
    tasks = imports(file) & set(TASKS)
    if part in TASKS:
        assert tasks <= {part}, f"{part} imports {tasks - {part}}"
    elif part not in ABOVE:
        assert not tasks, f"shared code imports {tasks}"


def test_no_relative_imports():
    relative = [
        file
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def import_graph() -> dict[str, set[str]]:
    """For every module those that it imports: at its top, inside functions, and for types."""
    known = {module_name(file): file for file in FILES}
    return {name: imported_modules(file, set(known)) - {name} for name, file in known.items()}


def imported_modules(file: Path, known: set[str]) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= below or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & known


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules of which each reaches each other."""
    order: list[str] = []
    seen: set[str] = set()
    for name in graph:
        visit(name, graph, seen, order)
    backward = {name: {m for m, found in graph.items() if name in found} for name in graph}
    seen, groups = set(), []
    for name in reversed(order):
        group: list[str] = []
        visit(name, backward, seen, group)
        groups += [sorted(group)] if len(group) > 1 else []
    return groups


def visit(name: str, graph: dict[str, set[str]], seen: set[str], order: list[str]) -> None:
    """Appends to ``order`` what ``name`` reaches and was not seen, itself last."""
    if name in seen:
        return
    seen.add(name)
    for other in sorted(graph[name]):
        visit(other, graph, seen, order)
    order.append(name)


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}) == [
        ["a", "b", "c"]
    ]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_circles():
    assert circles(import_graph()) == []


LIGHT = [
    "egolib",
    "egolib.cli",
    "egolib.config",
    "egolib.runs.step",
    "egolib.io.features",
    "egolib.viz",
]
LIGHT += ["egolib.world", *[f"egolib.{task}.config" for task in TASKS]]


@pytest.mark.parametrize("module", LIGHT)
def test_no_torch_behind(module):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_help_is_quick():
    """Within a second of processor time, so that load does not decide."""
    code = "import os, runpy, sys; sys.argv = ['egolib', '--help']\n"
    code += "try: runpy.run_module('egolib', run_name='__main__')\n"
    code += "except SystemExit: pass\n"
    code += "print(sum(os.times()[:2]), 'torch' in sys.modules)"
    ends = [subprocess.check_output([sys.executable, "-c", code]).split()[-2:] for _ in range(3)]
    assert min(float(seconds) for seconds, _ in ends) < 1.0
    assert {torch for _, torch in ends} == {b"False"}


def test_import_is_quick():
    """0.3 s is the promise; the best of three runs is judged, so that load does not decide."""
    code = "import time; t = time.perf_counter(); import egolib; print(time.perf_counter() - t)"
    seconds = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3)]
    assert min(seconds) < 0.3
