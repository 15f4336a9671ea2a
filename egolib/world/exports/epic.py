"""EPIC-KITCHENS-100 multi-instance retrieval: clip and sentence tables, relevancy matrices."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from egolib.io.records import atomic_path, write_text
from egolib.world.catalog import NOUNS, VERBS
from egolib.world.language import FORMS
from egolib.world.library import Video, World, link
from egolib.world.narrations import event_nouns, thing_of
from egolib.world.room import Instance
from egolib.world.script import NONE, Event

FOLDER = ("EK100", "epic-kitchens-100-annotations", "retrieval_annotations")
VIDEOS_EACH = 2  # videos of one participant
TEXTURE_FRACTION = 0.6  # narrations that name the texture
SENTENCE_FIELDS = ("narration_id", "narration", "verb", "verb_class", "noun", "noun_class")


@dataclass(frozen=True)
class Action:
    """One clip: the row of the official table."""

    row: dict[str, Any]

    @property
    def verb(self) -> int:
        result: int = self.row["verb_class"]
        return result

    @property
    def nouns(self) -> list[int]:
        result: list[int] = self.row["all_noun_classes"]
        return result


def export(world: World) -> None:
    """Writes both splits; the test split holds validation and test videos."""
    number = 0
    for name, splits in (("train", ("train",)), ("test", ("val", "test"))):
        actions: list[Action] = []
        for video in world.of(*splits):
            number += 1
            person = f"P{(number - 1) // VIDEOS_EACH + 1:02d}"
            ident = f"{person}_{(number - 1) % VIDEOS_EACH + 1:02d}"
            link(video.file, world.path("EK100", "video_ht256px", person, f"{ident}.MP4"))
            actions += _actions(video, person, ident)
        _write_split(world, name, actions)


def _actions(video: Video, person: str, ident: str) -> list[Action]:
    rng = video.rng("epic")
    return [
        Action(_row(video, rng, event, person, ident, i))
        for i, event in enumerate(video.episode.events)
    ]


def _row(
    video: Video, rng: np.random.Generator, event: Event, person: str, ident: str, number: int
) -> dict[str, Any]:
    fps = video.settings.fps
    half = rng.uniform(*video.settings.clip_sec) / 2
    start = max(0.0, event.middle / fps - half)
    stop = min(video.settings.video_sec - 0.1, event.middle / fps + half)
    nouns = list(event_nouns(video, event))
    names = [NOUNS[n] for n in nouns]
    return {
        "narration_id": f"{ident}_{number}",
        "participant_id": person,
        "video_id": ident,
        "narration_timestamp": f"{_stamp(event.middle / fps)}0",
        "start_timestamp": _stamp(start),
        "stop_timestamp": _stamp(stop),
        "start_frame": int(start * fps) + 1,
        "stop_frame": int(stop * fps),
        "narration": _narration(video, rng, event),
        "verb": event.verb,
        "verb_class": VERBS.index(event.verb),
        "noun": names[0],
        "noun_class": nouns[0],
        "all_nouns": names,
        "all_noun_classes": nouns,
    }


def _stamp(seconds: float) -> str:
    """``HH:MM:SS.ff``"""
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 100:02d}.{rest % 100:02d}"


def _narration(video: Video, rng: np.random.Generator, event: Event) -> str:
    thing = thing_of(video, event)
    said = f"{FORMS[event.verb][1]} {_short(rng, thing)}"
    if event.container == NONE:
        return said
    where = "in" if event.verb == "put" else "from"
    return f"{said} {where} {video.episode.room.instances[event.container].silhouette}"


def _short(rng: np.random.Generator, thing: Instance | str) -> str:
    if isinstance(thing, str):
        return thing
    named = rng.random() < TEXTURE_FRACTION
    return f"{thing.texture} {thing.silhouette}" if named else thing.silhouette


# ------------------------------------------------------------------------- writing


def sentences(actions: list[Action]) -> list[Action]:
    """Unique narrations by first appearance, then a clip for each class that they lack."""
    first: dict[str, Action] = {}
    for action in actions:
        first.setdefault(action.row["narration"], action)
    rows = list(first.values())
    known = {(a.verb, a.row["noun_class"]) for a in rows}
    for action in actions:
        key = (action.verb, action.row["noun_class"])
        if key not in known:
            known.add(key)
            rows.append(action)
    return rows


def relevancy(clips: list[Action], texts: list[Action]) -> np.ndarray:
    """(clips, sentences) float64: mean of verb equality and noun intersection over union."""
    verbs = np.equal.outer([a.verb for a in clips], [a.verb for a in texts])
    left, right = _indicators(clips), _indicators(texts)
    common = left @ right.T
    union = left.sum(1)[:, None] + right.sum(1)[None] - common
    result: np.ndarray = (verbs + common / union) / 2
    return result


def _indicators(actions: list[Action]) -> np.ndarray:
    table = np.zeros((len(actions), len(NOUNS)))
    for i, action in enumerate(actions):
        table[i, action.nouns] = 1
    return table


def _write_split(world: World, name: str, actions: list[Action]) -> None:
    texts = sentences(actions)
    clips = pd.DataFrame([a.row for a in actions])
    _write_csv(world, f"EPIC_100_retrieval_{name}.csv", clips)
    table = pd.DataFrame([a.row for a in texts])
    fields = list(SENTENCE_FIELDS if name == "train" else SENTENCE_FIELDS[:2])
    _write_csv(world, f"EPIC_100_retrieval_{name}_sentence.csv", table[fields])
    matrix = relevancy(actions, texts)
    path = world.path(*FOLDER, "relevancy", f"caption_relevancy_EPIC_100_retrieval_{name}.pkl")
    buffer = io.BytesIO()
    pickle.dump(matrix, buffer, protocol=2)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def _write_csv(world: World, name: str, table: pd.DataFrame) -> None:
    write_text(world.path(*FOLDER, name), table.to_csv(index=False, lineterminator="\n"))
