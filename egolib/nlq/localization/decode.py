"""From scores and offsets of all points to ranked windows in seconds (section 8).

Shapes: P points, K classes, N candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from egolib.nlq.config import DataConfig, InferConfig
from egolib.ops import point_windows
from egolib.ops.point_windows import Candidates
from egolib.ops.segments import suppress

Floats = NDArray[np.float32]


def candidates(
    scores: Floats, offsets: Floats, lengths: tuple[int, ...], config: InferConfig
) -> Candidates:
    """The windows of one sample that are likely and long enough, see ``ops.point_windows``.

    Args:
        scores: (P, K) probabilities, 0 in the padding.
        offsets: (P, 2) in strides.
        lengths: points of each level.
        config: thresholds.
    """
    return point_windows.candidates(
        scores,
        offsets,
        lengths,
        score_threshold=config.score_threshold,
        per_level=config.candidates_per_level,
        shortest=config.duration_threshold,
    )


def decode(
    scores: Floats,
    offsets: Floats,
    lengths: tuple[int, ...],
    duration_sec: float,
    infer: InferConfig,
    data: DataConfig,
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Final windows (K, 2) in seconds, scores (K,) and labels (K,) of one sample, best first.

    Args:
        scores: (P, K) probabilities, 0 in the padding.
        offsets: (P, 2) in strides.
        lengths: points of each level.
        duration_sec: of the clip; windows are clipped to it.
        infer: thresholds and suppression.
        data: frame rate, stride and window of the features.
    """
    found = candidates(scores, offsets, lengths, infer)
    segments, kept, labels = suppress(found.segments, found.scores, found.labels, infer.suppression)
    return to_seconds(segments, duration_sec, infer.decode_offset, data), kept, labels


def to_seconds(
    segments: Floats, duration_sec: float, decode_offset: str, data: DataConfig
) -> Floats:
    """Windows (N, 2) in features as seconds inside the clip, float32.

    Official behaviour: half a feature window is added, which the training targets do
    not subtract, so a model that meets its targets is late by 0.267 s.

    Args:
        segments: (N, 2) windows in features.
        duration_sec: of the clip.
        decode_offset: ``official`` or ``consistent``.
        data: frame rate, stride and window of the features.
    """
    shift = 0.5 * data.window_frames if decode_offset == "official" else 0.0
    seconds = (segments * np.float32(data.stride_frames) + np.float32(shift)) / np.float32(data.fps)
    seconds = np.where(seconds <= 0, seconds * np.float32(0), seconds)
    return np.where(seconds >= duration_sec, np.float32(duration_sec), seconds)
