"""Source code of the package inside a notebook: the lines that do a step, highlighted."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import egolib
from egolib.errors import EgolibError

BOX = "color:#1f2328;background:#f6f8fa;border-radius:4px;padding:0 0.8em;overflow-x:auto"


@dataclass(frozen=True)
class Source:
    """Lines of a file; a notebook shows them highlighted, a terminal as text.

    Args:
        text: the lines, without common indentation.
        place: the file and its lines, for instance ``egolib/ops/segments.py, lines 10 to 19``.
    """

    text: str
    place: str

    def __repr__(self) -> str:
        return f"# {self.place}\n{self.text}"

    def _repr_html_(self) -> str:
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        look = HtmlFormatter(noclasses=True, nobackground=True, cssstyles=BOX)
        return str(highlight(repr(self), PythonLexer(), look))


def show(
    code: Callable[..., Any] | type,
    *,
    begin: str = "",
    lines: int | None = None,
    docstring: bool = False,
) -> Source:
    """The source of a function, a method or a class, for the last line of a notebook's cell.

    Args:
        code: what is shown; of a ``partial``, the function inside.
        begin: text in the first line to show; empty for the whole definition.
        lines: how many lines to show from there; None for all.
        docstring: whether docstrings are shown; without them, code alone remains.

    Raises:
        EgolibError: it is not written in Python, or no line holds ``begin``.
    """
    while isinstance(code, partial):
        code = code.func
    name = getattr(code, "__qualname__", repr(code))
    try:
        found, first = inspect.getsourcelines(code)
        file = Path(inspect.getsourcefile(code) or "")
    except (TypeError, OSError) as error:
        raise EgolibError("no Python source", record=name) from error
    rows = list(enumerate(textwrap.dedent("".join(found)).splitlines(), start=first))
    if not docstring:
        hidden = _docstrings("\n".join(text for _, text in rows), first)
        rows = [(number, text) for number, text in rows if number not in hidden]
    start = next((i for i, (_, text) in enumerate(rows) if begin in text), None)
    if start is None:
        raise EgolibError(f"no line holds {begin!r}", file=file, record=name)
    rows = rows[start:][:lines]
    text = textwrap.dedent("\n".join(text for _, text in rows)).rstrip()
    return Source(text, f"{_relative(file)}, lines {rows[0][0]} to {rows[-1][0]}")


def _docstrings(text: str, first: int) -> set[int]:
    """Numbers of the lines that belong to docstrings, with the blank line after each."""
    found: set[int] = set()
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if ast.get_docstring(node) is None or len(node.body) == 1:
            continue
        last = node.body[0].end_lineno or node.body[0].lineno
        blank = last < len(lines) and not lines[last].strip()
        found |= set(range(node.body[0].lineno, last + blank + 1))
    return {number + first - 1 for number in found}


def _relative(file: Path) -> str:
    root = Path(egolib.__file__).parent.parent
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
