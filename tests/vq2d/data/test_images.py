"""Which images are stored, and their names."""

from __future__ import annotations

import pytest

from egolib.vq2d.data.images import image_name, images_of_clip, negative_frames
from tests.vq2d import made


def test_names_count_from_one() -> None:
    assert image_name("c", 0) == "c/frame_0000001.jpg"
    assert image_name(None, 72, ".png") == "None/frame_0000073.png"


@pytest.mark.parametrize(
    ("track", "query_frame", "expected"),
    [([], 9, []), ([5, 6, 7], 10, [8, 9]), ([5, 6, 7], 8, []), ([3], 9, [4]), ([3, 5], 9, [6, 8])],
)
def test_negative_frames(track: list, query_frame: int, expected: list) -> None:
    assert negative_frames(track, query_frame) == expected


def clip() -> dict:
    first = made.annotation("a", made.query(9, [made.box(4, 0, 0, 1, 1), made.box(3, 0, 0, 1, 1)]))
    second = made.annotation("b", made.query(20, made.track(10, 1)), {"is_valid": False})
    return made.clip("c", [first, second]) | {"video_start_frame": 100}


def numbers(**options) -> list[int]:
    return [(image.video_frame - 100) // 6 for image in images_of_clip(clip(), 6, **options)]


def test_the_first_annotation_only_is_official() -> None:
    assert numbers() == [10, 4, 3]  # crop first, the track in file order


def test_all_annotations_with_negatives() -> None:
    assert numbers(annotations="all", negatives=True) == [10, 3, 4, 5, 6, 21, 10, 11]


def test_a_clip_without_annotations() -> None:
    assert images_of_clip(clip() | {"annotations": []}, 6) == []
