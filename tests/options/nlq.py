"""The options of nlq, each on a variant that uses it, on a part of the tiny preset's world."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from egolib import config as configs
from egolib.config import build
from egolib.nlq.config import Config
from egolib.nlq.steps import data, evaluate, infer, train
from egolib.runs.places import default_data_root
from egolib.runs.step import Step
from tests.options.alternatives import Alternative, of_schema, overrides

torch.set_num_threads(1)

PRESET, BASE, SPANS = "tiny", "scratch", "vslnet"
# The variant on which options of a name are tried; the first that fits.
VARIANTS = {
    "data.jitter": "pretrain",
    "initial.heads": "finetune",
    "initial.average": "finetune",
    "model.branch_windows": "star",
    "model.span.small_predictor": "vslnet_small",
    "data.span": SPANS,
    "loss.span": SPANS,
    "infer.span": SPANS,
}
#: Tried with VSLNet too.
WITH_SPANS = ("model.span.", "optim.", "fit.", "infer.device", "infer.precision", "infer.weights")
# Settings that an option belongs to: without them it would change nothing, or be refused.
WITH: dict[str, tuple[str, ...]] = {
    "optim.schedule=multistep": ("optim.milestones=[1]",),
    "optim.milestone_unit": ("optim.schedule=multistep", "optim.milestones=[1]"),
    "model.branch_windows": (
        "model.cross_branch_blocks=1",
        "model.plain_branch_blocks=2",
        "model.windows=[9,7,5,3]",
    ),
    "data.too_long": ("model.max_length=40",),
    "fit.evaluate_weights": ("fit.ema_decay=0.9",),
}
SAMPLES: dict[str, Any] = {
    "fit.max_updates": 2,
    "fit.micro_batch_size": 2,
    "fit.evaluate_every_updates": 1,
    "fit.snapshot_updates": 1,
}
FURTHER: tuple[tuple[str, Any], ...] = (
    ("model.windows", [-1]),
    ("model.windows", [4]),
    ("model.windows", [9, 7]),
    ("model.embedding_kernel", 1),
    ("model.embedding_kernel", 2),
    ("model.head_kernel", 5),
    ("model.head_layers", 1),
    ("model.embedding_layers", 1),
    ("model.text_blocks", 0),
    ("model.stem_blocks", 0),
    ("model.plain_branch_blocks", 0),
    ("model.plain_branch_blocks", 7),
    ("model.cross_branch_blocks", 1),
    ("model.classes", 3),
    ("model.class_prior", 0.0),
    ("model.empty_classes", [0]),
    ("model.empty_classes", [1]),
    ("model.dropout", 0.1),
    ("model.drop_path", 0.0),
    ("model.heads", 3),
    ("model.max_length", 40),
    ("model.video_streams", [["video", 64]]),
    ("model.text_streams", [["query", 64], ["objects", 64]]),
    ("data.train", "narrations"),
    ("data.stride_frames", 16.0),
    ("data.fps", 0.0),
    ("data.made", ["random_video", "object_tokens", "caption_tokens"]),
    ("data.evaluation_text_stores", ["nlq/features/symbolic_text"]),
    ("loss.regression_weight", 0.0),
    ("loss.regression_ranges", [[0, 4], [2, 8]]),
    ("loss.label_smoothing", 0.0),
    ("optim.milestones", [1]),
    ("optim.warmup_epochs", 0),
    ("optim.warmup_updates", 2),
    ("optim.backbone_lr_factor", 0.1),
    ("optim.learning_rate", -1.0),
    ("initial.weights", "none"),
    ("initial.weights", "nlq/absent.pth.tar"),
    ("fit.evaluation", []),
    ("fit.evaluation", ["loss", "recall"]),
    ("fit.monitor", "loss:min"),
    ("fit.monitor", "r1_at_0.3:max"),
    ("fit.drop_last", False),
    ("fit.workers", 1),
    ("infer.weights", "ema"),
    ("infer.weights", "best"),
    ("infer.weights", "epoch_000"),
    ("infer.compare", []),
    ("infer.suppression.method", "hard"),
    ("infer.suppression.method", "none"),
    ("infer.suppression.method", "gaussian"),
    ("infer.suppression.per_class", False),
    ("infer.suppression.max_segments", 0),
    ("infer.text_batch", 1),
)
SPANS_FURTHER: tuple[tuple[str, Any], ...] = (
    ("model.span.heads", 3),
    ("model.span.kernel", 4),
    ("model.span.max_length", 8),
    ("model.span.conv_layers", 0),
    ("model.span.dropout", 0.0),
    ("model.span.dropout", 1.0),
    ("model.span.video_width", 7),
    ("data.train", "train+val"),
    ("data.train", "train+narrations"),
    ("data.span.rate", 0.0),
    ("data.span.tokens", 2),
    ("data.span.extension", 0.0),
    ("data.span.shapes", "absent.json"),
    ("data.span.masks", "absent"),
    ("data.span.published", "absent"),
    ("loss.span.highlight_weight", 0.0),
    ("optim.warmup_updates", 1),
    ("fit.drop_last", True),
    ("fit.evaluation", ["loss"]),
    ("fit.monitor", "loss:min"),
    ("infer.compare", ["consistent"]),
    ("infer.span.windows", 0),
    ("infer.span.windows", 1),
    ("infer.span.candidates", 0),
    ("infer.span.longest_sec", 5.0),
    ("infer.span.longest_sec", -1.0),
    ("infer.span.batch_size", 0),
    ("infer.span.batch_size", 1),
    ("infer.weights", "model"),
)
QUICK = ("fit.epochs=1", "fit.max_updates=2", "fit.evaluate_every=1")
SKIPPED = ("fit.max_updates", "fit.deterministic", "fit.nodes")


def alternatives() -> list[Alternative]:
    """All variants as they are, and every option by its alternatives."""
    found = [Alternative(variant) for variant in configs.variants("nlq")]
    base = build(Config, configs.resolve(Config, "nlq", BASE, PRESET, QUICK))
    for name, value in (*of_schema(Config, base, SAMPLES), *FURTHER):
        if not name.startswith(SKIPPED):
            variant = next((v for k, v in VARIANTS.items() if name.startswith(k)), BASE)
            found.append(Alternative(variant, name, value))
    spans = build(Config, configs.resolve(Config, "nlq", SPANS, PRESET, QUICK))
    shared = (o for o in of_schema(Config, spans, SAMPLES) if o[0].startswith(WITH_SPANS))
    for name, value in (*shared, *SPANS_FURTHER):
        if not name.startswith((*SKIPPED, "optim.milestone")):
            small = name.startswith("model.span.small_predictor")
            found.append(Alternative("vslnet_small" if small else SPANS, name, value))
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
    """Builds a configuration, trains two updates, answers and scores."""
    tree = configs.resolve(Config, "nlq", alternative.variant, PRESET, texts(alternative))
    config = build(Config, tree)
    sections = ("seed", "data", "model", "loss", "optim", "initial", "fit", "infer", "evaluate")
    with tempfile.TemporaryDirectory() as folder:

        def step(name: str, **inputs: Path) -> Step[Config]:
            out = Path(folder) / name
            out.mkdir(exist_ok=True)
            places = {"sections": sections, "data_root": root(), "out": out, "inputs": inputs}
            about = {"variant": alternative.variant, "preset": PRESET, "config": config}
            return Step(task="nlq", name=name, **about, **places)

        first = step("1_data")
        data.check(first, data.prepare(first))
        start = {"initial": _start(config, Path(folder))} if _starts(alternative) else {}
        trained = train.train(step("2_train", data=first.out, **start))
        train.check(trained)
        third = step("3_infer", data=first.out, model=trained.weights.parent)
        infer.check(third, infer.predict(third))
        fourth = step("4_evaluate", data=first.out, predictions=third.out)
        truth = evaluate.read_truth(fourth)
        predictions = evaluate.read_predictions(fourth, truth)
        evaluate.check(evaluate.score(fourth, predictions, truth))


def _starts(alternative: Alternative) -> bool:
    steps = configs.read_variant("nlq", alternative.variant).steps
    return "initial" in steps["2_train"]


def _start(config: Config, folder: Path) -> Path:
    """Weights of the configuration's network, in place of an earlier training."""
    from egolib.nlq.api import save
    from egolib.nlq.models.network import GroundNLQ

    torch.manual_seed(0)
    return save(folder / "start" / "model.safetensors", GroundNLQ(config.model))
