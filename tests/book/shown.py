"""What we show: every command and every Python block of pages, ``--help`` texts and docstrings.

A page says of a block that it cannot run here, and why, by a comment on the line before it::

    <!-- not run: needs the package index -->
    <!-- not run (mv): moves features of the real clips -->

The second form is for the lines of a block that begin with a word.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import typer

from egolib.cli import app
from egolib.config import project_root

ROOT = project_root()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "book").glob("*.md"))]
ROOT_OF_DATA = "--preset paper --data-root /data"  # what pages call $R
WORDS = {"egolib", "make", "pip", "conda", "mv", "python", "papermill", ".venv/bin/uv", "jupyter"}
MARK = re.compile(r"<!-- not run(?: \((?P<word>\S+)\))?: (?P<reason>.+) -->")
PLACEHOLDER = re.compile(r"[<…]|\.\.\.")  # a pattern for commands, no command


@dataclass(frozen=True)
class Shown:
    """One command or block.

    Args:
        place: ``file:line``.
        kind: ``command`` on a line of its own, ``inline`` in a sentence, ``help`` or ``python``.
        text: the command, comments cut off, or the block.
        reason: why it cannot run here; empty where it can.
    """

    place: str
    kind: str
    text: str
    reason: str = ""

    @property
    def program(self) -> str:
        """The first word of a command."""
        return self.text.split()[0]


@cache
def everything() -> tuple[Shown, ...]:
    """All that is shown anywhere but doctests, which pytest's own module collects."""
    pages = [found for page in PAGES for found in of_page(page)]
    return (*pages, *of_help(), *of_docstrings())


# -------------------------------------------------------------------------- pages


def of_page(page: Path) -> Iterator[Shown]:
    """Commands and Python blocks of a page of Markdown, in order."""
    inside, language, block, marks = False, "", [], []
    for number, line in _joined(page.read_text()):
        place = f"{page.name}:{number}"
        if mark := MARK.fullmatch(line.strip()):
            marks.append(mark)
        elif line.strip().startswith("```"):
            if inside and language == "python":
                yield Shown(place, "python", "\n".join(block) + "\n", _reason(marks, ""))
            marks = [] if inside else marks
            inside, language, block = not inside, line.strip()[3:], []
        elif inside and language:
            block.append(line)
        elif command := _command(line):
            yield Shown(place, "command", command, _reason(marks, command.split()[0]))
        elif not inside:
            marks = marks if not line.strip() else []
            yield from _inline(place, line)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines, continued ones as one."""
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if begun else number
        begun += line.strip() if begun else line
        if begun.endswith("\\"):
            begun = begun[:-1].rstrip() + " "
            continue
        yield first, begun
        begun = ""


def _command(line: str) -> str:
    """The command on a line of its own, without its comment; empty where there is none."""
    words = line.strip().removeprefix("$ ").split()
    if len(words) < 2 or words[0] not in WORDS or not _is_shell(words):
        return ""
    text = re.sub(r"\s#\s.*$", "", " ".join(words))
    return text.replace("$R", ROOT_OF_DATA)


def _is_shell(words: list[str]) -> bool:
    """Whether a line that begins with a program's name is no sentence about it."""
    if words[0] == "egolib":
        return words[1] in typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return words[-1] == "." or not words[-1].endswith((".", ","))


def _inline(place: str, line: str) -> Iterator[Shown]:
    for text in re.findall(r"`((?:egolib|make) [^`]+)`", line):
        if not PLACEHOLDER.search(text):
            yield Shown(place, "inline", text.replace("$R", ROOT_OF_DATA))


def _reason(marks: list[re.Match[str]], word: str) -> str:
    fitting = [m["reason"] for m in marks if m["word"] in (None, word)]
    return fitting[-1] if fitting else ""


# ----------------------------------------------------------------- help, docstrings


def of_help() -> Iterator[Shown]:
    """The examples that commands show under ``--help``."""
    root = typer.main.get_command(app)
    commands = root.commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        for text in re.findall(r"egolib [^\n`]+", command.epilog or ""):
            yield Shown(f"egolib {name} --help", "help", text.strip())


def of_docstrings() -> Iterator[Shown]:
    """Paragraphs of module, class and function docstrings that are Python statements."""
    for file in sorted((ROOT / "egolib").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
            text = ast.get_docstring(node) if isinstance(node, documented) else None
            for paragraph in re.split(r"\n\s*\n", text or ""):
                if _is_program(paragraph):
                    place = f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
                    yield Shown(place, "python", textwrap.dedent(paragraph) + "\n")


def _is_program(paragraph: str) -> bool:
    try:
        body = ast.parse(textwrap.dedent(paragraph)).body
    except (SyntaxError, ValueError):
        return False
    return any(
        isinstance(node, ast.Assign | ast.For | ast.Import | ast.ImportFrom) for node in body
    )


def doctest_files() -> list[Path]:
    """The modules whose docstrings hold ``>>>`` examples."""
    files = sorted((ROOT / "egolib").rglob("*.py"))
    return [file for file in files if ">>> " in file.read_text()]


if __name__ == "__main__":
    for shown in everything():
        print(shown.place, shown.kind, repr(shown.text), shown.reason, sep=" | ")
    print(Counter(shown.kind for shown in everything()))
