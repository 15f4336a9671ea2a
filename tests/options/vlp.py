"""The options of vlp, each on a variant that uses it, on the tiny preset's world."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from egolib import config as configs
from egolib.config import build
from egolib.runs.places import default_data_root
from egolib.runs.step import Step
from egolib.vlp.config import Config
from egolib.vlp.steps import data, evaluate, infer, train
from tests.options.alternatives import Alternative, of_schema, overrides

torch.set_num_threads(1)

PRESET, BASE, FINETUNE = "tiny", "egoclip_pretrain_smallproj", "epic_finetune_10"
QUESTIONS, SUMMARIES = "egotaskqa_direct", "qfvs"
#: The variant on which options of a name are tried; the first that fits.
VARIANTS = {
    "data.relevancy_threshold": FINETUNE,
    "loss.margin": FINETUNE,
    "loss.sms": "epic_finetune_sms",
    "optim.epoch_learning_rate": FINETUNE,
    "initial.weights": FINETUNE,
    "initial.required": FINETUNE,
    "infer.feature_layout": "mq_features",
    "infer.clip": "nlq_features",
    "evaluate.precision": FINETUNE,
    "evaluate.empty_queries": FINETUNE,
    "evaluate.class_text": "charades_finetune",
    "data.questions": QUESTIONS,
    "loss.reduction": QUESTIONS,
    "loss.train_mode": SUMMARIES,
    "infer.question_frames": QUESTIONS,
    "evaluate.max_types": QUESTIONS,
    "evaluate.average": QUESTIONS,
    "data.summaries": SUMMARIES,
    "evaluate.empty_tags": SUMMARIES,
    "evaluate.zero_f1": SUMMARIES,
}
#: Options whose alternatives need a ``1_data`` of their own.
MADE_AGAIN = ("data.backend", "data.cache_height", "data.chunk_sec", "data.frame_times")
#: What is tried on further variants than these: the beginnings of names.
FURTHER_VARIANTS = {
    QUESTIONS: ("loss.reduction", "fit.", "infer.precision", "data.unreadable"),
    SUMMARIES: ("model.summarizer", "loss.reduction", "fit.", "infer.precision"),
}
#: Settings that an option belongs to: without them it would change nothing, or be refused.
WITH: dict[str, tuple[str, ...]] = {
    "optim.schedule=multistep": ("optim.milestones=[1]",),
    "optim.milestone_unit": ("optim.schedule=multistep", "optim.milestones=[1]"),
    "fit.evaluate_weights": ("fit.ema_decay=0.9",),
    "data.train=epic": (
        "loss.objectives=[sms]",
        "data.scene_negatives=false",
        "fit.monitor=mAP_AVG:max",
    ),
    "data.train=charades": (
        "loss.objectives=[norm_softmax]",
        "data.scene_negatives=false",
        "fit.monitor=mAP:max",
    ),
    "loss.negatives": ("fit.micro_batch_size=4",),
    "fit.micro_batch_size=": ("loss.negatives=micro_batch",),
}
SAMPLES: dict[str, Any] = {
    "fit.micro_batch_size": 4,
    "fit.clip_norm": 1.0,
    "fit.ema_decay": 0.9,
    "fit.evaluate_every_updates": 1,
    "fit.snapshot_updates": 1,
}
FURTHER: tuple[tuple[str, Any], ...] = (
    ("model.frames", 1),
    ("model.frames", 7),
    ("model.image_size", 30),
    ("model.heads", 3),
    ("model.text_heads", 3),
    ("model.depth", 1),
    ("model.fusion_depth", 0),
    ("model.fusion_depth", 2),
    ("model.fusion_depth", 3),
    ("model.drop_path", 0.5),
    ("model.text_dropout", 0.1),
    ("model.text_dropout", 1.0),
    ("model.text_positions", 8),
    ("model.vocabulary_size", 50265),
    ("data.label_fraction", 0.3),
    ("data.label_fraction", 0.0),
    ("data.epoch_samples", 8),
    ("data.epoch_samples", 3),
    ("data.cache_height", 0),
    ("data.chunk_sec", 5),
    ("data.text_length", 2),
    ("data.text_length", 100),
    ("data.crop_scale", [0.9, 0.5]),
    ("data.vocabulary", "absent.json"),
    ("data.relevancy_threshold", 1.0),
    ("loss.objectives", ["egonce"]),
    ("loss.objectives", ["mlm"]),
    ("loss.objectives", ["itm"]),
    ("loss.objectives", []),
    ("loss.objectives", ["egonce", "sms"]),
    ("loss.objectives", ["max_margin"]),
    ("loss.fused_every", 4),
    ("loss.fused_every", 100),
    ("loss.order_weight", 1.0),
    ("loss.masking_probability", 1.0),
    ("loss.temperature", 0.0),
    ("optim.milestones", [1]),
    ("optim.warmup_updates", 2),
    ("optim.warmup_fraction", 2.0),
    ("optim.learning_rate", -1.0),
    ("optim.head_lr_factor", 4.0),
    ("optim.backbone_lr_factor", 0.1),
    ("initial.weights", "none"),
    ("initial.weights", "absent.pth"),
    ("initial.vit", "absent.pth"),
    ("initial.position_std", 0.5),
    ("fit.batch_size", 1),
    ("fit.batch_size", 2),
    ("fit.batch_size", 1000),
    ("fit.monitor", "ensemble.Intra-video:max"),
    ("fit.monitor", "recall:max"),
    ("fit.workers", 1),
    ("infer.weights", "best"),
    ("infer.weights", "epoch_000"),
    ("infer.weights", "epoch_900"),
    ("infer.frames", 2),
    ("infer.frames", 9),
    ("infer.batch_size", 1),
    ("infer.batch_size", 0),
    ("infer.workers", 1),
    ("infer.rerank", 0),
    ("infer.rerank", 10_000),
    ("infer.benchmarks", []),
    ("infer.benchmarks", ["moments", "clips"]),
    ("infer.benchmarks", ["reversal"]),
    ("data.summaries.test_video", 2),
    ("data.summaries.test_video", 5),
    ("data.summaries.val_video", 1),
    ("data.summaries.val_video", 2),
    ("data.summaries.train_videos", [1]),
    ("data.summaries.train_videos", [3]),
    ("data.summaries.segments", 0),
    ("data.summaries.segments", 1),
    ("data.summaries.shot_frames", 0),
    ("data.summaries.shot_frames", 2),
    ("loss.answer_dropout", 0.0),
)
QUICK = ("fit.epochs=1", "fit.max_updates=2", "fit.evaluate_every=1", "fit.log_every=1")
SKIPPED = ("fit.max_updates", "fit.deterministic", "fit.nodes", "fit.processes")


def alternatives() -> list[Alternative]:
    """All variants as they are, and every option by its alternatives."""
    found = [Alternative(variant) for variant in configs.variants("vlp")]
    base = build(Config, configs.resolve(Config, "vlp", BASE, PRESET, QUICK))
    for name, value in (*of_schema(Config, base, SAMPLES), *FURTHER):
        if not name.startswith(SKIPPED):
            variant = next((v for k, v in VARIANTS.items() if name.startswith(k)), BASE)
            found.append(Alternative(variant, name, value))
    for variant, names in FURTHER_VARIANTS.items():
        config = build(Config, configs.resolve(Config, "vlp", variant, PRESET, QUICK))
        for name, value in of_schema(Config, config, SAMPLES):
            if name.startswith(names) and not name.startswith(SKIPPED):
                found.append(Alternative(variant, name, value))
    return found


def texts(alternative: Alternative) -> list[str]:
    """The overrides of an alternative, with what it needs to mean anything."""
    return overrides(alternative, QUICK, WITH)


@cache
def root() -> Path:
    """The tiny preset's world, drawn once."""
    from egolib import world

    place = default_data_root(PRESET)
    if not (place / "egoclip").is_dir():
        world.make(PRESET, place)
    return place


def ready() -> None:
    """Makes what all attempts share."""
    prepared()


@cache
def prepared() -> Path:
    """``1_data`` of the tiny world, done once, with its decoded frames."""
    folder = Path(tempfile.mkdtemp(prefix="options_vlp_"))
    tree = configs.resolve(Config, "vlp", BASE, PRESET)
    first = make_step("1_data", BASE, build(Config, tree), folder)
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
    sections = ("seed", "data", "model", "loss", "optim", "initial", "fit", "infer", "evaluate")
    places = {"sections": sections, "data_root": root(), "out": out, "inputs": inputs}
    return Step(task="vlp", name=name, variant=variant, preset=PRESET, config=config, **places)


def attempt(alternative: Alternative) -> None:
    """Builds a configuration, trains two updates, computes scores and evaluates them."""
    variant = alternative.variant
    config = build(Config, configs.resolve(Config, "vlp", variant, PRESET, texts(alternative)))
    inputs = {"data": prepared()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if alternative.field in MADE_AGAIN:
            first = make_step("1_data", variant, config, folder)
            data.prepare(first)
            inputs = {"data": first.out}
        start = {} if alternative.field == "initial.weights" else _starts(config, folder)
        second = make_step("2_train", variant, config, folder, **inputs, **start)
        result = train.train(second)
        train.check(result)
        third = make_step("3_infer", variant, config, folder, **inputs, model=result.weights.parent)
        infer.check(third, infer.predict(third))
        if not set(config.infer.benchmarks) & {"moments", "clips"}:
            _evaluate(make_step("4_evaluate", variant, config, folder, predictions=third.out))


def _evaluate(step: Step[Config]) -> None:
    truth = evaluate.read_truth(step)
    evaluate.check(evaluate.score(step, truth, evaluate.read_predictions(step, truth)))


def _starts(config: Config, folder: Path) -> dict[str, Path]:
    """Weights of the configuration's network, in place of an earlier training or a file."""
    from egolib.vlp.api import save
    from egolib.vlp.data.vocabulary import fitting, read_vocabulary
    from egolib.vlp.models.build import build as build_model

    if not config.initial.weights:
        return {}
    torch.manual_seed(0)
    model, _ = build_model(fitting(config.model, read_vocabulary(config.data, root())))
    return {"initial": save(model, folder / "start" / "model.safetensors")}
