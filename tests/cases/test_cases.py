"""Foreign files that go wrong, each through the command: the right value, or a clear error.

``files/cases.json`` lists the cases: a command (``{dir}`` is the case's folder, ``{tmp}`` an empty
one) and the outcomes that are good: ``error`` (exit code 1 or 2 and these texts in the message),
``json`` (exit code 0 and these values by path), ``text`` (exit code 0 and these texts).
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from egolib import cli

FILES = Path(__file__).parent / "files"
CASES = json.loads((FILES / "cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(FILES / case["name"], tmp_path / "case")
    (tmp_path / "empty").mkdir()
    places = {"{dir}": str(folder), "{tmp}": str(tmp_path / "empty")}
    command = [_filled(text, places) for text in case["command"]]
    code, said = _run(command, monkeypatch, capsys)
    assert any(_is_good(code, said, want) for want in case["want"]), f"{code}: {said[-400:]}"


def _filled(text: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(name, value)
    return text


def _run(command: list[str], monkeypatch, capsys) -> tuple[int, str]:
    """The exit code and the output of the command, in this process."""
    monkeypatch.setattr(sys, "argv", ["egolib", *command])
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def _is_good(code: int, said: str, want: dict[str, Any]) -> bool:
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
