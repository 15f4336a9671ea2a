"""Training items and batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.video.images import save_image
from egolib.vq2d.config import AugmentConfig
from egolib.vq2d.data.annotations import from_content, processed
from egolib.vq2d.data.dataset import TrainingSet, stored_sizes
from egolib.vq2d.data.images import image_name
from egolib.vq2d.data.samples import VARIANTS, build_samples
from tests.vq2d import made

CFG = AugmentConfig(short_sides=(48, 60), long_side=120)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number, frame in enumerate(made.moving_square(30)):
        save_image(tmp_path / image_name("clip", number), frame)
    return tmp_path


def training_set(images: Path, config: AugmentConfig | None = CFG) -> TrainingSet:
    items = processed(from_content(made.two_queries()))
    variant = replace(VARIANTS["visual_query_clean_aug_neg"], pairs_limit=2)
    samples = build_samples(items, variant, stored_sizes(images), seed=0)
    return TrainingSet(samples, images, config, test_sides=(48, 96))


def test_items_are_random_only_by_their_generator(images: Path) -> None:
    data = training_set(images)
    one, two = (data.sample(3, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(one.frame, two.frame) and torch.equal(one.reference, two.reference)
    assert one.seed == two.seed
    other = data.sample(3, np.random.default_rng(6))
    assert other.seed != one.seed


def test_shapes_and_negatives(images: Path) -> None:
    data = training_set(images)
    items = [data.sample(i, np.random.default_rng(i)) for i in range(len(data))]
    assert {len(item.boxes) for item in items} == {0, 1}  # with and without the object
    for item in items:
        assert item.frame.dtype == item.reference.dtype == torch.uint8
        assert item.reference.shape == (3, 256, 256)
    batch = data.collate(items[:3])
    assert batch.references.shape == (3, 3, 256, 256) and len(batch.frames) == 3


def test_images_are_bgr(images: Path) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[:, :, 0] = 200
    data = training_set(images, None)
    save_image(images / data.samples[0].frame.file, red)
    frame = data.sample(0, np.random.default_rng(0)).frame
    assert frame[2].float().mean() > 190 and frame[0].float().mean() < 10


def test_without_augmentation_nothing_is_random(images: Path) -> None:
    data = training_set(images, None)
    one, two = (data.sample(0, np.random.default_rng(seed)) for seed in (0, 1))
    assert torch.equal(one.frame, two.frame) and torch.equal(one.reference, two.reference)
    assert not one.without_object


def test_objects_removed_and_cells_hidden(images: Path) -> None:
    data = training_set(images, replace(CFG, object_removed=1.0, masked_fraction=0.5))
    item = data.sample(0, np.random.default_rng(0))
    assert item.without_object
    assert (item.reference[0] == 103).float().mean() > 0.3


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match="no training samples"):
        TrainingSet([], tmp_path, CFG)


def test_stored_sizes(images: Path) -> None:
    size = stored_sizes(images)
    assert size("clip/frame_0000001.jpg") == made.SIZE and size("clip/none.jpg") is None
    (images / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(EgolibError, match="bad.jpg"):
        size("bad.jpg")
