"""Step 2 for many queries, side by side in processes.

Needs a detection cache and the clips; no detector. A failure costs its query (or, matching the
official code, its clip) and is listed with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from egolib import progress
from egolib.errors import EgolibError
from egolib.io.records import Skipped
from egolib.runs.result_cache import ResultCache
from egolib.video import VideoReader, check_backend
from egolib.vq2d.config import LocalizeConfig
from egolib.vq2d.data.annotations import Query
from egolib.vq2d.data.clips import ClipFrames
from egolib.vq2d.formats import detections as caches
from egolib.vq2d.formats.detections import Detections
from egolib.vq2d.localization.confidence import Calibration
from egolib.vq2d.localization.localize import Answer, NoBox, Tracker, localize
from egolib.vq2d.localization.together import FollowsMany, side_by_side
from egolib.vq2d.localization.track_cache import CachedTracker
from egolib.vq2d.localization.tracks import Track

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

TrackerSource = Callable[[str], Tracker | None]
"""Makes the tracker on a device; must be picklable (a function of a module, a partial)."""


@dataclass(frozen=True)
class QueryJob:
    """One query, as a worker process needs it.

    Args:
        key: of the query.
        clip: the file.
        clip_uid: of the clip.
        frame_size: width and height that the annotations refer to.
        crop_frame: clip frame of the visual crop.
        query_frame: clip frame of the question.
        backend: what decodes the clip; see ``egolib.video.VideoReader``.
    """

    key: str
    clip: Path
    clip_uid: str
    frame_size: tuple[int, int]
    crop_frame: int
    query_frame: int
    backend: str = "av"


@dataclass
class Answers:
    """Answers by query key, and the queries without one, with reasons."""

    found: dict[str, Answer] = field(default_factory=dict)
    skipped: Skipped = field(default_factory=Skipped)

    @property
    def tracks(self) -> dict[str, Track]:
        """What a submission takes."""
        return {key: answer.track for key, answer in self.found.items()}


@dataclass(frozen=True)
class Work:
    """What all queries share.

    Args:
        config: step 2.
        detections: folder of the detection cache.
        tracks: where tracks are kept; None keeps none.
        calibration: for ``confidence: calibrated``.
        also: further settings of step 2 with the same tracker: what they start is followed
            too and kept, for a later replay.
    """

    config: LocalizeConfig
    detections: Path
    tracks: ResultCache | None = None
    calibration: Calibration | None = None
    also: tuple[LocalizeConfig, ...] = ()


class ClipUnreadable(EgolibError):
    """The clip is missing, or too short for the visual crop."""


def query_jobs(
    clips: Mapping[str, Sequence[Query]], folder: str | Path, backend: str = "av"
) -> list[QueryJob]:
    """One job per query, clip after clip.

    Args:
        clips: clip uid -> its queries (``Annotations.by_clip``).
        folder: of the clips, ``<clip_uid>.mp4``.
        backend: what decodes them.

    Raises:
        EgolibError: the back end is not installed.
    """
    backend = check_backend(backend)
    return [
        QueryJob(
            query.key,
            Path(folder) / f"{uid}.mp4",
            uid,
            query.crop.frame_size,
            query.crop.frame,
            query.query_frame,
            backend,
        )
        for uid, queries in clips.items()
        for query in queries
    ]


def answer_query(job: QueryJob, work: Work, tracker: Tracker | None) -> Answer:
    """The answer to one query.

    Args:
        job: the query.
        work: what all queries share.
        tracker: None answers with one box.

    Raises:
        ClipUnreadable: the official code loses the whole clip then.
        EgolibError: the cache is absent or damaged, or the first frame has no box.
    """
    try:
        reader = VideoReader(job.clip, job.backend)
    except EgolibError as error:
        raise ClipUnreadable(error.what, file=error.file, remedy=error.remedy) from error
    with reader:
        if job.crop_frame >= len(reader):
            raise ClipUnreadable(
                f"the visual crop is frame {job.crop_frame} of a clip of {len(reader)} frames",
                file=job.clip,
            )
        found = caches.read(work.detections, job.key, job.query_frame)
        frames = ClipFrames(reader, job.frame_size, limit=job.query_frame)
        if tracker is not None and work.tracks is not None:
            tracker = CachedTracker(tracker, work.tracks, job.key)
        for further in work.also:
            _try(found, frames, tracker, further)
        config = work.config
        return localize(
            found, frames, tracker, config, seed=config.seed, calibration=work.calibration
        )


def _try(
    found: Detections, frames: ClipFrames, tracker: Tracker | None, config: LocalizeConfig
) -> None:
    """Follows what a further setting starts; that it may have no start is its own affair."""
    with suppress(NoBox):
        localize(found, frames, tracker, replace(config, confidence="official"), seed=config.seed)


def answer_all(
    todo: Sequence[QueryJob],
    work: Work,
    source: TrackerSource,
    *,
    processes: int = 1,
    devices: Sequence[str] = ("cpu",),
    at_once: int = 1,
) -> Answers:
    """Answers to all queries; the same for any number of processes.

    Args:
        todo: the queries.
        work: what they share.
        source: makes the tracker in each process.
        processes: on each device (official: 8 per GPU). One process in all works here.
        devices: ``cpu``, ``cuda:0``, ...
        at_once: queries that each process answers together, where its tracker follows many
            targets in lock step: equal to one after the other up to rounding.
    """
    groups = [todo[i : i + at_once] for i in range(0, len(todo), at_once)]
    count = processes * len(devices)
    if count <= 1:
        outcomes = _here(groups, work, source, devices[0])
    else:
        outcomes = _in_processes(groups, work, source, count, devices)
    answers, lost_clips = Answers(), set()
    for job, outcome in progress.track(outcomes, "queries", total=len(todo), unit="query"):
        if isinstance(outcome, Answer):
            answers.found[job.key] = outcome
        else:
            answers.skipped.add(job.key, outcome)
            if isinstance(outcome, ClipUnreadable):
                lost_clips.add(job.clip_uid)
    if work.config.lost_queries == "official":
        _lose(answers, todo, lost_clips)
    order = {job.key: place for place, job in enumerate(todo)}
    answers.found = dict(sorted(answers.found.items(), key=lambda item: order[item[0]]))
    return answers


def _lose(answers: Answers, todo: Sequence[QueryJob], clips: set[str]) -> None:
    """The official loss: all answers of a clip that cannot be read to its end."""
    for job in todo:
        if job.clip_uid in clips and job.key in answers.found:
            del answers.found[job.key]
            answers.skipped.add(job.key, "another query of its clip failed (lost_queries: kept)")


Outcome = tuple[QueryJob, Answer | EgolibError]


def _here(
    groups: Sequence[Sequence[QueryJob]], work: Work, source: TrackerSource, device: str
) -> Iterator[Outcome]:
    tracker = source(device)
    for group in groups:
        yield from zip(group, _outcomes(group, work, tracker), strict=True)


def _outcomes(
    group: Sequence[QueryJob], work: Work, tracker: Tracker | None
) -> list[Answer | EgolibError]:
    """Together where there are several and the tracker can."""
    if len(group) > 1 and isinstance(tracker, FollowsMany):
        return side_by_side([partial(_outcome, job, work) for job in group], tracker)
    return [_outcome(job, work, tracker) for job in group]


def _outcome(job: QueryJob, work: Work, tracker: Tracker | None) -> Answer | EgolibError:
    try:
        return answer_query(job, work, tracker)
    except EgolibError as error:
        return error


# ----------------------------------------------------------------------- processes

_process: dict[str, Tracker | None] = {}


def _in_processes(
    groups: Sequence[Sequence[QueryJob]],
    work: Work,
    source: TrackerSource,
    count: int,
    devices: Sequence[str],
) -> Iterator[Outcome]:
    context = get_context("spawn")
    places: Queue[str] = context.Queue()
    for number in range(count):
        places.put(devices[number % len(devices)])
    with ProcessPoolExecutor(count, context, _begin, (source, places)) as pool:
        futures = {pool.submit(_work, group, work): group for group in groups}
        for future in as_completed(futures):
            yield from zip(futures[future], future.result(), strict=True)


def _begin(source: TrackerSource, places: Queue[str]) -> None:
    """Makes the process's tracker, one thread each."""
    import torch

    torch.set_num_threads(1)
    _process["tracker"] = source(places.get())


def _work(group: Sequence[QueryJob], work: Work) -> list[Answer | EgolibError]:
    return _outcomes(group, work, _process["tracker"])
