"""``3_infer``: predictions of a trained network for whole splits, as submission files.

Answers are kept clip by clip as they are found, so that an interrupted run goes on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from egolib.config import tree_hash
from egolib.errors import EgolibError
from egolib.io.records import file_sha256, read_jsonl
from egolib.nlq.api import Grounder, Padding, load
from egolib.nlq.config import Config, InferConfig, ModelConfig
from egolib.nlq.data.dataset import NlqData, question_data
from egolib.nlq.formats.submission import prediction, write_submission
from egolib.nlq.steps.data import list_file
from egolib.runs.stamps import code_hash
from egolib.runs.step import Step

SPLITS = ("val", "test")


@dataclass(frozen=True)
class Way:
    """One way to answer with a training's weights.

    Args:
        name: part of the file names; empty for the configured way.
        weights: the weights' name.
        text_padding: replaces the network's; None keeps it.
        infer: decoding and batching.
    """

    name: str
    weights: str
    infer: InferConfig
    text_padding: Padding | None = None

    def file(self, split: str) -> str:
        """The name of the submission file."""
        return f"{split}.{self.name}.json" if self.name else f"{split}.json"


def ways(infer: InferConfig) -> list[Way]:
    """The configured way, then each comparison with one thing corrected."""
    base = Way("", infer.weights, infer)
    corrected = {
        "consistent": replace(base, infer=replace(infer, decode_offset="consistent")),
        "per_query": replace(base, text_padding="per_query"),
        "averaged": replace(base, weights="ema"),
    }
    return [base, *(replace(corrected[name], name=name) for name in infer.compare)]


def predict(step: Step[Config]) -> dict[str, Path]:
    """Answers val and test in every way; returns the submission files by name.

    A split that ``1_data`` did not find is left out.
    """
    files: dict[str, Path] = {}
    lists: dict[str, NlqData] = {}
    for way in ways(step.config.infer):
        weights = weights_file(step, way.weights)
        grounder = load_way(step, way, weights)
        lists = lists or _lists(step, grounder.model.config)
        key = _key(step, way, weights)
        for split, data in lists.items():
            records = _answer(grounder, data, step.out / f"{way.file(split)}l", key)
            files[way.file(split)] = write_submission(step.out / way.file(split), records)
    return files


def _lists(step: Step[Config], model: ModelConfig) -> dict[str, NlqData]:
    """The splits that ``1_data`` found, with the features that the trained network reads."""
    return {s: question_data(step, s, model=model) for s in SPLITS if _has(step, s)}


def load_way(step: Step[Config], way: Way, weights: Path) -> Grounder:
    """The grounder of one way."""
    config, official = step.config, weights.suffix != ".safetensors"
    return load(
        weights,
        device=_device(config.infer.device),
        text_padding=way.text_padding,
        weights="averaged" if official and way.weights == "ema" else "official",
        model=config.model,
        data=config.data,
        infer=way.infer,
    )


def weights_file(step: Step[Config], name: str) -> Path:
    """A training's weights by name, or the checkpoint that the input ``model`` itself is.

    Raises:
        EgolibError: the training did not write them.
    """
    given = step.inputs.get("model")
    if given is not None and given.is_file():
        if name == "ema" and given.suffix == ".safetensors":
            raise EgolibError(
                "one file of ours holds no averaged weights beside the last ones",
                file=given,
                remedy="leave 'averaged' out of infer.compare",
            )
        return given
    file = step.input("model") / "train" / f"{name}.safetensors"
    if not file.is_file():
        known = sorted(f.stem for f in file.parent.glob("*.safetensors"))
        raise EgolibError(f"no weights {name!r}", file=file, remedy=f"one of {', '.join(known)}")
    return file


def _device(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def _has(step: Step[Config], split: str) -> bool:
    return (step.input("data") / list_file(step.config.data, split)).is_file()


def _key(step: Step[Config], way: Way, weights: Path) -> str:
    """Identifies everything that kept answers rest on."""
    about = [way.name, file_sha256(weights), step.fingerprint, code_hash("nlq")]
    return tree_hash(about)


def _answer(grounder: Grounder, data: NlqData, cache: Path, key: str) -> list[dict[str, Any]]:
    """Prediction records of all questions in their order; those in the cache are not repeated."""
    records = _read_cache(cache, key)
    with cache.open("a" if records else "w") as stream:
        if not records:
            stream.write(json.dumps({"key": key}) + "\n")
        for indices, answers in grounder.stream(data, records.keys()):
            found = {
                index: prediction(data.queries[index], moments.segments_sec, moments.scores)
                for index, moments in zip(indices, answers)
            }
            records |= found
            stream.write(json.dumps({"records": found}) + "\n")
            stream.flush()
    return [records[index] for index in range(len(data))]


def _read_cache(cache: Path, key: str) -> dict[int, dict[str, Any]]:
    """Answers of an interrupted run with the same key; empty where there are none.

    A line that was cut off by the interruption ends the file.
    """
    if not cache.is_file():
        return {}
    text = cache.read_text()
    cache.write_text(text[: text.rfind("\n") + 1])
    head, *lines = read_jsonl(cache) or [{}]
    if head.get("key") != key:
        return {}
    return {int(i): r for line in lines for i, r in line["records"].items()}
