"""``2_train``: the detector's training, then the tracker's on the detector's backbone.

The tracker's recipe is egolib's (see ``egolib.vq2d.tracking.kys.train``). Published systems take
a finished tracker: with ``tracker_optim.updates: 0`` only the detector is trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from egolib.engine.config import FitConfig
from egolib.engine.fit import FitResult
from egolib.engine.job import Evaluate, Job, Loss
from egolib.engine.launch import train as run_training
from egolib.errors import EgolibError
from egolib.report.source import show
from egolib.runs.step import Step
from egolib.vq2d import optim
from egolib.vq2d.config import Config, OptimConfig, TrackerOptimConfig
from egolib.vq2d.data.dataset import TrainingSet, stored_sizes
from egolib.vq2d.data.samples import VARIANTS, Sample, build_samples
from egolib.vq2d.formats.checkpoint import DETECTOR, TRACKER, detector_file, read_detector, sidecar
from egolib.vq2d.localization.validation import validation_ap
from egolib.vq2d.losses.siamese import binary_loss, comparison_loss, cross_batch
from egolib.vq2d.losses.training import TrainingLoss
from egolib.vq2d.models.heads import SiameseHead
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.models.warm_start import fit_comparison
from egolib.vq2d.steps.data import images_folder, read_list
from egolib.vq2d.tracking.kys import train as kys
from egolib.vq2d.tracking.kys.network import KysNetwork

if TYPE_CHECKING:
    import pandas as pd

Results = Mapping[str, FitResult]
Schedule = Callable[[int], float]


def train(step: Step[Config]) -> dict[str, FitResult]:
    """Trains detector and tracker, or resumes.

    Raises:
        EgolibError: the weights that the detector starts from are not there, or a loss is not
            finite.
    """
    optim.initial_file(step.config.initial, step.data_root)  # before anything is computed
    found = {DETECTOR: run_training(step, build_job, DETECTOR)}
    if step.config.tracker_optim.updates:
        found[TRACKER] = run_training(tracker_step(step), build_tracker_job, TRACKER)
    return found


# -------------------------------------------------------------------------- detector


def detector_samples(step: Step[Config], split: str = "train") -> list[Sample]:
    """The samples of the configured variant whose images are stored."""
    data = step.config.data
    name = data.samples if split == "train" else data.validation_samples
    size = stored_sizes(images_folder(step))
    items = read_list(step, split)
    return build_samples(
        items, VARIANTS[name], size, seed=step.config.seed, suffix=data.image_suffix
    )


def training_data(step: Step[Config]) -> TrainingSet:
    """What the detector is trained on, with its random views."""
    samples, augment = detector_samples(step), step.config.data.augment
    return TrainingSet(samples, images_folder(step), augment, reference=_reference(step.config))


def without_object(data: TrainingSet) -> int:
    """How many samples show a frame without the object."""
    return sum(sample.frame.box_xyxy is None for sample in data.samples)


def _reference(config: Config) -> tuple[int, int]:
    return config.model.reference_side, config.model.reference_margin


def build_job(step: Step[Config]) -> Job:
    """The detector's training, for the engine."""
    config, data = step.config, training_data(step)
    model = SiameseRcnn(config.model)
    start = optim.initial_file(config.initial, step.data_root)
    if start is not None:
        report = optim.load_initial(model, start)
        print(f"initial weights: {report.loaded} entries loaded, {len(report.missing)} fresh")
    if config.initial.comparison == "fitted":
        fit_comparison(model, data, config.seed)
    return Job(
        model=model,
        loss=_detector_loss(TrainingLoss(config.loss, config.optim.trunk)),
        data=data,
        optimizer=optim.make_optimizer(model, config.optim),
        schedule=make_schedule(config, len(data)),
        evaluate=_evaluation(step) if _evaluates(config.fit) else None,
        sidecar=sidecar(config.model, config.detect),
    )


def make_schedule(config: Config | OptimConfig, samples: int = 0) -> Schedule:
    """The factor on the detector's rates for update 0, 1, ...

    Args:
        config: of the run, or its section ``optim``.
        samples: of the training set; this schedule counts updates and needs it not.
    """
    return optim.schedule(config.optim if isinstance(config, Config) else config)


def _detector_loss(loss: TrainingLoss) -> Loss:
    def computed(model: nn.Module, batch: Any) -> dict[str, Tensor]:
        assert isinstance(model, SiameseRcnn)
        return loss(model, batch)

    return computed


def _evaluates(fit: FitConfig) -> bool:
    return bool(fit.evaluate_every or fit.evaluate_every_updates)


def _evaluation(step: Step[Config]) -> Evaluate:
    """Box AP on single frames of the validation split."""
    config, settings = step.config, step.config.detect
    sides = (settings.short_side, settings.long_side)
    samples = detector_samples(step, "val")
    data = TrainingSet(samples, images_folder(step), None, sides, _reference(config))

    def evaluation(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, SiameseRcnn)
        return validation_ap(model, data, settings, config.data.validation_limit)

    return evaluation


# --------------------------------------------------------------------------- tracker


def tracker_step(step: Step[Config]) -> Step[Config]:
    """The same step with the length and batches of the tracker's training."""
    config, own = step.config, step.config.tracker_optim
    fit = FitConfig(
        epochs=own.updates,
        max_updates=own.updates,
        batch_size=own.batch_size,
        workers=config.fit.workers,
        device=config.fit.device,
        snapshot_minutes=config.fit.snapshot_minutes,
        snapshot_updates=config.fit.snapshot_updates,
        log_every=config.fit.log_every,
    )
    return replace(step, config=replace(config, fit=fit))


def tracker_data(step: Step[Config]) -> kys.SequenceData:
    """Short sequences of the training answers."""
    config, images = step.config, images_folder(step)
    items = read_list(step, "train")
    recipe, suffix = config.tracker_optim, config.data.image_suffix
    runs = kys.find_runs(items, stored_sizes(images), recipe.sequence, suffix)
    return kys.SequenceData(runs, images, config.tracker, recipe)


def build_tracker_job(step: Step[Config]) -> Job:
    """The tracker's training on the trained detector's backbone, for the engine."""
    config = step.config
    detector = read_detector(detector_file(step.out / DETECTOR)).model
    network = kys.from_detector(detector.backbone, config.tracker)
    return Job(
        model=network,
        loss=_tracker_loss(config.tracker_optim),
        data=tracker_data(step),
        optimizer=kys.make_optimizer(network, config.tracker_optim),
        schedule=tracker_schedule(config),
        sidecar=sidecar(config.tracker),
    )


def tracker_schedule(config: Config) -> Schedule:
    """The factor on the tracker's rate for update 0, 1, ..."""
    return kys.schedule(config.tracker_optim)


def _tracker_loss(recipe: TrackerOptimConfig) -> Loss:
    def computed(model: nn.Module, batch: Any) -> dict[str, Tensor]:
        assert isinstance(model, KysNetwork)
        device = next(model.parameters()).device
        moved = kys.Sequences(*(part.to(device) for part in batch))
        return kys.sequence_losses(model, moved, recipe)

    return computed


# --------------------------------------------------------------------------- showing


def parameter_table(step: Step[Config] | Config) -> pd.DataFrame:
    """Parameters of both networks by part.

    Args:
        step: the step, or its configuration.
    """
    import pandas as pd

    config = step if isinstance(step, Config) else step.config
    with torch.device("meta"):
        networks: dict[str, nn.Module] = {
            DETECTOR: SiameseRcnn(config.model, weights="empty"),
            TRACKER: KysNetwork(config.tracker),
        }
    rows = [
        {"network": name, "part": part, "parameters": sum(p.numel() for p in module.parameters())}
        for name, network in networks.items()
        for part, module in network.named_children()
    ]
    return pd.DataFrame([row for row in rows if row["parameters"]]).set_index(["network", "part"])


def check(result: Results) -> None:
    """Raises EgolibError where a training left no weights, or a loss that cannot be."""
    for name, training in result.items():
        losses = [record["loss"] for record in training.losses()]
        if not training.updates or not training.weights.is_file():
            raise EgolibError(f"the training of the {name} left no weights", file=training.weights)
        if any(not math.isfinite(loss) or loss < 0 for loss in losses):
            raise EgolibError(f"the {name} has a loss of {min(losses)}", file=training.weights)


def metrics(result: Results) -> dict[str, Any]:
    """Last loss, updates and, where it was computed, the last evaluation of each training."""
    found: dict[str, Any] = {}
    for name, training in result.items():
        found[name] = {"loss": training.losses()[-1]["loss"], "updates": training.updates}
        for record in training.evaluations()[-1:]:
            about = ("kind", "update", "time")
            found[name] |= {k: v for k, v in record.items() if k not in about}
    return found


def counts(data: TrainingSet) -> dict[str, int]:
    """Sizes of the training set, for ``result.json``."""
    return {"samples": len(data), "without_object": without_object(data)}


__all__ = [
    "SiameseHead",
    "binary_loss",
    "build_job",
    "build_tracker_job",
    "check",
    "comparison_loss",
    "counts",
    "cross_batch",
    "detector_samples",
    "make_schedule",
    "metrics",
    "parameter_table",
    "show",
    "tracker_data",
    "tracker_schedule",
    "tracker_step",
    "train",
    "training_data",
    "without_object",
]
