"""Questions about a video, from its log and from what can be seen.

A question is kept only if exactly one interval answers it; where a thing happened
several times, the question asks for the last time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from egolib.world.catalog import FIXTURES, SILHOUETTES, STATIONS
from egolib.world.degrade import runs
from egolib.world.language import FORMS, PLACES, PLURALS, Mention, mentions, unique_mentions
from egolib.world.library import Video
from egolib.world.script import NONE, Event

TEMPLATES = {
    "put": "Place: Where did I put X?",
    "inside": "Objects: What did I put in X?",
    "around": "Objects: Where is object X before / after event Y?",
    "which": "Objects: What X did I Y?",
    "count": "Objects: How many X’s? (quantity question)",
    "state": "State of an object",
    "seen": "Objects: In what location did I see object X ?",
    "who": "People: Who did I interact with when I did activity X?",
}
MARGIN_SEC = (0.2, 0.5)  # an action's answer begins and ends this much around it
GLIMPSE_SEC = 0.5  # a shorter view of something is no answer
LOOK_SEC = 1.5  # a shorter view is no second answer to "where did I see"
AROUND_SEC = 25.0  # "before" and "after" reach this far


@dataclass(frozen=True)
class Question:
    """A question with its answer.

    Args:
        kind: key of ``TEMPLATES``.
        start_sec: of the answer, seconds of the video.
        end_sec: of the answer.
        slot_x: the template's first thing; empty where unused.
        verb_x: what is done to it.
        slot_y: the template's second thing.
        verb_y: what is done to it.
        answer: a short answer in words.
    """

    kind: str
    query: str
    start_sec: float
    end_sec: float
    slot_x: str = ""
    verb_x: str = ""
    slot_y: str = ""
    verb_y: str = ""
    answer: str = ""

    @property
    def middle_sec(self) -> float:
        return (self.start_sec + self.end_sec) / 2


Interval = tuple[float, float]


class Asker:
    """Finds all questions that a video answers."""

    def __init__(self, video: Video):
        self.video, self.episode = video, video.episode
        self.settings = video.settings
        self.events = self.episode.events
        self.instances = self.episode.room.instances
        self.rng = video.rng("questions")

    def ask(self) -> list[Question]:
        """All questions whose answers have the wanted length."""
        makers: tuple[Callable[[], list[Question]], ...] = (
            self._put,
            self._inside,
            self._around,
            self._which,
            self._count,
            self._state,
            self._seen,
            self._who,
        )
        low, high = self.settings.nlq_interval_sec
        return [q for make in makers for q in make() if low <= q.end_sec - q.start_sec <= high]

    # ---------------------------------------------------------------- what happened

    def _span(self, event: Event) -> Interval:
        """An action with a margin on both sides."""
        before, after = self.rng.uniform(*MARGIN_SEC, size=2)
        start = max(0.0, self.episode.sec(event.start) - before)
        end = min(float(self.settings.video_sec), self.episode.sec(event.end) + after)
        return round(start, 3), round(end, 3)

    def _name(self, options: list[Mention]) -> Mention | None:
        """The fullest phrase most often."""
        if not options:
            return None
        return options[0] if self.rng.random() < 0.6 else options[self.rng.integers(len(options))]

    def _named(self, obj: int) -> Mention | None:
        return self._name(unique_mentions(self.instances, obj))

    def _only(self, events: list[Event]) -> Event | None:
        return events[0] if len(events) == 1 else None

    def _last(self, events: list[Event]) -> tuple[Event | None, str]:
        """The last of several, and the word that asks for it."""
        return (events[-1] if events else None), ("last " if len(events) > 1 else "")

    def _put(self) -> list[Question]:
        found = []
        for obj in range(len(self.instances)):
            name = self._named(obj)
            event, last = self._last([e for e in self.events if e.verb == "put" and e.obj == obj])
            if name is None or event is None:
                continue
            answer = PLACES[event.station] if event.container == NONE else "in a container"
            text = f"Where did I {last}put the {name}?"
            found.append(
                Question(
                    "put", text, *self._span(event), slot_x=str(name), verb_x="put", answer=answer
                )
            )
        return found

    def _inside(self) -> list[Question]:
        found = []
        for box in range(len(self.instances)):
            name = self._named(box)
            event, last = self._last(
                [e for e in self.events if e.verb == "put" and e.container == box]
            )
            if name is None or event is None:
                continue
            answer = str(mentions(self.instances[event.obj])[0])
            text = f"What did I {last}put in the {name}?"
            found.append(
                Question("inside", text, *self._span(event), slot_x=str(name), answer=answer)
            )
        return found

    def _which(self) -> list[Question]:
        found = []
        for verb, (_, _, past) in FORMS.items():
            base = FORMS[verb][1]
            for kind in SILHOUETTES:
                event = self._only(
                    [
                        e
                        for e in self.events
                        if e.verb == verb
                        and e.obj != NONE
                        and self.instances[e.obj].silhouette == kind
                    ]
                )
                if event is not None:
                    answer = str(mentions(self.instances[event.obj])[0])
                    found.append(
                        Question(
                            "which",
                            f"What {kind} did I {base}?",
                            *self._span(event),
                            slot_x=kind,
                            verb_y=past,
                            answer=answer,
                        )
                    )
        return found

    def _state(self) -> list[Question]:
        """Opened or closed, on or off: the last change."""
        found = []
        things: list[tuple[str, list[Event]]] = [
            (name, [e for e in self.events if e.fixture == name]) for name in FIXTURES
        ]
        for obj, instance in enumerate(self.instances):
            name = self._named(obj) if instance.is_container else None
            if name is not None:
                toggles = [e for e in self.events if e.obj == obj and e.verb in ("open", "close")]
                things.append((str(name), toggles))
        for thing, toggles in things:
            if not toggles:
                continue
            event = toggles[-1]
            state = {"open": "open", "close": "closed", "turn-on": "on", "turn-off": "off"}
            word = state[event.verb]
            text = f"Did I leave the {thing} {word}?"
            found.append(Question("state", text, *self._span(event), slot_x=thing, answer=word))
        return found

    # ------------------------------------------------------------------ what was seen

    def _views(self, flags: np.ndarray) -> list[Interval]:
        """Stretches of a (T,) flag that are more than a glimpse, in seconds."""
        spans = [(self.episode.sec(a), self.episode.sec(b)) for a, b in runs(flags)]
        return [(a, b) for a, b in spans if b - a >= GLIMPSE_SEC]

    @cached_property
    def _object_views(self) -> list[list[Interval]]:
        return [self._views(self.video.visible[:, i]) for i in range(len(self.instances))]

    def _seen(self) -> list[Question]:
        found = []
        for obj, views in enumerate(self._object_views):
            name = self._named(obj)
            looks = [v for v in views if v[1] - v[0] >= LOOK_SEC]
            if name is not None and looks:
                last = "last " if len(looks) > 1 else ""
                text = f"In what location did I {last}see the {name}?"
                found.append(Question("seen", text, *looks[-1], slot_x=str(name)))
        return found

    def _count(self) -> list[Question]:
        """How many of a kind at a station, if only one visit shows them."""
        found = []
        near = self._near_station()
        for kind in SILHOUETTES:
            members = [i.index for i in self.instances if i.silhouette == kind]
            seen = self.video.visible[:, members].any(1)
            for station in STATIONS:
                views = self._views(seen & near[station])
                looks = [v for v in views if v[1] - v[0] >= LOOK_SEC]
                if len(looks) == 1:
                    text = f"How many {PLURALS[kind]} did I see {PLACES[station]}?"
                    slot = f"{PLURALS[kind]} {PLACES[station]}"
                    found.append(Question("count", text, *looks[0], slot_x=slot))
        return found

    def _near_station(self) -> dict[str, np.ndarray]:
        """(T,) for each station: the camera looks at it."""
        x = self.video.truth.camera[:, 0]
        names = list(self.episode.room.station_x)
        centres = np.array([self.episode.room.station_x[n] for n in names])
        nearest = np.abs(x[:, None] - centres).argmin(1)
        return {name: nearest == i for i, name in enumerate(names)}

    def _around(self) -> list[Question]:
        """The last view of X before an action, or the first one after it."""
        found = []
        for event, phrase in self._single_actions():
            for obj in range(len(self.instances)):
                name = self._named(obj)
                if name is None or obj == event.obj or self.rng.random() > 0.35:
                    continue
                word = "before" if self.rng.random() < 0.5 else "after"
                view = self._nearest_view(obj, event, word)
                if view is not None:
                    text = f"Where was the {name} {word} I {phrase}?"
                    found.append(Question("around", text, *view, slot_x=str(name), slot_y=phrase))
        return found

    def _nearest_view(self, obj: int, event: Event, word: str) -> Interval | None:
        start, end = self.episode.sec(event.start), self.episode.sec(event.end)
        views = self._object_views[obj]
        if word == "before":
            options = [v for v in views if start - AROUND_SEC < v[1] <= start]
            return options[-1] if options else None
        options = [v for v in views if end <= v[0] < end + AROUND_SEC]
        return options[0] if options else None

    def _single_actions(self) -> list[tuple[Event, str]]:
        """Actions that one phrase describes, and nothing else in the video."""
        found = []
        for event in self.events:
            if event.obj == NONE:
                continue
            same = [e for e in self.events if e.verb == event.verb and e.obj == event.obj]
            name = self._named(event.obj)
            if len(same) == 1 and name is not None:
                found.append((event, f"{FORMS[event.verb][2]} the {name}"))
        return found

    def _who(self) -> list[Question]:
        """Somebody who was in view during an action that happened once."""
        found = []
        first = len(self.instances) + len(FIXTURES)
        people = [
            self._views(self.video.visible[:, first + i]) for i in range(len(self.episode.people))
        ]
        for event, phrase in self._single_actions():
            start, end = self.episode.sec(event.gaze_start), self.episode.sec(event.gaze_end)
            seen = [
                (person, view)
                for person, views in zip(self.episode.people, people, strict=True)
                for view in views
                if view[0] < end and view[1] > start
            ]
            if len(seen) == 1:
                text = f"Who walked past when I {phrase}?"
                kind = seen[0][0].kind
                found.append(Question("who", text, *seen[0][1], slot_y=phrase, answer=kind))
        return found
