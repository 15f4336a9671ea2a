"""The steps of a run on the tiny world, in a folder of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from egolib import config as configs
from egolib.io.records import write_json
from egolib.runs.step import Step
from egolib.vlp.config import Config

PRETRAIN = "egoclip_pretrain_smallproj"
SECTIONS = ("seed", "data", "model", "loss", "optim", "initial", "fit", "infer", "evaluate")
BRIEF = {"fit": {"epochs": 1, "evaluate_every": 0, "max_updates": 3, "log_every": 1}}


def step(
    name: str,
    root: Path,
    runs: Path,
    variant: str = PRETRAIN,
    changes: Mapping[str, Any] | None = None,
    **inputs: str,
) -> Step[Config]:
    """One step of a variant on the tiny preset.

    Args:
        root: the world.
        runs: where steps lie, as ``<variant>/<step>``.
        changes: configuration values.
        inputs: ``<variant>/<step>`` by name; by default those of the same variant.
    """
    tree = configs.resolve(Config, "vlp", variant, "tiny")
    needed = inputs or {k: f"{variant}/{v}" for k, v in configs.DEFAULT_INPUTS[name].items()}
    made: Step[Config] = Step(
        task="vlp",
        name=name,
        variant=variant,
        preset="tiny",
        config=configs.build(Config, configs.merge(tree, BRIEF, changes or {})),
        sections=SECTIONS,
        data_root=root,
        out=runs / variant / name,
        inputs={k: runs / v for k, v in needed.items()},
    )
    made.out.mkdir(parents=True, exist_ok=True)
    return made


def finished(made: Step[Config]) -> Step[Config]:
    """The step, with an empty result, so that later ones accept it."""
    write_json(made.out / "result.json", {})
    return made
