from __future__ import annotations

from collections.abc import Callable

import numpy as np

from egolib.world.degrade import is_sharp, runs
from egolib.world.library import World


def test_runs() -> None:
    assert runs(np.zeros(0, bool)).tolist() == []
    assert runs(np.array([False, False])).tolist() == []
    assert runs(np.array([True, True])).tolist() == [[0, 2]]
    assert runs(np.array([True, False, True])).tolist() == [[0, 1], [2, 3]]


def test_sharp_means_neither_blur() -> None:
    sharp = is_sharp(np.array([0.0, 3.0, 0.0]), np.array([0.5, 0.5, 0.5]), np.array([1.0, 1.0, 20]))
    assert sharp.tolist() == [True, False, False]


def test_share_of_degraded_views_and_two_sharp_ones(logs: Callable[..., World]) -> None:
    """35 to 45 % of the object views; every visit of a second or more has two sharp views."""
    views = degraded = 0
    for video in logs(train_videos=20).of("train"):
        visible = video.visible[:, : len(video.episode.room.instances)]
        views += visible.sum()
        degraded += (visible & video.truth.degraded[:, None]).sum()
        for obj in range(visible.shape[1]):
            for start, end in runs(visible[:, obj]):
                if end - start >= video.settings.fps:
                    assert video.truth.sharp[start:end].sum() >= 2
    assert 0.35 <= degraded / views <= 0.45
