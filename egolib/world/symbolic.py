"""Symbolic features: what is in view and what is being done, as a noisy random projection.

They stand for a good video encoder: the grounding model can be trained and tested
on them in seconds. Rows come at the official 1.87 a second.

T frames, K state values, n rows, D columns.
"""

from __future__ import annotations

import hashlib
import json
from itertools import accumulate

import numpy as np

from egolib.io.features import FeatureWriter, Provenance, write_packed
from egolib.world.catalog import (
    CLASSES,
    FIXTURES,
    HUES,
    PEOPLE,
    SILHOUETTES,
    STATIONS,
    TEXTURES,
    VERBS,
)
from egolib.world.exports import nlq, vq2d
from egolib.world.exports.common import whole_clip
from egolib.world.language import encode, vocabulary_hash
from egolib.world.library import Video, World
from egolib.world.narrations import narrations
from egolib.world.script import NONE
from egolib.world.settings import WorldSettings
from egolib.world.streams import stream

VIDEO_STORE = ("nlq", "features", "symbolic_video")
TEXT_STORE = ("nlq", "features", "symbolic_text")
ACTIVE_WEIGHT = 2.0  # what is being done counts more than what lies around

# blocks of the state vector and their lengths
BLOCKS = {
    "class in view": len(CLASSES),
    "coloured silhouette in view": len(HUES) * len(SILHOUETTES),
    "fixture in view": len(FIXTURES),
    "person in view": len(PEOPLE),
    "station": len(STATIONS),
    "verb, first half": len(VERBS),
    "verb, second half": len(VERBS),
    "active class": len(CLASSES),
    "active silhouette": len(SILHOUETTES),
    "active texture": len(TEXTURES),
    "active hue": len(HUES),
    "active fixture": len(FIXTURES),
    "active container": len(SILHOUETTES) + len(HUES),
}
_STARTS = [0, *accumulate(BLOCKS.values())]
OFFSETS = dict(zip(BLOCKS, _STARTS[:-1], strict=True))
WIDTH = _STARTS[-1]


def state(video: Video) -> np.ndarray:
    """(T, K) float32, the true state of every frame."""
    table = np.zeros((video.settings.frames, WIDTH), np.float32)
    _what_is_in_view(video, table)
    _what_is_done(video, table)
    return table


def _what_is_in_view(video: Video, table: np.ndarray) -> None:
    fraction = np.where(video.visible, video.truth.fraction, 0.0)
    instances = video.episode.room.instances
    hues = list(HUES)
    for i, instance in enumerate(instances):
        shown = fraction[:, i]
        coloured = hues.index(instance.hue) * len(SILHOUETTES)
        coloured += SILHOUETTES.index(instance.silhouette)
        table[:, OFFSETS["class in view"] + instance.class_index] += shown
        table[:, OFFSETS["coloured silhouette in view"] + coloured] += shown
    for i in range(len(FIXTURES)):
        table[:, OFFSETS["fixture in view"] + i] += fraction[:, len(instances) + i]
    for i, person in enumerate(video.episode.people):
        column = OFFSETS["person in view"] + PEOPLE.index(person.kind)
        table[:, column] += fraction[:, len(instances) + len(FIXTURES) + i]
    centres = np.array([video.episode.room.station_x[name] for name in STATIONS])
    nearest = np.abs(video.truth.camera[:, :1] - centres).argmin(1)
    table[np.arange(len(table)), OFFSETS["station"] + nearest] = 1


def _what_is_done(video: Video, table: np.ndarray) -> None:
    instances = video.episode.room.instances
    hues = list(HUES)
    for event in video.episode.events:
        rows = slice(event.start, event.end)
        half = (event.start + event.end) // 2
        verb = VERBS.index(event.verb)
        table[event.start : half, OFFSETS["verb, first half"] + verb] = ACTIVE_WEIGHT
        table[half : event.end, OFFSETS["verb, second half"] + verb] = ACTIVE_WEIGHT
        if event.obj == NONE:
            column = OFFSETS["active fixture"] + FIXTURES.index(event.fixture)
            table[rows, column] = ACTIVE_WEIGHT
            continue
        thing = instances[event.obj]
        for block, place in (
            ("active class", thing.class_index),
            ("active silhouette", SILHOUETTES.index(thing.silhouette)),
            ("active texture", TEXTURES.index(thing.texture)),
            ("active hue", hues.index(thing.hue)),
        ):
            table[rows, OFFSETS[block] + place] = ACTIVE_WEIGHT
        if event.container != NONE:
            box = instances[event.container]
            first = OFFSETS["active container"]
            table[rows, first + SILHOUETTES.index(box.silhouette)] = ACTIVE_WEIGHT
            table[rows, first + len(SILHOUETTES) + hues.index(box.hue)] = ACTIVE_WEIGHT


def rows_of(settings: WorldSettings, table: np.ndarray) -> np.ndarray:
    """(n, K) means of the state over consecutive feature windows."""
    step = settings.feature_stride_frames / settings.feature_fps * settings.fps
    count = int(len(table) / step)
    edges = np.rint(np.arange(count + 1) * step).astype(int)
    sums = np.add.reduceat(table, edges[:-1], axis=0)[:count] if count else table[:0]
    sums[-1:] = table[edges[-2] : edges[-1]].sum(0) if count else 0
    result: np.ndarray = sums / np.diff(edges)[:, None]
    return result


def projection(settings: WorldSettings) -> np.ndarray:
    """(K, D) float32, the same for all worlds."""
    rng = stream("projection", WIDTH, settings.feature_width)
    return rng.standard_normal((WIDTH, settings.feature_width)).astype(np.float32)


def provenance(settings: WorldSettings) -> Provenance:
    """What the video store says about itself."""
    definition = json.dumps([BLOCKS, settings.feature_width, settings.feature_snr, ACTIVE_WEIGHT])
    return Provenance(
        kind="video",
        width=settings.feature_width,
        fps=settings.feature_fps,
        stride_frames=settings.feature_stride_frames,
        window_frames=settings.feature_stride_frames,
        model="world/symbolic",
        model_hash=hashlib.sha256(definition.encode()).hexdigest(),
    )


def export(world: World) -> None:
    """Writes both stores: a video file for every NLQ and VQ clip, all texts in one file."""
    _export_video(world)
    about = Provenance(
        kind="text",
        width=world.settings.word_width,
        model="world/words",
        model_hash=vocabulary_hash(),
    )
    texts = {k: encode(t, world.settings.word_width) for k, t in _texts(world).items()}
    write_packed(world.path(*TEXT_STORE), about, texts)


def _export_video(world: World) -> None:
    settings = world.settings
    weights = projection(settings)
    projected = {v.uid: state(v) @ weights for v in world.videos}
    train = np.concatenate([rows_of(settings, projected[v.uid]) for v in world.of("train")])
    mean, deviation = train.mean(0), train.std(0) + 1e-6
    writer = FeatureWriter(world.path(*VIDEO_STORE), provenance(settings))
    for video in world.videos:
        standard = (projected[video.uid] - mean) / deviation
        for clip_uid, first, last in _clips(video):
            rows = rows_of(settings, standard[first : last + 1])
            noise = stream("features", clip_uid).standard_normal(rows.shape)
            writer.write(clip_uid, (rows + noise / settings.feature_snr**0.5).astype(np.float32))


def _clips(video: Video) -> list[tuple[str, int, int]]:
    """Uid, first and last frame of the clips that annotation files speak of."""
    whole = whole_clip(video)
    found = [(whole["clip_uid"], 0, video.settings.frames - 1)]
    for clip in vq2d.video_clips(video):
        found.append((vq2d.clip_uid(clip), clip.first, clip.last))
    return found


def _texts(world: World) -> dict[str, str]:
    """Query id to text: questions of all splits, narrations of training clips."""
    texts = {}
    for split in ("train", "val", "test"):
        for video, questions in nlq.choose(world, split):
            for i, question in enumerate(questions):
                texts[f"{nlq.annotation_uid(video)}_{i}"] = question.query
    for video in world.of("train"):
        lines = narrations(video)
        for clip_uid, first, last in _clips(video):
            for line in lines:
                if line.start_sec > video.episode.sec(first) and line.end_sec < video.episode.sec(
                    last + 1
                ):
                    narrator = f"narrator-{line.source[-1]}"
                    texts[f"{clip_uid}_{narrator}_{line.number}"] = line.text
    return texts
