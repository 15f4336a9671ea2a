"""Video object detection on ImageNet VID: nine detectors, their data and their metric.

For instance::

    detector = vod.load("checkpoint.safetensors")
    for frame in detector.detect("kitchen.mp4", fps=5):
        print(frame.frame, frame.labels, frame.scores)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from egolib.report.results import FrameDetections
    from egolib.runs.step import Step
    from egolib.video import VideoReader
    from egolib.vod.api import Detector
    from egolib.vod.config import Config

    Section = Mapping[str, Any] | None

#: Steps in which something is drawn by chance: they depend on the seed, given or not.
SEEDED = ("2_train", "3_infer")


def load(
    name: str | Path | None = None,
    *,
    model: str | None = None,
    classes: Sequence[tuple[str, str]] | None = None,
    infer: Mapping[str, Any] | None = None,
    causal: bool = False,
    seed: int = 0,
    device: str = "auto",
    runs_dir: str | Path | None = None,
) -> Detector:
    """A detector from an egolib checkpoint or an official file.

    Args:
        name: a path, ``vod/<variant>`` (the newest training), a Hub repository, or None
            for the newest training.
        model: of an official file: the published network, where its keys fit several.
        classes: (name, wnid) pairs of an official file trained on other classes.
        infer: changes to the settings of testing, by the names of ``InferConfig``, for
            instance ``{"detections": {"score_threshold": 0.1}}``.
        causal: use no frame later than the current one.
        seed: of shuffles and memories.
        device: ``auto`` takes a GPU where there is one.
        runs_dir: where runs lie; None for ``runs`` in the checkout.

    Raises:
        EgolibError: nothing of that name, a file of another model, or an unknown setting.
    """
    from egolib.vod import api

    return api.load(
        name,
        model=model,
        classes=classes,
        infer=infer,
        causal=causal,
        seed=seed,
        device=device,
        runs_dir=runs_dir,
    )


def detect(
    video: str | Path | VideoReader,
    *,
    model: str | Path | None = None,
    fps: float | None = None,
    min_score: float = 0.0,
    causal: bool = False,
    device: str = "auto",
) -> Iterator[FrameDetections]:
    """Detections of a video, frame by frame as they are computed; ``load`` and detect in one.

    Args:
        video: a file, or a reader of one.
        model: what ``load`` takes; None for the newest training.
        fps: frames a second to look at; None for all.
        min_score: lower scores are skipped.
        causal: use no frame later than the current one.
        device: ``auto`` takes a GPU where there is one.
    """
    return load(model, causal=causal, device=device).detect(video, fps=fps, min_score=min_score)


def start(
    name: str,
    *,
    variant: str,
    preset: str,
    data_root: str = "",
    out: str = "",
    inputs: Mapping[str, str] | None = None,
    seed: int | None = None,
    world_seed: int | None = None,
    data: Section = None,
    model: Section = None,
    optim: Section = None,
    initial: Section = None,
    fit: Section = None,
    infer: Section = None,
    evaluate: Section = None,
) -> Step[Config]:
    """The step that a notebook's parameters describe; it depends on the sections that are given.

    Args:
        name: of the step, for instance ``3_infer``.
        variant: configuration, ``params/vod/<variant>.yaml``.
        preset: data and sizes, ``params/presets/<preset>.yaml``.
        data_root: folder of the data sets; empty for the preset's.
        out: folder of the step; empty for ``runs/<preset>/vod/<variant>/<step>``.
        inputs: what the step takes in, in place of the usual steps.
        seed: of weights, orders, references and memories; None for the preset's.
        world_seed: of the built-in world; None for the preset's.
        data: changes to files, references of training and preparation of images.
        model: changes to the network.
        optim: changes to optimiser, rate and schedule.
        initial: changes to where weights start.
        fit: changes to length, batches and evaluation of a training.
        infer: changes to thresholds, references and memories of testing.
        evaluate: changes to scoring.

    Raises:
        EgolibError: unknown variant, preset, parameter or input.
    """
    from egolib.runs.session import start as start_step
    from egolib.vod.config import Config

    sections: dict[str, Any] = {"data": data, "model": model, "optim": optim, "initial": initial}
    sections |= {"fit": fit, "infer": infer, "evaluate": evaluate}
    seeds = {"seed": seed, "world_seed": world_seed}
    given: dict[str, Any] = {k: v for k, v in (sections | seeds).items() if v is not None}
    if name in SEEDED:
        given = {"seed": seed} | given
    return start_step(
        Config,
        "vod",
        name,
        variant=variant,
        preset=preset,
        data_root=data_root,
        out=out,
        inputs=inputs,
        **given,
    )
