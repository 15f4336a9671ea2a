"""From the scores of every frame to the frame where tracking starts.

Legend: F frames of the search window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from egolib.vq2d.config import PeakConfig


@dataclass(frozen=True)
class Peak:
    """A peak of the smoothed curve.

    Args:
        index: position in the search window.
        height: smoothed score there.
        prominence: how far it stands above the higher of the two valleys beside it.
        margin: height over the next best peak; over 0 where it is the only one.
    """

    index: int
    height: float
    prominence: float
    margin: float


@dataclass(frozen=True)
class Curve:
    """The score curve of a query.

    Args:
        frames: (F,) int, clip frames of the window.
        raw: (F,) best score of every frame, 0 for a frame without boxes.
        smoothed: (F,) after the median filter.
        peaks: ascending in time.
    """

    frames: np.ndarray
    raw: np.ndarray
    smoothed: np.ndarray
    peaks: tuple[Peak, ...]


def search_window(query_frame: int, config: PeakConfig) -> np.ndarray:
    """Clip frames that are searched, (F,): the last part before the query, thinned out.

    A fraction that would leave nothing keeps everything.
    """
    frames = np.arange(query_frame)
    kept = round(query_frame * config.recency_factor)
    if kept:
        frames = frames[-kept:]
    number = int(config.subsampling_factor * len(frames))
    if number:
        frames = frames[np.linspace(0, len(frames) - 1, number).astype(int)]
    return frames


def best_scores(scores: Sequence[Sequence[float]]) -> np.ndarray:
    """(F,) best score of every frame; 0 for a frame without boxes."""
    return np.array([max(frame, default=0.0) for frame in scores], np.float64)


def median_filter(values: np.ndarray, size: int, ends: str = "official") -> np.ndarray:
    """(F,) running median over ``size`` values (one more where ``size`` is even).

    Args:
        values: (F,) scores.
        size: frames of the window.
        ends: ``official`` or ``reflect``.

    Official behaviour: zeros are assumed beyond both ends, which pulls down exactly the
    most recent frames. ``reflect`` mirrors the curve at its ends instead.
    """
    if not len(values):
        return values.copy()
    half = (size + (size % 2 == 0)) // 2
    padded = np.pad(values, half, mode="constant" if ends == "official" else "symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return np.sort(windows, axis=1)[:, half]


def find_curve(frames: np.ndarray, raw: np.ndarray, config: PeakConfig) -> Curve:
    """Smooths the curve and finds its peaks.

    Args:
        frames: (F,) clip frames.
        raw: (F,) best score of every frame.
        config: smoothing and peaks.

    Official behaviour: a peak needs lower frames on both sides, so that an object in
    view up to the query gives none, and ``wlen`` is set but never used.
    ``curve_ends: reflect`` lets a curve end at its peak.
    """
    smoothed = median_filter(raw, config.smoothing_sigma, config.curve_ends)
    pad = 0 if config.curve_ends == "official" else config.width + 1
    floor = min(smoothed.min(initial=0.0), 0.0)
    signal = np.pad(smoothed, pad, constant_values=floor)
    places, found = find_peaks(
        signal, distance=config.distance, width=config.width, prominence=config.prominence
    )
    places = np.clip(places - pad, 0, max(len(smoothed) - 1, 0))
    heights = smoothed[places]
    return Curve(frames, raw, smoothed, _peaks(places, heights, found["prominences"]))


def high_peaks(curve: Curve, config: PeakConfig) -> list[Peak]:
    """The peaks that are high enough, ascending in time."""
    threshold = config.threshold
    if config.threshold_kind == "relative":
        threshold *= curve.smoothed.max(initial=0.0)
    return [peak for peak in curve.peaks if peak.height >= threshold]


def _peaks(places: np.ndarray, heights: np.ndarray, prominences: np.ndarray) -> tuple[Peak, ...]:
    best_other = [max(np.delete(heights, i), default=0.0) for i in range(len(heights))]
    return tuple(
        Peak(int(place), float(height), float(prominence), float(height - other))
        for place, height, prominence, other in zip(
            places, heights, prominences, best_other, strict=True
        )
    )
