"""A few clips in the official files with features, and the steps of a run on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from egolib import config as configs
from egolib.io.features import Provenance, write_packed
from egolib.io.records import write_json
from egolib.mq.config import Config
from egolib.runs.step import Step

LABELS = ("close", "open", "wash")
COUNTS = {"train": 6, "val": 3, "test": 2}
SECTIONS = ("seed", "data", "model", "loss", "optim", "initial", "fit", "infer", "evaluate")
CHANGES = {
    "model": {"length": 32, "width": 16, "neighbors": 5},
    "data": {"features": ["features"]},
    "fit": {"epochs": 2, "batch_size": 2, "evaluate_every": 1, "log_every": 1},
}


def label(name: str, start: float, end: float, primary: bool = True) -> dict[str, Any]:
    return {"label": name, "start_time": start, "end_time": end, "primary": primary}


def clip(split: str, number: int, labelled: bool) -> dict[str, Any]:
    """A clip of 16 s with one moment of each class, at places that differ by clip."""
    places = [2 + number % 3, 7 + number % 2, 12 - number % 2]
    labels = [label(n, p, p + 2) for n, p in zip(LABELS, places, strict=True)]
    labels.append(label("open", 0, 1, primary=False))
    found: dict[str, Any] = {
        "clip_uid": f"{split}{number}",
        "video_start_sec": 0.0,
        "video_end_sec": 16.0,
    }
    return found | ({"annotations": [{"labels": labels}]} if labelled else {})


def content(split: str, labelled: bool = True) -> dict[str, Any]:
    """The official file of a split: a video for each clip."""
    videos = [
        {"video_uid": f"v_{split}{n}", "split": split, "clips": [clip(split, n, labelled)]}
        for n in range(COUNTS[split])
    ]
    return {"version": "2.0", "videos": videos}


def features(record: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
    """(30, 5): what happens, and noise."""
    rows = rng.normal(0, 0.1, (30, 5))
    for one in record["annotations"][0]["labels"]:
        first, last = round(one["start_time"] * 30 / 16), round(one["end_time"] * 30 / 16)
        rows[first:last, LABELS.index(one["label"])] += one["primary"]
    return rows.astype(np.float32)


def make_root(root: Path) -> Path:
    """A data root with annotations, durations, features, and the answers of test."""
    annotations = root / "ego4d" / "v2" / "annotations"
    write_json(annotations / "moments_train.json", content("train"))
    write_json(annotations / "moments_val.json", content("val"))
    write_json(annotations / "moments_test_unannotated.json", content("test", labelled=False))
    write_json(root / "truth" / "moments_test.json", content("test"))
    clips = [c for s in COUNTS for v in content(s)["videos"] for c in v["clips"]]
    videos = [{"video_uid": f"v_{c['clip_uid']}", "duration_sec": 16.0} for c in clips]
    write_json(root / "ego4d" / "ego4d.json", {"videos": videos})
    rng = np.random.default_rng(0)
    about = Provenance("video", 5, fps=30.0, stride_frames=16.0, model="planted")
    write_packed(root / "features", about, {c["clip_uid"]: features(c, rng) for c in clips})
    return root


def step(
    name: str,
    root: Path,
    runs: Path,
    changes: Mapping[str, Any] | None = None,
    variant: str = "vsgn_egovlpv2",
    **inputs: Path,
) -> Step[Config]:
    """One step of a variant on the tiny preset, made smaller still.

    Args:
        name: of the step.
        root: data.
        runs: where steps lie, as ``<step>``.
        changes: configuration values.
        variant: of mq.
        inputs: in place of the usual ones.
    """
    tree = configs.merge(configs.resolve(Config, "mq", variant, "tiny"), CHANGES, changes or {})
    usual = {k: runs / v for k, v in configs.DEFAULT_INPUTS[name].items()}
    made: Step[Config] = Step(
        task="mq",
        name=name,
        variant=variant,
        preset="tiny",
        config=configs.build(Config, tree),
        sections=SECTIONS,
        data_root=root,
        out=runs / name,
        inputs=usual | inputs,
    )
    made.out.mkdir(parents=True, exist_ok=True)
    return made
