"""``3_infer``: detections of a trained network in all test videos, as files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from egolib.config import to_tree, tree_hash
from egolib.errors import EgolibError
from egolib.io.checkpoint import compare, find_state, read_foreign
from egolib.io.records import file_sha256
from egolib.runs.step import Step
from egolib.vod import api
from egolib.vod.config import Config
from egolib.vod.data.dataset import Source, TestVideo, test_videos
from egolib.vod.formats.checkpoint import layout
from egolib.vod.formats.submission import DetectionSet, write_coco, write_detections
from egolib.vod.models.build import build_empty
from egolib.vod.result_cache import KeptDetections
from egolib.vod.steps.data import evaluation_source

DETECTIONS = "detections.npz"
PICKLE = "detections.pkl"


def weights_file(step: Step[Config]) -> Path:
    """The weights of the training, or the checkpoint that the input ``model`` itself is.

    Raises:
        EgolibError: the training wrote none.
    """
    given = step.inputs.get("model")
    if given is not None and given.is_file():
        return given
    file = step.input("model") / "train" / "model.safetensors"
    if not file.is_file():
        raise EgolibError("the training wrote no weights", file=file, remedy="run 2_train again")
    return file


def _identity(step: Step[Config]) -> str:
    """A name for the weights and settings that decide what is detected."""
    config = to_tree(step.config)
    settings = {name: config[name] for name in ("seed", "data", "model", "infer")}
    return tree_hash({"weights": file_sha256(weights_file(step)), **settings})[:12]


def load_detector(step: Step[Config]) -> api.Detector:
    """The network of a step's weights with the step's own settings of inference."""
    config = step.config
    return api.Detector(
        _network(step, weights_file(step)),
        config.model,
        config.data,
        causal=config.infer.causal,
        seed=config.seed,
        device=_device(config.infer.device),
    )


def _network(step: Step[Config], path: Path) -> nn.Module:
    """Our weights name their network; an official file is read as the variant's network."""
    if path.suffix == ".safetensors":
        return api.load(path).model
    config = step.config.model
    network = build_empty(config)
    ours = layout(config).to_ours(find_state(read_foreign(path)), file=path)
    compare(ours, network.state_dict()).require_complete(file=path)
    network.load_state_dict(ours, assign=True)
    return network


def _device(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def videos(step: Step[Config], source: Source | None = None) -> list[TestVideo]:
    """The test videos of a step, frames in the order of testing."""
    found = test_videos(source or evaluation_source(step), step.config.data)
    return found[: step.config.infer.max_videos or None]


def predict(step: Step[Config]) -> DetectionSet:
    """Detects in all test videos and writes the files that the configuration asks for.

    Finished videos are kept until all are, so that a stopped step goes on where it was.
    """
    source = evaluation_source(step)
    kept = KeptDetections(step.out / "videos" / _identity(step))
    detections = load_detector(step).predict(videos(step, source), kept)
    write_detections(step.out / DETECTIONS, detections)
    kept.clear()
    if step.config.infer.pickle:
        write_detections(step.out / PICKLE, detections)
    if step.config.infer.format_only:
        ids = {label: category for category, label in source.labels.items()}
        write_coco(step.out / "detections", detections, [ids[i] for i in range(len(ids))])
    return detections
