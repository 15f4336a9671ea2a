"""The steps of a run on a small data set in the official layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from egolib import config as configs
from egolib.runs.step import Step
from egolib.vod.config import Config
from tests.vod.made import CLASSES, make_data

SECTIONS = {
    "1_data": ("data",),
    "2_train": ("seed", "data", "model", "optim", "initial", "fit"),
    "3_infer": ("seed", "data", "model", "infer"),
    "4_evaluate": ("data", "evaluate"),
}
TREE = {
    "seed": 0,
    "data": {
        "classes": [list(pair) for pair in CLASSES],
        "frame_offset": "zero_based",
        "pipeline": {"long_side": 64, "short_side": 48},
    },
    "model": {
        "classes": len(CLASSES),
        "resnet": {
            "blocks": [1, 1, 1, 1],
            "stem_channels": 8,
            "width": 4,
            "norm": "group",
            "norm_groups": 4,
            "freeze": "none",
        },
        "neck_channels": 8,
        "rpn": {
            "anchors": {"sizes": [[16, 32]]},
            "train": {"before": 50, "after": 10},
            "test": {"before": 50, "after": 5},
        },
        "head": {"width": 16, "sample": {"number": 8}},
        "support": {"heads": 4},
    },
    "optim": {
        "learning_rate": 0.01,
        "milestones": [3],
        "milestone_unit": "updates",
        "warmup_updates": 1,
    },
    "fit": {"epochs": 1, "max_updates": 4, "batch_size": 2, "log_every": 1, "device": "cpu"},
}
SELSA = {
    "model": {"method": "selsa"},
    "data": {
        "train_references": {"method": "bilateral_uniform", "number": 2, "window": [-9, 9]},
    },
    "infer": {"references": {"method": "adaptive_stride", "number": 4, "window": [-2, 2]}},
}


def make_root(root: Path) -> Path:
    """The official layout below ``root / "data"``; returns that folder."""
    make_data(root / "data")
    return root / "data"


def step(
    name: str,
    root: Path,
    runs: Path,
    changes: dict[str, Any] | None = None,
    variant: str = "frcnn_r101_dc5",
) -> Step[Config]:
    """One step of a run in a folder; its inputs are the earlier steps there.

    Args:
        changes: configuration values over ``TREE``.
    """
    config = configs.build(Config, configs.merge(TREE, changes or {}))
    made = Step(
        task="vod",
        name=name,
        variant=variant,
        preset="tiny",
        config=config,
        sections=SECTIONS[name],
        data_root=root,
        out=runs / name,
        inputs={key: runs / folder for key, folder in configs.DEFAULT_INPUTS[name].items()},
    )
    made.out.mkdir(parents=True, exist_ok=True)
    for folder in made.inputs.values():
        folder.mkdir(parents=True, exist_ok=True)
    return made


def changed(old: Step[Config], **changes: Any) -> Step[Config]:
    """A step with other places."""
    return replace(old, **changes)
