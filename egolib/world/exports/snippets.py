"""Which parts of a video become VID snippets and DET stills.

Planned from the event log before the video is drawn, so that images are written
while the frames pass by. Snippets favour slow, medium and fast objects in turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from egolib.ops.boxes_numpy import paired_iou
from egolib.world.episode import Episode, sketch_boxes
from egolib.world.library import spread
from egolib.world.streams import stream
from egolib.world.visibility import sketch_truth

REACH = 10  # frames before and after that motion IoU looks at
SPEEDS = ("slow", "medium", "fast")
SPEED_LIMITS = (0.9, 0.7)
TRIALS = 60  # snippets tried for each one kept
STILL_OBJECTS = 2  # least number of objects in a still
FOLDERS = {
    "train": "train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_",
    "val": "val/ILSVRC2015_val_",
}
DET_FOLDER = "train/ILSVRC2014_train_0000/ILSVRC2014_train_"


@dataclass(frozen=True)
class Snippet:
    """A part of a video that becomes one VID video.

    Args:
        name: for instance ``val/ILSVRC2015_val_00000001``.
        start: first video frame.
        end: video frame behind the last.
    """

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Plan:
    """The images that a video gives."""

    snippets: tuple[Snippet, ...]
    stills: dict[int, str]

    def images(self) -> dict[int, list[str]]:
        """Video frame to image paths without suffix, below ``Data``."""
        paths: dict[int, list[str]] = {f: [f"DET/{name}"] for f, name in self.stills.items()}
        for snippet in self.snippets:
            for frame in range(snippet.start, snippet.end):
                paths.setdefault(frame, []).append(
                    f"VID/{snippet.name}/{frame - snippet.start:06d}"
                )
        return paths


# ----------------------------------------------------------------------- planning


def make_plan(episode: Episode) -> Plan:
    """Chooses snippets (slow, medium and fast objects in turn) and sharp stills."""
    settings = episode.settings
    part = "train" if episode.split == "train" else "val"
    first, count = _fraction(episode, settings.vod_snippets[0 if part == "train" else 1])
    rng = stream(*episode.key, "snippets")
    truth = sketch_truth(episode)
    objects = slice(len(episode.room.instances))
    boxes = sketch_boxes(episode)[:, objects]
    boxes[~truth.visible(settings)[:, objects]] = np.nan
    spans = _choose_spans(episode, boxes, count, first, rng)
    snippets = tuple(
        Snippet(f"{FOLDERS[part]}{first + k:08d}", *span) for k, span in enumerate(spans)
    )
    stills: dict[int, str] = {}
    if part == "train":
        first, count = _fraction(episode, settings.det_stills)
        frames = _choose_stills(truth.sharp, ~np.isnan(boxes[..., 0]), count, rng)
        stills = {f: f"{DET_FOLDER}{first + k:08d}" for k, f in enumerate(frames)}
    return Plan(snippets, stills)


def _fraction(episode: Episode, total: int) -> tuple[int, int]:
    """This video's first number and count out of a total; test videos follow val videos."""
    settings = episode.settings
    if episode.split == "train":
        counts, place = spread(total, settings.train_videos), episode.index
    else:
        counts = spread(total, settings.val_videos + settings.test_videos)
        place = episode.index + (settings.val_videos if episode.split == "test" else 0)
    return sum(counts[:place]), counts[place]


def motion_iou(boxes: np.ndarray, reach: int = REACH) -> np.ndarray:
    """(T, N) mean IoU of each box (T, N, 4; NaN where absent) with its own boxes nearby."""
    return _mean_near(_shifted_iou(boxes, reach), ~np.isnan(boxes[..., 0]))


def _shifted_iou(boxes: np.ndarray, reach: int = REACH) -> np.ndarray:
    """(reach, T, N): IoU of a box with the same object's box 1, 2, … frames later, or NaN."""
    table = np.full((reach, *boxes.shape[:2]), np.nan)
    for shift in range(1, min(reach, len(boxes) - 1) + 1):
        first, second = boxes[:-shift], boxes[shift:]
        table[shift - 1, :-shift] = paired_iou(first, second)
    return table


def _mean_near(shifted: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(T, N) mean over both directions; 1 without a neighbour, NaN without a box."""
    total, count = np.zeros(present.shape), np.zeros(present.shape)
    for shift in range(1, min(len(shifted), len(present) - 1) + 1):
        iou = shifted[shift - 1, :-shift]
        known = ~np.isnan(iou)
        value = np.where(known, iou, 0.0)
        for place in (slice(None, -shift), slice(shift, None)):
            total[place] += value
            count[place] += known
    mean = np.where(count > 0, total / np.maximum(count, 1), 1.0)
    return np.where(present, mean, np.nan)


def speed_counts(speed: np.ndarray) -> np.ndarray:
    """Numbers of slow, medium and fast boxes (NaN ones are none)."""
    high, low = SPEED_LIMITS
    groups = (speed >= high, (speed < high) & (speed >= low), speed < low)
    return np.array([group.sum() for group in groups])


def _choose_spans(
    episode: Episode, boxes: np.ndarray, count: int, first: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Spans that do not overlap; each favours the speed that its number stands for."""
    settings = episode.settings
    taken = np.zeros(settings.frames, bool)
    shifted, present = _shifted_iou(boxes), ~np.isnan(boxes[..., 0])
    spans: list[tuple[int, int]] = []
    for number in range(count):
        wanted = (first + number) % len(SPEEDS)
        best, best_score = None, -1.0
        for _ in range(TRIALS):
            length = int(rng.integers(settings.vod_frames[0], settings.vod_frames[1] + 1))
            start = int(rng.integers(0, settings.frames - length + 1))
            if taken[start : start + length].any():
                continue
            inside = present[start : start + length]
            speed = _mean_near(shifted[:, start : start + length], inside)
            counts = speed_counts(speed)
            score = inside.any(1).mean() * counts[wanted] / max(counts.sum(), 1)
            if score > best_score:
                best, best_score = (start, start + length), score
        if best is None:  # a crowded video: overlap rather than leave one out
            best = (start, start + length)
        taken[slice(*best)] = True
        spans.append(best)
    return sorted(spans)


def _choose_stills(
    sharp: np.ndarray, seen: np.ndarray, count: int, rng: np.random.Generator
) -> list[int]:
    """Sharp frames with several objects, at least a second apart where possible."""
    good = np.flatnonzero(sharp & (seen.sum(1) >= STILL_OBJECTS))
    if len(good) < count:
        good = np.flatnonzero(sharp & seen.any(1))
    chosen: list[int] = []
    for distance in (10, 3, 1):
        for frame in rng.permutation(good):
            if len(chosen) < count and all(abs(frame - c) >= distance for c in chosen):
                chosen.append(int(frame))
    return sorted(chosen)
