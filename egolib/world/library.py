"""A drawn world on disk: its videos with their logs and truths, and where its files go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from egolib.world.episode import Episode, make_episode, video_keys, video_uid
from egolib.world.settings import WorldSettings
from egolib.world.streams import stream
from egolib.world.visibility import Truth, read_truth, sketch_truth


@dataclass(frozen=True)
class Video:
    """One video: what was planned (``episode``) and what can be seen (``truth``).

    Args:
        root: the world's folder; None for a video that exists as a log only, whose
            truth is then the sketch.
    """

    settings: WorldSettings
    split: str
    index: int
    root: Path | None

    @cached_property
    def uid(self) -> str:
        """UUID-shaped name."""
        return video_uid(self.settings, self.split, self.index)

    @cached_property
    def episode(self) -> Episode:
        """The log, simulated again (it is fast and always the same)."""
        return make_episode(self.settings, self.split, self.index)

    @cached_property
    def truth(self) -> Truth:
        """What can be seen."""
        if self.root is None:
            return sketch_truth(self.episode)
        return read_truth(truth_path(self.root, self.uid))

    @cached_property
    def visible(self) -> np.ndarray:
        """(T, E) bool: annotated or not."""
        return self.truth.visible(self.settings)

    @property
    def file(self) -> Path:
        """The video file."""
        assert self.root is not None
        return video_path(self.root, self.uid)

    def rng(self, purpose: str) -> np.random.Generator:
        """The stream of one purpose."""
        return stream(*self.settings.key(), self.split, self.index, purpose)


@dataclass(frozen=True)
class World:
    """All videos of a world, and the folder that files are written to."""

    settings: WorldSettings
    root: Path | None

    @cached_property
    def videos(self) -> list[Video]:
        """In order: train, val, test."""
        return [Video(self.settings, s, i, self.root) for s, i in video_keys(self.settings)]

    def of(self, *splits: str) -> list[Video]:
        """The videos of some splits."""
        return [v for v in self.videos if v.split in splits]

    def path(self, *parts: str) -> Path:
        """A path below the folder."""
        assert self.root is not None
        return self.root.joinpath(*parts)

    def rng(self, purpose: str) -> np.random.Generator:
        """A stream that belongs to no single video."""
        return stream(*self.settings.key(), "world", purpose)


def video_path(root: Path, uid: str) -> Path:
    """Where a video lies."""
    return root / "videos" / f"{uid}.mp4"


def truth_path(root: Path, uid: str) -> Path:
    """Where its truth lies."""
    return root / "truth" / f"{uid}.npz"


def link(source: Path, target: Path) -> Path:
    """A hard link; a copy where the file system has none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if os.path.samefile(source, target):
            return target
        target.unlink()
    try:
        os.link(source, target)
    except OSError:
        target.write_bytes(source.read_bytes())
    return target


def spread(total: int, count: int) -> list[int]:
    """``total`` things over ``count`` places as evenly as possible, first places first."""
    return [total // count + (i < total % count) for i in range(count)]


def clips(settings: WorldSettings, length_sec: int) -> Iterator[tuple[int, int]]:
    """First frame and one-past-last frame of consecutive clips of a video."""
    frames = min(length_sec, settings.video_sec) * settings.fps
    for first in range(0, settings.frames - frames + 1, frames):
        yield first, first + frames
