"""What the front page says is proved, from evidence as ``make parity-evidence`` writes it."""

from __future__ import annotations

import pytest

from egolib.io.records import write_json
from egolib.report import chapters
from tests.parity.evidence import Evidence


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project folder."""
    monkeypatch.setattr(chapters.configs, "project_root", lambda: tmp_path)
    return tmp_path


def test_without_evidence_the_command_is_named(project):
    assert "make parity-evidence" in chapters.parity().text


@pytest.mark.parametrize("failed", [[], ["tests/parity/nlq/test_networks.py::test_x[b.npz]"]])
def test_recordings_and_deviations_are_shown(project, failed):
    file = project / "book/evidence/parity.json"
    counted = Evidence(file)
    counted.passed = {
        "nlq": {"a.npz": [1e-7, 3e-6], "c.npz": [0.0]},
        "vod": {f"{n}.npz": [2e-5] for n in range(1200)},
    }
    counted.failed = failed
    write_json(file, counted.summary())
    text = chapters.parity().text
    assert f"<strong>1,202 recordings agree</strong>, {len(failed)} do not" in text
    assert "2.0e-05" in text and "3.0e-06" in text  # of all, and of nlq
    rows = text.count("<tr>") - 1
    assert rows == 2 and "<td>a.npz</td>" in text
    assert all(name in text for name in failed)
