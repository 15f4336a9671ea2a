"""Step 2 once more with other settings, from detection caches and kept tracks.

No detector is loaded, and a tracker only where a setting starts a track that ``3_infer``
did not follow. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import read_json, require, write_json
from egolib.runs.result_cache import ResultCache
from egolib.video import VideoReader
from egolib.vq2d.config import LocalizeConfig
from egolib.vq2d.data.clips import ClipFrames
from egolib.vq2d.formats import detections as caches
from egolib.vq2d.formats.detections import Detections
from egolib.vq2d.localization.answers import Answers, QueryJob
from egolib.vq2d.localization.confidence import Calibration
from egolib.vq2d.localization.localize import Answer, Tracker, localize
from egolib.vq2d.localization.track_cache import CachedTracker, LateTracker, tracks_key
from egolib.vq2d.localization.tracks import Track

DETECTIONS, TRACKS, RECORD = "detections", "tracks", "inference.json"


@dataclass(frozen=True)
class InferenceRecord:
    """What ``3_infer`` leaves for a replay.

    Args:
        detections: folder of the detection cache.
        tracks: folder of the kept tracks.
        weights: SHA-256 of the tracker's weights.
        tracker: their file; empty for none.
        detector: the detector's file, where the tracker reads its features; else empty.
        data: identifies the clips.
        matmul_precision: of float32 products on a GPU.
        skipped: queries without an answer, with reasons.
    """

    detections: str
    tracks: str
    weights: Sequence[str]
    tracker: str
    detector: str
    data: str
    matmul_precision: str
    skipped: Mapping[str, str]

    def tracks_key(self, config: LocalizeConfig) -> dict[str, Any]:
        """What the tracks of these settings rest on."""
        return tracks_key(
            config,
            weights=self.weights,
            data=self.data,
            matmul_precision=self.matmul_precision,
        )

    def write(self, folder: Path) -> Path:
        """Into the step's folder."""
        return write_json(folder / RECORD, asdict(self), indent=1)

    @classmethod
    def read(cls, folder: Path) -> InferenceRecord:
        """From the step's folder."""
        content = read_json(folder / RECORD, dict)
        names = [field.name for field in fields(cls)]
        require(content, names, file=folder / RECORD, name="record")
        return cls(**{name: content[name] for name in names})


MakeTracker = Callable[[InferenceRecord], Tracker]
"""Makes the tracker of a record; loads torch."""


class Replay:
    """All queries that ``3_infer`` answered, ready to be answered again.

    Args:
        jobs: the queries.
        folder: of ``3_infer``.
        out: folder for tracks that are followed now.
        base: the settings that ``3_infer`` had, for the tracker's key.
        make_tracker: for starts that ``3_infer`` did not follow.
        calibration: for ``confidence: calibrated``.
    """

    def __init__(
        self,
        jobs: list[QueryJob],
        folder: Path,
        out: Path,
        base: LocalizeConfig,
        make_tracker: MakeTracker,
        calibration: Calibration | None = None,
    ):
        self.record = record = InferenceRecord.read(folder)
        self.jobs = [job for job in jobs if job.key not in record.skipped]
        self.calibration = calibration
        self.detections: dict[str, Detections] = {
            job.key: caches.read(record.detections, job.key, job.query_frame) for job in self.jobs
        }
        key = record.tracks_key(base)
        cache = ResultCache(out / TRACKS, key)
        earlier = Path(record.tracks)
        same = earlier.name == cache.folder.name  # the hash of the key
        late = LateTracker(lambda: make_tracker(record))
        self.tracks = {
            job.key: CachedTracker(late, cache, job.key, earlier if same else None)
            for job in self.jobs
        }

    def answers(self, config: LocalizeConfig) -> Answers:
        """The answers of all queries under other settings of the same tracker."""
        found = Answers()
        for key, why in self.record.skipped.items():
            found.skipped.add(key, why)
        for job in self.jobs:
            try:
                found.found[job.key] = self._answer(job, config)
            except EgolibError as error:
                found.skipped.add(job.key, error)
        return found

    def _answer(self, job: QueryJob, config: LocalizeConfig) -> Answer:
        tracker = None if config.tracker == "none" else self.tracks[job.key]
        return localize(
            self.detections[job.key],
            _Frames(job),
            tracker,
            config,
            seed=config.seed,
            calibration=self.calibration,
        )

    def single_best(self) -> dict[str, Track]:
        """The best detection of all frames before each query, as a track of one frame.

        What step 1 alone answers: the baseline of peaks and tracking. Its confidence is its
        score.
        """
        found = {}
        for key, own in self.detections.items():
            if len(own.scores):
                best = int(np.argmax(own.scores))
                frame = int(np.searchsorted(own.starts, best, side="right") - 1)
                row = [frame, *own.boxes_xyxy[best].astype(np.int64)]
                found[key] = Track.from_rows([row], float(own.scores[best]))
        return found


class _Frames:
    """Frames of a clip whose file is opened when a tracker asks for the first one."""

    def __init__(self, job: QueryJob):
        self.job = job
        self._frames: ClipFrames | None = None

    def __call__(self, frame: int) -> np.ndarray:
        if self._frames is None:
            reader = VideoReader(self.job.clip, self.job.backend)
            self._frames = ClipFrames(reader, self.job.frame_size, limit=self.job.query_frame)
        return self._frames(frame)
