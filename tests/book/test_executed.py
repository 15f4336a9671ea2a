"""Everything that we show is executed on tiny stand-ins, or planned, or marked with its reason.

``EGOLIB_WALKS=all`` (``make walks``) also executes what trains anew.
"""

from __future__ import annotations

import doctest
import importlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from egolib.cli import main
from egolib.video import write_video
from tests.book.shown import ROOT, Shown, doctest_files, everything
from tests.book.stand_ins import ALL, OFFICIAL, Desk, furnish, here, names

SHOWN = [found for found in everything() if not found.reason]
BLOCKS = [found for found in SHOWN if found.kind == "python"]
COMMANDS = {f.text: f for f in SHOWN if f.kind != "python" and f.program == "egolib"}
RUN = [found for found in COMMANDS.values() if here(found, None)[0]]
BRIDGES = ("mmdet", "detectron2")
NOT_HERE = {"egolib/interop/": "needs a bridge's own detectors and files: tests/interop"}


def not_here(found: Shown) -> str:
    """Why a block of a docstring does not run here; empty where it does."""
    if "clip-vit-b-32" in found.text:
        return "needs CLIP's weights: tests/nlq/models/test_clip_text.py"
    return next((why for start, why in NOT_HERE.items() if found.place.startswith(start)), "")


@pytest.fixture(scope="module")
def desk(tiny, tmp_path_factory) -> Desk:
    """A reader's folder beside the tiny run."""
    root, ran = tiny
    assert ran.returncode == 0, ran.stdout + ran.stderr
    made = Desk(tmp_path_factory.mktemp("desk"), root)
    furnish(made)
    return made


@pytest.fixture
def seated(desk, monkeypatch) -> Desk:
    """The process in that folder, with the workspace of the tiny run."""
    monkeypatch.chdir(desk.folder)
    monkeypatch.setenv("EGOLIB_ROOT", str(desk.root))
    return desk


def egolib(words: list[str], monkeypatch) -> int:
    """The exit code of a command that runs in this process."""
    monkeypatch.setattr("sys.argv", ["egolib", *words])
    with pytest.raises(SystemExit) as end:
        main()
        raise SystemExit(0)
    return int(end.value.code or 0)


def identity(found: Shown) -> str:
    return found.place


@pytest.mark.slow
@pytest.mark.xdist_group("tiny")
@pytest.mark.parametrize("found", RUN, ids=identity)
def test_a_command_runs(found, seated, monkeypatch, capsys):
    words, _ = here(found, seated)
    if words[0] == "run" and os.environ.get("EGOLIB_TINY") and not ALL:
        pytest.skip("a given run is of other code: its steps would all run again")
    if words[0] == "convert":
        official = ["convert", str(seated.weights(OFFICIAL[words[1]])), words[1]]
        assert egolib(official, monkeypatch) == 0
    code = egolib(words, monkeypatch)
    printed = capsys.readouterr()
    assert code == 0, f"{words}\n{printed.out}\n{printed.err}"
    assert printed.out.strip()


@pytest.mark.slow
@pytest.mark.xdist_group("tiny")
@pytest.mark.parametrize("found", [f for f in BLOCKS if not not_here(f)], ids=identity)
def test_a_block_runs(found, seated):
    exec(compile(found.text, found.place, "exec"), names(seated, found))


@pytest.mark.parametrize("file", doctest_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_examples_of_docstrings(file: Path, tmp_path, monkeypatch):
    module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    monkeypatch.chdir(tmp_path)
    grey = np.full((240, 426, 3), 128, np.uint8)
    if "kitchen.mp4" in file.read_text():
        write_video("kitchen.mp4", [grey] * 310, fps=30)
    tried = doctest.testmod(module, extraglobs={"images": [grey] * 3})
    assert tried.attempted and not tried.failed


def test_the_count(capsys):
    """How much runs, how much is planned alone, how much is marked, and why."""
    every = everything()
    run = len(RUN) + len([f for f in BLOCKS if not not_here(f)])
    planned = Counter(here(f, None)[1] for f in COMMANDS.values() if not here(f, None)[0])
    makes = len([f for f in SHOWN if f.kind != "python" and f.program == "make"])
    marked = Counter(found.reason for found in every if found.reason)
    marked += Counter(not_here(found) for found in BLOCKS if not_here(found))
    others = [f for f in SHOWN if f.kind != "python" and f.program not in ("egolib", "make")]
    lines = [
        f"{len(every)} commands and blocks are shown ({len(COMMANDS)} different ones of egolib)",
        f"{run} run here, and the examples of {len(doctest_files())} modules",
        f"{planned.total() + makes + len(others)} are planned alone: " + _reasons(planned),
        f"{marked.total()} are marked: " + _reasons(marked),
    ]
    with capsys.disabled():
        print("", *lines, sep="\n")
    assert run > 30 and marked.total() < 20
    assert not (ALL and any("make walks" in why for why in planned))


def _reasons(counts: Counter) -> str:
    return "; ".join(f"{number} x {why}" for why, number in counts.most_common())
