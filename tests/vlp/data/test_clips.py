from __future__ import annotations

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.vlp.data.clips import UnreadableClip, View, load_clip

VIEW = View(frames=3, side=16)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 24, 32, 3), np.uint8)


def broken() -> np.ndarray:
    raise EgolibError("the video is truncated")


def test_missing_frames_are_zeros_after_normalisation() -> None:
    clip = load_clip(lambda: pictures(2), VIEW)
    assert clip.video.shape == (3, 3, 16, 16) and clip.read_error is None
    assert clip.video[1].any() and not clip.video[2].any()


def test_an_unreadable_clip_is_one_black_picture_and_zeros() -> None:
    clip = load_clip(broken, VIEW)
    assert clip.read_error == "the video is truncated"
    assert clip.video[0, 0].unique().tolist() == pytest.approx([-0.485 / 0.229])
    assert not clip.video[1:].any()


@pytest.mark.parametrize("policy", ["skip", "error"])
def test_other_policies_raise(policy: str) -> None:
    with pytest.raises(UnreadableClip, match="record 7"):
        load_clip(broken, VIEW, unreadable=policy, record=7)  # type: ignore[arg-type]


def test_frames_past_the_end_are_unreadable_too() -> None:
    def read() -> np.ndarray:
        raise IndexError("frame 9 of 5")

    assert load_clip(read, VIEW).read_error == "frame 9 of 5"


def test_training_views_depend_on_the_generator_alone() -> None:
    first, second, third = (
        load_clip(lambda: pictures(3), VIEW, rng=np.random.default_rng(seed)).video
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, second) and not torch.equal(first, third)
