"""Video self-stitching: a short window beside a stretched copy of itself.

From VSGN's first release (THUMOS-14; arXiv 2011.14598, section 3.1); neither published
EgoMQ code stitches. N features of a video, T positions, D feature width, M moments.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from egolib.mq.config import DataConfig, ModelConfig

Floats = NDArray[np.floating]
Span = tuple[int, int]


@dataclass(frozen=True)
class Stitched:
    """A window as the network sees it.

    Args:
        features: (D, T) float32.
        valid: features of the original window.
        moments_feat: (M', 2) moments in positions, those of the copy behind the originals.
        chosen: (M',) int64 which given moment each one is.
    """

    features: Floats
    valid: int
    moments_feat: Floats
    chosen: NDArray[np.int64]


# ----------------------------------------------------------------------------- windows


def training_windows(
    moments_feat: Floats, count: int, model: ModelConfig, data: DataConfig, rng: random.Random
) -> list[Span]:
    """First and last feature of each training window of a video.

    Every quarter of the scale a window begins; it counts when it holds a whole moment. Long
    windows are cut to short ones around their short moments, too, if ``data.stitching``.

    Args:
        moments_feat: (M, 2) in features, in file order.
        count: features N of the video.
        model: scale and which windows are short.
        data: whether to cut, and how long.
        rng: Python's generator, with which the official code draws.
    """
    rounded = [(round(float(start)), round(float(end))) for start, end in moments_feat]
    windows: list[Span] = []
    for first, last in inference_windows(count, model.length):
        if any(start >= first and end <= last for start, end in rounded):
            windows.append((first, last))
        if data.stitching == "vsgn" and last - first + 1 > model.short_fraction * model.length:
            size = round(data.window_fraction * model.length)
            windows += short_windows(rounded, (first, last), size, rng)
    return windows


def inference_windows(count: int, length: int) -> list[Span]:
    """First and last feature of each window of a video with so many features."""
    return [(first, min(first + length, count) - 1) for first in range(0, count, length // 4)]


def short_windows(
    moments: Sequence[Span], window: Span, size: int, rng: random.Random
) -> list[Span]:
    """Windows of at most ``size`` features around the short moments of a window.

    A moment opens a cut that starts somewhere before it. Moments inside the cut extend what
    it holds; one that reaches out of it ends the cut where it starts.

    Args:
        moments: first and last feature of each moment, in file order.
        window: first and last feature that a cut may have.
        size: longest cut, and longest moment that opens one.
        rng: draws where a cut starts.
    """
    cuts: list[Span] = []
    open_cut: Span | None = None
    previous_end = 0
    for start, end in moments:
        if start < window[0] or end > window[1] or start < previous_end:
            continue
        if open_cut is not None:
            if end <= open_cut[1]:
                previous_end = end
                continue
            cuts.append((open_cut[0], min(open_cut[1], start)))
            open_cut = None
        if end - start + 1 <= size:
            open_cut = _cut(start, end, window, previous_end, size, rng)
        previous_end = end
    return cuts if open_cut is None else [*cuts, open_cut]


def _cut(
    start: int, end: int, window: Span, previous_end: int, size: int, rng: random.Random
) -> Span:
    length = end - start + 1
    drawn = rng.uniform(start - (size - length), start)
    first = round(max(window[0], drawn, previous_end))
    return first, round(min(first + size, window[1]))


# ------------------------------------------------------------------------------- items


def stitch(features: Floats, moments_feat: Floats, window: Span, model: ModelConfig) -> Stitched:
    """One window; stitched to its stretched copy where it is short.

    Args:
        features: (N, D) of the whole video.
        moments_feat: (M, 2) in features of the video.
        window: first and last feature.
        model: scale, gap and which windows are short.
    """
    first, last = window
    content = np.asarray(features[first : last + 1], np.float32).T[:, : model.length]  # D m
    valid = content.shape[1]
    inside = (np.rint(moments_feat[:, 0]) >= first) & (np.rint(moments_feat[:, 1]) <= last)
    chosen = np.flatnonzero(inside)
    moments = np.asarray(moments_feat, float)[chosen] - first
    originals = np.clip(np.rint(moments), 0, valid - 1)
    padded = np.zeros((content.shape[0], model.length), np.float32)
    padded[:, :valid] = content
    if valid > model.short_fraction * model.length:
        return Stitched(padded, valid, originals, chosen)
    copy = model.length - valid - model.stitch_gap  # features of the stretched copy
    padded[:, valid + model.stitch_gap :] = _stretch(content, copy)
    stretched = np.clip(np.rint(moments / valid * copy), 0, copy - 1) + valid + model.stitch_gap
    both = np.concatenate([originals, stretched])
    return Stitched(padded, valid, both, np.concatenate([chosen, chosen]))


def _stretch(content: Floats, length: int) -> Floats:
    """(D, length) content (D, m) interpolated linearly, ends aligned."""
    stretched = torch.nn.functional.interpolate(
        torch.from_numpy(content)[None], length, mode="linear", align_corners=True
    )
    return stretched[0].numpy()
