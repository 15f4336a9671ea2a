"""A training that is stopped and continued ends as if nobody had touched it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from egolib.engine import fit as engine
from egolib.vlp.steps import train
from tests.vlp.project import step

CHANGES = {"max_updates": 6, "snapshot_updates": 2}


class Killed(Exception):
    """Stands for a kill, at a moment that the test chooses."""


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_stopped_training_ends_the_same(
    tiny_world: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    made = step("2_train", tiny_world, runs, changes={"fit": {**CHANGES, "precision": precision}})
    runs = runs / precision
    whole = train.train(replace(made, out=runs / "whole"))
    after_update = engine._Training.after_update

    def killed(self: engine._Training) -> None:
        after_update(self)
        if self.update == 5:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(engine._Training, "after_update", killed)
        train.train(replace(made, out=runs / "killed"))
    continued = train.train(replace(made, out=runs / "killed"))
    assert continued.weights.read_bytes() == whole.weights.read_bytes()
    losses = [[r["loss"] for r in found.losses()] for found in (whole, continued)]
    assert losses[0] == losses[1] and len(losses[0]) == 6
