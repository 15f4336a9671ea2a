"""``3_infer``: detections of a trained network in all test videos, as files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.config import to_tree
from egolib.engine.device import resolve_devices
from egolib.engine.precision import in_precision_of_infer
from egolib.errors import EgolibError
from egolib.io.checkpoint import find_state, read_foreign
from egolib.io.records import file_sha256
from egolib.report.source import show
from egolib.runs import inputs
from egolib.runs.result_cache import ResultCache, cache_key
from egolib.runs.shards import end_of_part
from egolib.runs.step import Step
from egolib.vod import api
from egolib.vod.config import Config, ModelConfig
from egolib.vod.data.dataset import Source, TestVideo, class_names, test_videos
from egolib.vod.formats.network import load_network, network_from_official
from egolib.vod.formats.submission import DetectionSet, validate, write, write_coco
from egolib.vod.models.heads import SupportHead
from egolib.vod.steps.data import TestSet, evaluation_source, frames_of_one_video
from egolib.vod.steps.evaluate import read_truth

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

__all__ = ["SupportHead", "TestSet", "frames_of_one_video", "read_truth", "show"]

DETECTIONS = "detections.npz"
PICKLE = "detections.pkl"
#: Settings that decide where and what is written, not what is detected.
ELSEWHERE = ("frames_ahead", "device", "devices", "max_videos", "pickle", "format_only")


def weights_file(step: Step[Config]) -> Path:
    """The weights of the training, or the checkpoint that the input ``model`` itself is.

    Raises:
        EgolibError: there are none.
    """
    return inputs.weights_file(step.input("model"))


def load_detector(step: Step[Config]) -> api.Detector:
    """The network of a step's weights with the step's own settings of testing.

    Raises:
        EgolibError: the weights are of another method or of other classes than the step's.
    """
    config = step.config
    network, model = _network(step, weights_file(step))
    return api.Detector(network, model, config.data, config.infer, seed=config.seed)


def _network(step: Step[Config], path: Path) -> tuple[nn.Module, ModelConfig]:
    """Our weights describe their network; an official file is read as the variant's."""
    wanted = step.config.model
    if path.suffix != ".safetensors":
        state = find_state(read_foreign(path))
        return network_from_official(state, wanted, path), wanted
    network, known = load_network(path)
    model = known.model
    if model.method != wanted.method or model.detector != wanted.detector:
        raise EgolibError(
            f"weights of {model.method} on {model.detector}, {step.variant} is {wanted.method} on "
            f"{wanted.detector}",
            file=path,
            remedy="name a variant of that method with --variant",
        )
    if model.classes != wanted.classes:
        raise EgolibError(
            f"weights for {model.classes} classes, data.classes names {wanted.classes}",
            file=path,
            remedy="give data.classes and model.classes of the training",
        )
    return network, model


def cache(step: Step[Config], detector: api.Detector) -> ResultCache:
    """Where the detections of finished videos are kept while others are computed."""
    settings = {k: v for k, v in to_tree(step.config.infer).items() if k not in ELSEWHERE}
    key = cache_key(
        "vod",
        weights=[file_sha256(weights_file(step))],
        seed=step.config.seed,
        data=to_tree(step.config.data),
        model=to_tree(detector.config),
        infer=settings,
    )
    return ResultCache(step.out / "videos", key)


def videos(step: Step[Config], source: Source | None = None) -> list[TestVideo]:
    """The test videos of a step, frames in the order of testing."""
    config = step.config
    return test_videos(source or evaluation_source(step), config.data, config.infer)


def video_table(step: Step[Config]) -> pd.DataFrame:
    """The weights, and how much is detected in."""
    import pandas as pd

    found = videos(step)
    rows = {"weights": weights_file(step).name, "videos": len(found)}
    return pd.DataFrame({"value": {**rows, "frames": sum(map(len, found))}})


@in_precision_of_infer
def predict(step: Step[Config]) -> DetectionSet:
    """Detects in all test videos and writes the files that the configuration asks for.

    Finished videos are kept until all are, so that a stopped step resumes.
    """
    source, detector = evaluation_source(step), load_detector(step)
    kept = cache(step, detector)
    kept.remove_others()
    wanted = step.config.infer.devices
    devices = [str(d) for d in resolve_devices(wanted)] if wanted else []
    predictions = detector.predict(videos(step, source), kept, devices)
    end_of_part()
    write(step.out / DETECTIONS, predictions)
    shutil.rmtree(kept.folder.parent)
    if step.config.infer.pickle:
        write(step.out / PICKLE, predictions)
    if step.config.infer.format_only:
        ids = {label: category for category, label in source.labels.items()}
        write_coco(step.out / "detections", predictions, [ids[i] for i in range(len(ids))])
    return predictions


def table(predictions: DetectionSet) -> pd.DataFrame:
    """Detections of a frame, on average, above several scores."""
    import pandas as pd

    frames = max(len(predictions.image_id), 1)
    limits = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
    rows = {
        f"score of {limit} or more": int((predictions.boxes.score >= limit).sum()) / frames
        for limit in limits
    }
    return pd.DataFrame({"detections a frame": rows}).round(2)


def check(step: Step[Config], predictions: DetectionSet) -> None:
    """Raises where detections are impossible: every frame has its entry, every box is one.

    Raises:
        EgolibError: naming the first frame or detection that is wrong.
    """
    wanted = [v.image_id(place) for v in videos(step) for place in v.order]
    validate(predictions, np.array(wanted, np.int64), class_names(step.config.data))


def metrics(predictions: DetectionSet) -> dict[str, Any]:
    """What ``result.json`` holds: number of detections and their mean score."""
    scores = predictions.boxes.score
    return {
        "detections": len(scores),
        "mean_score": float(scores.mean()) if len(scores) else None,
    }


def counts(step: Step[Config], predictions: DetectionSet) -> dict[str, int]:
    """Videos and frames that were detected in."""
    return {"videos": len(videos(step)), "frames": len(predictions.image_id)}
