"""One run of everything on the tiny preset, in a project folder of its own, for several tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from egolib.config import project_root

CHECKOUT = project_root()


def copy_project(folder: Path) -> Path:
    """What the runner and the book need, copied, so that a user's own runs stay untouched."""
    for name in ("params", "notebooks", "book"):
        ignored = shutil.ignore_patterns("live", ".ipynb_checkpoints", "__pycache__")
        shutil.copytree(CHECKOUT / name, folder / name, ignore=ignored)
    shutil.copy(CHECKOUT / "_config.yml", folder / "_config.yml")
    return folder


def egolib(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line on that project."""
    environment = {**os.environ, "EGOLIB_ROOT": str(root), "OMP_NUM_THREADS": "1"}
    environment.pop("EGOLIB_PROGRESS", None)
    command = [sys.executable, "-m", "egolib", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=root)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The project folder after ``egolib run all --preset tiny``, and what that printed."""
    if finished := os.environ.get("EGOLIB_TINY"):  # a folder with such a run, for repeated tries
        return Path(finished), subprocess.CompletedProcess([], 0, "", "")
    root = copy_project(tmp_path_factory.mktemp("project"))
    return root, egolib(root, "run", "all", "--preset", "tiny", "--jobs", "1")
