"""The miniature project as a fixture."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs.project import make_project


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("EGOLIB_ROOT", str(tmp_path))
    monkeypatch.delenv("EGOLIB_DATA", raising=False)
    return make_project(tmp_path)
