"""References: edges of windows, short videos, stills; order and shares of test frames."""

from __future__ import annotations

import random

import pytest

from egolib.vod.config.data import ReferenceConfig, mamba, tdvit
from egolib.vod.data.index import VideoIndex, make_index
from egolib.vod.data.references import (
    split_videos,
    spread_evenly,
    test_order,
    test_places,
    training_references,
    window_frames,
)


def videos(*lengths: int, stills: int = 0) -> VideoIndex:
    images = [
        {"video_id": v, "frame_id": f} for v, length in enumerate(lengths, 1) for f in range(length)
    ] + [{}] * stills
    content = {
        "categories": [],
        "annotations": [],
        "videos": [{"id": v, "name": f"v{v}"} for v in range(1, len(lengths) + 1)],
        "images": [
            {"id": i, "file_name": "f", "height": 9, "width": 9, **image}
            for i, image in enumerate(images, start=1)
        ],
    }
    return make_index(content)


def draw(index: VideoIndex, image: int, config: ReferenceConfig, seed: int = 0) -> list[int]:
    return training_references(index, image, config, random.Random(seed))


BOTH_SIDES = ReferenceConfig("bilateral_uniform", 2, (-9, 9))


def test_stills_are_repeated():
    index = videos(3, stills=1)
    assert draw(index, 3, BOTH_SIDES) == [3, 3]
    assert draw(index, 3, tdvit().train_references) == [3] * 4
    assert draw(index, 3, ReferenceConfig()) == []


def test_a_video_of_one_frame_repeats_it():
    assert draw(videos(1), 0, BOTH_SIDES) == [0, 0]


def test_at_the_borders_the_first_drawn_fills_up():
    index = videos(30)
    for seed in range(20):
        first = draw(index, 0, BOTH_SIDES, seed)
        assert first[0] == first[1] and 1 <= first[0] <= 9
        middle = draw(index, 15, BOTH_SIDES, seed)
        assert 6 <= middle[0] < 15 < middle[1] <= 24


def test_uniform_may_include_the_frame_itself():
    index, config = videos(30), ReferenceConfig("uniform", 1, (-1, 1), without_key=False)
    drawn = {draw(index, 5, config, seed)[0] for seed in range(30)}
    assert drawn == {4, 5, 6}
    without = ReferenceConfig("uniform", 1, (-1, 1))
    assert {draw(index, 5, without, seed)[0] for seed in range(30)} == {4, 6}


def test_references_come_from_anywhere_for_mamba():
    index = videos(500, 400)
    drawn = [draw(index, 700, mamba().train_references, seed) for seed in range(50)]
    assert all(500 <= a < 700 < b < 900 for a, b in drawn)
    assert max(b - 700 for _, b in drawn) > 150


def test_one_reference_a_stage_in_the_order_of_the_stages():
    index, config = videos(100), tdvit().train_references
    for seed in range(20):
        drawn = draw(index, 50, config, seed)
        assert len(drawn) == 4 and 50 not in drawn
        assert all(abs(d - 50) <= reach for d, reach in zip(drawn, config.reach, strict=False))
    assert draw(videos(1), 0, config) == [0] * 4


@pytest.mark.parametrize(
    ("length", "number", "expected"),
    [
        (1, 3, [0, 0, 0]),
        (5, 5, [0, 1, 2, 3, 4]),
        (4, 3, [0, 2, 3]),
        (2, 4, [0, 0, 1, 1]),
        (7, 1, [0]),
    ],
)
def test_spread_rounds_halves_to_even(length: int, number: int, expected: list[int]):
    assert spread_evenly(length, number) == expected


def test_sliding_windows():
    config = ReferenceConfig("fixed_stride", 4, (-2, 2), stride=2)
    assert window_frames(0, 10, config) == [0, 0, 0, 2, 4]
    assert window_frames(1, 10, config) == []
    assert window_frames(2, 10, config) == [6]
    assert window_frames(8, 10, config) == [9]
    assert test_places(3, 10, ReferenceConfig("adaptive_stride", 4, (-2, 2))) == []
    assert test_places(0, 10, ReferenceConfig("adaptive_stride", 4, (-2, 2))) == [0, 3, 6, 9]
    assert test_places(0, 10, ReferenceConfig()) == []


def test_order_keeps_videos_together_and_their_first_frame_first():
    index = videos(5, 4)
    assert test_order(index) == list(range(9))
    order = test_order(index, 10)
    assert order[0] == 0 and order[5] == 5
    assert sorted(order[:5]) == [0, 1, 2, 3, 4] and order != list(range(9))
    assert order == test_order(index, 10)


def test_ranks_get_whole_videos():
    index = videos(4, 3, 5, 2, 6)
    parts = split_videos(index, test_order(index), 3)
    assert [len(p) for p in parts] == [7, 7, 6]
    assert [i for part in parts for i in part] == list(range(20))
    starts = {0, 4, 7, 12, 14}
    assert all(p[0] in starts for p in parts)
    assert split_videos(index, test_order(index), 1) == [list(range(20))]
    many = split_videos(videos(3), [0, 1, 2], 4)
    assert sorted(map(len, many)) == [0, 0, 0, 3]
