"""EgoClip (training narrations) and EgoMCQ (five-choice questions on the other videos)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from egolib.errors import EgolibError
from egolib.io.records import write_json, write_text
from egolib.world.catalog import PARTNER, VERBS
from egolib.world.library import Video, World, link
from egolib.world.narrations import Narration, narrations
from egolib.world.script import NONE

COLUMNS = (
    "clip_idx",
    "video_uid",
    "video_dur",
    "narration_source",
    "narration_ind",
    "narration_time",
    "clip_start",
    "clip_end",
    "clip_text",
    "tag_verb",
    "tag_noun",
)
CHOICES = 5
INTER, INTRA = 1, 2
STRETCH = 8  # neighbouring clips that an intra-video question draws from
TRIALS = 4000


@dataclass(frozen=True)
class Said:
    """A narration with its video."""

    video: Video
    line: Narration

    def record(self, clip_idx: int) -> dict[str, Any]:
        """The EgoClip row."""
        line = self.line
        return {
            "clip_idx": clip_idx,
            "video_uid": self.video.uid,
            "video_dur": float(self.video.settings.video_sec),
            "narration_source": line.source,
            "narration_ind": line.number,
            "narration_time": line.time_sec,
            "clip_start": line.start_sec,
            "clip_end": line.end_sec,
            "clip_text": line.text,
            "tag_verb": str(list(line.verbs)),
            "tag_noun": str(list(line.nouns)),
        }


def export(world: World) -> None:
    """Writes ``egoclip.csv``, ``egomcq.json`` and the folders of resized and chunked videos."""
    spoken = [Said(v, line) for v in world.of("train") for line in narrations(v)]
    rows = [said.record(i) for i, said in enumerate(spoken)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    text = table.to_csv(sep="\t", index=False, lineterminator="\n")
    write_text(world.path("egoclip", "egoclip.csv"), text)
    write_json(world.path("egomcq", "egomcq.json"), questions(world))
    for video in world.videos:
        link(video.file, world.path("ego4d", "v1", "full_scale", f"{video.uid}.mp4"))
        link(video.file, world.path("ego4d", "Ego4D_256", f"{video.uid}.mp4"))
        link(video.file, world.path("ego4d", "Ego4D_Chunked", video.uid, "0.mp4"))


# -------------------------------------------------------------------------- EgoMCQ


def questions(world: World) -> dict[str, Any]:
    """All questions, inter-video and intra-video in turn.

    Clips are of validation and test videos; a world with fewer than five of them
    takes training videos too. Nothing about the right choice is special but what it
    shows: it is at each place, and of each rank in time, equally often.
    """
    videos = world.of("val", "test")
    videos = videos if len(videos) >= CHOICES else world.videos
    spoken = [
        [Said(v, line) for line in narrations(v) if line.event != NONE and line.source[-1] == "1"]
        for v in videos
    ]
    rng = world.rng("egomcq")
    count = world.settings.mcq_questions
    places, ranks = _evenly(rng, count), _evenly(rng, count)[0]
    content: dict[str, Any] = {}
    for number in range(count):
        kind, turn = (INTER, INTRA)[number % 2], number // 2
        answer, others = _find(rng, spoken, kind, int(ranks[turn]))
        content[str(number)] = _question(rng, answer, others, kind, int(places[kind - 1, turn]))
    return content


def _find(
    rng: np.random.Generator, spoken: list[list[Said]], kind: int, rank: int
) -> tuple[Said, list[Said]]:
    """A clip to ask about, and four others; a tiny world may have none of the wanted rank."""
    for trial in range(TRIALS):
        video = int(rng.integers(len(spoken)))
        if not spoken[video]:
            continue
        answer = spoken[video][int(rng.integers(len(spoken[video])))]
        others = (
            _inter(rng, answer, spoken, video)
            if kind == INTER
            else _intra(rng, answer, spoken[video], rank if trial < TRIALS // 2 else None)
        )
        if others is not None:
            return answer, others
    raise EgolibError("the world has too few actions for EgoMCQ", remedy="make its videos longer")


def _inter(
    rng: np.random.Generator, answer: Said, spoken: list[list[Said]], video: int
) -> list[Said] | None:
    """Clips of four other videos that say something else."""
    others: list[Said] = []
    for place in rng.permutation(len(spoken)):
        pool = [s for s in spoken[place] if _differs(s, [answer])]
        if place != video and pool and len(others) < CHOICES - 1:
            others.append(pool[int(rng.integers(len(pool)))])
    return others if len(others) == CHOICES - 1 else None


def _intra(
    rng: np.random.Generator, answer: Said, spoken: list[Said], rank: int | None
) -> list[Said] | None:
    """Clips out of one stretch of neighbouring ones, ``rank`` of them earlier than the answer.

    The reversal partner is among them where the answer's verb has one.
    """
    place = spoken.index(answer)
    first = place - int(rng.integers(STRETCH))
    stretch = spoken[max(0, first) : max(0, first + STRETCH)]
    others: list[Said] = []
    verb = VERBS[answer.line.verbs[0]]
    if verb in PARTNER:
        partner = VERBS.index(PARTNER[verb])
        partners = [s for s in stretch if s.line.verbs == (partner,)]
        same = [s for s in partners if s.line.nouns == answer.line.nouns]
        if not partners:
            return None
        others.append((same or partners)[int(rng.integers(len(same or partners)))])
    for i in rng.permutation(len(stretch)):
        if len(others) < CHOICES - 1 and _differs(stretch[i], [answer, *others]):
            others.append(stretch[i])
    earlier = sum(s.line.event < answer.line.event for s in others)
    return others if len(others) == CHOICES - 1 and rank in (None, earlier) else None


def _differs(said: Said, others: list[Said]) -> bool:
    return all(said.line.meaning != other.line.meaning for other in others)


def _question(
    rng: np.random.Generator, answer: Said, others: list[Said], kind: int, place: int
) -> dict[str, Any]:
    """The right clip at its place among the others."""
    order = [others[i] for i in rng.permutation(len(others))]
    order.insert(place, answer)
    return {
        "answer": place,
        "types": kind,
        "query": _mcq_record(answer),
        "choices": {str(i): _mcq_record(said) for i, said in enumerate(order)},
    }


def _evenly(rng: np.random.Generator, count: int) -> np.ndarray:
    """(2, at least count) numbers 0 to 4, each equally often, in random order."""
    blocks = range(count // CHOICES + 1)
    return np.stack([np.concatenate([rng.permutation(CHOICES) for _ in blocks]) for _ in range(2)])


def _mcq_record(said: Said) -> dict[str, Any]:
    record = said.record(said.line.number)
    return record | {"tag_verb": list(said.line.verbs), "tag_noun": list(said.line.nouns)}
