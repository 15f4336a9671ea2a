"""Which frames accompany a frame, in training and in testing; and the order of frames.

Randomness comes from ``random.Random``, whose draws are those of the published code.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from egolib.vod.config.data import ReferenceConfig
from egolib.vod.data.index import VideoIndex


def training_references(
    index: VideoIndex, image: int, config: ReferenceConfig, rng: random.Random
) -> list[int]:
    """Images (rows of the index) that accompany a training image, sorted by frame.

    A still image, or an empty window, gives copies of the image itself. Without a
    candidate the image is repeated; with too few, the first one drawn.

    Args:
        index: of the data set.
        image: the key frame, a row of it.
        config: how they are drawn.
        rng: of the draws.
    """
    if config.method == "none":
        return []
    if config.method == "stagewise_uniform":
        return _one_per_stage(index, image, config, rng)
    if index.is_still(image) or config.window == (0, 0):
        return [image] * config.number
    drawn = _draw(index, image, config, rng) or [image]
    drawn += [drawn[0]] * (config.number - len(drawn))
    return _by_frame(index, drawn)


def _draw(index: VideoIndex, image: int, config: ReferenceConfig, rng: random.Random) -> list[int]:
    frames = index.frames(int(index.video[image])).tolist()
    place = int(index.frame[image])
    first = max(0, place + config.window[0])
    last = min(place + config.window[1], len(frames) - 1)
    if config.method == "uniform":
        parts, number = [frames[first : last + 1]], config.number
    else:
        parts = [frames[first : place + 1], frames[place : last + 1]]
        number = config.number // 2
    drawn: list[int] = []
    for part in parts:
        if config.without_key and image in part:
            part.remove(image)
        drawn += rng.sample(part, min(number, len(part)))
    return drawn


def _one_per_stage(
    index: VideoIndex, image: int, config: ReferenceConfig, rng: random.Random
) -> list[int]:
    """One image for each window, in the order of the stages."""
    if index.is_still(image):
        return [image] * len(config.reach)
    frames = index.frames(int(index.video[image])).tolist()
    place, chosen = int(index.frame[image]), []
    for reach in config.reach:
        part = frames[max(0, place - reach) : place + reach + 1]
        if config.without_key and len(part) > 1:
            part.remove(image)
        chosen.append(rng.choice(part))
    return chosen


def test_places(place: int, length: int, config: ReferenceConfig) -> list[int]:
    """Places in a video of the frames that come with the frame at ``place``, ascending.

    ``adaptive_stride``: spread over the whole video, with frame 0 only.
    ``fixed_stride``: frame 0 brings the whole first window, then every frame at a
    multiple of the stride brings the next one.

    Args:
        place: of the frame.
        length: frames of the video.
        config: how references are chosen.
    """
    if config.method == "adaptive_stride" and place == 0:
        return spread_evenly(length, config.window[1] - config.window[0])
    if config.method == "fixed_stride":
        return window_frames(place, length, config)
    return []


def spread_evenly(length: int, number: int) -> list[int]:
    """``number`` places from the first to the last of ``length``, halves rounded to even."""
    stride = (length - 1) / (number - 1) if number > 1 else 0.0
    return [round(i * stride) for i in range(number)]


def window_frames(place: int, length: int, config: ReferenceConfig) -> list[int]:
    """Places that enter a sliding window with the frame at ``place``.

    Args:
        place: of the frame.
        length: frames of the video.
        config: window and stride.
    """
    last, ahead = length - 1, config.window[1]
    if place == 0:
        before = [0] * (1 - config.window[0])
        return before + [min(round(i * config.stride), last) for i in range(1, ahead + 1)]
    if place % config.stride == 0:
        return [min(round(place + ahead * config.stride), last)]
    return []


def test_order(index: VideoIndex, shuffle_seed: int | None = None) -> list[int]:
    """All images in the order of testing, video by video.

    Args:
        index: of the data set.
        shuffle_seed: shuffle every video's frames but its first, one generator for all
            videos. The published MAMBA numbers use 10.
    """
    rng = random.Random(shuffle_seed)
    order: list[int] = []
    for video in range(len(index.video_id)):
        frames = index.frames(video).tolist()
        rest = frames[1:]
        if shuffle_seed is not None:
            rng.shuffle(rest)
        order += [*frames[:1], *rest]
    return order


def split_videos(index: VideoIndex, order: Sequence[int], ranks: int) -> list[list[int]]:
    """The images of every rank: whole videos, in contiguous blocks of similar length.

    A new rank starts at a video when the frames since the rank's start exceed
    images // ranks; the last rank takes the rest.

    Args:
        index: of the data set.
        order: its images in the order of testing.
        ranks: how many.
    """
    videos = index.video[np.asarray(order)]
    starts = np.flatnonzero(np.diff(videos, prepend=-2)).tolist()
    length, cuts = len(order) // ranks, [0]
    for start in starts:
        if start - cuts[-1] > length and len(cuts) < ranks:
            cuts.append(start)
    cuts += [len(order)] * (ranks + 1 - len(cuts))
    return [list(order[a:b]) for a, b in pairwise(cuts)]


def _by_frame(index: VideoIndex, images: list[int]) -> list[int]:
    return sorted(images, key=lambda image: index.frame[image])


test_places.__test__ = test_order.__test__ = False  # type: ignore[attr-defined]
