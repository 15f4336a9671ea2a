"""What a result says about where it came from."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from egolib.report import results


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def commit() -> str:
    """Asked anew: a process asks once."""
    results.commit.cache_clear()
    return results.commit()


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    results.commit.cache_clear()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, in place of the one that egolib lies in."""
    (tmp_path / "egolib").mkdir()
    (tmp_path / "egolib" / "results.py").write_text("code")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    monkeypatch.setattr(results, "__file__", str(tmp_path / "egolib" / "results.py"))
    return tmp_path


def test_a_changed_checkout_is_marked(checkout: Path):
    clean = commit()
    assert len(clean) == 12 and int(clean, 16)
    (checkout / "egolib" / "new.py").write_text("more")
    assert commit() == f"{clean}+"


def test_evidence_that_a_run_wrote_is_no_change(checkout: Path):
    clean = commit()
    (checkout / "book" / "evidence").mkdir(parents=True)
    (checkout / "book" / "evidence" / "nlq.json").write_text("{}")
    assert commit() == clean


def test_outside_git_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(results, "__file__", str(tmp_path / "results.py"))
    assert commit() == "unknown"
