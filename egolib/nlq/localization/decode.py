"""From scores and offsets of all points to ranked windows in seconds (section 8).

Shapes: P points, K classes, N candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from egolib.nlq.config import DataConfig, InferConfig
from egolib.ops.segments import suppress

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """Windows before suppression, levels from fine to coarse, each sorted by score.

    Args:
        segments: (N, 2) float32, in features.
        scores: (N,) float32.
        labels: (N,) int64.
    """

    segments: Floats
    scores: Floats
    labels: NDArray[np.int64]


def candidates(
    scores: Floats, offsets: Floats, lengths: tuple[int, ...], config: InferConfig
) -> Candidates:
    """The windows of one sample that are likely and long enough.

    Equal scores keep the order of the points.

    Args:
        scores: (P, K) probabilities, 0 in the padding.
        offsets: (P, 2) in strides.
        lengths: points of each level.
        config: thresholds.
    """
    parts = []
    start = 0
    for level, length in enumerate(lengths):
        part = slice(start, start + length)
        parts.append(_level(scores[part], offsets[part], np.float32(2**level), config))
        start += length
    return Candidates(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _level(
    scores: Floats, offsets: Floats, stride: np.float32, config: InferConfig
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    flat = scores.reshape(-1)  # point * K + class
    index = np.flatnonzero(flat > config.score_threshold)
    index = index[np.argsort(-flat[index], kind="stable")[: config.candidates_per_level]]
    point, label = np.divmod(index, scores.shape[1])
    position = point.astype(np.float32) * stride
    reach = offsets[point] * stride
    segments = np.stack([position - reach[:, 0], position + reach[:, 1]], 1)
    long_enough = segments[:, 1] - segments[:, 0] > config.duration_threshold
    return segments[long_enough], flat[index][long_enough], label[long_enough]


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
