"""Cutting many clips and images out of videos, each video in one pass.

Targets appear whole or not at all; those that a former run finished under the
same plan, and that are unchanged since, are kept; what cannot be made is listed
with the reason. Videos are worked on side by side by single-threaded processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

from egolib.errors import EgolibError
from egolib.io.records import Skipped
from egolib.progress import track
from egolib.video.backends import check_backend
from egolib.video.encode import VideoWriter, remove_unfinished
from egolib.video.images import save_image
from egolib.video.ledger import Ledger, Recheck
from egolib.video.plans import ClipPlan, ImagePlan, VideoPlan, check_plans, note_for
from egolib.video.pyav import PyAVFrames
from egolib.video.raw import OtherFrames, SourceFrames
from egolib.video.resize import PictureMaker
from egolib.video.sound import Sound


@dataclass
class Extraction:
    """What became of the plans.

    Attributes:
        written: targets made now.
        kept: targets that were there already.
        skipped: targets that could not be made, and sources with a problem.
    """

    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    skipped: Skipped = field(default_factory=Skipped)

    def add(self, other: Extraction) -> None:
        """Takes in the outcome of another video."""
        self.written += other.written
        self.kept += other.kept
        for record, reason in other.skipped.reasons.items():
            self.skipped.add(record, reason)

    def summary(self) -> str:
        """Counts, then the first failures."""
        return f"{len(self.written)} written, {len(self.kept)} kept, {self.skipped.summary()}"


def extract(
    plans: Sequence[VideoPlan],
    *,
    workers: int = 1,
    recheck: Recheck = "quick",
    force: bool = False,
) -> Extraction:
    """Makes all clips and images of the plans that are not there yet, or no longer whole.

    Files that killed runs left half written are removed first.

    Args:
        plans: one per source video; ``egolib.video.plans.only`` restricts them.
        workers: processes; each works on one video at a time, with one thread.
        recheck: how targets of former runs are checked. All three compare the note inside
            them with the plan. ``quick`` compares the size with the one that was noted,
            and the checksum where the time of the last change differs; ``checksum``
            always compares it; ``decode`` decodes every frame as well.
        force: make everything again.

    Returns:
        What was written, kept, and skipped with a reason: sources that are missing,
        damaged or end early, and each target that could not be made from them. From
        a source that ends early the targets that lie before its end are made.

    Raises:
        EgolibError: a plan contradicts itself, two plans share a target, or the decoder that a
            plan names is not installed.
    """
    for backend in {plan.backend for plan in plans}:
        check_backend(backend)
    check_plans(plans)
    for folder in {target.path.parent for plan in plans for target in plan.targets}:
        remove_unfinished(folder)
    total = Extraction()
    work = partial(extract_video, recheck=recheck, force=force)
    done = _in_processes(plans, workers, work) if workers > 1 else map(work, plans)
    for part in track(done, "videos", total=len(plans), unit="video"):
        total.add(part)
    return total


def _in_processes(
    plans: Sequence[VideoPlan], workers: int, work: Callable[[VideoPlan], Extraction]
) -> Iterator[Extraction]:
    """Outcomes in the order of completion; a process that dies costs its own video only."""
    unfinished = []
    with _pool(min(workers, len(plans) or 1)) as pool:
        futures: dict[Future[Extraction], VideoPlan] = {
            pool.submit(work, plan): plan for plan in plans
        }
        for future in as_completed(futures):
            try:
                yield future.result()
            except BrokenProcessPool:
                unfinished.append(futures[future])
    for plan in unfinished:  # one of these ended the pool: each gets a process of its own
        with _pool(1) as pool:
            try:
                yield pool.submit(work, plan).result()
            except BrokenProcessPool:
                outcome = Extraction()
                reason = "the process that worked on this video died"
                _skip_all(outcome, plan.source, plan.targets, reason)
                yield outcome


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def _skip_all(
    outcome: Extraction, source: Path, targets: Sequence[ClipPlan | ImagePlan], reason: str
) -> None:
    outcome.skipped.add(source, reason)
    for target in targets:
        outcome.skipped.add(target.path, f"its source {source.name}: {reason}")


def extract_video(plan: VideoPlan, recheck: Recheck = "quick", force: bool = False) -> Extraction:
    """Makes the clips and images of one video in one pass.

    Args:
        plan: one source video and its targets.
        recheck: see ``extract``.
        force: see ``extract``.
    """
    ledger = Ledger(plan)
    left = [target for target in plan.targets if force or not ledger.holds(target, recheck)]
    missing = {target.path for target in left}
    outcome = Extraction(kept=[t.path for t in plan.targets if t.path not in missing])
    if left:
        try:
            _make(plan, left, outcome)
        except (EgolibError, av.error.FFmpegError, OSError) as error:
            reason = error.what if isinstance(error, EgolibError) else str(error)
            done = set(outcome.written)
            _skip_all(outcome, plan.source, [t for t in left if t.path not in done], reason)
    ledger.note(outcome.written + outcome.kept)
    return outcome


def _make(plan: VideoPlan, targets: list[ClipPlan | ImagePlan], outcome: Extraction) -> None:
    frames: SourceFrames
    if plan.backend in ("av", "pyav"):
        frames = PyAVFrames(plan.source, damaged="whole", stream=plan.stream)
    else:
        frames = OtherFrames(plan.source, plan.backend, plan.stream)
    if frames.read_error:
        outcome.skipped.add(plan.source, frames.read_error)
    _walk(frames, [_making(target, frames) for target in targets], outcome)
    frames.close()


# ------------------------------------------------------------------ one pass over a video


def _walk(frames: SourceFrames, targets: list[_Making], outcome: Extraction) -> None:
    """Decodes every frame that some target needs once, in order, and hands it around."""
    waiting: dict[int, list[_Making]] = {}
    for target in targets:
        if problem := target.impossible():
            outcome.skipped.add(target.plan.path, problem)
        else:
            waiting.setdefault(target.numbers[0], []).append(target)
    wanted = [list(t.numbers) for group in waiting.values() for t in group]
    active: list[_Making] = []
    for number in np.unique(np.concatenate(wanted)).tolist() if wanted else []:
        active += waiting.pop(number, [])
        takers = [target for target in active if target.following == number]
        if takers:  # none is left where all have failed
            _hand_out(frames, number, takers, outcome)
        active = [target for target in active if target.following is not None]


def _hand_out(
    frames: SourceFrames, number: int, takers: list[_Making], outcome: Extraction
) -> None:
    try:
        frame = frames.raw(number)
    except EgolibError as error:
        for target in takers:
            target.fail(f"source frame {number}: {error.what}", outcome)
        return
    for target in takers:
        try:
            target.take(frame)
            if target.following is None:
                target.finish()
                outcome.written.append(target.plan.path)
        except (EgolibError, av.error.FFmpegError, OSError) as error:
            target.fail(str(error), outcome)


class _Making:
    """A target in the making: takes frames in ascending order until it has all of its own."""

    plan: ClipPlan | ImagePlan

    def __init__(self, numbers: Sequence[int], frames: SourceFrames):
        self.numbers, self.frames, self.position = numbers, frames, 0

    @property
    def following(self) -> int | None:
        """The next frame number it needs; None when it has them all or has failed."""
        return self.numbers[self.position] if self.position < len(self.numbers) else None

    def impossible(self) -> str | None:
        """Why it cannot be made from this source, or None."""
        if not len(self.numbers):
            return "the plan names no frames"
        count, lowest, highest = len(self.frames), self.numbers[0], self.numbers[-1]
        if lowest < 0 or highest >= count:
            missing = lowest if lowest < 0 else max(lowest, count)
            cut = f" ({self.frames.read_error})" if self.frames.read_error else ""
            return f"source frame {missing} does not exist: the source has {count} frames{cut}"
        return None

    def fail(self, reason: str, outcome: Extraction) -> None:
        """Gives up, removes what was written, and is listed."""
        self.position = len(self.numbers)
        outcome.skipped.add(self.plan.path, reason)

    def note(self) -> dict[str, Any]:
        """What is stored in the file about its making."""
        facts = {"count": len(self.numbers), "source_fps": str(self.frames.rate)}
        source = self.frames
        return note_for(self.plan, source.path, source.stream, source.backend) | facts

    def take(self, frame: VideoFrame) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Called after the last frame."""


class _MakingImage(_Making):
    plan: ImagePlan

    def __init__(self, plan: ImagePlan, frames: SourceFrames):
        super().__init__([plan.frame], frames)
        self.plan = plan
        size = plan.resize.size(frames.size)
        self._maker = PictureMaker(frames.size, size, frames.orientation, plan.resize.interpolation)

    def take(self, frame: VideoFrame) -> None:
        self.position = 1
        save_image(self.plan.path, self._maker.image(frame), self.plan.quality, self.note())


class _MakingClip(_Making):
    plan: ClipPlan

    def __init__(self, plan: ClipPlan, frames: SourceFrames):
        super().__init__(range(len(frames)) if plan.frames is None else plan.frames, frames)
        self.plan = plan
        size = plan.resize.even_size(frames.size)
        self._maker = PictureMaker(frames.size, size, frames.orientation, plan.resize.interpolation)
        self._writer: VideoWriter | None = None

    def impossible(self) -> str | None:
        if self.plan.frames is None and self.frames.read_error:
            return f"the whole source is wanted, but {self.frames.read_error}"
        return super().impossible()

    def take(self, frame: VideoFrame) -> None:
        self._writer = self._writer or self._start()
        picture, number = self._maker.frame(frame), self.following
        while self.following == number:  # more than once for a repeated number
            shown = self.frames.shown_sec
            time = shown(number) - shown(self.numbers[0])  # type: ignore[arg-type]
            self._writer.write(picture, time if self.plan.fps is None else None)
            self.position += 1

    def finish(self) -> None:
        assert self._writer is not None
        self._writer.finish()

    def fail(self, reason: str, outcome: Extraction) -> None:
        super().fail(reason, outcome)
        if self._writer:
            self._writer.abandon()

    def _start(self) -> VideoWriter:
        plan, rate = self.plan, self.frames.rate
        sound = None
        if plan.audio == "copy":
            first, last = self.numbers[0], self.numbers[-1]
            start, end = self.frames.shown_sec(first), self.frames.shown_sec(last + 1)
            sound = Sound(self.frames.path, start, end)
        return VideoWriter(plan.path, plan.fps or rate, plan.encoding, self.note(), sound)


def _making(plan: ClipPlan | ImagePlan, frames: SourceFrames) -> _Making:
    if isinstance(plan, ClipPlan):
        return _MakingClip(plan, frames)
    return _MakingImage(plan, frames)
