"""Figures are drawn from small data without error, and say what they show."""

from __future__ import annotations

import pytest

from egolib.vod.steps import evaluate, figures
from tests.vod.project import make_root, step


@pytest.fixture(scope="module")
def test_set(tmp_path_factory):
    root = make_root(tmp_path_factory.mktemp("root"))
    return evaluate.read_truth(step("4_evaluate", root, root.parent))


def test_frames_and_objects(test_set, tmp_path):
    made = step("1_data", test_set.source.images, tmp_path)
    drawn = figures.frames(test_set.source, made.config.data, [0, 1, 5])
    assert len(drawn.axes) == 3 and drawn.axes[2].get_title() == "frame 0, degraded"
    assert len(figures.objects(test_set.source, test_set.motion).axes) == 3


def test_training_shows_the_losses_that_there_are():
    lines = [
        {"kind": "train", "update": u, "loss": 1.0, "classes": 0.7, "boxes": 0.2, "accuracy": 0.5}
        for u in (1, 2, 3)
    ]
    losses, rate = figures.training(lines, lambda update: 1.0).axes
    assert [line.get_label() for line in losses.lines] == ["classes", "boxes"]
    assert rate.get_xlabel() == "updates"
