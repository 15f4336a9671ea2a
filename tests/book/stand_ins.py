"""Tiny stand-ins for what a reader brings, and what of the shown commands runs on them."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from egolib.config import TASKS
from egolib.io.records import read_json
from tests.book.shown import Shown

ALL = os.environ.get("EGOLIB_WALKS") == "all"  # also what trains anew
REAL_DATA = "running takes the real data"
VARIANTS = {  # what the tiny run has trained, for runs that only the real data can give
    "vq2d": "improved", "vod": "selsa_staged", "vlp": "egoclip_pretrain_smallproj",
    "nlq": "scratch", "mq": "features_vlp",
}  # fmt: skip
ANNOTATIONS = {"vq2d": "vq", "nlq": "nlq", "mq": "moments"}


@dataclass(frozen=True)
class Desk:
    """The folder that commands run in, and the tiny run's project folder.

    Args:
        folder: where a reader sits; ``kitchen.mp4`` and weights lie there.
        root: project folder with ``runs/tiny`` and the drawn world.
    """

    folder: Path
    root: Path

    def step(self, task: str, name: str, variant: str | None = None) -> Path:
        """The folder of a step of the tiny run."""
        return self.root / "runs" / "tiny" / task / (variant or VARIANTS[task]) / name

    def truth(self, task: str, split: str = "val") -> Path:
        """Official annotations of the built-in world."""
        world = self.root / "data" / "world" / "tiny"
        if task == "vod":
            return world / "ILSVRC" / "annotations" / "imagenet_vid_val.json"
        return world / "ego4d/v2/annotations" / f"{ANNOTATIONS[task]}_{split}.json"

    def weights(self, task: str) -> Path:
        """A trained network of the tiny run."""
        found = sorted(self.step(task, "2_train").glob("*/model.safetensors"))
        return found[0]


def furnish(desk: Desk) -> None:
    """Puts the files there that pages take for granted."""
    videos = sorted((desk.root / "data/world/tiny/videos").glob("*.mp4"))
    shutil.copy(videos[0], desk.folder / "kitchen.mp4")
    (desk.folder / "videos").mkdir()
    shutil.copy(videos[1], desk.folder / "videos" / "a.mp4")
    _copy_weights(desk.weights("mq"), desk.folder / "best.safetensors")
    _copy_weights(desk.weights("vlp"), desk.folder / "EgoVLPv2.safetensors")
    for word_file in desk.weights("vlp").parent.glob("vocabulary.json"):
        shutil.copy(word_file, desk.folder)


def _copy_weights(source: Path, target: Path) -> None:
    for suffix in (".safetensors", ".json"):
        shutil.copy(source.with_suffix(suffix), target.with_suffix(suffix))


def names(desk: Desk, found: Shown) -> dict[str, Any]:
    """What a Python block finds defined: features and pictures of the reader, and the package."""
    from egolib import mq, nlq, viz, vlp, vod, vq2d

    task = next((t for t in TASKS if f"/{t}/" in found.place or found.place.startswith(t)), "nlq")
    if found.place.startswith("egolib/"):  # a docstring of a task's package
        weights = desk.weights(task)
        _copy_weights(weights, desk.folder / "checkpoint.safetensors")
    picture = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    width = _width_of_moments(desk) if task == "mq" else 128
    features = np.random.default_rng(0).normal(size=(40, width)).astype(np.float32)
    modules = {"vq2d": vq2d, "vod": vod, "vlp": vlp, "nlq": nlq, "mq": mq, "viz": viz}
    return {**modules, "crop": picture, "picture": picture, "features": features}


def _width_of_moments(desk: Desk) -> int:
    """The width of the features that mq's network reads."""
    sidecar = read_json(desk.weights("mq").with_suffix(".json"), dict)
    return int(sidecar["config"]["model"]["feature_width"])


# --------------------------------------------------------------------------- commands


def here(found: Shown, desk: Desk | None) -> tuple[list[str], str]:
    """The words of a command as it runs on the stand-ins, or none and why it is planned alone.

    Args:
        found: the command.
        desk: where it runs; None only asks whether it does.
    """
    words = shlex.split(found.text, comments=True)
    words = words[1 : words.index(">")] if ">" in words else words[1:]
    name = words[0]
    if (
        (len(words) == 2 and name in ("validate", "evaluate"))
        or words[-1] == "--mode"
        or "missing=strict" in words
    ):
        return [], "a mention without its arguments"
    if name == "run":
        return _run(words)
    if name == "params":
        return (words, "") if "paper" not in words else ([], REAL_DATA)
    if name == "demo":
        return _demo(words)
    if name == "compare":
        return _compare(words)
    if name in ("evaluate", "validate", "ensemble"):
        return _files(words, desk)
    if name == "convert":
        return (words, "") if words[1] == "official.pth" else ([], "official weights")
    if name in ("status", "logs", "doctor", "init"):
        return words, ""
    return [], {"book": "the book has tests of its own"}.get(name, "has tests of its own")


def _run(words: list[str]) -> tuple[list[str], str]:
    if "--list" in words or "--dry-run" in words:
        return words, ""
    if "paper" in words or "--data-root" in words:
        return [], REAL_DATA
    if {"--grid", "--variant", "-p", "--executor"} & set(words) and not ALL:
        return [], "trains anew: make walks"
    preset = words.index("--preset") if "--preset" in words else len(words)
    return [*words[:preset], "--preset", "tiny", *words[preset + 2 :]], ""


def _demo(words: list[str]) -> tuple[list[str], str]:
    if words[1] in ("mq", "nlq") and not ALL:
        return [], "needs a training on features of vlp: make walks"
    smaller = {"900": "150", "410,220,80,64": "10,10,30,30"}  # a video of 200 small frames
    return [smaller.get(word, word) for word in words], ""


def _compare(words: list[str]) -> tuple[list[str], str]:
    task, variant = words[1].split("/")[1:3]
    if variant not in (*VARIANTS.values(), "finetune"):
        return [], REAL_DATA
    return [words[0], f"tiny/{task}/{variant}", *words[2:]], ""


def _files(words: list[str], desk: Desk | None) -> tuple[list[str], str]:
    """The reader's files replaced by those of the built-in world and the tiny run."""
    name, task = words[:2]
    if any("paper/" in word for word in words):
        return [], REAL_DATA
    if any("motion=" in word for word in words):
        return [], "the speeds of ImageNet VID"
    if desk is None:
        return words, ""
    unannotated = any("unannotated" in word for word in words)
    split = "test" if unannotated else "val"
    name_of = "detections.npz" if task == "vod" else f"{split}.json"
    made = desk.step(task, "3_infer") / name_of
    truth = desk.truth(task, "test_unannotated" if unannotated else "val")
    if name == "ensemble":
        return [name, task, *3 * [str(made)], *words[5:]], ""
    replaced = words.copy()
    for place, word in enumerate(words):
        if word in ("--truth", "--predictions"):
            replaced[place + 1] = str(truth if word == "--truth" else made)
    if name == "validate":
        replaced[2] = str(made)
    return replaced, ""
