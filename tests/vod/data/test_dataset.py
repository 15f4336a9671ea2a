"""Training clips and test videos."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json
from egolib.vod.config import InferConfig
from egolib.vod.config.data import DataConfig, MegaSampling, selsa
from egolib.vod.data.dataset import (
    TrainingClips,
    class_names,
    make_source,
    mega_test_places,
    mega_training_frames,
    read_image,
    test_videos,
    true_objects,
)

SMALL = replace(selsa().pipeline, long_side=80, short_side=48)


def training(config: DataConfig, mega: MegaSampling | None = None) -> TrainingClips:
    sources = [
        make_source(config.train_vid, config.images_vid, config, train=True),
        make_source(config.train_det, config.images_det, config, train=True),
    ]
    return TrainingClips(sources, config, mega)


@pytest.fixture
def config(made: DataConfig) -> DataConfig:
    return replace(made, pipeline=SMALL, train_references=selsa().train_references, smallest=32)


def test_listed_frames_and_listed_stills_are_trained_on(config: DataConfig):
    clips = training(config)
    assert [len(s.rows) for s in clips.sources] == [7, 2] and len(clips) == 9


def test_small_images_are_left_out_and_an_empty_set_explains_itself(config: DataConfig):
    with pytest.raises(EgolibError, match="is_vid_train_frame"):
        training(replace(config, smallest=60))


def test_samples_repeat_with_their_seed_and_hold_references(config: DataConfig):
    clips = training(config)
    for index in (0, 6, 7, 8):
        first = clips.sample(index, np.random.default_rng(5))
        second = clips.sample(index, np.random.default_rng(5))
        np.testing.assert_array_equal(first.key.pixels, second.key.pixels)
        assert len(first.references) == 2 and not first.memory and not first.distant
        assert len(first.key.boxes) == (2 if index < 7 else 1)
    still = clips.sample(8, np.random.default_rng(5))
    np.testing.assert_array_equal(still.key.pixels, still.references[0].pixels)


def test_megas_frames(config: DataConfig):
    sampling = MegaSampling(reach=2)
    clips = training(config, sampling)
    clip = clips.sample(1, np.random.default_rng(0))
    assert (len(clip.references), len(clip.memory), len(clip.distant)) == (2, 3, 2)
    index = clips.sources[0].index
    for seed in range(20):
        local, memory, distant = mega_training_frames(index, 3, sampling, random.Random(seed))
        assert all(1 <= i <= 3 for i in local) and all(0 <= i <= 2 for i in memory)
        assert len(set(distant)) == 2
    still = clips.sources[1].index
    assert mega_training_frames(still, 1, sampling, random.Random(0)) == [[1] * 2, [1] * 3, [1] * 2]


def test_objects_are_filtered(tmp_path: Path, config: DataConfig):
    content = read_json(config.evaluation)
    kept, ignored, thin, outside, crowd, other = (dict(content["annotations"][0]) for _ in range(6))
    ignored["ignore"], crowd["iscrowd"] = True, True
    thin["bbox"], thin["area"] = [5, 5, 0.5, 10], 5
    outside["bbox"] = [100, 100, 5, 5]
    other["category_id"] = 77
    content["categories"].append({"id": 77, "name": "another class"})
    content["annotations"] = [kept, ignored, thin, outside, crowd, other]
    for number, annotation in enumerate(content["annotations"]):
        annotation["id"] = number
    path = write_json(tmp_path / "x.json", content)
    source = make_source(path, config.images_vid, config, train=False)
    boxes, labels = true_objects(source, 0)
    assert boxes.tolist() == [[2, 5, 22, 30]] and labels.tolist() == [0]


def test_an_unknown_class_is_named(config: DataConfig):
    wrong = replace(config, classes=(("mug", "n1"), ("spoon", "n2")))
    with pytest.raises(EgolibError, match="spoon"):
        make_source(config.evaluation, config.images_vid, wrong, train=False)
    assert len(class_names(DataConfig())) == 30


def test_images_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(EgolibError, match="does not exist"):
        read_image(tmp_path / "x.JPEG")
    (tmp_path / "y.JPEG").write_bytes(b"nothing")
    with pytest.raises(EgolibError, match="not a whole image"):
        read_image(tmp_path / "y.JPEG")


def test_images_are_read_as_opencv_reads_them_but_whole(tmp_path: Path):
    path = tmp_path / "x.JPEG"
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    cv2.imwrite(str(path), pixels)
    np.testing.assert_array_equal(read_image(path), cv2.imread(str(path)))
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(EgolibError, match="not a whole image"):
        read_image(path)


def test_test_videos(config: DataConfig):
    source = make_source(config.evaluation, config.images_vid, config, train=False)
    first, second = test_videos(source, config, InferConfig())
    assert len(first) == 5 and first.order == [0, 1, 2, 3, 4]
    assert second.number == 1 and second.image_id(0) == 6
    made = second.input(2)
    assert made is second.input(2) and made.size == (48, 64)
    shuffled = test_videos(source, config, InferConfig(shuffle_frames=True))
    assert shuffled[0].order[0] == 0 and sorted(shuffled[0].order) == [0, 1, 2, 3, 4]
    part = test_videos(source, config, InferConfig(), order=[5, 6, 7])
    assert len(part) == 1 and part[0].name == second.name


def test_companions_of_mega():
    shuffled = [4, 2, 0, 3, 1]
    near, far = mega_test_places(0, shuffled, window=5, position=2, size=3)
    assert near == [1, 2] and far == [0, 2, 4]
    near, far = mega_test_places(3, shuffled, window=5, position=2, size=3)
    assert near == [4] and far == [4]
    assert mega_test_places(0, [0], 25, 12, 10) == ([0] * 12, [0] * 10)
