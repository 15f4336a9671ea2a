"""The example of the page on own data is complete: it is checked, trained on, and scored."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from egolib.config import build, project_root
from egolib.vod.api import Detector
from egolib.vod.config import Config
from egolib.vod.data.batches import collate
from egolib.vod.data.cocovid import check_cocovid
from egolib.vod.data.dataset import TrainingClips, make_source, test_videos
from egolib.vod.evaluation import evaluate, motion_table
from egolib.vod.losses.clips import TrainingLoss
from tests.vod.small import make

PAGE = (project_root() / "book" / "vod_custom_data.md").read_text()


def block(language: str) -> str:
    """The only block of that language on the page."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own")
    folder = root / "mine"
    content = json.loads(block("json"))
    for number, image in enumerate(content["images"]):
        path = folder / "frames" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (image["height"], image["width"], 3)
        pixels = np.random.default_rng(number).integers(0, 255, size, dtype=np.uint8)
        path.write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())
    for name in ("train", "val"):
        (folder / f"{name}.json").write_text(block("json"))
    return root


def test_the_example_is_a_whole_data_set(root: Path):
    content = json.loads(block("json"))
    assert sum(len(part) for part in content.values()) <= 12
    assert check_cocovid(content, "example") == []
    config = build(Config, yaml.safe_load(block("yaml")))
    model, network = make("single", change=lambda c: replace(c, classes=config.model.classes))
    pipeline = replace(config.data.pipeline, long_side=96, short_side=72)
    data = replace(config.data, pipeline=pipeline)
    images = root / data.images_vid
    train = make_source(root / data.train_vid, images, data, train=True)
    clips = TrainingClips([train], data)
    assert len(clips) == 4
    batch = collate([clips.sample(0, np.random.default_rng(0))])
    assert torch.isfinite(TrainingLoss()(model.train(), batch)["loss"])
    source = make_source(root / data.evaluation, images, data, train=False)
    found = Detector(model, network, data).predict(test_videos(source, data, config.infer))
    assert found.class_names == ("mug", "jar") and found.image_id.tolist() == [1, 2, 3, 4]
    assert 0 <= evaluate(source, found, motion_table(source))["AP50"] <= 1


def test_commands_and_options_exist():
    for option in re.findall(r"`(data|optim|initial|fit|infer)\.(\w+)", PAGE):
        assert hasattr(getattr(Config(), option[0]), option[1]), option
