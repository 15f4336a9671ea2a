"""Detections of finished videos on disk."""

from __future__ import annotations

import numpy as np

from egolib.metrics.detection import Boxes
from egolib.vod.formats.submission import DetectionSet
from egolib.vod.result_cache import KeptDetections, join

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


def test_only_what_is_whole_and_of_these_images_is_taken(tmp_path):
    kept = KeptDetections(tmp_path / "videos" / "a")
    kept.put("val/one", detections([0, 1], [5, 6]))
    found = kept.get("val/one", [5, 6])
    assert found is not None and found.boxes.frame.tolist() == [0, 1]
    assert kept.get("val/one", [6, 5]) is None and kept.get("val/two", [5, 6]) is None
    next(kept.folder.glob("*.npz")).write_bytes(b"half a file")
    assert kept.get("val/one", [5, 6]) is None


def test_other_weights_take_nothing_over(tmp_path):
    KeptDetections(tmp_path / "videos" / "a").put("one", detections([0], [1]))
    other = KeptDetections(tmp_path / "videos" / "b")
    assert other.get("one", [1]) is None and not (tmp_path / "videos" / "a").exists()
    other.clear()
    assert not (tmp_path / "videos").exists()


def test_joined_frames_are_counted_on():
    whole = join([detections([0, 0], [3]), detections([], [4]), detections([1], [9, 8])], NAMES)
    assert whole.image_id.tolist() == [3, 4, 9, 8]
    assert whole.boxes.frame.tolist() == [0, 0, 3] and whole.boxes.box.shape == (3, 4)
    empty = join([], NAMES)
    assert len(empty.boxes) == 0 and len(empty.image_id) == 0
