"""``2_train``: the detector's training, then the tracker's on the detector's backbone.

The tracker's recipe is ours (see ``egolib.vq2d.tracking.kys.train``). Where the configuration names
published weights for it, those are taken and only the detector is trained.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from egolib.config import to_tree
from egolib.engine.config import FitConfig
from egolib.engine.fit import FitResult
from egolib.engine.job import Evaluate, Job
from egolib.engine.launch import train as run_training
from egolib.errors import EgolibError
from egolib.runs.step import Step
from egolib.vq2d import optim as pieces
from egolib.vq2d.api import KYS_NAME, MODEL_NAME, read_detector
from egolib.vq2d.config import Config, DetectorConfig, KysTrainConfig
from egolib.vq2d.data.dataset import TrainingSet, stored_sizes
from egolib.vq2d.data.samples import VARIANTS, Sample, build_samples
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.models.warm_start import fit_comparison
from egolib.vq2d.steps.data import images_folder, read_list
from egolib.vq2d.tracking.kys import train as kys
from egolib.vq2d.tracking.kys.network import KysNetwork

if TYPE_CHECKING:
    import pandas as pd

DETECTOR, TRACKER = "detector", "tracker"


def train(step: Step[Config]) -> dict[str, FitResult]:
    """Trains detector and tracker, or continues where a killed run stopped."""
    found = {DETECTOR: run_training(step, detector_job, DETECTOR)}
    if not step.config.tracker_train.weights:
        found[TRACKER] = run_training(tracker_step(step), tracker_job, TRACKER)
    return found


# -------------------------------------------------------------------------- detector


def detector_samples(step: Step[Config], split: str = "train") -> list[Sample]:
    """The samples of the configured variant whose images are stored."""
    data = step.config.data
    name = data.samples if split == "train" else data.validation_samples
    if name not in VARIANTS:
        raise EgolibError(f"unknown samples {name!r}", remedy=f"one of {', '.join(VARIANTS)}")
    size = stored_sizes(images_folder(step))
    items = read_list(step, split)
    return build_samples(
        items, VARIANTS[name], size, seed=step.config.seed, suffix=data.image_suffix
    )


def training_set(step: Step[Config]) -> TrainingSet:
    """What the detector is trained on, with its random views."""
    config = step.config
    samples, augment = detector_samples(step), config.train.augment
    return TrainingSet(samples, images_folder(step), augment, reference=_reference(config.model))


def _reference(model: DetectorConfig) -> tuple[int, int]:
    return model.reference_side, model.reference_margin


def detector_job(step: Step[Config]) -> Job:
    """The detector's training, for the engine."""
    config, data = step.config, training_set(step)
    model = SiameseRcnn(config.model)
    if config.train.initial_weights:
        report = pieces.load_initial(model, step.data_root / config.train.initial_weights)
        print(f"initial weights: {report.loaded} entries loaded, {len(report.missing)} fresh")
    if config.train.comparison_start == "fitted":
        fit_comparison(model, data, config.seed)
    return Job(
        model=model,
        loss=_detector_loss(pieces.TrainingLoss(config.train)),
        data=data,
        optimizer=pieces.make_optimizer(model, config.train),
        schedule=pieces.schedule(config.train),
        evaluate=_evaluation(step) if _evaluates(config.fit) else None,
        sidecar={"model": MODEL_NAME, "config": {"model": to_tree(config.model)}},
    )


def _detector_loss(loss: pieces.TrainingLoss):
    def computed(model: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
        assert isinstance(model, SiameseRcnn)
        return loss(model, batch)

    return computed


def _evaluates(fit: FitConfig) -> bool:
    return bool(fit.evaluate_every or fit.evaluate_every_updates)


def _evaluation(step: Step[Config]) -> Evaluate:
    """Box AP on single frames of the validation split."""
    config = step.config
    sides = (config.model.shortest_side, config.model.longest_side)
    samples = detector_samples(step, "val")
    data = TrainingSet(samples, images_folder(step), None, sides, _reference(config.model))
    limit = config.train.validation_limit or None

    def evaluation(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, SiameseRcnn)
        return pieces.validation_ap(model, data, limit)

    return evaluation


# --------------------------------------------------------------------------- tracker


def tracker_step(step: Step[Config]) -> Step[Config]:
    """The same step with the length and batches of the tracker's training."""
    config, own = step.config, step.config.tracker_train
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
    recipe, suffix = config.tracker_train, config.data.image_suffix
    runs = kys.find_runs(items, stored_sizes(images), recipe.sequence, suffix)
    return kys.SequenceData(runs, images, config.tracker, recipe)


def tracker_job(step: Step[Config]) -> Job:
    """The tracker's training on the trained detector's backbone, for the engine."""
    config = step.config
    detector, _ = read_detector(step.out / DETECTOR)
    network = kys.from_detector(detector.backbone, config.tracker)
    return Job(
        model=network,
        loss=_tracker_loss(config.tracker_train),
        data=tracker_data(step),
        optimizer=kys.make_optimizer(network, config.tracker_train),
        schedule=kys.schedule(config.tracker_train),
        sidecar={"model": KYS_NAME, "config": {"model": to_tree(config.tracker)}},
    )


def _tracker_loss(recipe: KysTrainConfig):
    def computed(model: nn.Module, batch: kys.Sequences) -> dict[str, torch.Tensor]:
        assert isinstance(model, KysNetwork)
        device = next(model.parameters()).device
        moved = kys.Sequences(*(part.to(device) for part in batch))
        return kys.sequence_losses(model, moved, recipe)

    return computed


# --------------------------------------------------------------------------- showing


def parameter_table(config: Config) -> pd.DataFrame:
    """Parameters of both networks by part."""
    import pandas as pd

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


def summary(results: dict[str, FitResult]) -> dict[str, Any]:
    """Last loss, updates and, where it was computed, the last evaluation of each training."""
    found: dict[str, Any] = {}
    for name, result in results.items():
        found[name] = {"loss": result.losses()[-1]["loss"], "updates": result.updates}
        for record in result.evaluations()[-1:]:
            about = ("kind", "update", "time")
            found[name] |= {k: v for k, v in record.items() if k not in about}
    return found
