from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.video.images import read_image, save_image
from egolib.vlp.data import transforms
from egolib.vlp.data.shot_views import cut_view, random_box, shot_views


@pytest.fixture
def shots(tmp_path: Path) -> list[list[Path]]:
    rng = np.random.default_rng(0)
    files = []
    for i in range(6):
        files.append(tmp_path / f"{i}.png")
        save_image(files[-1], rng.integers(0, 256, (40, 60, 3), np.uint8))
    return [files[:2], files[2:4], files[4:]]


def test_boxes_lie_in_the_picture_and_move_the_generator() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = [random_box(60, 40, generator) for _ in range(30)]
    assert len(set(boxes)) > 20
    for top, left, height, width in boxes:
        assert top >= 0 and top + height <= 40 and left >= 0 and left + width <= 60
        assert height * width >= 0.06 * 60 * 40
    again = torch.Generator().manual_seed(0)
    assert [random_box(60, 40, again) for _ in range(3)] == boxes[:3]


def test_the_default_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    random_box(60, 40, torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_whole_cut_is_the_picture() -> None:
    image = np.full((20, 20, 3), 255, np.uint8)
    view = cut_view(image, (0, 0, 20, 20), 10)
    assert view.shape == (3, 10, 10)
    assert view[0, 0, 0].item() == pytest.approx((1 - 0.485) / 0.229, abs=1e-5)


def test_official_crops_differ_within_a_shot_and_repeat_by_seed(shots: list) -> None:
    first = torch.cat(list(shot_views(shots, 16, seed=1, batch=2)))
    again = torch.cat(list(shot_views(shots, 16, seed=1, batch=3)))
    other = torch.cat(list(shot_views(shots, 16, seed=2)))
    assert first.shape == (3, 2, 3, 16, 16)
    assert torch.equal(first, again) and not torch.equal(first, other)
    same = [[shots[0][0], shots[0][0]]]
    (twice,) = shot_views(same, 16)
    assert not torch.equal(twice[0, 0], twice[0, 1])


def test_the_middle_instead(shots: list) -> None:
    (views,) = shot_views(shots, 16, crop="test")
    picture = transforms.as_tensor(read_image(shots[1][0])[None].copy())
    torch.testing.assert_close(views[1, 0], transforms.test_view(picture, 16)[0])


def test_a_missing_frame_is_named(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match=r"0001.jpg: the file does not exist"):
        next(shot_views([[tmp_path / "0001.jpg"]], 16))
