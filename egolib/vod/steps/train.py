"""``2_train``: what the engine is given to train a detector by configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from egolib.engine.config import total_updates, updates_per_epoch
from egolib.engine.fit import FitResult
from egolib.engine.job import Evaluate, Job
from egolib.engine.launch import train as run_training
from egolib.errors import EgolibError
from egolib.io.checkpoint import LoadReport
from egolib.report.source import show
from egolib.runs.inputs import weights_file
from egolib.runs.step import Step
from egolib.vod.api import Detector, description
from egolib.vod.config import Config
from egolib.vod.config.optim import NO_START
from egolib.vod.data.batches import ClipBatch, collate
from egolib.vod.data.dataset import PreparedClip, TrainingClips, test_videos
from egolib.vod.evaluation import evaluate, motion_table
from egolib.vod.losses.clips import TrainingLoss
from egolib.vod.models.build import build_model
from egolib.vod.models.heads import Aggregator
from egolib.vod.optim import load_flow, load_start, make_optimizer, schedule
from egolib.vod.pretraining import learn_objects
from egolib.vod.steps.data import evaluation_source, find_below, training_sources

__all__ = ["Aggregator", "show"]  # shown in the notebook

if TYPE_CHECKING:
    import pandas as pd


class ClipData(TrainingClips):
    """Training clips as the engine wants them."""

    def collate(self, items: Sequence[PreparedClip]) -> ClipBatch:
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


def clip_table(step: Step[Config], data: ClipData) -> pd.DataFrame:
    """One clip: the size of its key frame, its objects, and the frames that help it."""
    import pandas as pd

    clip = data.sample(0, first_draws(step))
    rows = {
        "clips": len(data),
        "rows and columns of the first": clip.key.pixels.shape[1:],
        "its objects": len(clip.key.boxes),
        "references": len(clip.references),
        "frames of the past": len(clip.memory),
        "frames of the whole video": len(clip.distant),
    }
    return pd.DataFrame({"value": rows})


def build_job(step: Step[Config]) -> Job:
    """The training of a step, for the engine."""
    config, data = step.config, training_data(step)
    require_start(step)
    model = build_model(config.model)
    start_weights(step, model)
    return Job(
        model=model,
        loss=TrainingLoss(),
        data=data,
        optimizer=make_optimizer(model, config.optim, config.fit.batch_size),
        schedule=make_schedule(config, len(data)),
        evaluate=evaluation(step),
        sidecar=description(config.model, config.data, config.infer),
    )


def make_schedule(config: Config, samples: int) -> Callable[[int], float]:
    """The factor on the learning rate by update, for so many training samples."""
    per_epoch, total = updates_per_epoch(samples, config.fit), total_updates(samples, config.fit)
    return schedule(config.optim, per_epoch, total)


# ------------------------------------------------------------------------------ start


def require_start(step: Step[Config]) -> None:
    """Looks the files up that a training starts from, before anything is computed.

    Raises:
        EgolibError: a file that the configuration names is not there; the remedy says how
            to train without it.
    """
    initial = step.config.initial
    names = {"initial.flow": initial.flow}
    if "initial" in step.inputs:
        step.input("initial")
    else:
        names["initial.weights"] = initial.weights
    for field, name in names.items():
        file = step.data_root / Path(name).expanduser()
        if name not in NO_START and not file.is_file():
            raise EgolibError(
                f"{step.variant} starts from {name} ({field}), which is not there",
                file=file,
                remedy=f"fetch it (see the page of data and weights), or train from random "
                f"weights with -p {field}=none",
            )


def start_weights(step: Step[Config], model: nn.Module) -> None:
    """Gives a network its starting weights, and says what was loaded and what is fresh.

    The input ``initial``, an earlier training, comes before ``initial.weights``; without
    either the backbone may first learn to classify objects.
    """
    config, start = step.config, initial_weights(step)
    if start is not None:
        path, form = start
        print(f"{path.name}: {_told(load_start(model, config.model, path, form))}")
    elif config.initial.objects.updates:
        learn_first(step, model)
    if config.initial.flow not in NO_START:
        file = find_below(step.data_root, config.initial.flow)
        print(f"{file.name}: {_told(load_flow(model, config.model, file))}")


def _told(report: LoadReport) -> str:
    fresh = sorted({".".join(name.split(".")[:3]) for name in report.missing})
    return f"{report.loaded} entries loaded, fresh: {fresh or 'none'}"


def initial_weights(step: Step[Config]) -> tuple[Path, str] | None:
    """The checkpoint that a step starts from, and its format; None for a fresh start."""
    initial = step.config.initial
    if "initial" in step.inputs:
        path = weights_file(step.input("initial"))
        return path, "ours" if path.suffix == ".safetensors" else "official"
    if not initial.given:
        return None
    return find_below(step.data_root, initial.weights), initial.format


def learn_first(step: Step[Config], model: nn.Module) -> None:
    """Lets the backbone learn the training objects, in place of published weights."""
    config = step.config
    losses = learn_objects(
        model.get_submodule("detector.backbone"),  # type: ignore[arg-type]
        training_sources(step),
        config.model.classes,
        config.initial.objects,
        config.data.pipeline,
        np.random.default_rng([config.seed, 1]),
    )
    print(f"the backbone learned objects: loss {losses[0]:.2f} to {np.mean(losses[-20:]):.2f}")


# ------------------------------------------------------------------------- evaluation


def evaluation(step: Step[Config]) -> Evaluate | None:
    """Scores a network on the test videos in training; None where no evaluation is asked for.

    Its names, for ``fit.monitor``: ``AP50``, ``AP50_fast``, ``AP50_medium``, ``AP50_slow`` and
    COCO's ``bbox_mAP`` ..., all fractions. Settings of testing are the variant's and the
    preset's; ``3_infer`` may change them later without a new training.
    """
    config, fit = step.config, step.config.fit
    if not (fit.evaluate_every or fit.evaluate_every_updates or fit.evaluate_first):
        return None
    source = evaluation_source(step)
    videos = test_videos(source, config.data, config.infer)
    path = find_below(step.data_root, config.evaluate.motion) if config.evaluate.motion else None
    motion = motion_table(source, path) if config.evaluate.vid_style else None

    def scores(model: nn.Module) -> dict[str, float]:
        device = str(next(model.parameters()).device)
        settings = replace(config.infer, device=device)
        detector = Detector(model, config.model, config.data, settings, seed=config.seed)
        found = evaluate(source, detector.predict(videos), motion, config.evaluate)
        numbers = found | found.get("coco", {})
        return {k: float(v) for k, v in numbers.items() if isinstance(v, int | float)}

    return scores


# ---------------------------------------------------------------------------- results


def parameter_table(step: Step[Config]) -> pd.DataFrame:
    """Parameters of a step's network by part."""
    import pandas as pd

    rows: dict[str, int] = {}
    with torch.device("meta"):
        model = build_model(step.config.model)
    for name, parameter in model.named_parameters():
        part = ".".join(name.split(".")[: 2 if name.startswith("detector.") else 1])
        rows[part] = rows.get(part, 0) + parameter.numel()
    return pd.DataFrame({"parameters": {**rows, "all": sum(rows.values())}})


def check(result: FitResult) -> None:
    """Raises where a training is impossible.

    Raises:
        EgolibError: no update, no weights, or a loss that is no positive number.
    """
    losses = [record["loss"] for record in result.losses()]
    if not result.updates or not result.weights.is_file():
        raise EgolibError("the training left no weights", file=result.weights)
    if not all(0 < value < float("inf") for value in losses):
        raise EgolibError("a loss is no positive number", file=result.weights.parent)


def metrics(result: FitResult) -> dict[str, Any]:
    """What ``result.json`` holds: last loss, updates, and the last evaluation if there is one."""
    numbers = {"loss": result.losses()[-1]["loss"], "updates": result.updates}
    evaluations = result.evaluations()
    if evaluations:
        last = {k: v for k, v in evaluations[-1].items() if k not in ("kind", "time")}
        numbers["evaluation"] = last
    return numbers
