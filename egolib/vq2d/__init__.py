"""Visual queries with 2D localisation: where was this object last seen?

For instance::

    locator = vq2d.load("vq2d/improved")  # the newest run; or a folder with model.pth
    track = locator.locate("kitchen.mp4", crop, until=150)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from egolib.report.results import ResponseTrack
    from egolib.runs.step import Step
    from egolib.video import VideoReader
    from egolib.vq2d.api import Locator
    from egolib.vq2d.config import Config, DetectConfig, LocalizeConfig

    Section = Mapping[str, Any] | None


def load(
    model_root: str | Path | None = None,
    *,
    tracker: str | Path | None = None,
    device: str = "cpu",
    weights: str = "model",
    detect: DetectConfig | None = None,
    localize: LocalizeConfig | None = None,
    head: str = "",
) -> Locator:
    """A locator, whose ``locate(video, query_image, until=None)`` finds the object.

    Args:
        model_root: an official folder with ``model.pth`` and ``config.yaml``, an egolib
            checkpoint (or its folder), a Hub id, or None for the newest training.
        tracker: a KYS checkpoint (``kys.pth`` or egolib's), ``particle``, ``none``, or ``kys``
            for the one beside the model. Without it: KYS where it lies beside the model,
            else the particle filter on grey levels.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        weights: of a training: ``model`` (the last ones) or ``best``.
        detect: settings of step 1; those of the file unless given.
        localize: settings of step 2: peaks, tracking, confidence.
        head: names the head of an official set model where its weights leave a choice:
            ``<compare>/<transformer>``.

    Raises:
        EgolibError: a file is missing, damaged, or of another model.
    """
    from egolib.vq2d import api

    return api.load(
        model_root,
        tracker=tracker,
        device=device,
        weights=weights,
        detect=detect,
        localize=localize,
        head=head,
    )


def locate(
    video: str | Path | VideoReader,
    query_image: np.ndarray,
    until: int | None = None,
    *,
    model: str | Path | None = None,
    tracker: str | Path | None = None,
    device: str = "cpu",
    fps: float | None = 5.0,
    detect: DetectConfig | None = None,
    localize: LocalizeConfig | None = None,
) -> ResponseTrack:
    """The most recent appearance of an object; ``load`` and ask in one call.

    Args:
        video: a file, or a reader of one.
        query_image: (h, w, 3) uint8 RGB, the object with little around it.
        until: video frame of the question; the whole video is searched without it.
        model: what ``load`` takes; None for the newest training.
        tracker: see ``load``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        fps: frames per second that are looked at; None takes every frame.
        detect: settings of step 1.
        localize: settings of step 2.

    Raises:
        EgolibError: no such model or video, or a picture of another form.
    """
    locator = load(model, tracker=tracker, device=device, detect=detect, localize=localize)
    return locator.locate(video, query_image, until, fps=fps)


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
    model: Section = None,
    tracker: Section = None,
    data: Section = None,
    loss: Section = None,
    optim: Section = None,
    initial: Section = None,
    fit: Section = None,
    tracker_optim: Section = None,
    infer: Section = None,
    detect: Section = None,
    localize: Section = None,
    sweep: Section = None,
    evaluate: Section = None,
) -> Step[Config]:
    """The step that a notebook's parameters describe; it depends on the sections that are given.

    Args:
        name: of the step: ``1_data``, ``2_train``, ``3_infer`` or ``4_evaluate``.
        variant: ``params/vq2d/<variant>.yaml``.
        preset: ``params/presets/<preset>.yaml``.
        data_root: folder of the data sets; empty for the preset's.
        out: folder of the step; empty for the usual one.
        inputs: what the step takes in, in place of the usual folders.
        seed: of a training; None for the preset's.
        world_seed: of the built-in world.
        model: changes to the detector's architecture.
        tracker: changes to the KYS network's architecture.
        data: changes to clips, images, samples, augmentation.
        loss: changes to the detector's losses.
        optim: changes to the detector's optimisation.
        initial: where the detector's weights start.
        fit: changes to length and batches of the detector's training.
        tracker_optim: changes to the tracker's training.
        infer: device and weights.
        detect: changes to step 1.
        localize: changes to step 2.
        sweep: further settings of step 2.
        evaluate: changes to the metrics.

    Raises:
        EgolibError: an unknown variant, preset, parameter or input.
    """
    from egolib.runs.session import start as start_step
    from egolib.vq2d.config import Config

    given = {
        "data": data,
        "model": model,
        "loss": loss,
        "optim": optim,
        "initial": initial,
        "fit": fit,
        "tracker": tracker,
        "tracker_optim": tracker_optim,
        "infer": infer,
        "detect": detect,
        "localize": localize,
        "sweep": sweep,
        "evaluate": evaluate,
        "world_seed": world_seed,
    }
    sections: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    if fit is not None:
        sections["seed"] = seed
    places: dict[str, Any] = {"data_root": data_root, "out": out, "inputs": inputs}
    places |= {"variant": variant, "preset": preset}
    return start_step(Config, "vq2d", name, **places, **sections)
