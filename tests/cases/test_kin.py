"""Foreign files of all tasks through the command: the right value, or an error that says where."""

from __future__ import annotations

import pytest

from tests.cases.command import filled, is_good, run
from tests.cases.kin import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, tmp_path, monkeypatch, capsys):
    for name, content in case.files.items():
        (tmp_path / name).write_bytes(content)
    command = [filled(text, {"{dir}": str(tmp_path)}) for text in case.command]
    code, said = run(command, monkeypatch, capsys)
    assert any(is_good(code, said, want) for want in case.want), f"{code}: {said[-600:]}"


def test_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)
