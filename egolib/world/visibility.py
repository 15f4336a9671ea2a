"""Ground truth of one video, from what was rendered; and its file.

T frames, E entities (objects, tap, lamp, people). Only figures, tests and exports
read this; training reads the official files.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import atomic_path
from egolib.world.canvas import HAND
from egolib.world.episode import Episode, clipped_fraction, sketch_boxes
from egolib.world.render import Frame
from egolib.world.settings import WorldSettings

OCCLUDED_FRACTION = 0.8  # an object that shows less is called occluded
SEEN_AREA = 12  # fewer pixels than this are nothing


@dataclass(frozen=True)
class Truth:
    """What can be seen, frame by frame.

    Args:
        boxes: (T, E, 4) int16 xyxy of the visible part, pixels; zeros where unseen.
        fraction: (T, E) float32, visible part of the entity's whole area.
        area: (T, E) int32, visible pixels.
        degraded: (T,) bool, the generator's flag.
        sharp: (T,) bool, neither defocus nor much motion blur.
        camera: (T, 4) float32: x, y (world pixels), zoom, roll (degrees).
        light: (T, 2) float32: defocus in world pixels, exposure gain.
        mask_frames: (K,) frames whose label map is kept.
        masks: (K, H, W) uint8: 0 background, entity + 1, 255 the wearer's hand.
        log: the event log as JSON values.
    """

    boxes: np.ndarray
    fraction: np.ndarray
    area: np.ndarray
    degraded: np.ndarray
    sharp: np.ndarray
    camera: np.ndarray
    light: np.ndarray
    mask_frames: np.ndarray
    masks: np.ndarray
    log: dict[str, Any]

    def visible(self, settings: WorldSettings) -> np.ndarray:
        """(T, E) bool: enough of the entity shows to annotate it."""
        return (self.fraction >= settings.visible_fraction) & (
            self.area >= settings.visible_area_px
        )


class TruthBuilder:
    """Collects the truth while frames are drawn."""

    def __init__(self, episode: Episode):
        count, settings = len(episode.entities), episode.settings
        self.episode = episode
        self.boxes = np.zeros((settings.frames, count, 4), np.int16)
        self.area = np.zeros((settings.frames, count), np.int32)
        self.whole = np.zeros((settings.frames, count), np.float32)
        self.masks: list[np.ndarray] = []

    def add(self, index: int, frame: Frame) -> None:
        """Notes boxes and areas of one frame."""
        counts = np.bincount(frame.labels.ravel(), minlength=HAND + 1)
        self.whole[index] = frame.whole
        for label in np.flatnonzero(counts[1:HAND] >= SEEN_AREA) + 1:
            mask = (frame.labels == label).view(np.uint8)
            x, y, width, height = cv2.boundingRect(mask)
            self.boxes[index, label - 1] = x, y, x + width, y + height
            self.area[index, label - 1] = counts[label]
        if index % self.episode.settings.mask_every == 0:
            self.masks.append(frame.labels)

    def build(self) -> Truth:
        """The finished truth."""
        fraction = np.minimum(self.area / np.maximum(self.whole, 1.0), 1.0)
        keep = np.arange(0, self.episode.settings.frames, self.episode.settings.mask_every)
        return _truth(self.episode, self.boxes, fraction, self.area, keep, np.stack(self.masks))


def sketch_truth(episode: Episode) -> Truth:
    """The truth without drawing: whole upright boxes clipped to the view, nothing occluded.

    For plans that are made before drawing, and for tests over many videos.
    """
    settings = episode.settings
    whole = sketch_boxes(episode)
    limit = np.array([settings.view_width, settings.view_height] * 2)
    boxes = np.clip(np.nan_to_num(np.rint(whole), nan=0.0), 0, limit).astype(np.int16)
    fraction = clipped_fraction(settings, whole)
    boxes[fraction <= 0] = 0
    area = (boxes[..., 2:] - boxes[..., :2]).astype(np.int32).prod(-1)
    none = np.zeros((0, settings.view_height, settings.view_width), np.uint8)
    return _truth(episode, boxes, fraction, area, np.zeros(0, int), none)


def _truth(
    episode: Episode,
    boxes: np.ndarray,
    fraction: np.ndarray,
    area: np.ndarray,
    mask_frames: np.ndarray,
    masks: np.ndarray,
) -> Truth:
    camera, weak = episode.camera, episode.degradation
    return Truth(
        boxes,
        fraction.astype(np.float32),
        area,
        weak.flag,
        weak.sharp(camera.speed()),
        np.column_stack([camera.x, camera.y, camera.zoom, camera.roll]).astype(np.float32),
        np.column_stack([weak.sigma, weak.gain]).astype(np.float32),
        mask_frames,
        masks,
        event_log(episode),
    )


# ----------------------------------------------------------------------------- log


def event_log(episode: Episode) -> dict[str, Any]:
    """Everything symbolic about a video, as JSON values."""
    return {
        "uid": episode.uid,
        "split": episode.split,
        "index": episode.index,
        "entities": episode.entities,
        "instances": [asdict(i) for i in episode.room.instances],
        "slots": [asdict(s) for s in episode.room.slots],
        "stations": episode.room.station_x,
        "home": list(episode.room.home),
        "inside": list(episode.room.inside),
        "opened": list(episode.room.opened),
        "on": list(episode.room.on),
        "events": [asdict(e) for e in episode.events],
        "people": [asdict(p) for p in episode.people],
        "fixations": [asdict(f) for f in episode.fixations],
    }


def log_sha256(log: dict[str, Any]) -> str:
    """Checksum of an event log."""
    return hashlib.sha256(json.dumps(log, sort_keys=True).encode()).hexdigest()


# ---------------------------------------------------------------------------- file


def write_truth(path: Path, truth: Truth, **facts: str) -> Path:
    """Writes the truth and some facts about its making as one compressed file.

    Args:
        path: the file.
        truth: boxes and visibility of all frames.
        facts: plain values about the making.
    """
    arrays = {k: v for k, v in vars(truth).items() if k != "log"}
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            **arrays,
            log=np.array(json.dumps(truth.log)),
            facts=np.array(json.dumps(facts)),
        )
    return path


def read_truth(path: Path) -> Truth:
    """Reads a truth file.

    Raises:
        EgolibError: there is none, or it is damaged.
    """
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files if name not in ("log", "facts")}
            return Truth(**arrays, log=json.loads(str(stored["log"])))
    except (OSError, ValueError, KeyError) as error:
        raise EgolibError(
            f"no readable truth: {error}", file=path, remedy="make the world again"
        ) from error


def read_facts(path: Path) -> dict[str, str]:
    """The facts that a truth file was written with; empty when it is absent or damaged."""
    try:
        with np.load(path) as stored:
            result: dict[str, str] = json.loads(str(stored["facts"]))
            return result
    except Exception:
        return {}
