"""Detections of several videos as one set."""

from __future__ import annotations

import numpy as np

from egolib.metrics.detection import Boxes
from egolib.vod.formats.submission import DetectionSet, join

NAMES = ("mug", "jar")


def detections(frames: list[int], image_id: list[int]) -> DetectionSet:
    count = len(frames)
    boxes = Boxes(
        np.array(frames, np.int64),
        np.zeros(count, np.int64),
        np.arange(4 * count, dtype=np.float32).reshape(-1, 4),
        np.linspace(1, 0, count, dtype=np.float32),
    )
    return DetectionSet(boxes, np.array(image_id, np.int64), NAMES)


def test_joined_frames_are_counted_on():
    whole = join([detections([0, 0], [3]), detections([], [4]), detections([1], [9, 8])], NAMES)
    assert whole.image_id.tolist() == [3, 4, 9, 8]
    assert whole.boxes.frame.tolist() == [0, 0, 3] and whole.boxes.box.shape == (3, 4)
    empty = join([], NAMES)
    assert len(empty.boxes) == 0 and len(empty.image_id) == 0
