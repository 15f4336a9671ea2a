"""Which rows of a feature store belong to a clip, and where its moments lie. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from egolib.errors import EgolibError
from egolib.io.features import Store
from egolib.io.records import Skipped
from egolib.mq.config import DataConfig
from egolib.mq.data.annotations import Clip
from egolib.progress import track

Floats = NDArray[np.floating]
Rows = tuple[int, int, float]


def clip_features(clip: Clip, store: Store, data: DataConfig) -> tuple[Floats, float]:
    """Features (n, D) of a clip, and how many there are in a second.

    Args:
        clip: which one.
        store: by clip uid, or by video uid.
        data: the layout.

    Raises:
        EgolibError: no features, or the clip has none of the video's; NaN or infinity.
    """
    uid = features_uid(clip, data)
    rows = store.get(uid)
    first, last, fps = clip_rows(clip, len(rows), data)
    rows = rows[first:last]
    if not np.isfinite(rows).all():
        place = getattr(store, "path", None)
        raise EgolibError("the features hold NaN or infinity", file=place, record=uid)
    return rows, fps


def stored_rows(
    clips: Iterable[Clip], store: Store, data: DataConfig
) -> tuple[dict[str, int], Skipped]:
    """How many rows the store has of each clip or video, by uid, and clips without usable ones.

    Args:
        clips: any.
        store: by clip uid, or by video uid; every array is read.
        data: the layout.
    """
    rows: dict[str, int] = {}
    unreadable = Skipped()
    for clip in track(list(clips), "checking features", unit="clip"):
        uid = features_uid(clip, data)
        try:
            rows[uid] = rows.get(uid) or len(store.get(uid))
            clip_rows(clip, rows[uid], data)
        except EgolibError as error:
            unreadable.add(clip.clip_uid, error)
    return rows, unreadable


def features_uid(clip: Clip, data: DataConfig) -> str:
    """The name that a clip's features are stored under: its own, or its video's."""
    return clip.clip_uid if data.layout == "egovlpv2" else clip.video_uid


def clip_rows(clip: Clip, count: int, data: DataConfig) -> Rows:
    """First row of a clip, the row behind its last, and rows a second.

    Official behaviour (``ego4d``): rows are cut from the video's by time, the last one
    inclusive, and label times are not corrected for the rounding of the first row.

    Args:
        clip: which one.
        count: rows of the stored array.
        data: the layout.

    Raises:
        EgolibError: the clip has no row.
    """
    if data.layout == "egovlpv2":
        first, last, fps = 0, count, count / clip.duration_sec
    elif clip.fps is None:
        raise EgolibError("the clip's record does not say its fps", record=clip.clip_uid)
    else:
        fps = clip.fps
        first, last = int(clip.start_sec * fps), min(int(clip.end_sec * fps) + 1, count)
    if last <= first:
        raise EgolibError("the clip has no features", record=clip.clip_uid)
    return first, last, fps


def moments_feat(clip: Clip, fps: float) -> Floats:
    """(M, 2) float64 moments of a clip in features."""
    times = [(moment.start_sec, moment.end_sec) for moment in clip.moments]
    return np.array(times, np.float64).reshape(-1, 2) * fps


def vanished(
    clips: Iterable[Clip], rows: Callable[[str], int], data: DataConfig, length: int
) -> list[str]:
    """Records of the moments that have no length within their clip's first T features.

    They overlap no box; see ``LossConfig.zero_iou_truths``.

    Args:
        clips: with features.
        rows: how many features there are, by clip uid, or by video uid.
        data: the layout.
        length: features T that the network takes.
    """
    found = []
    for clip in clips:
        first, last, fps = clip_rows(clip, rows(features_uid(clip, data)), data)
        inside = moments_feat(clip, fps).clip(0, min(last - first, length) - 1)
        gone = np.flatnonzero(inside[:, 1] <= inside[:, 0])
        found += [f"{clip.record}.annotations[{number}]" for number in gone]
    return found
