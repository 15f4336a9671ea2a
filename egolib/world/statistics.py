"""What a made world consists of, counted from its official files, beside the real sets.

Everything but the degradation comes from the files that the tasks read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from egolib.io.records import read_json
from egolib.io.tables import read_table
from egolib.metrics.motion_speed import motion_from_tracks
from egolib.world.catalog import NOUNS, VERBS
from egolib.world.exports.snippets import SPEEDS, speed_counts
from egolib.world.library import World

ANNOTATIONS = Path("ego4d/v2/annotations")
EPIC = Path("EK100/epic-kitchens-100-annotations/retrieval_annotations")
CHARADES = Path("CharadesEgo/CharadesEgo")
SPLITS = ("train", "val", "test")
COLUMNS = ["data set", "statistic", "world", "real"]

# Published facts of the real sets, for the column "real".
REAL = {
    ("NLQ", "questions train / val / test"): "13,847 / 4,552 / 4,004",
    ("NLQ", "clip length, median"): "480 s",
    ("NLQ", "answer length, median (val)"): "4.0 s",
    ("NLQ", "answer length, mean (val)"): "10.75 s",
    ("NLQ", "questions a clip"): "11",
    ("NLQ", "words a question, most"): "20",
    ("ImageNet VID", "videos train / val"): "3,862 / 555",
    ("ImageNet VID", "frames val"): "176,126",
    ("ImageNet VID", "boxes val"): "273,505",
    ("ImageNet VID", "slow / medium / fast boxes (val)"): "37 / 35 / 27 %",
    ("ImageNet DET", "training stills"): "53,639",
    ("EgoClip", "clips"): "3,847,723",
    ("EgoMCQ", "questions"): "39,751",
    ("EPIC-KITCHENS-100", "clips train / test"): "67,217 / 9,668",
    ("EPIC-KITCHENS-100", "sentences train / test"): "15,989 / 3,842",
    ("Charades-Ego", "action classes"): "157",
}


# ------------------------------------------------------------------------- reading


def _content(path: Path) -> Any:
    """A JSON file, cached until it changes."""
    return _read(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=16)
def _read(path: Path, changed: int) -> Any:
    del changed
    return read_json(path)


def _file(root: Path, kind: str, split: str) -> Path:
    """An annotated Ego4D file; the test answers lie beside the truth."""
    if split == "test":
        return root / "truth" / f"{kind}_test.json"
    return root / ANNOTATIONS / f"{kind}_{split}.json"


def _annotations(
    root: Path, kind: str, split: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(clip, annotation) of an Ego4D file."""
    for video in _content(_file(root, kind, split))["videos"]:
        for clip in video["clips"]:
            for annotation in clip["annotations"]:
                yield clip, annotation


def questions(root: Path, split: str) -> pd.DataFrame:
    """NLQ questions: template, text, start and length in seconds, place in the clip (0 to 1)."""
    rows = [
        {
            "template": q["template"],
            "query": q["query"],
            "start": q["clip_start_sec"],
            "length": q["clip_end_sec"] - q["clip_start_sec"],
            "place": (q["clip_start_sec"] + q["clip_end_sec"]) / 2 / clip["clip_end_sec"],
        }
        for clip, annotation in _annotations(root, "nlq", split)
        for q in annotation["language_queries"]
    ]
    return pd.DataFrame(rows)


def visual_queries(root: Path, split: str) -> pd.DataFrame:
    """Valid VQ2D query sets: length of the answer, gap to the query, its median box area."""
    rows = []
    for _, annotation in _annotations(root, "vq", split):
        for q in annotation["query_sets"].values():
            if q["is_valid"]:
                track = q["response_track"]
                rows.append(
                    {
                        "object": q["object_title"],
                        "length": len(track),
                        "gap": q["query_frame"] - track[-1]["frame_number"],
                        "area": float(np.median([b["width"] * b["height"] for b in track])),
                        "crop later": q["visual_crop"]["frame_number"] > q["query_frame"],
                    }
                )
    return pd.DataFrame(rows)


def boxes(root: Path, part: str) -> pd.DataFrame:
    """VID boxes of ``train`` or ``val``: class, area, motion IoU, degraded, occluded."""
    content = _content(root / "ILSVRC" / "annotations" / f"imagenet_vid_{part}.json")
    rows = content["annotations"]
    sides = np.array([a["bbox"] for a in rows], float)
    motion = motion_from_tracks(
        np.array([i["frame_id"] for i in content["images"]]),
        np.array([i["video_id"] for i in content["images"]]),
        np.array([a["image_id"] - 1 for a in rows]),
        np.array([a["instance_id"] for a in rows]),
        np.concatenate([sides[:, :2], sides[:, :2] + sides[:, 2:]], axis=1),
    )
    names = [c["name"] for c in content["categories"]]
    return pd.DataFrame(
        {
            "class": [names[a["category_id"] - 1] for a in rows],
            "area": sides[:, 2:].prod(1),
            "motion IoU": motion.values,
            "degraded": [a["generated"] for a in rows],
            "occluded": [a["occluded"] for a in rows],
        }
    )


def verb_noun(world: World) -> pd.DataFrame:
    """How often each verb was done to each noun, over all videos."""
    counts = Counter[tuple[str, str]]()
    for video in world.videos:
        things = video.episode.room.instances
        counts.update((e.verb, e.fixture or things[e.obj].silhouette) for e in video.episode.events)
    nouns = [n for n in NOUNS if any(noun == n for _, noun in counts)]
    return pd.DataFrame(
        [[counts[(verb, noun)] for noun in nouns] for verb in VERBS], index=VERBS, columns=nouns
    )


# ----------------------------------------------------------------------- summaries


def degraded_fraction(world: World) -> float:
    """Share of all object views that are degraded beyond class recognition."""
    views = hidden = 0
    for video in world.videos:
        visible = video.visible[:, : len(video.episode.room.instances)]
        views += int(visible.sum())
        hidden += int((visible & video.truth.degraded[:, None]).sum())
    return hidden / max(views, 1)


def summary(world: World) -> pd.DataFrame:
    """One line a statistic: ours beside the real set's (published; empty where unknown)."""
    assert world.root is not None
    root = world.root
    parts = (
        _world_rows(world),
        _nlq_rows(root),
        _vq2d_rows(root),
        _vod_rows(root),
        _vlp_rows(root),
    )
    rows = [
        {
            "data set": name,
            "statistic": statistic,
            "world": value,
            "real": REAL.get((name, statistic), ""),
        }
        for part in parts
        for name, statistic, value in part
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


Row = tuple[str, str, str]


def _world_rows(world: World) -> list[Row]:
    actions = sum(len(v.episode.events) for v in world.videos)
    minutes = len(world.videos) * world.settings.video_sec / 60
    videos = [len(world.of(split)) for split in SPLITS]
    return [
        ("all", "videos train / val / test", _several(videos)),
        ("all", "minutes of video", f"{minutes:.0f}"),
        ("all", "actions a minute", f"{actions / minutes:.1f}"),
        ("all", "degraded object views", f"{degraded_fraction(world):.0%}"),
    ]


def _nlq_rows(root: Path) -> list[Row]:
    tables = {split: questions(root, split) for split in SPLITS}
    clips = [c["clip_end_sec"] for c, _ in _annotations(root, "nlq", "val")]
    val = tables["val"]
    words = max(len(q.split()) for table in tables.values() for q in table["query"])
    return [
        ("NLQ", "questions train / val / test", _several([len(t) for t in tables.values()])),
        ("NLQ", "clip length, median", f"{np.median(clips):.0f} s"),
        ("NLQ", "answer length, median (val)", f"{val['length'].median():.1f} s"),
        ("NLQ", "answer length, mean (val)", f"{val['length'].mean():.2f} s"),
        ("NLQ", "questions a clip", f"{len(val) / len(clips):.0f}"),
        ("NLQ", "words a question, most", f"{words}"),
    ]


def _vq2d_rows(root: Path) -> list[Row]:
    tables = {split: visual_queries(root, split) for split in SPLITS}
    val = tables["val"]
    return [
        ("VQ2D", "valid queries train / val / test", _several([len(t) for t in tables.values()])),
        ("VQ2D", "answer length, median (val)", f"{val['length'].median():.0f} frames at 5 fps"),
        ("VQ2D", "gap to the query, median (val)", f"{val['gap'].median():.0f} frames"),
        ("VQ2D", "crop after the query (val)", f"{val['crop later'].mean():.0%}"),
    ]


def _vod_rows(root: Path) -> list[Row]:
    folder = root / "ILSVRC" / "annotations"
    content = {p: _content(folder / f"imagenet_vid_{p}.json") for p in ("train", "val")}
    stills = _content(folder / "imagenet_det_30plus1cls.json")
    val = boxes(root, "val")
    speed = speed_counts(val["motion IoU"].to_numpy()) / len(val)
    return [
        (
            "ImageNet VID",
            "videos train / val",
            _several([len(c["videos"]) for c in content.values()]),
        ),
        ("ImageNet VID", "frames val", f"{len(content['val']['images']):,}"),
        ("ImageNet VID", "boxes val", f"{len(val):,}"),
        (
            "ImageNet VID",
            f"{' / '.join(SPEEDS)} boxes (val)",
            f"{' / '.join(f'{100 * s:.0f}' for s in speed)} %",
        ),
        ("ImageNet VID", "degraded boxes (val)", f"{val['degraded'].mean():.0%}"),
        ("ImageNet DET", "training stills", f"{len(stills['images']):,}"),
    ]


def _vlp_rows(root: Path) -> list[Row]:
    narrations = read_table(root / "egoclip" / "egoclip.csv", separator="\t")
    epic = {
        name: [
            len(read_table(root / EPIC / f"EPIC_100_retrieval_{s}{name}.csv"))
            for s in ("train", "test")
        ]
        for name in ("", "_sentence")
    }
    charades = [
        len(read_table(root / CHARADES / f"CharadesEgo_v1_{s}_only1st.csv"))
        for s in ("train", "test")
    ]
    classes = (root / CHARADES / "Charades_v1_classes.txt").read_text().splitlines()
    return [
        ("EgoClip", "clips", f"{len(narrations):,}"),
        ("EgoMCQ", "questions", f"{len(_content(root / 'egomcq' / 'egomcq.json')):,}"),
        ("EPIC-KITCHENS-100", "clips train / test", _several(epic[""])),
        ("EPIC-KITCHENS-100", "sentences train / test", _several(epic["_sentence"])),
        ("Charades-Ego", "clips train / test", _several(charades)),
        ("Charades-Ego", "action classes", f"{len(classes)}"),
    ]


def _several(numbers: list[int]) -> str:
    return " / ".join(f"{n:,}" for n in numbers)


def metrics(world: World) -> dict[str, float]:
    """Numbers for ``result.json``."""
    assert world.root is not None
    val = boxes(world.root, "val")
    speed = speed_counts(val["motion IoU"].to_numpy()) / len(val)
    return {
        "videos": len(world.videos),
        "actions": sum(len(v.episode.events) for v in world.videos),
        "degraded object views": degraded_fraction(world),
        **{f"{name} boxes": float(fraction) for name, fraction in zip(SPEEDS, speed, strict=True)},
        "nlq questions": sum(len(questions(world.root, s)) for s in SPLITS),
        "vq2d queries": sum(len(visual_queries(world.root, s)) for s in SPLITS),
    }
