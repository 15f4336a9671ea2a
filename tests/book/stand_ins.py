"""Tiny stand-ins for what a reader brings, and what of the shown commands runs on them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from egolib.config import TASKS, read_chain
from egolib.io.records import read_json
from tests.book.shown import ROOT, Shown

ALL = os.environ.get("EGOLIB_WALKS") == "all"  # also what trains anew
REAL_DATA = "of a run on the real data"
AGAIN = "trains anew: make walks"
OFFICIAL = {"official.pth": "nlq", "best.pth.tar": "mq", "EgoVLPv2.pth": "vlp"}  # whose weights
WALKS = ROOT / "tests" / "walks"
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
        return words, ""
    if name == "demo":
        return _demo(words)
    if name == "compare":
        return _compare(words)
    if name in ("evaluate", "validate", "ensemble"):
        return _files(words, desk)
    if name == "convert":
        return words, ""
    if name in ("status", "logs", "doctor", "init"):
        return words, ""
    return [], {"book": "the book has tests of its own"}.get(name, "has tests of its own")


def _run(words: list[str]) -> tuple[list[str], str]:
    if "--list" in words or "--dry-run" in words:
        return words, ""
    real = "paper" in words or "--data-root" in words
    if real and (walk := walked(words)):
        return [], f"on the real data; a reduced stand-in runs in {walk}"
    if not ALL and (real or {"--grid", "--variant", "-p", "--executor"} & set(words)):
        return [], AGAIN
    return [*_without(words, ("--preset", *PLACES)), "--preset", "tiny"], ""


#: Options that say where a reader's files are; without them a run is of the built-in world.
PLACES = ("--data-root", "--checkpoint", "--input", "--name", "--params")


def _without(words: list[str], options: tuple[str, ...]) -> list[str]:
    """A command without some options, their values, and settings that name a reader's files."""
    kept: list[str] = []
    given = iter(words)
    for word in given:
        value = next(given, "") if word in (*options, "-p") else None
        if word == "-p" and value is not None and "/" not in value:
            kept += [word, value]
        elif value is None:
            kept.append(word)
    return kept


def walked(words: list[str]) -> str:
    """The file that walks a variant's lines on reduced real formats; empty where none does."""
    task = words[1].partition("/")[0]
    named = words[words.index("--variant") + 1] if "--variant" in words else ""
    variant = re.compile(rf"\b{named or read_chain(task).default}\b")
    files = sorted(WALKS.glob(f"test_{task}*.py"))
    return next((f"tests/walks/{f.name}" for f in files if variant.search(f.read_text())), "")


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
    if any("motion=" in word for word in words):
        return [], "the speeds of ImageNet VID: tests/walks/test_vod.py"
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
