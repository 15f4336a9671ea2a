"""Every reader of weights, caches, relevancies, results and features meets every hostile file."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from egolib.config import project_root
from tests.security import attacks
from tests.security.read import READERS

SUFFIXES = {"weights": ".pth", "cache": ".pt", "relevancies": ".pkl", "results": ".pkl"}
LONGEST_SEC = 20


def write_all(reader: str, folder: Path) -> dict[str, str]:
    """All attacks on a reader, as files; their titles by file."""
    folder.mkdir()
    suffix = SUFFIXES.get(reader, ".pt")
    written = {}
    for number, (title, data) in enumerate(attacks.pickles().items()):
        written[f"p{number:03}{suffix}"] = title
        (folder / f"p{number:03}{suffix}").write_bytes(data)
    for number, (title, write) in enumerate(attacks.archives().items()):
        written[f"z{number:03}{suffix}"] = title
        write(folder / f"z{number:03}{suffix}")
    if reader == "features":
        for number, (title, write) in enumerate(attacks.stores().items()):
            written[f"s{number:03}"] = title
            write(folder / f"s{number:03}")
    return written


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_nothing_runs_nothing_is_written_nothing_dies(tmp_path: Path, reader: str) -> None:
    titles = write_all(reader, tmp_path / "files")
    here = tmp_path / "here"
    here.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(project_root())}
    command = [sys.executable, "-m", "tests.security.read", reader, str(tmp_path / "files")]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"died after {lines[-1:]}: {done.stderr[-2000:]}"
    taken = {titles[line["file"]] for line in lines if line["outcome"] == "value"}
    assert len(lines) == len(titles)
    assert not taken
    assert list(here.iterdir()) == []
    assert max(line["seconds"] for line in lines) < LONGEST_SEC


@pytest.mark.parametrize("title", [t for t in attacks.pickles() if t.startswith("mkdir")])
def test_attacks_are_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str) -> None:
    """The guards above can fail: an ordinary unpickler runs the code."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(attacks.pickles()[title])
    assert (tmp_path / attacks.CANARY).exists()


def test_the_program_is_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    attacks.write_script(tmp_path / "a.pth")
    torch.jit.load(str(tmp_path / "a.pth"))
    assert (tmp_path / attacks.CANARY).exists()
