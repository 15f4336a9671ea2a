"""Which model a name stands for, and what is said of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from egolib.errors import UsageError
from egolib.io.records import write_json
from egolib.runs import inputs

PRESET = {"task": "vod", "step": "2_train", "variant": "frcnn", "preset": "tiny"}


def training(runs: Path, run: str, variant: str = "frcnn", age: int = 0, **about) -> Path:
    """A finished training of a run, as old as that."""
    step = runs / run / "vod" / variant / "2_train"
    file = step / "train" / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    os.utime(file, (1000 - age, 1000 - age))
    write_json(step / "result.json", {**PRESET, "variant": variant, **about})
    return file


def test_the_newest_is_looked_for_under_names_of_presets(tmp_path):
    """A run of other classes under a name of its own never answers by accident."""
    mine = training(tmp_path, "mine")
    with pytest.raises(UsageError, match="name one of your own runs: mine/vod/frcnn"):
        inputs.locate(None, "vod", tmp_path)
    usual = training(tmp_path, "tiny", age=50)
    older = training(tmp_path, "mini", age=90)
    training(tmp_path, "tiny@seed=1")
    assert inputs.locate(None, "vod", tmp_path) == usual
    assert inputs.locate("vod/frcnn", "vod", tmp_path) == usual
    assert inputs.locate("mine/vod/frcnn", "vod", tmp_path) == mine
    assert inputs.locate("mini/vod/frcnn", "vod", tmp_path) == older


def test_the_remedy_trains_what_was_asked_for(tmp_path):
    with pytest.raises(UsageError, match="egolib run nlq --variant vlp_states"):
        inputs.locate("nlq/vlp_states", "nlq", tmp_path)


def test_who_answers(tmp_path):
    file = training(tmp_path, "tiny")
    assert "vod/frcnn, preset tiny, trained on the built-in world and knows only" in inputs.who(
        file
    )
    mine = training(tmp_path, "mine", preset="paper")
    write_json(mine.parents[1] / "node.json", {"parameters": {"data_root": "/data"}})
    assert "preset paper, trained on /data" in inputs.who(mine)
    (tmp_path / "official.pth").touch()
    assert "not recorded" in inputs.who(tmp_path / "official.pth")


def test_weights_by_their_hash(tmp_path):
    file = training(tmp_path, "tiny")
    write_json(file.with_suffix(".json"), {"sha256": "abc"})
    assert inputs.of_hash("abc", "vod", tmp_path) == file
    assert inputs.of_hash("abd", "vod", tmp_path) is None
