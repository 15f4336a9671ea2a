"""From the network's outputs for a clip to scored candidates of every class (section 10).

A boxes, K classes, T positions, N candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from egolib.mq.config import InferConfig, ModelConfig
from egolib.mq.localization.suppression import nms_by_class

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Proposals:
    """Scored candidates of a clip, class by class.

    Args:
        segments_sec: (N, 2) float64, in seconds of the clip.
        scores: (N,) float64.
        labels: (N,) int64 classes, 1 to K - 1.
    """

    segments_sec: Floats
    scores: Floats
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class ClipOutputs:
    """The network's outputs for one clip, as arrays.

    Args:
        scores: (A, K) float32 class probabilities.
        boxes: (A, 2) float32 adjusted boxes in features.
        startness: (T,) float32.
        endness: (T,) float32.
    """

    scores: Floats
    boxes: Floats
    startness: Floats
    endness: Floats


def propose(
    outputs: ClipOutputs,
    valid: int,
    fps: float,
    config: InferConfig,
    *,
    first_feat: int = 0,
    stitched: ModelConfig | None = None,
) -> Proposals:
    """The candidates of one clip (or window) after hard suppression within each class.

    A score is the class probability times the startness at the start times the endness at
    the end.

    Official behaviour: the curves are read before boxes are clipped to the clip, so that
    those which reach into the padding take its values; no candidate ends later than the
    last feature, (n - 1) / fps.

    Args:
        outputs: of the network.
        valid: features n of the clip.
        fps: features a second.
        config: thresholds.
        first_feat: first feature of the window in its clip.
        stitched: the network's sizes where the window stands beside its stretched copy;
            boxes in the copy are then moved back.
    """
    inside = outputs.boxes.clip(0, len(outputs.startness) - 1)
    ends = _at(outputs.startness, inside[:, 0]) * _at(outputs.endness, inside[:, 1])
    if stitched is not None:
        inside = unstitch(inside, valid, stitched)
    inside = inside.clip(0, valid - 1)
    probability = outputs.scores[:, 1:].T  # K-1 A
    scores = (probability * ends).astype(np.float64)
    kept = nms_by_class(
        inside, scores, probability > np.float32(config.score_threshold), config.nms_iou
    )
    boxes = np.concatenate(kept)
    labels = np.repeat(np.arange(1, len(kept) + 1), [len(picks) for picks in kept])
    return Proposals(
        segments_sec=(inside[boxes].astype(np.float64) + first_feat) / fps,
        scores=scores[labels - 1, boxes],
        labels=labels,
    )


def unstitch(boxes: Floats, valid: int, model: ModelConfig) -> Floats:
    """Boxes (A, 2) with those that start in the stretched copy moved back to the original.

    Args:
        boxes: in positions of the stitched window.
        valid: features of the original.
        model: scale and gap.
    """
    copied = boxes[:, :1] >= valid
    first = valid + model.stitch_gap
    back = (boxes - first) / (model.length - first) * valid
    return np.where(copied, back, boxes).astype(boxes.dtype)


def _at(curve: Floats, position: Floats) -> Floats:
    """(A,) mean of the curve's values at the positions below and above."""
    low, high = np.floor(position).astype(int), np.ceil(position).astype(int)
    mean: Floats = (curve[high] + curve[low]) / 2
    return mean


def merge(parts: list[Proposals]) -> Proposals:
    """The candidates of several windows of one clip, one after the other."""
    return Proposals(
        np.concatenate([part.segments_sec for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
