"""The options of mq, each with VSGN and with ActionFormer, on the tiny preset's world."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from egolib import config as configs
from egolib.config import build
from egolib.mq.config import Config
from egolib.mq.steps import data, evaluate, infer, train
from egolib.runs.places import default_data_root
from egolib.runs.step import Step
from tests.options.alternatives import Alternative, of_schema, overrides

torch.set_num_threads(1)

PRESET = "tiny"
POINTS = "actionformer_egovlp"
NETWORKS = ("vsgn_egovlpv2", POINTS)
#: Settings that an option belongs to: without them it would change nothing, or be refused.
WITH: dict[str, tuple[str, ...]] = {
    "data.noise_width": ("model.feature_width=0",),
    "fit.evaluate_weights=ema": ("fit.ema_decay=0.9",),
    "fit.micro_batch_size": ("fit.batch_size=2",),
    "loss.replicas": ("fit.batch_size=4",),
    "model.stitched_neighbors": ("data.stitching=vsgn",),
    "optim.milestone_unit": ("optim.schedule=multistep", "optim.milestones=[1]"),
}
SAMPLES: dict[str, Any] = {
    "fit.micro_batch_size": 1,
    "fit.clip_norm": 1.0,
    "fit.ema_decay": 0.9,
    "fit.evaluate_every_updates": 1,
    "fit.snapshot_updates": 1,
}
FURTHER: dict[str, tuple[tuple[str, Any], ...]] = {
    "vsgn_egovlpv2": (
        ("data.class_table", "absent.json"),
        ("data.features", []),
        ("data.features", ["absent"]),
        ("data.max_boxes", 0),
        ("data.max_boxes", 1),
        ("data.noise_width", 8),
        ("data.window_fraction", 1.5),
        ("fit.batch_size", 1),
        ("fit.batch_size", 1000),
        ("fit.monitor", "average_map:max"),
        ("fit.monitor", "recall:max"),
        ("fit.workers", 1),
        ("infer.batch_size", 0),
        ("infer.batch_size", 1),
        ("infer.compare", ["per_class", "last_candidate", "retrieval_limit", "rounding"]),
        ("infer.limit", 0),
        ("infer.limit", 1),
        ("infer.soft_nms_sigma", 0.0),
        ("infer.weights", "ema"),
        ("infer.weights", "epoch_900"),
        ("infer.weights", "model"),
        ("initial.weights", "absent.pth"),
        ("loss.boundary_iou", 1.5),
        ("loss.replicas", 2),
        ("loss.replicas", 5),
        ("model.anchor_scales", []),
        ("model.anchor_scales", [2]),
        ("model.feature_width", 7),
        ("model.classes", 2),
        ("model.head_layers", 0),
        ("model.length", 60),
        ("model.length", 63),
        ("model.levels", 1),
        ("model.levels", 9),
        ("model.neighbors", 1),
        ("model.neighbors", 1000),
        ("model.norm_groups", 5),
        ("model.width", 30),
        ("optim.learning_rate", -1.0),
        ("optim.milestones", [1]),
        ("optim.step_epochs", 0),
        ("optim.warmup_epochs", 1),
        ("optim.warmup_updates", 1),
    ),
    POINTS: (
        ("data.grid.crop", [1.0, 1.0]),
        ("data.grid.crop", [1.0, 0.5]),
        ("data.grid.fps", 0.0),
        ("data.grid.stride_frames", 0.0),
        ("infer.batch_size", 1),
        ("infer.candidates", 0),
        ("infer.candidates", 1),
        ("infer.suppression.max_segments", 0),
        ("infer.suppression.max_segments", 5),
        ("infer.suppression.method", "gaussian"),
        ("infer.suppression.method", "hard"),
        ("infer.suppression.method", "none"),
        ("infer.suppression.per_class", False),
        ("infer.suppression.voting_threshold", 0.0),
        ("infer.weights", "best"),
        ("loss.points.label_smoothing", 0.1),
        ("loss.points.regression_ranges", [[0, 4]]),
        ("loss.points.regression_weight", 0.0),
        ("model.actionformer.branch_blocks", 0),
        ("model.actionformer.embedding_kernel", 2),
        ("model.actionformer.embedding_layers", 0),
        ("model.actionformer.head_layers", 1),
        ("model.actionformer.heads", 3),
        ("model.actionformer.input_dropout", 0.0),
        ("model.actionformer.stem_blocks", 0),
        ("model.actionformer.windows", [4]),
        ("model.actionformer.windows", [5, 5]),
        ("model.actionformer.windows", [-1]),
        ("model.length", 50),
        ("optim.schedule_epochs", 2),
    ),
}
QUICK = ("fit.epochs=1", "fit.max_updates=2", "fit.evaluate_every=1", "fit.log_every=1")
SKIPPED = ("fit.max_updates", "fit.deterministic", "fit.nodes", "fit.processes")


def alternatives() -> list[Alternative]:
    """All variants as they are, and every option of both networks by its alternatives."""
    found = [Alternative(variant) for variant in configs.variants("mq")]
    for variant in NETWORKS:
        base = build(Config, configs.resolve(Config, "mq", variant, PRESET, QUICK))
        for name, value in (*of_schema(Config, base, SAMPLES), *FURTHER[variant]):
            skipped = (*SKIPPED, "model.stitched") if variant == POINTS else SKIPPED
            if not name.startswith(skipped):
                found.append(Alternative(variant, name, value))
    return found


def texts(alternative: Alternative) -> list[str]:
    """The overrides of an alternative, with what it needs to mean anything."""
    return overrides(alternative, QUICK, WITH)


def ready() -> None:
    """Makes what all attempts share."""
    root()


@cache
def root() -> Path:
    """The tiny preset's world, drawn once."""
    from egolib import world

    place = default_data_root(PRESET)
    if not (place / "nlq").is_dir():
        world.make(PRESET, place)
    return place


def attempt(alternative: Alternative) -> None:
    """Builds a configuration, trains two updates, detects and scores."""
    config = build(
        Config, configs.resolve(Config, "mq", alternative.variant, PRESET, texts(alternative))
    )
    sections = ("seed", "data", "model", "loss", "optim", "initial", "fit", "infer", "evaluate")
    with tempfile.TemporaryDirectory() as folder:

        def step(name: str, **inputs: Path) -> Step[Config]:
            out = Path(folder) / name
            out.mkdir(exist_ok=True)
            places = {"sections": sections, "data_root": root(), "out": out, "inputs": inputs}
            about = {"variant": alternative.variant, "preset": PRESET, "config": config}
            return Step(task="mq", name=name, **about, **places)

        first = step("1_data")
        data.check(first, data.prepare(first))
        trained = train.train(step("2_train", data=first.out))
        train.check(trained)
        third = step("3_infer", data=first.out, model=trained.weights.parent)
        infer.check(third, infer.predict(third))
        fourth = step("4_evaluate", data=first.out, predictions=third.out)
        truth = evaluate.read_truth(fourth)
        scored = evaluate.score(fourth, truth, evaluate.read_predictions(fourth, truth))
        evaluate.check(scored)
        evaluate.table(scored)
