"""QFVS: long walks, concepts of their shots, and reference summaries of queries.

The videos of val and test, strung together, make four walks. A frame rate is chosen that
gives every walk a hundred shots where the world is long enough; shots are five frames. A
concept is a kind of thing that is in view, the station that is looked at, or an action.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import cv2
import numpy as np

from egolib.io.records import atomic_path, write_json, write_text
from egolib.video import VideoReader
from egolib.world.catalog import FIXTURES, SILHOUETTES, STATIONS, VERBS
from egolib.world.library import Video, World

WALKS = (1, 2, 3, 4)
SHOT_FRAMES = 5
FEWEST_SHOTS = 100  # of a walk, where the world has so many frames
IN_VIEW_FRAMES = 3  # of the five
QUERIES = 12  # of a walk
QUERY_SHARE = (0.04, 0.5)  # of the shots, that show one of a query's concepts
SUMMARY_SHARE = 0.06  # of the shots, in a reference summary
NEIGHBOUR_SHOTS = 3  # a chosen shot stands for alike shots this near
ALIKE = 0.5  # intersection over union of concepts, from which shots are alike
HEADER = b"MATLAB 5.0 MAT-file, egolib built-in world".ljust(116)

PEOPLE = ("man", "woman", "boy")
ACTIONS = tuple(dict.fromkeys(verb.partition("-")[0] for verb in VERBS))
CONCEPTS = tuple(
    name.capitalize() for name in (*SILHOUETTES, *FIXTURES, *PEOPLE, *STATIONS, *ACTIONS)
)
ORIGIN = ("Datasets", "QFVS", "data", "origin_data")


@dataclass(frozen=True)
class Shot:
    """Five frames of a video.

    Args:
        video: the video.
        frames: their numbers.
    """

    video: Video
    frames: tuple[int, ...]


# --------------------------------------------------------------------------- walks


def frame_step(world: World) -> int:
    """Video frames from one frame of a shot to the next: a second, or less in short worlds."""
    fps = world.settings.fps
    steps = [step for step in range(fps, 0, -1) if fps % step == 0]
    for step in steps:
        if sum(len(_shots(v, step)) for v in world.of("val", "test")) >= 4 * FEWEST_SHOTS:
            return step
    return steps[-1]


def walks(world: World) -> list[list[Shot]]:
    """The shots of the four walks, equally many; those that are left over are dropped."""
    step = frame_step(world)
    shots = [shot for video in world.of("val", "test") for shot in _shots(video, step)]
    each = len(shots) // len(WALKS)
    return [shots[i * each : (i + 1) * each] for i in range(len(WALKS))]


def _shots(video: Video, step: int) -> list[Shot]:
    length = SHOT_FRAMES * step
    starts = range(0, video.settings.frames - length + 1, length)
    return [Shot(video, tuple(range(start, start + length, step))) for start in starts]


# ------------------------------------------------------------------------- concepts


def tags(shots: list[Shot]) -> np.ndarray:
    """(shots, concepts) uint8."""
    return np.stack([_tag_row(shot) for shot in shots]).astype(np.uint8)


def _tag_row(shot: Shot) -> np.ndarray:
    shown = {*_things(shot), _station(shot), *_actions(shot)}
    return np.array([concept.lower() in shown for concept in CONCEPTS])


def _things(shot: Shot) -> set[str]:
    """Kinds of things and people that are in view for most of the shot."""
    video = shot.video
    names = [i.silhouette for i in video.episode.room.instances]
    names += video.episode.entities[len(names) :]
    seen = video.visible[list(shot.frames)]  # (5, entities)
    return {
        kind
        for kind in set(names)
        if seen[:, [name == kind for name in names]].any(1).sum() >= IN_VIEW_FRAMES
    }


def _station(shot: Shot) -> str:
    """The station that is looked at."""
    stations = shot.video.episode.room.station_x
    x = float(np.mean(shot.video.truth.camera[list(shot.frames), 0]))
    return min(stations, key=lambda name: abs(stations[name] - x))


def _actions(shot: Shot) -> set[str]:
    """Actions that are under way in the middle of the shot, or wholly in it."""
    first, last = shot.frames[0], shot.frames[-1]
    middle = (first + last) / 2
    return {
        event.verb.partition("-")[0]
        for event in shot.video.episode.events
        if event.start <= middle < event.end or (first <= event.start and event.end <= last)
    }


# -------------------------------------------------------------------------- queries


def choose_queries(matrix: np.ndarray, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Pairs of concepts that some shots show, but not too many; columns, ascending.

    Args:
        matrix: (shots, concepts).
        rng: draws them.
    """
    low, high = (share * len(matrix) for share in QUERY_SHARE)
    shown = [i for i in range(matrix.shape[1]) if matrix[:, i].any()]
    pairs = [
        (a, b) for a, b in combinations(shown, 2) if low <= matrix[:, [a, b]].any(1).sum() <= high
    ]
    order = rng.permutation(len(pairs))[:QUERIES]
    return sorted(pairs[place] for place in order)


def reference_summary(matrix: np.ndarray, query: tuple[int, int]) -> list[int]:
    """Shots that stand for all shots of a query, ascending: a greedy cover.

    A shot stands for those nearby that show alike concepts. Shots with both concepts count
    twice as much as those with one.

    Args:
        matrix: (shots, concepts).
        query: two columns.
    """
    weight = matrix[:, list(query)].sum(1).astype(float)
    wanted = np.flatnonzero(weight)
    near = np.abs(wanted[:, None] - wanted) <= NEIGHBOUR_SHOTS
    shared = matrix[wanted].astype(int) @ matrix[wanted].T
    sizes = matrix[wanted].sum(1).astype(int)
    covers = near & (shared >= ALIKE * (sizes[:, None] + sizes - shared))
    left, chosen = weight[wanted].copy(), []
    for _ in range(max(1, round(SUMMARY_SHARE * len(matrix)))):
        gain = covers @ left
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        chosen.append(int(wanted[best]))
        left[covers[best]] = 0.0
    return sorted(chosen)


# -------------------------------------------------------------------------- writing


def export(world: World) -> None:
    """Writes frames, dense tags, reference summaries and ``Tags.mat``; what was walked beside
    the truth."""
    found = walks(world)
    matrices = [tags(shots) if shots else np.zeros((0, len(CONCEPTS)), np.uint8) for shots in found]
    for number, shots, matrix in zip(WALKS, found, matrices, strict=True):
        _write_frames(world, number, shots)
        _write_annotations(world, number, matrix)
    _write_tags(world, matrices)
    write_json(world.path("truth", "qfvs_walks.json"), _walked(world, found), indent=1)


def _write_annotations(world: World, number: int, matrix: np.ndarray) -> None:
    name = f"P{number:02d}"
    names = np.array(CONCEPTS)
    lines = [",".join(names[row > 0]) or "None" for row in matrix]
    dense = world.path(*ORIGIN, "Dense_per_shot_tags", name, f"{name}.txt")
    write_text(dense, "".join(f"{line}\n" for line in lines))
    folder = world.path(*ORIGIN, "Query-Focused_Summaries", "Oracle_Summaries", name)
    for a, b in choose_queries(matrix, world.rng(f"qfvs {number}")):
        shots = reference_summary(matrix, (a, b))
        file = folder / f"{CONCEPTS[a]}_{CONCEPTS[b]}_oracle.txt"
        write_text(file, "".join(f"{shot + 1}\n" for shot in shots))


def _write_frames(world: World, number: int, shots: list[Shot]) -> None:
    """The frames of a walk as pictures; each video is decoded once."""
    folder = world.path("Datasets", "QFVS", "data", "video_frames", f"P{number:02d}-moviepy")
    folder.mkdir(parents=True, exist_ok=True)
    frames = [(shot.video, frame) for shot in shots for frame in shot.frames]
    options = [cv2.IMWRITE_JPEG_QUALITY, world.settings.jpeg_quality]
    for video in dict.fromkeys(shot.video for shot in shots):
        places = [i for i, (source, _) in enumerate(frames) if source is video]
        with VideoReader(video.file) as reader:
            images = reader.batch([frames[i][1] for i in places])
        for place, image in zip(places, images, strict=True):
            done, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), options)
            assert done
            (folder / f"{place + 1:06d}.jpg").write_bytes(data.tobytes())


def _write_tags(world: World, matrices: list[np.ndarray]) -> None:
    """``Tags.mat`` as published, with a header that holds no date."""
    from scipy.io import savemat

    content = np.empty((1, len(matrices)), [("Bin_Vecs", object)])
    for place, matrix in enumerate(matrices):
        cells = np.empty((len(matrix), 1), object)
        for shot, row in enumerate(matrix):
            cells[shot, 0] = row[None]
        content[0, place]["Bin_Vecs"] = cells
    stream = io.BytesIO()
    savemat(stream, {"Tags": content}, do_compression=True)
    with atomic_path(world.path("Tags.mat")) as temporary:
        temporary.write_bytes(HEADER + stream.getvalue()[len(HEADER) :])


def _walked(world: World, found: list[list[Shot]]) -> dict[str, Any]:
    """Where every shot is from, and how long it is."""
    step = frame_step(world)
    return {
        "frames_per_sec": world.settings.fps / step,
        "shot_sec": SHOT_FRAMES * step / world.settings.fps,
        "concepts": list(CONCEPTS),
        "walks": {
            str(number): [[shot.video.uid, shot.frames[0]] for shot in shots]
            for number, shots in zip(WALKS, found, strict=True)
        },
    }
