"""Runs the command in this process and judges its outcome."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from egolib import cli


def filled(text: str, places: dict[str, str]) -> str:
    """A text of a command with its folders put in."""
    for name, value in places.items():
        text = text.replace(name, value)
    return text


def run(command: list[str], monkeypatch, capsys) -> tuple[int, str]:
    """The exit code and the output of the command, in this process."""
    monkeypatch.setattr(sys, "argv", ["egolib", *command])
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def is_good(code: int, said: str, want: dict[str, Any]) -> bool:
    """Whether an outcome is the one that is wanted; see ``test_cases``."""
    flat = " ".join(said.split())
    if "error" in want:
        return code in (1, 2) and all(text in flat for text in want["error"])
    if code:
        return False
    if "text" in want:
        return all(text in flat for text in want["text"])
    tree = json.loads(said[said.index("{") :])
    return all(_matches(_at(tree, path), value) for path, value in want["json"].items())


def _at(tree: Any, path: str) -> Any:
    for part in path.split("/"):
        tree = tree.get(part, "absent") if isinstance(tree, dict) else "absent"
    return tree


def _matches(found: Any, want: Any) -> bool:
    if isinstance(want, float) and isinstance(found, int | float):
        return math.isclose(found, want, rel_tol=1e-3, abs_tol=1e-3)
    return bool(found == want)
