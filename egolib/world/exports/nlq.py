"""NLQ: questions over whole videos, in the official files."""

from __future__ import annotations

from collections import Counter
from typing import Any

from egolib.io.records import write_json
from egolib.world.exports.common import NLQ_VERSION, annotation_path, head, whole_clip
from egolib.world.library import Video, World, spread
from egolib.world.questions import TEMPLATES, Asker, Question
from egolib.world.settings import SPLITS
from egolib.world.streams import uid

BINS = 10  # of the position in the video
FILES = {"train": "nlq_train.json", "val": "nlq_val.json", "test": "nlq_test_unannotated.json"}


def choose(world: World, split: str) -> list[tuple[Video, list[Question]]]:
    """Questions of every video, so that templates and answer positions stay even."""
    videos = world.of(split)
    counts = spread(world.settings.nlq_queries[SPLITS.index(split)], len(videos))
    kinds, bins = Counter[str](), Counter[int]()
    chosen = []
    owed = 0
    for video, count in zip(videos, counts, strict=True):
        pool = Asker(video).ask()
        pool = [pool[i] for i in video.rng("nlq order").permutation(len(pool))]
        picked: list[Question] = []
        owed += count
        while pool and len(picked) < owed:
            best = min(
                range(len(pool)),
                key=lambda i: bins[_bin(video, pool[i])] + 1.5 * kinds[pool[i].kind],
            )
            question = pool.pop(best)
            kinds[question.kind] += 1
            bins[_bin(video, question)] += 1
            picked.append(question)
            pool = [q for q in pool if q.query != question.query]
        owed -= len(picked)
        chosen.append((video, picked))
    return chosen


def _bin(video: Video, question: Question) -> int:
    return min(BINS - 1, int(BINS * question.middle_sec / video.settings.video_sec))


def export(world: World) -> None:
    """Writes the three files, and the test answers beside the truth."""
    for split in SPLITS:
        full = content(world, split)
        if split == "test":
            write_json(world.path("truth", "nlq_test.json"), full)
            full = _without_answers(full)
        write_json(annotation_path(world, FILES[split]), full)


def content(world: World, split: str) -> dict[str, Any]:
    """The annotated file of a split."""
    records = []
    for video, questions in choose(world, split):
        annotation = {
            "language_queries": [_record(video, q) for q in questions],
            "annotation_uid": annotation_uid(video),
            "request_uid": uid(*video.episode.key, "nlq request"),
        }
        clip = whole_clip(video) | {"annotations": [annotation] if questions else []}
        records.append({"video_uid": video.uid, "clips": [clip], "split": split})
    return head(NLQ_VERSION, f"NLQ Annotations ({split})") | {"videos": records}


def annotation_uid(video: Video) -> str:
    """The one annotation of a video."""
    return uid(*video.episode.key, "nlq annotation")


def _record(video: Video, question: Question) -> dict[str, Any]:
    fps = video.settings.fps
    record = {
        "clip_start_sec": question.start_sec,
        "clip_end_sec": question.end_sec,
        "video_start_sec": question.start_sec,
        "video_end_sec": question.end_sec,
        "video_start_frame": round(question.start_sec * fps),
        "video_end_frame": round(question.end_sec * fps),
        "template": TEMPLATES[question.kind],
        "query": question.query,
    }
    slots = {
        name: getattr(question, name) for name in ("slot_x", "verb_x", "slot_y", "verb_y", "answer")
    }
    record |= {name: value for name, value in slots.items() if value}
    record["raw_tags"] = [TEMPLATES[question.kind], question.query, question.slot_x]
    return record


def _without_answers(full: dict[str, Any]) -> dict[str, Any]:
    """The test file: queries only, and ``manifest`` in place of ``metadata``."""
    content = {("manifest" if k == "metadata" else k): v for k, v in full.items()}
    content["videos"] = [
        video | {"clips": [_blank(clip) for clip in video["clips"]]} for video in full["videos"]
    ]
    return content


def _blank(clip: dict[str, Any]) -> dict[str, Any]:
    annotations = [
        {
            "language_queries": [{"query": q["query"]} for q in a["language_queries"]],
            "annotation_uid": a["annotation_uid"],
        }
        for a in clip["annotations"]
    ]
    return clip | {"annotations": annotations}
