"""The options of vq2d, each on a variant that uses it, on the tiny preset and part of its world."""

from __future__ import annotations

import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from egolib import config as configs
from egolib.config import build
from egolib.runs.places import default_data_root
from egolib.runs.step import Step
from egolib.vq2d.config import Config
from egolib.vq2d.steps import data, evaluate, infer, train
from tests.options.alternatives import Alternative, of_schema
from tests.vq2d.project import make_small_world

torch.set_num_threads(1)

PRESET = "tiny"
BASES = ("improved", "cocoformer")
# The variant on which options of a name are tried; the first that fits.
VARIANTS = {"model.head": "cocoformer"}
# Settings that an option belongs to: without them it would change nothing.
WITH: dict[str, tuple[str, ...]] = {
    "localize.particle": ("localize.tracker=particle",),
    "localize.particle.frame_side": ("localize.particle.similarity=deep_shared",),
    "loss.hard_negative_choice": ("loss.hard_negatives=4",),
    "optim.optimizer": (),
    "infer.weights": ("fit.monitor=AP:max",),
}
SAMPLES: dict[str, Any] = {
    "fit.micro_batch_size": 1,
    "fit.clip_norm": 1.0,
    "fit.ema_decay": 0.9,
    "fit.max_updates": 1,
    "fit.evaluate_every_updates": 1,
    "evaluate.peaks.threshold": 0.2,
    "evaluate.peaks.distance": 3,
    "evaluate.peaks.width": 2,
    "evaluate.peaks.prominence": 0.01,
}
FURTHER: tuple[tuple[str, Any], ...] = (
    ("data.height", 48),
    ("data.image_suffix", ".png"),
    ("detect.intermediate_height", 48),
    ("detect.limit", 1),
    ("detect.score_threshold", 0.5),
    ("model.head.tokens", 5),
    ("model.level", 0),
    ("loss.hard_negatives", 0),
    ("localize.calibration", "calibration.json"),
    ("localize.peaks_tried", 1),
    ("initial.weights", "weights/coco_mask_rcnn_r50_fpn_3x.pkl"),
    ("tracker_optim.updates", 0),
)
QUICK = (
    "fit.max_updates=1",
    "fit.evaluate_every_updates=1",
    "fit.snapshot_updates=null",
    "data.validation_limit=1",
    "tracker_optim.updates=1",
    "sweep.thresholds=[]",
    "sweep.widths=[]",
    "sweep.compare=[]",
)
LEFT_OUT = ("fit.snapshot", "fit.deterministic", "fit.max_updates")


def alternatives() -> list[Alternative]:
    """All variants as they are; every option by its alternatives; some numbers."""
    found = [Alternative(variant) for variant in configs.variants("vq2d")]
    for variant in BASES:
        base = build(Config, configs.resolve(Config, "vq2d", variant, PRESET, QUICK))
        for name, value in of_schema(Config, base, SAMPLES):
            own = next((v for k, v in VARIANTS.items() if name.startswith(k)), "improved")
            if not name.startswith(LEFT_OUT) and (own == variant or name.startswith("model.head")):
                found.append(Alternative(variant, name, value))
    found += [Alternative("improved", name, value) for name, value in FURTHER]
    found += [Alternative("cocoformer", "loss.cross_batch_negatives", False)]
    return found


def ready() -> None:
    """Makes what all attempts share."""
    for variant in BASES:
        prepared(variant)


@cache
def prepared(variant: str) -> Path:
    """``1_data`` of a variant as it is, done once."""
    folder = Path(tempfile.mkdtemp(prefix="options_vq2d_"))
    tree = configs.resolve(Config, "vq2d", variant, PRESET, QUICK)
    first = make_step("1_data", variant, build(Config, tree), folder)
    data.check(first, data.prepare(first))
    return first.out


def make_step(
    name: str, variant: str, config: Config, folder: Path, **inputs: Path
) -> Step[Config]:
    """A step in a folder of its own.

    Args:
        name: of the step.
        variant: its variant.
        config: its configuration.
        folder: where steps lie.
        inputs: what it takes in.
    """
    out = folder / name
    out.mkdir(exist_ok=True)
    places: Any = {"data_root": small_root(), "out": out, "inputs": inputs}
    about: Any = {"variant": variant, "preset": PRESET, "config": config}
    return Step(task="vq2d", name=name, sections=("seed", "fit"), **about, **places)


def small_root() -> Path:
    """The tiny world with one video a split and at most two questions each, made once."""
    folder = default_data_root(PRESET).with_name(f"{PRESET}_vq2d_options")
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory() as temporary:
        shutil.copytree(make_small_world(Path(temporary) / "world"), folder)
    return folder


def overrides(alternative: Alternative) -> list[str]:
    """What makes the configuration of an alternative."""
    texts = list(QUICK)
    for name, needed in WITH.items():
        if alternative.field.startswith(name):
            texts += needed
    if alternative.field:
        texts.append(f"{alternative.field}={json.dumps(alternative.value)}")
    return texts


def attempt(alternative: Alternative) -> None:
    """Cuts, trains one update of both networks, answers and scores two questions."""
    tree = configs.resolve(Config, "vq2d", alternative.variant, PRESET, overrides(alternative))
    config = build(Config, tree)
    variant = alternative.variant
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if variant in BASES and not alternative.field.startswith("data."):
            inputs = {"data": prepared(variant)}
        else:
            first = make_step("1_data", variant, config, folder)
            data.check(first, data.prepare(first))
            inputs = {"data": first.out}
        second = make_step("2_train", variant, config, folder, **inputs)
        results = train.train(second)
        train.check(results)
        third = make_step("3_infer", variant, config, folder, **inputs, model=second.out)
        predictions = infer.predict(third)
        infer.check(third, predictions)
        fourth = make_step("4_evaluate", variant, config, folder, **inputs, predictions=third.out)
        truth = evaluate.read_truth(fourth)
        answers = evaluate.configured(fourth, evaluate.read_predictions(fourth, truth))
        evaluate.check(evaluate.score(fourth, truth, answers))
