"""Video-language pre-training on egocentric video: EgoVLPv2, its data, losses and metrics.

For instance::

    model = vlp.load("checkpoint.safetensors")  # with its vocabulary beside it
    model.similarity("kitchen.mp4", ["#C C washes the pan", "#C C opens the door"]).scores
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from egolib.report.results import Similarity
    from egolib.runs.step import Step
    from egolib.video import VideoReader
    from egolib.vlp.api import VideoLanguage
    from egolib.vlp.config import Config, ModelConfig

    Section = Mapping[str, Any] | None


def load(
    name: str | Path | None = None,
    *,
    tokenizer: str | Path | None = None,
    frames: int | None = None,
    device: str = "auto",
    view: Literal["ego4d", "epic"] | None = None,
    batch_size: int = 8,
    like: ModelConfig | None = None,
) -> VideoLanguage:
    """A model with ``embed_video``, ``embed_text`` and ``similarity``.

    Args:
        name: an egolib checkpoint (``.safetensors``), an official ``.pth``, a folder that
            holds one, ``vlp/<variant>`` or None for the newest finished training, or a
            repository on the Hugging Face Hub.
        tokenizer: vocabulary file or folder; by default what lies beside the weights.
        frames: frames of a clip; the time embedding is resized to them.
        device: ``auto`` takes a GPU where there is one; ``cpu``, ``cuda``, ``cuda:N``.
        view: how pictures become input; by default what the weights say, else ``ego4d``.
        batch_size: clips and texts that are computed at once.
        like: what an official file of other than the published sizes does not tell.

    Raises:
        UsageError: nothing of that name.
        EgolibError: no weights of this model, a vocabulary that they were not trained with,
            or a device that this machine lacks.
    """
    from egolib.vlp import api

    return api.load(
        name,
        tokenizer=tokenizer,
        frames=frames,
        device=device,
        view=view,
        batch_size=batch_size,
        like=like,
    )


def similarity(
    video: str | Path | VideoReader,
    texts: str | Sequence[str],
    *,
    model: str | Path | None = None,
    tokenizer: str | Path | None = None,
    device: str = "auto",
    scores: Literal["dual", "fusion", "ensemble"] = "dual",
    window_sec: float = 2.0,
    stride_sec: float = 1.0,
) -> Similarity:
    """How well texts describe a video, as a whole and over time; ``load`` and ask in one call.

    Args:
        video: a file, or a reader.
        texts: N strings; a single string is one text.
        model: what ``load`` takes; None for the newest finished training.
        tokenizer: see ``load``.
        device: see ``load``.
        scores: ``dual`` compares embeddings, ``fusion`` asks the matching head,
            ``ensemble`` adds both.
        window_sec: length of the windows over time.
        stride_sec: their distance.

    Raises:
        UsageError: no such model.
        EgolibError: no text, or a video that cannot be read.
    """
    loaded = load(model, tokenizer=tokenizer, device=device)
    return loaded.similarity(
        video, texts, scores=scores, window_sec=window_sec, stride_sec=stride_sec
    )


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
        variant: configuration, ``params/vlp/<variant>.yaml``.
        preset: data and sizes, ``params/presets/<preset>.yaml``.
        data_root: folder of the data sets; empty for the preset's.
        out: folder of the step; empty for ``runs/<preset>/vlp/<variant>/<step>``.
        inputs: what the step takes in, in place of the usual steps.
        seed: of a training; None for the preset's.
        world_seed: of the built-in world; None for the preset's.
        data: changes to what is trained on, files and sampling.
        model: changes to the network.
        loss: changes to the objectives.
        optim: changes to optimiser, rates and schedule.
        initial: changes to where weights start.
        fit: changes to length, batches and evaluation of a training.
        infer: changes to benchmarks, weights, frames, re-ranking, features.
        evaluate: changes to how scores are evaluated.

    Raises:
        EgolibError: unknown variant, preset, parameter or input.
    """
    from egolib.runs.session import start as start_step
    from egolib.vlp.config import Config

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
    return start_step(Config, "vlp", name, **places, **sections)
