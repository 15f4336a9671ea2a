"""Narrations as questions: GroundNLQ's own conversion, and NaQ's with its merge.

Both walk the training clips of the NLQ, moments and visual-query files, in that order,
the first occurrence of a clip counting, and take the EgoClip narrations inside them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import Skipped
from egolib.io.tables import read_table, usable_rows
from egolib.nlq.data.annotations import Query, read_episodic_memory, walk_clips

COLUMNS = (
    "video_uid",
    "narration_source",
    "narration_ind",
    "narration_time",
    "clip_start",
    "clip_end",
    "clip_text",
)
NARRATORS = {"narration_pass_1": "narrator-1", "narration_pass_2": "narrator-2"}
WITHOUT_FEATURES = frozenset(
    (
        "1f980b47-4fe6-418f-be03-a0c23768cd74",
        "26e62afd-05ec-450a-9291-8936f8e52571",
        "0fa5b9ca-6ff0-4dea-8093-054dbe214f02",
    )
)
FRAMES_PER_SEC = 30
V1_SHARE, V1_SEED = 0.95, 300


@dataclass(frozen=True)
class Narrations:
    """The narrations of one video, in the table's order.

    Args:
        sources: which pass.
        indices: which number.
        texts: what was said.
        start_sec: (N,) float64, in seconds of the video.
        end_sec: (N,) float64.
    """

    sources: list[str]
    indices: list[int]
    texts: list[str]
    start_sec: np.ndarray
    end_sec: np.ndarray


def read_egoclip(path: str | Path, skipped: Skipped | None = None) -> dict[str, Narrations]:
    """The EgoClip table (tab-separated) by video.

    Lines with other numbers of fields are skipped, matching the official code, and so are rows
    without a text, a video, a number or times; all are listed in ``skipped``.
    """
    skipped = Skipped() if skipped is None else skipped
    texts = dict.fromkeys(("video_uid", "narration_source", "clip_text"), str)
    table = read_table(
        path,
        COLUMNS,
        separator="\t",
        skip_malformed=True,
        dtype=texts,
        keep_default_na=False,
        na_values=[""],
        low_memory=False,
    )
    for record, why in table.attrs["skipped"].items():
        skipped.add(record, why)
    numbers, good = usable_rows(table, ("narration_ind", "clip_start", "clip_end"), skipped)
    kept = table[good]
    return {
        str(video): Narrations(
            rows["narration_source"].fillna("").tolist(),
            numbers["narration_ind"][rows.index].astype(int).tolist(),
            rows["clip_text"].tolist(),
            numbers["clip_start"][rows.index],
            numbers["clip_end"][rows.index],
        )
        for video, rows in kept.groupby("video_uid", sort=False)
    }


def read_training_clips(
    nlq: str | Path, moments: str | Path, vq: str | Path
) -> list[dict[str, Any]]:
    """The three official training files, in the order in which clips are looked for.

    Args:
        nlq: ``nlq_train.json``.
        moments: ``moments_train.json``.
        vq: ``vq_train.json``.
    """
    return [read_episodic_memory(path) for path in (nlq, moments, vq)]


def training_clips(
    contents: Sequence[Mapping[str, Any]], narrations: Mapping[str, Narrations]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(video, clip) of every clip once, in videos that have narrations."""
    seen = set()
    for content in contents:
        for video, clip in walk_clips(content):
            if video["video_uid"] in narrations and clip["clip_uid"] not in seen:
                seen.add(clip["clip_uid"])
                yield video, clip


# ----------------------------------------------------------------------- GroundNLQ


def narration_queries(
    narrations: Mapping[str, Narrations],
    contents: Sequence[Mapping[str, Any]],
    without: frozenset[str] = WITHOUT_FEATURES,
) -> list[Query]:
    """Pre-training records as GroundNLQ makes them.

    A narration belongs to a clip when it starts after the clip's start and ends before
    its end, both strictly. Its window is in seconds of the clip.

    Args:
        narrations: by video.
        contents: the official NLQ, moments and visual-query training files.
        without: clips to leave out; by default those without published features.

    Raises:
        EgolibError: a narration is of neither pass.
    """
    queries = []
    for video, clip in training_clips(contents, narrations):
        if clip["clip_uid"] in without:
            continue
        said, start = narrations[video["video_uid"]], clip["video_start_sec"]
        inside = (said.start_sec > start) & (said.end_sec < clip["video_end_sec"])
        queries += [_narration(said, int(row), clip) for row in np.flatnonzero(inside)]
    return queries


def _narration(said: Narrations, row: int, clip: dict[str, Any]) -> Query:
    start = clip["video_start_sec"]
    narrator = NARRATORS.get(said.sources[row])
    if narrator is None:
        raise EgolibError(
            f"unknown narration source {said.sources[row]!r}",
            record=said.texts[row],
            remedy=f"one of {', '.join(NARRATORS)}",
        )
    return Query(
        text=said.texts[row],
        query_id=f"{clip['clip_uid']}_{narrator}_{said.indices[row]}",
        duration_sec=clip["video_end_sec"] - start,
        clip_uid=clip["clip_uid"],
        windows_sec=((float(said.start_sec[row] - start), float(said.end_sec[row] - start)),),
        query_type="nlq_narration",
    )


# ------------------------------------------------------------------------------ NaQ


def naq_annotations(
    narrations: Mapping[str, Narrations],
    contents: Sequence[Mapping[str, Any]],
    version: Literal["v1", "v2"] = "v2",
) -> dict[str, Any]:
    """Narrations in the official NLQ layout, as NaQ makes them: one annotation a clip.

    A narration belongs to a clip when it lies inside it, the ends included.

    Args:
        narrations: by video.
        contents: the official NLQ, moments and visual-query training files.
        version: ``v1`` keeps 95 % of the videos (sorted, then shuffled with seed 300),
            ``v2`` all.
    """
    clips = list(training_clips(contents, narrations))
    kept = _kept_videos({video["video_uid"] for video, _ in clips}, version)
    videos: dict[str, dict[str, Any]] = {}
    for video, clip in clips:
        uid = video["video_uid"]
        if uid in kept:
            entry = videos.setdefault(uid, {"video_uid": uid, "split": "train", "clips": []})
            entry["clips"].append(_naq_clip(uid, clip, narrations[uid]))
    return {
        "version": version,
        "description": "Narrations as queries",
        "videos": [*videos.values()],
    }


def _kept_videos(uids: set[str], version: str) -> set[str]:
    if version == "v2":
        return uids
    ordered = sorted(uids)
    random.Random(V1_SEED).shuffle(ordered)
    return set(ordered[: int(V1_SHARE * len(ordered))])


def _naq_clip(video_uid: str, clip: dict[str, Any], said: Narrations) -> dict[str, Any]:
    inside = (said.start_sec >= clip["video_start_sec"]) & (said.end_sec <= clip["video_end_sec"])
    queries = [_naq_query(said, int(row), clip) for row in np.flatnonzero(inside)]
    annotation = {
        "language_queries": queries,
        "annotation_uid": f"{video_uid}_{clip['clip_uid']}",
    }
    frames = _frames(clip["video_start_sec"], clip["video_end_sec"])
    return {**clip, **frames, "annotations": [annotation]}


def _frames(start_sec: float, end_sec: float) -> dict[str, int]:
    return {
        "video_start_frame": math.floor(start_sec * FRAMES_PER_SEC),
        "video_end_frame": math.ceil(end_sec * FRAMES_PER_SEC),
    }


def _naq_query(said: Narrations, row: int, clip: dict[str, Any]) -> dict[str, Any]:
    start, end = float(said.start_sec[row]), float(said.end_sec[row])
    offset = clip["video_start_sec"]
    return {
        "query": said.texts[row],
        "clip_start_sec": start - offset,
        "clip_end_sec": end - offset,
        "video_start_sec": start,
        "video_end_sec": end,
        **_frames(start, end),
    }


def merge_naq(nlq: Mapping[str, Any], naq: Mapping[str, Any]) -> dict[str, Any]:
    """The NLQ training file with the narrations added clip by clip, NLQ annotations first.

    Videos and clips that only one of the two holds are kept; NLQ's come first.
    """
    merged = deepcopy(dict(nlq))
    videos = {video["video_uid"]: video for video in merged["videos"]}
    clips = {clip["clip_uid"]: clip for _, clip in walk_clips(merged)}
    for video, clip in walk_clips(naq):
        uid = video["video_uid"]
        if clip["clip_uid"] in clips:
            clips[clip["clip_uid"]]["annotations"] += clip["annotations"]
            continue
        if uid not in videos:
            videos[uid] = {**video, "clips": []}
            merged["videos"].append(videos[uid])
        videos[uid]["clips"].append(clip)
    return merged
