"""Narrated clips: the lines that a wearer's day would be described with, and their windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from egolib.world.catalog import NOUNS, VERBS
from egolib.world.language import narrate, narrate_person
from egolib.world.library import Video
from egolib.world.room import Instance
from egolib.world.script import NONE, Event

EDGE_SEC = 0.05  # clips keep this distance from both ends of the video
PEOPLE_SHIFT_SEC = 0.3


@dataclass(frozen=True)
class Narration:
    """One line over one clip.

    Args:
        event: position in the event log, or -1 for a line about somebody else.
        source: ``narration_pass_1`` or ``narration_pass_2``.
        number: counter within the video and pass.
        time_sec: time stamp.
        start_sec: of the clip.
        end_sec: of the clip.
        verbs: class indices.
        nouns: class indices.
    """

    event: int
    source: str
    number: int
    time_sec: float
    start_sec: float
    end_sec: float
    text: str
    verbs: tuple[int, ...]
    nouns: tuple[int, ...]

    @property
    def meaning(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What two lines must share to describe the same thing."""
        return self.verbs, tuple(sorted(self.nouns))


def narrations(video: Video) -> list[Narration]:
    """All lines of a video in order of time, pass after pass."""
    lines: list[Narration] = []
    for number in range(video.settings.narrators):
        lines += _one_pass(video, number + 1)
    return lines


def _one_pass(video: Video, number: int) -> list[Narration]:
    rng = video.rng(f"narration {number}")
    episode = video.episode
    moments: list[tuple[float, int, str]] = [
        (episode.sec(e.middle), e.index, "") for e in episode.events
    ]
    moments += [
        (episode.sec((p.start + p.end) / 2) + rng.uniform(-1, 1) * PEOPLE_SHIFT_SEC, NONE, p.kind)
        for p in episode.people
    ]
    lines = []
    for counter, (middle, index, kind) in enumerate(sorted(moments)):
        window, time = _window(video, rng, middle)
        text, verbs, nouns = _line(video, rng, index, kind)
        source = f"narration_pass_{number}"
        lines.append(Narration(index, source, counter, time, *window, text, verbs, nouns))
    return lines


def _window(
    video: Video, rng: np.random.Generator, middle: float
) -> tuple[tuple[float, float], float]:
    """A clip around a moment; length and jitter follow one law for all lines."""
    settings = video.settings
    length = rng.uniform(*settings.clip_sec)
    jitter = settings.clip_jitter_sec
    centre = middle + rng.uniform(-jitter, jitter)
    time = middle + rng.uniform(-jitter, jitter)
    last = settings.video_sec - EDGE_SEC - length
    start = round(float(np.clip(centre - length / 2, EDGE_SEC, last)), 4)
    return (start, round(start + length, 4)), round(float(time), 4)


def _line(
    video: Video, rng: np.random.Generator, index: int, kind: str
) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    if index == NONE:
        return narrate_person(rng, kind), (), (NOUNS.index(kind),)
    event = video.episode.events[index]
    instances = video.episode.room.instances
    container = None if event.container == NONE else instances[event.container]
    text = narrate(rng, event.verb, thing_of(video, event), container, event.station)
    return text, (VERBS.index(event.verb),), event_nouns(video, event)


def thing_of(video: Video, event: Event) -> Instance | str:
    """The object or fixture that an action is about."""
    return event.fixture or video.episode.room.instances[event.obj]


def event_nouns(video: Video, event: Event) -> tuple[int, ...]:
    """Noun classes of an action: what it is about, and the container."""
    instances = video.episode.room.instances
    names = [event.fixture or instances[event.obj].silhouette]
    if event.container != NONE:
        names.append(instances[event.container].silhouette)
    return tuple(dict.fromkeys(NOUNS.index(name) for name in names))
