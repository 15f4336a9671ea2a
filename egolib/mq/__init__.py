"""Moments queries (Ego4D MQ): VSGN. Given a clip and a list of classes, when each class happens.

For instance::

    model = mq.load("checkpoint.safetensors")
    model.find(features, classes=["wash"]).segments_sec
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from egolib.mq.api import MomentFinder
    from egolib.mq.config import Config, GridConfig, InferConfig, ModelConfig
    from egolib.report.results import LabelledMoments
    from egolib.runs.step import Step

    Section = Mapping[str, Any] | None


def load(
    name: str | Path | None = None,
    *,
    classes: str | Path | Sequence[str] | None = None,
    device: str = "auto",
    infer: InferConfig | None = None,
    like: ModelConfig | None = None,
    grid: GridConfig | None = None,
) -> MomentFinder:
    """A finder with the verb ``find``.

    Args:
        name: an egolib checkpoint (``.safetensors``), an official ``.pth.tar``, a folder that
            holds one, ``mq/<variant>`` or None for the newest finished training, or a
            repository on the Hugging Face Hub.
        classes: a ``moment_classes_idx.json``, or names by number with the background
            first; by default what the checkpoint says.
        device: ``auto`` takes a GPU where there is one; ``cpu``, ``cuda``, ``cuda:N``.
        infer: thresholds, suppression and batches in place of the published ones.
        like: what an official file does not tell (length, neighbours, anchor scales).
        grid: of an official file of ActionFormer: where moments lie on its features.

    Raises:
        UsageError: nothing of that name.
        EgolibError: no weights of this network, class names that do not fit it, or a device
            that this machine lacks.
    """
    from egolib.mq import api

    return api.load(name, classes=classes, device=device, infer=infer, like=like, grid=grid)


def find(
    features: np.ndarray,
    classes: str | Sequence[str] | None = None,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    duration_sec: float | None = None,
    rows_per_sec: float | None = None,
) -> LabelledMoments:
    """The moments of a clip, best first; ``load`` and ask in one call.

    Args:
        features: (n, D) float of one clip.
        classes: names that are asked for; None for all.
        model: what ``load`` takes; None for the newest finished training.
        device: see ``load``.
        duration_sec: length of the clip; by default what the features cover.
        rows_per_sec: features in a second; by default those of the training.

    Raises:
        UsageError: no such model.
        EgolibError: features that do not fit, or an unknown class.
    """
    loaded = load(model, device=device)
    return loaded.find(features, classes, duration_sec=duration_sec, rows_per_sec=rows_per_sec)


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
    loss: Section = None,
    optim: Section = None,
    initial: Section = None,
    fit: Section = None,
    infer: Section = None,
    evaluate: Section = None,
) -> Step[Config]:
    """The step that a notebook's parameters describe; it depends on the sections that are given.

    Args:
        name: of the step, for instance ``3_infer``.
        variant: configuration, ``params/mq/<variant>.yaml``.
        preset: data and sizes, ``params/presets/<preset>.yaml``.
        data_root: folder of the data sets; empty for the preset's.
        out: folder of the step; empty for ``runs/<preset>/mq/<variant>/<step>``.
        inputs: what the step takes in, in place of the usual steps.
        seed: of a training; None for the preset's.
        world_seed: of the built-in world; None for the preset's.
        data: changes to annotations, features, targets.
        model: changes to the network.
        loss: changes to assignment and objectives.
        optim: changes to optimiser, rates and schedule.
        initial: changes to where weights start.
        fit: changes to length, batches and evaluation of a training.
        infer: changes to weights, thresholds, suppression, comparisons.
        evaluate: changes to how answers are scored.

    Raises:
        EgolibError: unknown variant, preset, parameter or input.
    """
    from egolib.mq.config import Config
    from egolib.runs.session import start as start_step

    given = {
        "data": data,
        "model": model,
        "loss": loss,
        "optim": optim,
        "initial": initial,
        "fit": fit,
        "infer": infer,
        "evaluate": evaluate,
        "world_seed": world_seed,
    }
    sections: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    if fit is not None:
        sections["seed"] = seed
    places: dict[str, Any] = {"data_root": data_root, "out": out, "inputs": inputs}
    places |= {"variant": variant, "preset": preset}
    return start_step(Config, "mq", name, **places, **sections)
