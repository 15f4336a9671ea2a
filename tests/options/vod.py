"""The options of vod, each on a variant that uses it, on the tiny preset and its world."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from egolib import config as configs
from egolib.config import build
from egolib.runs.places import default_data_root
from egolib.runs.step import Step
from egolib.vod.config import Config
from egolib.vod.steps import data, evaluate, infer, train
from tests.options.alternatives import Alternative, of_schema

torch.set_num_threads(1)

PRESET = "tiny"
# The variant on which options of a name are tried; the first that fits.
VARIANTS = {
    "model.temporal": "tdvit_t",
    "infer.temporal": "tdvit_t",
    "model.memory": "mamba_both_r101_dc5",
    "infer.memory": "mamba_both_r101_dc5",
    "model.mega": "mega_r101",
    "infer.mega": "mega_r101",
    "model.prompt": "stpn_swint",
    "model.location": "eovod_r101",
    "infer.location": "eovod_r101",
    "model.fcos": "fcos_r101",
    "model.flow": "fgfa_r101_dc5",
    "model.pyramid": "frcnn_r101_fpn",
    "infer.centre": "selsa_r101_dc5",
    "infer.references": "selsa_r101_dc5",
    "data.train_references": "selsa_r101_dc5",
    "data.pipeline.crop": "stpn_swint",
    "infer.causal": "selsa_r101_dc5",
    "fit.precision": "mamba_r101_dc5",
}
EVERY_METHOD = (
    "frcnn_r101_dc5",
    "frcnn_r101_c4",
    "fcos_r101",
    "mega_r101",
    "mamba_both_r101_dc5",
    "stpn_swint",
    "tdvit_t",
    "eovod_r101",
    "dff_r101_dc5",
    "fgfa_r101_dc5",
)
SAMPLES: dict[str, Any] = {
    "infer.proposals": {"before": 50, "after": 5},
    "infer.memory.top": 2,
    "infer.mega.proposals": 4,
    "infer.mega.advanced": 2,
    "fit.ema_decay": 0.9,
    "fit.evaluate_every_updates": 1,
}
QUICK = ("fit.max_updates=1", "infer.max_videos=1", "initial.objects.updates=0")


def alternatives() -> list[Alternative]:
    """All variants as they are; every option by its alternatives; some for every method."""
    found = [Alternative(variant) for variant in configs.variants("vod")]
    base = build(Config, configs.resolve(Config, "vod", "frcnn_r101_dc5", PRESET, QUICK))
    for name, value in of_schema(Config, base, SAMPLES):
        if not name.startswith(("fit.max_updates", "fit.deterministic", "fit.snapshot")):
            start = next((v for k, v in VARIANTS.items() if name.startswith(k)), "frcnn_r101_dc5")
            found.append(Alternative(start, name, value))
    for variant in EVERY_METHOD:
        found.append(Alternative(variant, "fit.precision", "bf16-mixed"))
        found.append(Alternative(variant, "infer.causal", True))
        found.append(Alternative(variant, "infer.shuffle_frames", True))
    return found


def ready() -> None:
    """Makes what all attempts share."""
    from egolib import world

    place = default_data_root(PRESET)
    if not (place / "ILSVRC").is_dir():
        world.make(PRESET, place)


def attempt(alternative: Alternative) -> None:
    """Builds a configuration, trains one update, detects in one video and scores it."""
    texts = list(QUICK)
    if alternative.field:
        texts.append(f"{alternative.field}={json.dumps(alternative.value)}")
    tree = configs.resolve(Config, "vod", alternative.variant, PRESET, texts)
    config = build(Config, tree)
    root = default_data_root(PRESET)
    with tempfile.TemporaryDirectory() as folder:

        def step(name: str, **inputs: Path) -> Step[Config]:
            out = Path(folder) / name
            out.mkdir(exist_ok=True)
            places = {"sections": ("seed", "fit"), "data_root": root, "out": out, "inputs": inputs}
            about = {"variant": alternative.variant, "preset": PRESET, "config": config}
            return Step(task="vod", name=name, **about, **places)

        first = step("1_data")
        if alternative.field.startswith("data."):
            data.check(first, data.prepare(first, workers=1))
        trained = train.train(step("2_train", data=first.out))
        train.check(trained)
        third = step("3_infer", data=first.out, model=trained.weights)
        found = infer.predict(third)
        infer.check(third, found)
        fourth = step("4_evaluate", data=first.out, predictions=third.out)
        truth = evaluate.read_truth(fourth)
        runs = evaluate.read_predictions(fourth, truth)
        scored = {name: evaluate.score(truth, one) for name, one in runs.items()}
        evaluate.check(scored)
        evaluate.table(scored)
        evaluate.class_table(scored)
