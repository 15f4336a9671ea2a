"""``2_train``: what the engine is given to train a detector by configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from egolib.config import to_tree
from egolib.engine.config import updates_per_epoch
from egolib.engine.fit import FitResult
from egolib.engine.job import Job
from egolib.engine.launch import train as run_training
from egolib.runs.step import Step
from egolib.vod.config import Config
from egolib.vod.config.model import ModelConfig
from egolib.vod.data.dataset import PreparedClip, TrainingClips
from egolib.vod.models.build import build_model
from egolib.vod.models.frames import Clip
from egolib.vod.optim import TrainingLoss, collate, load_initial_weights, make_optimizer, schedule
from egolib.vod.pretraining import learn_objects
from egolib.vod.steps.data import find_below, training_sources

if TYPE_CHECKING:
    import pandas as pd


class ClipData(TrainingClips):
    """Training clips as the engine wants them."""

    def collate(self, items: Sequence[PreparedClip]) -> list[Clip]:
        """A batch: clips keep their own sizes."""
        return collate(items)


def train(step: Step[Config]) -> FitResult:
    """Trains what a step is configured for, or continues it; see ``egolib.engine``."""
    return run_training(step, build_job)


def training_data(step: Step[Config]) -> ClipData:
    """The clips of a step: VID, and DET where the configuration has it."""
    data = step.config.data
    mega = data.mega if step.config.model.method == "mega" else None
    return ClipData(training_sources(step), data, mega)


def first_draws(step: Step[Config]) -> np.random.Generator:
    """The generator that the first clip of a training gets, to look at a clip."""
    return np.random.default_rng([step.config.seed, 0, 0])


def build_job(step: Step[Config]) -> Job:
    """The training of a step, for the engine."""
    config, data = step.config, training_data(step)
    model = build_model(config.model)
    start = initial_weights(step)
    if start is None and config.train.objects.updates:
        learn_first(step, model)
    if start is not None:
        path, form = start
        report = load_initial_weights(model, config.model, path, form)
        fresh = sorted({".".join(name.split(".")[:3]) for name in report.missing})
        print(f"{path.name}: {report.loaded} entries loaded, fresh: {fresh or 'none'}")
    return Job(
        model=model,
        loss=TrainingLoss(),
        data=data,
        optimizer=make_optimizer(model, config.train, clips_per_update(config)),
        schedule=make_schedule(config, len(data)),
        sidecar={
            "model": f"vod/{config.model.method}",
            "config": {"model": to_tree(config.model), "data": to_tree(config.data)},
        },
    )


def learn_first(step: Step[Config], model: nn.Module) -> None:
    """Lets the backbone learn the training objects, in place of published weights."""
    config = step.config
    losses = learn_objects(
        model.get_submodule("detector.backbone"),  # type: ignore[arg-type]
        training_sources(step),
        config.model.classes,
        config.train.objects,
        config.data.pipeline,
        np.random.default_rng([config.seed, 1]),
    )
    print(f"the backbone learned objects: loss {losses[0]:.2f} to {np.mean(losses[-20:]):.2f}")


def initial_weights(step: Step[Config]) -> tuple[Path, str] | None:
    """The checkpoint that a step starts from, and its format; None for a fresh start.

    The input ``initial``, an earlier training, comes before ``train.initial_weights``.
    """
    train_config = step.config.train
    if "initial" in step.inputs:
        return step.input("initial") / "train" / "model.safetensors", "ours"
    if not train_config.initial_weights:
        return None
    found = find_below(step.data_root, train_config.initial_weights)
    return found, train_config.initial_format


def clips_per_update(config: Config) -> int:
    """Clips of an update over all processes."""
    return config.fit.batch_size


def make_schedule(config: Config, samples: int) -> Callable[[int], float]:
    """The schedule of a configuration for so many training samples."""
    steps = updates_per_epoch(samples, config.fit)
    return schedule(config.train, steps)


def parameter_table(config: ModelConfig) -> pd.DataFrame:
    """Parameters of a network by part."""
    import pandas as pd

    rows: dict[str, int] = {}
    with torch.device("meta"):
        model = build_model(config)
    for name, parameter in model.named_parameters():
        part = ".".join(name.split(".")[: 2 if name.startswith("detector.") else 1])
        rows[part] = rows.get(part, 0) + parameter.numel()
    return pd.DataFrame({"parameters": {**rows, "all": sum(rows.values())}})
