"""Times and lengths of clips."""

from __future__ import annotations

import pytest

from egolib.vq2d.data.frames import clip_frame_sec, right_duration


def test_clip_frame_sec() -> None:
    assert clip_frame_sec(0, 7.5) == 7.5
    assert clip_frame_sec(11, 60.0) == pytest.approx(62.2)


@pytest.mark.parametrize(
    ("frames", "fps", "right"), [(50, 5, True), (46, 5, True), (45, 5, False), (50, 0, False)]
)
def test_right_duration(frames: int, fps: float, right: bool) -> None:
    assert right_duration(frames, fps, 100.0, 110.0) is right
