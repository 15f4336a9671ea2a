"""The steps of a run on the tiny world, with two networks after a few updates."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from egolib import vq2d, world
from egolib.io.records import read_json, write_json
from egolib.runs.step import Step
from egolib.vq2d.config import Config
from egolib.vq2d.data.annotations import find_annotations

SECTIONS = {
    "1_data": ("data",),
    "2_train": (
        *("seed", "data", "model", "loss", "optim", "initial", "fit"),
        *("tracker", "tracker_optim"),
    ),
    "3_infer": ("data", "model", "tracker", "infer", "detect", "localize", "sweep"),
    "4_evaluate": ("data", "tracker", "localize", "sweep", "evaluate"),
}
INPUTS = {
    "1_data": {},
    "2_train": {"data": "1_data"},
    "3_infer": {"data": "1_data", "model": "2_train"},
    "4_evaluate": {"data": "1_data", "predictions": "3_infer"},
}
SMALL: dict[str, Any] = {
    "fit": {"max_updates": 2, "evaluate_every_updates": None},
    "tracker_optim": {"updates": 2},
    "localize": {"kys": {"lost_threshold": 0.9}},
    "sweep": {"thresholds": [0.0, 0.9], "widths": [], "compare": ["reflect", "checked"]},
}


def make_world(folder: Path) -> Path:
    """The tiny world."""
    world.make("tiny", folder)
    return folder


def make_small_world(folder: Path) -> Path:
    """The tiny world with one video a split and at most two questions in it, without the test."""
    world.make("tiny", folder)
    return cut_world(folder)


def cut_world(folder: Path) -> Path:
    """Leaves one video a split with at most two questions, and no test."""
    shutil.rmtree(folder / "truth")
    find_annotations(folder, "test").unlink()
    for split in ("train", "val"):
        file = find_annotations(folder, split)
        content = read_json(file, dict)
        content["videos"] = content["videos"][:1]
        for video in content["videos"]:
            video["clips"] = video["clips"][:1]
            for clip in video["clips"]:
                clip["annotations"] = clip["annotations"][:2]
        write_json(file, content)
    return folder


def step(
    name: str, root: Path, runs: Path, changes: dict[str, Any] | None = None, **inputs: Path
) -> Step[Config]:
    """A step of the variant ``improved`` on the tiny preset, below a folder of runs."""
    wanted = {**SMALL, **(changes or {})}
    sections = {k: wanted.get(k, None if k == "seed" else {}) for k in SECTIONS[name]}
    places = {k: runs / v for k, v in INPUTS[name].items()} | inputs
    for folder in places.values():
        if folder.is_dir() and not (folder / "result.json").is_file():
            write_json(folder / "result.json", {})
    texts = {k: str(v) for k, v in places.items()}
    out = str(runs / name)
    return vq2d.start(
        name,
        variant="improved",
        preset="tiny",
        data_root=str(root),
        out=out,
        inputs=texts,
        **sections,
    )
