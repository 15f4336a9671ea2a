"""Natural-language queries: GroundNLQ and VSLNet. Given a clip and a question, ranked time windows.

For instance::

    model = nlq.load("checkpoint.safetensors")
    moments = model.ground(features, "Where did I put the keys?")
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    from egolib.io.features import Store
    from egolib.nlq.api import Grounder
    from egolib.nlq.config import Config, DataConfig, InferConfig, ModelConfig
    from egolib.nlq.data.text import TextEncoder
    from egolib.nlq.models.vslnet.infer import SpanGrounder
    from egolib.report.results import Moments
    from egolib.runs.step import Step

    Section = Mapping[str, Any] | None


def load(
    name: str | Path | None = None,
    *,
    device: str = "auto",
    weights: Literal["official", "averaged"] = "official",
    text_encoder: TextEncoder | str | Path | None = None,
    model: ModelConfig | None = None,
    data: DataConfig | None = None,
    infer: InferConfig | None = None,
) -> Grounder | SpanGrounder:
    """A grounder from an egolib checkpoint (``.safetensors``) or an official file.

    Args:
        name: a file, a folder that holds one, ``nlq/<variant>`` or None for the newest
            finished training, or a repository on the Hugging Face Hub.
        device: ``auto`` takes a GPU where there is one; ``cpu``, ``cuda``, ``cuda:N``.
        weights: of an official file: ``official`` are the live weights, which its
            evaluation uses; ``averaged`` their moving average.
        text_encoder: in place of the one that the model brings along, or the folder of
            CLIP's text weights and vocabulary, which published checkpoints need.
        model: of an official file: settings that leave no trace in the weights.
        data: of the features, in place of what the checkpoint says.
        infer: decoding and batching, in place of what the checkpoint says.

    Raises:
        UsageError: nothing of that name.
        EgolibError: the file is damaged or holds another model, or there is no such device.
    """
    from egolib.nlq import api

    return api.load(
        name,
        device=device,
        weights=weights,
        text_encoder=text_encoder,
        model=model,
        data=data,
        infer=infer,
    )


def ground(
    features: np.ndarray | Store,
    question: str,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    text_encoder: TextEncoder | str | Path | None = None,
    uid: str | None = None,
    duration_sec: float | None = None,
    cues: Mapping[str, np.ndarray] | None = None,
    infer: InferConfig | None = None,
) -> Moments:
    """Windows that answer a question about one video, best first; ``load`` and ask in one call.

    Args:
        features: (n, V) features at the stride that the model was trained on, or a store.
        question: the text.
        model: what ``load`` takes; None for the newest finished training.
        device: ``auto`` takes a GPU where there is one; ``cpu``, ``cuda``, ``cuda:N``.
        text_encoder: see ``load``.
        uid: which video of a store.
        duration_sec: length of the video; by default what the features cover.
        cues: (L, W) tokens of the text streams after the question.
        infer: decoding, in place of what the checkpoint says.

    Raises:
        UsageError: no such model.
        EgolibError: the features do not fit the model, or no text encoder is known.
    """
    grounder = load(model, device=device, text_encoder=text_encoder, infer=infer)
    return grounder.ground(features, question, uid=uid, duration_sec=duration_sec, cues=cues)


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
        variant: configuration, ``params/nlq/<variant>.yaml``.
        preset: data and sizes, ``params/presets/<preset>.yaml``.
        data_root: folder of the data sets; empty for the preset's.
        out: folder of the step; empty for ``runs/<preset>/nlq/<variant>/<step>``.
        inputs: what the step takes in, in place of the usual steps.
        seed: of a training; None for the preset's.
        world_seed: of the built-in world; None for the preset's.
        data: changes to questions and features.
        model: changes to the network.
        loss: changes to targets and losses.
        optim: changes to optimiser, rate and schedule.
        initial: changes to where weights start.
        fit: changes to length, batches and evaluation of a training.
        infer: changes to decoding and batching.
        evaluate: changes to scoring.

    Raises:
        EgolibError: unknown variant, preset, parameter or input.
    """
    from egolib.nlq.config import Config
    from egolib.runs.session import start as start_step

    given = {
        "world_seed": world_seed,
        "data": data,
        "model": model,
        "loss": loss,
        "optim": optim,
        "initial": initial,
        "fit": fit,
        "infer": infer,
        "evaluate": evaluate,
    }
    sections: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    if fit is not None:
        sections["seed"] = seed
    places: dict[str, Any] = {"data_root": data_root, "out": out, "inputs": inputs}
    places |= {"variant": variant, "preset": preset}
    return start_step(Config, "nlq", name, **places, **sections)
