"""Step 2 once more with other settings, from detection caches and remembered tracks.

No detector is loaded, and a tracker only where a setting starts a track that ``3_infer``
did not follow. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import read_json, require, write_json
from egolib.video import VideoReader
from egolib.vq2d.config import LocalizeConfig
from egolib.vq2d.data.clips import ClipFrames
from egolib.vq2d.formats import detections as caches
from egolib.vq2d.formats.detections import Detections
from egolib.vq2d.localization.answers import Answers, Job, Work
from egolib.vq2d.localization.localize import Answer, localize
from egolib.vq2d.localization.track_cache import LateTracker, RememberedTracks
from egolib.vq2d.localization.tracks import Track

DETECTIONS, TRACKS, RECORD = "detections", "tracks", "inference.json"


@dataclass(frozen=True)
class InferenceRecord:
    """What ``3_infer`` leaves for a replay.

    Args:
        detections: folder of the caches.
        tracker_name: identifies the tracker's weights.
        tracker: their file; empty for none.
        skipped: queries without an answer, with reasons.
    """

    detections: str
    tracker_name: str
    tracker: str
    skipped: Mapping[str, str]

    def write(self, folder: Path) -> Path:
        """Into the step's folder."""
        return write_json(folder / RECORD, asdict(self), indent=1)

    @classmethod
    def read(cls, folder: Path) -> InferenceRecord:
        """From the step's folder."""
        content = read_json(folder / RECORD, dict)
        names = ["detections", "tracker_name", "tracker", "skipped"]
        require(content, names, file=folder / RECORD, name="record")
        return cls(**{name: content[name] for name in names})


class Replay:
    """All queries that ``3_infer`` answered, ready to be answered again.

    Args:
        jobs: the queries.
        folder: of ``3_infer``.
        out: folder for tracks that are followed now.
        base: the settings that ``3_infer`` had, for the tracker's identity.
        device: for a tracker that is needed after all.
    """

    def __init__(
        self, jobs: list[Job], folder: Path, out: Path, base: LocalizeConfig, device: str = "cpu"
    ):
        self.record = InferenceRecord.read(folder)
        self.jobs = [job for job in jobs if job.key not in self.record.skipped]
        self.base, self.device = base, device
        self.detections: dict[str, Detections] = {
            job.key: caches.read(self.record.detections, job.key, job.query_frame)
            for job in self.jobs
        }
        identity = Work(base, Path(), tracker_name=self.record.tracker_name).identity()
        late = LateTracker(self._make_tracker)
        self.tracks = {
            job.key: RememberedTracks(
                late,
                out / TRACKS / f"{job.key}.json",
                identity,
                folder / TRACKS / f"{job.key}.json",
            )
            for job in self.jobs
        }

    def _make_tracker(self) -> Any:
        from egolib.vq2d.predict import make_follower  # loads torch

        return make_follower(self.base, self.record.tracker, None, self.device)

    def answers(self, cfg: LocalizeConfig) -> Answers:
        """The answers of all queries under other settings of the same tracker."""
        found = Answers()
        for key, why in self.record.skipped.items():
            found.skipped.add(key, why)
        for job in self.jobs:
            try:
                found.found[job.key] = self._answer(job, cfg)
            except EgolibError as error:
                found.skipped.add(job.key, error)
        return found

    def _answer(self, job: Job, cfg: LocalizeConfig) -> Answer:
        tracker = None if cfg.tracker == "none" else self.tracks[job.key]
        return localize(self.detections[job.key], _Frames(job), tracker, cfg, seed=cfg.seed)

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

    def __init__(self, job: Job):
        self.job = job
        self._frames: ClipFrames | None = None

    def __call__(self, frame: int) -> np.ndarray:
        if self._frames is None:
            reader = VideoReader(self.job.clip)
            self._frames = ClipFrames(reader, self.job.frame_size, limit=self.job.query_frame)
        return self._frames(frame)
