"""Foreign files that go wrong, each through the command: the right value, or a clear error.

``files/cases.json`` lists the cases: a command (``{dir}`` is the case's folder, ``{tmp}`` an empty
one) and the outcomes that are good: ``error`` (exit code 1 or 2 and these texts in the message),
``json`` (exit code 0 and these values by path), ``text`` (exit code 0 and these texts).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cases.command import filled, is_good, run

FILES = Path(__file__).parent / "files"
CASES = json.loads((FILES / "cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(FILES / case["name"], tmp_path / "case")
    (tmp_path / "empty").mkdir()
    places = {"{dir}": str(folder), "{tmp}": str(tmp_path / "empty")}
    command = [filled(text, places) for text in case["command"]]
    code, said = run(command, monkeypatch, capsys)
    assert any(is_good(code, said, want) for want in case["want"]), f"{code}: {said[-400:]}"
