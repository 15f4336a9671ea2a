"""Small invented annotations, clips and networks for the tests of vq2d."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from egolib.nn.config import AnchorConfig, ProposalConfig, PyramidConfig, ResNetConfig
from egolib.video.encode import write_video
from egolib.vq2d.config import (
    DetectConfig,
    DetectorConfig,
    HeadConfig,
    KysConfig,
    ProposalNetworkConfig,
)
from egolib.vq2d.data.annotations import Annotations, from_content

SIZE = (64, 48)
"""Width and height of invented frames."""


def box(frame: int, x: float, y: float, width: float, height: float) -> dict[str, Any]:
    """An official box record."""
    return {
        "frame_number": frame,
        "video_frame_number": 6 * frame,
        "x": x,
        "y": y,
        "width": width,
        "height": height,
        "rotation": 0,
        "original_width": SIZE[0],
        "original_height": SIZE[1],
    }


def query(frame: int, track: list[dict] | None, crop: dict | None = None) -> dict[str, Any]:
    """An official query set; without a track as in the test file."""
    record = {
        "is_valid": True,
        "errors": [],
        "warnings": [],
        "query_frame": frame,
        "query_video_frame": 6 * frame,
        "object_title": "cup",
        "visual_crop": crop or box(frame + 1, 10, 10, 16, 12),
    }
    return record if track is None else record | {"response_track": track}


def track(first: int, length: int, x: float = 10, step: float = 1) -> list[dict[str, Any]]:
    """A response track that moves to the right."""
    return [box(first + i, x + step * i, 12, 16, 12) for i in range(length)]


def clip(uid: str | None, annotations: list[dict], frames: int = 30) -> dict[str, Any]:
    """An official clip record of so many frames at 5 per second, cut from a 30 fps video."""
    return {
        "clip_uid": uid,
        "video_start_sec": 0.0,
        "video_end_sec": frames / 5,
        "video_start_frame": 0,
        "video_end_frame": 6 * (frames - 1),
        "clip_fps": 5.0,
        "annotations": annotations,
    }


def annotation(uid: str, *queries: dict[str, Any]) -> dict[str, Any]:
    """An official annotation with query sets "1", "2", ..."""
    return {
        "annotation_uid": uid,
        "query_sets": {str(i + 1): record for i, record in enumerate(queries)},
        "warnings": [],
    }


def content(*clips: dict[str, Any], split: str = "val", version: str = "1.0.5") -> dict[str, Any]:
    """An annotation file with one video."""
    video = {"video_uid": "video", "split": split, "clips": list(clips)}
    return {"version": version, "date": "", "description": "", "metadata": "", "videos": [video]}


def two_queries() -> dict[str, Any]:
    """One clip, two valid queries and an invalid one."""
    first = query(20, track(5, 6), box(21, 12, 11, 16, 12))
    second = query(12, track(2, 3, x=30), box(25, 30, 12, 16, 12))
    return content(clip("clip", [annotation("a", first, {"is_valid": False}, second)]))


def moving_square(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Frames (H, W, 3) of a textured square that moves one pixel a frame over noise."""
    width, height = size
    rng = np.random.default_rng(0)
    background = rng.integers(90, 130, (height, width, 3), dtype=np.uint8)
    square = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    frames = []
    for i in range(count):
        frame = background.copy()
        frame[12:24, 10 + i : 26 + i] = square
        frames.append(frame)
    return frames


def write_clip(folder: Path, uid: str, count: int = 30, fps: int = 5) -> Path:
    """A clip file of the moving square."""
    return write_video(folder / f"{uid}.mp4", moving_square(count), fps)


class Clip:
    """Frames in memory, as a reader gives them; counts how many were asked for."""

    def __init__(self, frames: list[np.ndarray], fps: float = 5.0):
        self.frames, self.fps, self.asked = frames, fps, 0

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, frame: int) -> np.ndarray:
        self.asked += 1
        return self.frames[frame]

    def batch(self, frames) -> np.ndarray:
        self.asked += len(frames)
        return np.stack([self.frames[frame] for frame in frames])


def tiny_detector(**head: Any) -> DetectorConfig:
    """A detector of the published kind, small enough for a test."""
    return DetectorConfig(
        backbone=ResNetConfig(
            blocks=(1, 1, 1, 1), stem_channels=8, width=8, norm="group", freeze="none"
        ),
        pyramid=PyramidConfig(channels=8),
        rpn=ProposalNetworkConfig(
            AnchorConfig((4, 8, 16, 32, 64), ((8.0,), (12.0,), (16.0,), (24.0,), (32.0,)))
        ),
        region_cells=4,
        head=HeadConfig(**({"residual_layers": 1, "hidden": 16} | head)),
        reference_side=32,
    )


TRAINING_PROPOSALS = ProposalConfig(50, 20, 0.7, "logit")


def tiny_detect(**changes: Any) -> DetectConfig:
    """Settings of step 1 for ``tiny_detector``."""
    own = {"short_side": 48, "long_side": 96, "intermediate_height": 0}
    return DetectConfig(**own, proposals=ProposalConfig(50, 15, 0.7, "logit"), **changes)


def tiny_kys(norm: str = "batch") -> KysConfig:
    """A KYS network small enough for a test."""
    return KysConfig(
        backbone=ResNetConfig(
            blocks=(1, 1, 1, 1), stem_channels=8, width=8, norm=norm, freeze="none"
        ),
        norm=norm,
        image_side=96,
        classifier_channels=16,
        iou_reference=8,
        iou_channels=16,
    )


def four_queries() -> Annotations:
    """Two clips of the moving square, two queries each."""

    def queries(name: str) -> list[dict]:
        tracks = [[box(i, 10 + i, 12, 16, 12) for i in range(a, a + 6)] for a in (4, 12)]
        first = query(20, tracks[0], box(21, 31, 12, 16, 12))
        second = query(24, tracks[1], box(25, 35, 12, 16, 12))
        return [annotation(name, first, second)]

    return from_content(content(clip("clip", queries("a")), clip("other", queries("b"))))


def write_scores(folder: Path, annotations: Annotations) -> None:
    """Detections by hand: the true box scores 0.9 in its frames, another 0.1 elsewhere."""
    for query in annotations.queries:
        truth = {box.frame: list(box.xyxy) for box in query.track}
        frames = [
            {"boxes": [truth.get(n, [40, 30, 50, 40])], "scores": [0.9 if n in truth else 0.1]}
            for n in range(query.query_frame)
        ]
        (folder / f"{query.key}.json").write_text(json.dumps({"frames": frames}))
