"""Stores that ``1_data`` makes itself: noise in place of video features, and cue tokens.

Cues are token streams beside the question, as OSGNet has them. OSGNet computes objects
and captions with detectors and language models. Here names and labels that *other*
annotations of the same video mention stand in for them, without any times: object
titles of the visual queries, labels of the moments. No answer can be read off them.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.features import FeatureWriter, Provenance, open_store, write_packed
from egolib.nlq.config import Config, DataConfig, MadeStore
from egolib.nlq.data.annotations import Query, read_official, walk_clips
from egolib.nlq.data.stores import find_file, look_for
from egolib.nlq.data.text import WORLD_WORDS
from egolib.runs.step import Step

RANDOM_WIDTH = 128
FILES = {
    "object_tokens": ("vq_train.json", "vq_val.json", "vq_test_unannotated.json"),
    "caption_tokens": ("moments_train.json", "moments_val.json"),
}


def make(step: Step[Config], name: MadeStore, queries: Iterable[Query]) -> Path:
    """Makes one store in the step's folder, anew.

    Args:
        step: whose folder takes the store.
        name: which store.
        queries: whose clips need it.

    Raises:
        EgolibError: cue tokens are wanted for questions in words other than the world's.
    """
    out = step.out / name
    shutil.rmtree(out, ignore_errors=True)
    durations = {query.clip_uid: query.duration_sec for query in queries}
    if name == "random_video":
        return random_video(out, durations, step.config.data)
    return _cue_tokens(step, name, out, durations)


def random_video(out: Path, durations_sec: Mapping[str, float], data: DataConfig) -> Path:
    """Gaussian noise of the right length for each clip: features that say nothing.

    Args:
        out: folder of the store.
        durations_sec: length of each clip by uid.
        data: frame rate and stride.
    """
    about = Provenance(
        kind="video",
        width=RANDOM_WIDTH,
        fps=data.fps,
        stride_frames=data.stride_frames,
        window_frames=data.window_frames,
        model="random",
    )
    writer = FeatureWriter(out, about)
    for uid, duration in durations_sec.items():
        rows = max(1, int(duration * data.fps / data.stride_frames))
        noise = np.random.default_rng(zlib.crc32(uid.encode())).standard_normal
        writer.write(uid, noise((rows, RANDOM_WIDTH)).astype(np.float32))
    return out


def object_names(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Titles of the objects that a visual-query file asks about, by video."""
    names: dict[str, dict[str, None]] = {}
    for video, clip in walk_clips(content):
        for annotation in clip["annotations"]:
            for query in annotation["query_sets"].values():
                if title := query.get("object_title"):
                    names.setdefault(video["video_uid"], {})[title] = None
    return {uid: list(titles) for uid, titles in names.items()}


def captions(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Labels of the moments of each video, in the order of their starts."""
    labels: dict[str, list[tuple[float, str]]] = {}
    for video, clip in walk_clips(content):
        for annotation in clip["annotations"]:
            for label in annotation["labels"]:
                entry = (label["video_start_time"], label["label"].replace("_", " "))
                labels.setdefault(video["video_uid"], []).append(entry)
    return {uid: [text for _, text in sorted(entries)] for uid, entries in labels.items()}


def _cue_tokens(
    step: Step[Config], name: MadeStore, out: Path, durations: Mapping[str, float]
) -> Path:
    from egolib.world.language import encode

    data, root = step.config.data, step.data_root
    words = open_store(find_file(root, data.text_stores[0])).provenance
    if words.model != WORLD_WORDS:
        raise EgolibError(
            f"{name} are made of the built-in world's words, the questions are {words.model}",
            remedy="name a store of your own in data.text_stores, and leave it out of data.made",
        )
    read = object_names if name == "object_tokens" else captions
    texts: dict[str, list[str]] = {}
    for file in FILES[name]:
        texts |= read(read_official(find_file(root, f"{data.annotations}/{file}")))
    videos = _video_of_clip(step)
    arrays = {
        uid: encode(" ".join(texts[videos[uid]]), words.width)
        for uid in durations
        if videos.get(uid) in texts
    }
    return write_packed(out, replace(words, model=f"{WORLD_WORDS} of {name}"), arrays)


def _video_of_clip(step: Step[Config]) -> dict[str, str]:
    """The video that each clip of the official question files is of."""
    data = step.config.data
    found: dict[str, str] = {}
    for name in ("nlq_train.json", "nlq_val.json", "nlq_test_unannotated.json"):
        file = look_for(step.data_root, f"{data.annotations}/{name}")
        if file is not None:
            found |= {c["clip_uid"]: v["video_uid"] for v, c in walk_clips(read_official(file))}
    return found
