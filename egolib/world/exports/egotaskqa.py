"""EgoTaskQA: questions about eight seconds of a video, with a closed set of answers.

Every question is made from the event log by a template, and kept only if the log has one
answer. An object is named directly, or by what was done to it (*indirect*). Unlike in the
published splits, a room is in one part only: train, val and test follow the videos.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from egolib.io.records import write_json, write_text
from egolib.world.catalog import FIXTURES
from egolib.world.encode import cut
from egolib.world.language import FORMS, unique_mentions
from egolib.world.library import Video, World, clips, spread
from egolib.world.script import NONE, Event
from egolib.world.settings import SPLITS

SECONDS = 8  # a multiple of what lies between key frames at all rates
INTERVALS = 12  # of a video at most
QUESTIONS = 6  # of an interval at most
MOST_FREQUENT = 1.5  # an answer is asked for at most this often, in means of its template
UNKNOWN = ("<UNK0>", "<UNK1>")
ACTION_PROGRAM = "query([hoi], iterate_until("
OPENED = {"open": "open", "close": "closed", "turn-on": "on", "turn-off": "off"}
SEEN_SEC = 0.5  # a shorter view of somebody is none


@dataclass(frozen=True)
class Draft:
    """One question in the fields of the raw file.

    Args:
        template: which template made it.
        question: its words.
        answer: the one right answer.
        semantic: what it is about: ``action``, ``object``, ``state`` or ``change``.
        structural: ``query``, ``verify`` (yes or no) or ``choose``.
        reference: how objects are named, ``direct`` or ``indirect``.
        type: ``descriptive`` or ``predictive``.
        category: ``world``, ``intent`` or ``multi-agent``.
        program: how the answer is found.
    """

    template: str
    question: str
    answer: str
    semantic: str
    structural: str
    reference: str = "direct"
    type: str = "descriptive"
    category: str = "world"
    program: str = "query([obj], localize(interval))"

    def record(self, interval: str) -> dict[str, Any]:
        """The row of ``qas.json``."""
        fields = asdict(self)
        del fields["template"]
        lists = {name: [fields[name]] for name in ("type", "category")}
        return {"interval": interval} | fields | lists


class Interval:
    """What happens during some seconds of a video, and all questions about it.

    Args:
        video: the video.
        first: its first frame.
        end: the frame behind its last one.
    """

    def __init__(self, video: Video, first: int, end: int):
        self.video, self.first, self.end = video, first, end
        self.instances = video.episode.room.instances
        self.rng = video.rng(f"egotaskqa {first}")

    @property
    def name(self) -> str:
        """The interval's name, and that of its video file."""
        return f"{self.video.uid}_{self.first // self.video.settings.fps:03d}"

    @cached_property
    def touching(self) -> list[Event]:
        """Actions that are seen at least in part."""
        events = self.video.episode.events
        return [e for e in events if e.start < self.end and e.end > self.first]

    @cached_property
    def inside(self) -> list[Event]:
        """Actions that are seen from beginning to end."""
        return [e for e in self.touching if self.first <= e.start and e.end <= self.end]

    def ask(self) -> list[Draft]:
        """All questions that have one answer."""
        makers = (
            self._actions,
            self._objects,
            self._did,
            self._order,
            self._states,
            self._changes,
            self._next,
            self._people,
            self._indirect,
            self._neighbours,
        )
        return [draft for make in makers for draft in make()]

    # -------------------------------------------------------------------- phrases

    def _thing(self, event: Event) -> str | None:
        """A name of what an action is about that fits nothing else in the room."""
        if event.fixture:
            return event.fixture
        options = unique_mentions(self.instances, event.obj)
        return str(options[int(self.rng.integers(len(options)))]) if options else None

    def _kind(self, event: Event) -> str:
        return event.fixture or self.instances[event.obj].silhouette

    def _about(self, event: Event) -> list[Event]:
        """All actions with the same thing."""
        return [e for e in self.touching if (e.obj, e.fixture) == (event.obj, event.fixture)]

    def _same_verb(self, event: Event) -> list[Event]:
        return [e for e in self.touching if e.verb == event.verb]

    def _single(self) -> Iterator[tuple[Event, str]]:
        """Whole actions that one verb and one name describe, and nothing else."""
        for event in self.inside:
            name = self._thing(event)
            if name is not None and sum(e.verb == event.verb for e in self._about(event)) == 1:
                yield event, name

    def _other_verb(self, event: Event) -> str:
        """A verb that could be, but was not done to this thing."""
        done = {e.verb for e in self._about(event)}
        pool = [v for v in FORMS if v not in done and v.startswith("turn") == bool(event.fixture)]
        if not event.fixture and not self.instances[event.obj].is_container:
            pool = [verb for verb in pool if verb not in ("open", "close")]
        return pool[int(self.rng.integers(len(pool)))] if pool else ""

    # ------------------------------------------------------------------ templates

    def _actions(self) -> Iterator[Draft]:
        for event, name in self._single():
            if len(self._about(event)) == 1:
                text = f"What did I do to the {name}?"
                yield Draft("action", text, FORMS[event.verb][1], "action", "query")

    def _objects(self) -> Iterator[Draft]:
        for event in self.inside:
            if len(self._same_verb(event)) == 1:
                text = f"What did I {FORMS[event.verb][1]}?"
                yield Draft("object", text, self._kind(event), "object", "query")

    def _did(self) -> Iterator[Draft]:
        for event, name in self._single():
            other = self._other_verb(event)
            for verb, answer in ((event.verb, "yes"), (other, "no")):
                if verb:
                    text = f"Did I {FORMS[verb][1]} the {name}?"
                    yield Draft("did", text, answer, "action", "verify")

    def _order(self) -> Iterator[Draft]:
        single = list(self._single())
        for (a, first), (b, second) in pairwise(single):
            early = f"{FORMS[a.verb][1]} the {first} before I {FORMS[b.verb][2]} the {second}"
            late = f"{FORMS[b.verb][1]} the {second} before I {FORMS[a.verb][2]} the {first}"
            for words, answer in ((early, "yes"), (late, "no")):
                yield Draft("order", f"Did I {words}?", answer, "action", "verify")

    def _states(self) -> Iterator[Draft]:
        """What was opened, closed or switched last is so at the end."""
        for event, name in self._single():
            if event.verb not in OPENED or self._about(event)[-1] is not event:
                continue
            state = OPENED[event.verb]
            pair = ("on", "off") if event.fixture else ("open", "closed")
            text = f"Is the {name} {pair[0]} or {pair[1]}?"
            yield Draft("which state", text, state, "state", "choose")
            answer = "yes" if state == pair[0] else "no"
            yield Draft("state", f"Is the {name} {pair[0]}?", answer, "state", "verify")

    def _changes(self) -> Iterator[Draft]:
        for event, name in self._single():
            if event.verb in ("open", "close") and len(self._about(event)) == 1:
                text = f"Was the {name} open before and is it closed after?"
                answer = "yes" if event.verb == "close" else "no"
                yield Draft("change", text, answer, "change", "verify")

    def _next(self) -> Iterator[Draft]:
        """What comes after the interval."""
        later = [e for e in self.video.episode.events if e.start >= self.end]
        if not later or self.touching != self.inside:
            return
        facts = {"type": "predictive", "category": "intent"}
        verb = later[0].verb
        text = "What do I do after this?"
        yield Draft("next", text, FORMS[verb][1], "action", "query", **facts)
        other = list(FORMS)[int(self.rng.integers(len(FORMS)))]
        for asked in {verb, other}:
            text = f"Do I {FORMS[asked][1]} after this?"
            answer = "yes" if asked == verb else "no"
            yield Draft("will", text, answer, "action", "verify", **facts)

    def _people(self) -> Iterator[Draft]:
        first = len(self.instances) + len(FIXTURES)
        people = self.video.episode.people
        views = self.video.visible[self.first : self.end, first : first + len(people)].sum(0)
        seen = {p.kind for p, n in zip(people, views, strict=True) if n}
        long = SEEN_SEC * self.video.settings.fps
        clear = {p.kind for p, n in zip(people, views, strict=True) if n >= long}
        if len(seen) == 1 and seen == clear:
            kind = seen.pop()
            facts = {"category": "multi-agent"}
            yield Draft("who", "Who walked past?", kind, "object", "query", **facts)
            others = [k for k in ("man", "woman", "boy") if k != kind]
            other = others[int(self.rng.integers(len(others)))]
            for name, answer in ((kind, "yes"), (other, "no")):
                yield Draft("there", f"Was there a {name}?", answer, "object", "verify", **facts)

    def _indirect(self) -> Iterator[Draft]:
        """The object is named by another thing that was done to it."""
        for event in self.inside:
            about = [e for e in self._about(event) if e is not event]
            if event.obj == NONE or len(self._same_verb(event)) != 1 or len(about) != 1:
                continue
            if about[0] not in self.inside or about[0].verb == event.verb:
                continue
            what, done = f"what I {FORMS[event.verb][2]}", about[0].verb
            facts = {"reference": "indirect", "program": "query([change], filter(obj, hoi))"}
            text = f"What did I do to {what}?"
            yield Draft("action of what", text, FORMS[done][1], "action", "query", **facts)
            for verb, answer in ((done, "yes"), (self._other_verb(event), "no")):
                if verb:
                    text = f"Did I {FORMS[verb][1]} {what}?"
                    yield Draft("did to what", text, answer, "action", "verify", **facts)

    def _neighbours(self) -> Iterator[Draft]:
        """The action before or after another one, and its object."""
        single = {event.index: name for event, name in self._single()}
        for a, b in pairwise(self.inside):
            if b.index != a.index + 1:
                continue
            for asked, known, word in ((a, b, "before"), (b, a, "after")):
                name = single.get(known.index)
                if name is None:
                    continue
                when = f"{word} I {FORMS[known.verb][2]} the {name}"
                program = f"{ACTION_PROGRAM}{word}, hoi))"
                facts = {"reference": "indirect", "program": program}
                text = f"What did I do {when}?"
                yield Draft("neighbour", text, FORMS[asked.verb][1], "action", "query", **facts)
                if len(self._same_verb(asked)) == 1:
                    text = f"What did I {FORMS[asked.verb][1]} {when}?"
                    kind = self._kind(asked)
                    facts = {"reference": "indirect", "program": "query([obj], iterate_until(x))"}
                    yield Draft("object of neighbour", text, kind, "object", "query", **facts)


# ----------------------------------------------------------------------------- choosing


def intervals(video: Video) -> list[Interval]:
    """Some intervals of a video, evenly over it."""
    spans = list(clips(video.settings, SECONDS))
    counts = spread(min(INTERVALS, len(spans)), len(spans))
    chosen = video.rng("egotaskqa").permutation(len(spans))[: sum(counts)]
    return [Interval(video, *spans[place]) for place in sorted(chosen)]


def questions(world: World, split: str) -> list[tuple[Interval, Draft]]:
    """The questions about the videos of a split: balanced, then some of each interval."""
    rng = world.rng(f"egotaskqa {split}")
    found = [(i, draft) for video in world.of(split) for i in intervals(video) for draft in i.ask()]
    kept = _balanced([found[place] for place in rng.permutation(len(found))])
    asked: Counter[str] = Counter()
    chosen = []
    for interval, draft in kept:
        if asked[interval.name] < QUESTIONS:
            asked[interval.name] += 1
            chosen.append((interval, draft))
    return sorted(chosen, key=lambda pair: (pair[0].video.index, pair[0].first))


def _balanced(found: list[tuple[Interval, Draft]]) -> list[tuple[Interval, Draft]]:
    """Yes as often as no in each template; no other answer much more often than its mean."""
    counts: dict[str, Counter[str]] = {}
    for _, draft in found:
        counts.setdefault(draft.template, Counter())[draft.answer] += 1
    limits = {name: _limit(answers) for name, answers in counts.items()}
    taken: Counter[tuple[str, str]] = Counter()
    kept = []
    for interval, draft in found:
        key = (draft.template, draft.answer)
        if taken[key] < limits[draft.template]:
            taken[key] += 1
            kept.append((interval, draft))
    return kept


def _limit(answers: Counter[str]) -> int:
    if set(answers) <= {"yes", "no"}:
        return min(answers["yes"], answers["no"])
    return int(np.ceil(MOST_FREQUENT * np.mean(list(answers.values()))))


# ------------------------------------------------------------------------------ writing


def export(world: World) -> None:
    """Writes intervals, the raw questions, and both splits in the official files."""
    asked = {split: questions(world, split) for split in SPLITS}
    rows: dict[str, list[dict[str, Any]]] = {}
    numbers: dict[str, int] = {}
    count = 0
    for split, found in asked.items():
        rows[split] = []
        for interval, draft in found:
            _cut(world, interval)
            record = draft.record(interval.name)
            tags = {
                "question_id": count,
                "video_id": numbers.setdefault(interval.name, len(numbers)),
            }
            rows[split].append(record | tags | {"reasoning_type": _reasoning(record)})
            count += 1
    raw = [{k: v for k, v in row.items() if k in RAW} for s in SPLITS for row in rows[s]]
    write_json(_path(world, "qas.json"), raw)
    _write_split(world, "direct", rows)
    parts = {split: [row for row in rows[split] if _in_indirect(row, split)] for split in SPLITS}
    _write_split(world, "indirect", parts)


RAW = ("interval", *(name for name in Draft.__dataclass_fields__ if name != "template"))
WRITTEN = (
    "question_id",
    "video_id",
    "interval",
    "question",
    "answer",
    "answer_encode",
    "reasoning_type",
    "type",
    "category",
    "semantic",
)


def _path(world: World, *parts: str) -> Any:
    return world.path("EgoTaskQA", "Data", "qa", *parts)


def _cut(world: World, interval: Interval) -> None:
    target = world.path("EgoTaskQA", "qa_videos", f"{interval.name}.mp4")
    if not target.is_file():
        fps = world.settings.fps
        cut(interval.video.file, target, interval.first // fps, _seconds(interval), fps)


def _seconds(interval: Interval) -> int:
    return (interval.end - interval.first) // interval.video.settings.fps


def _reasoning(record: dict[str, Any]) -> str:
    last = [record[name] for name in ("semantic", "structural", "reference")]
    return "$".join([*record["type"], *record["category"], *last])


def _in_indirect(row: dict[str, Any], split: str) -> bool:
    """Train has direct references and single actions, the others the indirect ones."""
    action = row["program"].startswith(ACTION_PROGRAM)
    if split == "train":
        return bool(row["reference"] == "direct" or action)
    return bool(row["reference"] == "indirect" and not action)


def _write_split(world: World, name: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    counts = Counter(row["answer"] for row in rows["train"])
    answers = [*UNKNOWN, *(answer for answer, _ in counts.most_common())]
    index = {answer: place for place, answer in enumerate(answers)}
    types: dict[str, None] = {}
    for split in SPLITS:
        written = []
        for row in rows[split]:
            row = row | {"answer_encode": index.get(row["answer"], 1)}
            written.append({field: row[field] for field in WRITTEN})
            types |= dict.fromkeys(row["reasoning_type"].split("$"))
        write_json(_path(world, name, f"formatted_{split}_qas_encode.json"), written)
    for file, lines in (("answer_set.txt", answers), ("all_reasoning_types.txt", list(types))):
        write_text(_path(world, name, file), "".join(f"{line}\n" for line in lines))
