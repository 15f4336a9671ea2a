"""Tracking both ways from a frame in the middle.

Legend: N frames of the track.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from egolib.vq2d.localization.tracks import Followed
from egolib.vq2d.tracking.kys.tracker import KysTracker, Target, TrackStep

Frames = Callable[[int], np.ndarray]


def track_both_ways(
    tracker: KysTracker,
    frames: Frames,
    start_frame: int,
    end_frame: int,
    box_xyxy: Sequence[int],
    seed: int,
) -> Followed:
    """Back to frame 0, then forward to ``end_frame - 1``, each until the target is lost.

    The start box is kept as it is. Boxes are truncated to integers (x, y, width, height)
    and may leave the image; the frame in which the target is lost is left out.

    Args:
        tracker: of one direction.
        frames: gives the RGB frame (H, W, 3) uint8 of a clip frame.
        start_frame: where the box is known.
        end_frame: first frame after the search window.
        box_xyxy: its corners, integers.
        seed: of the random numbers.

    Official behaviour: the second direction starts anew on the same frame with random
    numbers that follow those of the first; ``directions: same_seed`` starts both from
    one target.
    """
    x1, y1, x2, y2 = (int(value) for value in box_xyxy)
    generator = torch.Generator().manual_seed(seed)
    frame, box = frames(start_frame), np.array([x1, y1, x2 - x1, y2 - y1], np.float64)
    target = tracker.start(frame, box, generator)
    forward: Target | None = None
    if tracker.config.directions == "same_seed":
        forward = target.copy(torch.Generator().set_state(generator.get_state()))
    rows = {start_frame: ((x1, y1, x2, y2), 1.0)}
    rows |= _follow(tracker, target, frames, range(start_frame - 1, -1, -1))
    if start_frame + 1 < end_frame:
        target = forward or tracker.start(frame, box, generator)
        rows |= _follow(tracker, target, frames, range(start_frame + 1, end_frame))
    numbers = sorted(rows)
    return Followed(
        np.array([[number, *rows[number][0]] for number in numbers], np.int64),
        np.array([rows[number][1] for number in numbers]),
    )


def _follow(
    tracker: KysTracker, target: Target, frames: Frames, numbers: range
) -> dict[int, tuple[tuple[int, int, int, int], float]]:
    found = {}
    for number in numbers:
        step: TrackStep = tracker.step(target, frames(number))
        if not step.found:
            break
        x, y, width, height = (int(value) for value in step.box_xywh)
        found[number] = ((x, y, x + width, y + height), step.response)
    return found
