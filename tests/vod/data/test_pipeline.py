"""Image pipelines: sizes, boxes, conventions, draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from egolib.vod.config.data import PipelineConfig, c4, eovod
from egolib.vod.data.pipeline import (
    crop,
    fitted_size,
    fitted_size_pillow,
    flip,
    make_sample,
    prepare,
    prepare_clip,
    resize_to_fit,
)

IMAGE = np.random.default_rng(0).integers(0, 255, (30, 50, 3), dtype=np.uint8)
BOXES = np.array([[5.0, 6, 20, 25], [0.0, 0, 50, 30]], np.float32)


@pytest.mark.parametrize(
    ("size", "expected", "pillow"),
    [
        ((720, 1280), (563, 1000), (562, 999)),
        ((600, 800), (600, 800), (600, 800)),
        ((480, 640), (600, 800), (600, 800)),
        ((1280, 720), (1000, 563), (999, 562)),
        ((300, 300), (600, 600), (600, 600)),
    ],
)
def test_sizes(size, expected, pillow):
    assert fitted_size(size, 1000, 600) == expected
    assert fitted_size_pillow(size, 1000, 600) == pillow


def test_padding_follows_normalising():
    config = PipelineConfig(long_side=40, short_side=20, divisor=16)
    made = prepare(IMAGE, config)
    assert made.size == (20, 33) and made.pixels.shape == (3, 32, 48)
    assert (made.pixels[:, 20:] == 0).all() and (made.pixels[:, :, 33:] == 0).all()
    assert made.pixels.dtype == np.float32
    np.testing.assert_allclose(made.scale, [33 / 50, 20 / 30] * 2, rtol=1e-6)


def test_channel_orders():
    image = np.zeros((20, 20, 3), np.uint8)
    image[..., 0] = 255  # blue
    rgb = prepare(image, PipelineConfig(long_side=20, short_side=20, mean=(0, 0, 0), std=(1, 1, 1)))
    bgr = prepare(
        image, replace(eovod().pipeline, long_side=20, short_side=20, mean=(0.0, 0.0, 0.0))
    )
    assert rgb.pixels[2, 5, 5] == 255 and bgr.pixels[0, 5, 5] == 255
    assert bgr.pixels.shape == (3, 32, 32)


def test_boxes_follow_the_image():
    sample = make_sample(IMAGE, BOXES)
    resized = resize_to_fit(sample, PipelineConfig(long_side=100, short_side=60))
    np.testing.assert_allclose(resized.boxes, 2 * BOXES)
    mirrored = flip(sample)
    np.testing.assert_allclose(mirrored.boxes[0], [30, 6, 45, 25])
    np.testing.assert_array_equal(mirrored.image, IMAGE[:, ::-1])
    np.testing.assert_allclose(flip(sample, extent=1).boxes[0], [29, 6, 44, 25])


def test_the_last_pixel_counts_in_maskrcnn_benchmark():
    config = replace(c4().pipeline, long_side=50, short_side=30)
    resized = resize_to_fit(make_sample(IMAGE, BOXES), config)
    assert resized.boxes[1].tolist() == [0, 0, 49, 29]


def test_crop_drops_objects_outside():
    sample = make_sample(IMAGE, BOXES, np.array([3, 4]))
    part = crop(sample, 10, 30, (20, 20))
    assert part.image.shape == (20, 20, 3)
    assert part.labels.tolist() == [4] and part.boxes.tolist() == [[0, 0, 20, 20]]
    assert crop(make_sample(IMAGE, BOXES[:1]), 26, 30, (4, 4)).boxes.shape == (0, 4)


def clip_of(seed: int, config: PipelineConfig, count: int = 3):
    samples = [make_sample(IMAGE, BOXES, np.array([0, 1])) for _ in range(count)]
    return prepare_clip(samples, config, np.random.RandomState(seed))


SMALL_CROPS = PipelineConfig(
    augmentation="crops",
    short_sides=(32, 40),
    crop_short_sides=(30,),
    crop=(10, 20),
    augmented_long_side=90,
)


def test_all_frames_of_a_clip_flip_together():
    config = PipelineConfig(long_side=50, short_side=30)
    flipped = set()
    for seed in range(10):
        made = clip_of(seed, config)
        assert all(np.array_equal(m.pixels, made[0].pixels) for m in made)
        flipped.add(float(made[0].boxes[0, 0]))
    assert flipped == {5.0, 30.0}
    assert {float(clip_of(s, replace(config, flip=0.0))[0].boxes[0, 0]) for s in range(9)} == {5.0}


def test_crops_are_drawn_for_every_frame_officially_or_shared():
    differ = dict.fromkeys(("official", "shared"), 0)
    for seed in range(20):
        for rule in differ:
            made = clip_of(seed, replace(SMALL_CROPS, crop_draws=rule))
            assert len({m.pixels.shape for m in made}) == 1
            differ[rule] += not np.array_equal(made[0].pixels, made[1].pixels)
    assert differ["official"] > 4 and differ["shared"] == 0


def test_augmentation_repeats_with_its_seed():
    for one, two in zip(clip_of(3, SMALL_CROPS), clip_of(3, SMALL_CROPS), strict=False):
        np.testing.assert_array_equal(one.pixels, two.pixels)
        np.testing.assert_array_equal(one.boxes, two.boxes)


def test_no_objects():
    made = prepare_clip([make_sample(IMAGE)], SMALL_CROPS, np.random.RandomState(1))
    assert made[0].boxes.shape == (0, 4) and made[0].labels.shape == (0,)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [("rgb", [30, 20, 10]), ("bgr", [10, 20, 30]), ("grey", [22, 22, 22])],
)
def test_channels(channels, expected):
    """Grey is 0.114 blue + 0.587 green + 0.299 red, three times."""
    image = np.broadcast_to(np.array([10, 20, 30], np.uint8), (8, 8, 3))
    config = PipelineConfig(
        8, 8, channels=channels, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), divisor=1
    )
    assert prepare(image, config).pixels[:, 0, 0].tolist() == expected
