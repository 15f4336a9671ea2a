"""What the verbs of the tasks return, and ``result.json``, the only source of numbers shown.

The result types hold NumPy arrays and plain values, so that figures and programs
need neither a task nor torch to read them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NotRequired

import numpy as np
from typing_extensions import TypedDict

from egolib.errors import EgolibError
from egolib.io.records import file_sha256, read_json, write_json
from egolib.io.schema import OPEN, validated

# ------------------------------------------------------------------- result types


@dataclass(frozen=True)
class ResponseTrack:
    """Where a query object was last seen: one box a frame over consecutive frames.

    Args:
        frames: (N,) int, video frame numbers, ascending.
        boxes_xyxy: (N, 4) float, pixels of the video.
        score: confidence of the whole track.
        curve: (F,) float, similarity of every searched frame.
        curve_frames: (F,) int, the video frame of every entry of ``curve``.
        peak_frame: video frame that the track was started at; None without a peak.
        fps: frames per second of the video.
    """

    frames: np.ndarray
    boxes_xyxy: np.ndarray
    score: float
    curve: np.ndarray
    curve_frames: np.ndarray
    peak_frame: int | None = None
    fps: float | None = None


@dataclass(frozen=True)
class FrameDetections:
    """Objects of one frame.

    Args:
        frame: video frame number.
        time_sec: its time.
        boxes_xyxy: (N, 4) float, pixels of the video.
        labels: (N,) int, indices into the class names.
        scores: (N,) float, descending.
    """

    frame: int
    time_sec: float
    boxes_xyxy: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Detections:
    """Objects of a whole video, frame by frame."""

    frames: list[FrameDetections]
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Moments:
    """Segments that answer a question.

    Args:
        question: the text.
        segments_sec: (K, 2) float, start and end, best first.
        scores: (K,) float.
        duration_sec: length of the video; None where unknown.
        truth_sec: (M, 2) float, true segments where they are known.
    """

    question: str
    segments_sec: np.ndarray
    scores: np.ndarray
    duration_sec: float | None = None
    truth_sec: np.ndarray | None = None


@dataclass(frozen=True)
class LabelledMoments:
    """Scored segments of known classes.

    Args:
        labels: K class names, one a segment.
        segments_sec: (K, 2) float, start and end, best first.
        scores: (K,) float.
        duration_sec: length of the video; None where unknown.
        truth_labels: M class names of the true segments.
        truth_sec: (M, 2) float, true segments where they are known.
    """

    labels: tuple[str, ...]
    segments_sec: np.ndarray
    scores: np.ndarray
    duration_sec: float | None = None
    truth_labels: tuple[str, ...] = ()
    truth_sec: np.ndarray | None = None

    def of(self, label: str) -> np.ndarray:
        """The rows of a class, best first."""
        return np.array([i for i, own in enumerate(self.labels) if own == label], int)


@dataclass(frozen=True)
class Similarity:
    """How well texts describe a video.

    Args:
        texts: N strings.
        scores: (N,) float, one a text, for the whole video.
        curve: (W, N) float, one row a window in time.
        times_sec: (W,) float, centres of the windows.
    """

    texts: tuple[str, ...]
    scores: np.ndarray
    curve: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    times_sec: np.ndarray = field(default_factory=lambda: np.zeros(0))


Result = ResponseTrack | FrameDetections | Detections | Moments | LabelledMoments | Similarity


# -------------------------------------------------------------------- result.json


def write_result(
    path: str | Path,
    *,
    metrics: Mapping[str, Any],
    config: Mapping[str, Any],
    config_hash: str,
    data: Mapping[str, Any],
    wall_sec: float,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Writes ``result.json``: the metrics and everything they rest on.

    Args:
        path: the file.
        metrics: names to numbers (nested dictionaries allowed).
        config: the resolved configuration.
        config_hash: its hash.
        data: version and counts of the data used.
        wall_sec: time that the step took.
        extra: task, variant, preset, seed and the like.

    Raises:
        EgolibError: a metric is NaN or infinite. None stands for "not defined".
    """
    for name, value in _leaves(metrics):
        if isinstance(value, float) and not math.isfinite(value):
            raise EgolibError(f"metric {name!r} is {value}", file=path)
    content = {
        **(extra or {}),
        "metrics": metrics,
        "data": data,
        "config": config,
        "config_hash": config_hash,
        "versions": versions(),
        "hardware": hardware(),
        "commit": commit(),
        "wall_sec": round(wall_sec, 1),
    }
    return write_json(path, plain(content), indent=1)


def read_result(path: str | Path) -> dict[str, Any]:
    """A ``result.json``, or the one in a step's folder."""
    path = Path(path)
    file = path / "result.json" if path.is_dir() else path
    result: dict[str, Any] = validated(_Result, read_json(file, dict), file=file)
    return result


class _Result(TypedDict):
    """A ``result.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    metrics: NotRequired[dict[str, Any]]
    data: NotRequired[dict[str, Any]]
    config: NotRequired[dict[str, Any]]
    versions: NotRequired[dict[str, Any]]
    hardware: NotRequired[dict[str, Any]]
    task: NotRequired[str | None]
    variant: NotRequired[str | None]
    preset: NotRequired[str | None]
    step: NotRequired[str | None]


def identity(path: str | Path) -> str:
    """Identifies what an input holds.

    A file by its content, a step by its result, but for time, place and work, and another folder
    by the names, sizes and times of its files.
    """
    path = Path(path)
    if path.is_file():
        return file_sha256(path)
    if not (path / "result.json").is_file():
        files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else []
        status = [(str(f.relative_to(path)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
        return hashlib.sha256(json.dumps([str(path), status]).encode()).hexdigest()[:12]
    volatile = {"versions", "hardware", "commit", "wall_sec", "work"}
    result = {k: v for k, v in read_result(path).items() if k not in volatile}
    return hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()[:12]


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers can depend on."""
    names = ["egolib", "torch", "torchvision", "numpy", "av", "opencv-python-headless"]
    return {"python": platform.python_version(), **{n: _version(n) for n in names}}


def _version(name: str) -> str:
    """A package's version; a source tree without installed metadata has none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


@cache
def hardware() -> dict[str, Any]:
    """Processor, cores and, where torch was loaded anyway, the GPU."""
    found: dict[str, Any] = {"machine": platform.machine(), "cores": os.cpu_count()}
    if "torch" in sys.modules:
        import torch

        found["threads"] = torch.get_num_threads()
        found["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return found


@cache
def commit() -> str:
    """The checkout's commit, ``+`` appended where files differ from it; ``unknown`` outside git.

    Evidence that runs write is no difference: it decides nothing.
    """
    root = Path(__file__).parent
    but_evidence = ("--", ":/", ":(top,exclude)book/evidence")

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+" if git("status", "--porcelain", *but_evidence) else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", plain(value)))
    return found


def plain(value: Any) -> Any:
    """NumPy values and paths as JSON values."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value) if isinstance(value, Path) else value
