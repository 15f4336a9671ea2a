"""Between our question answering network and the published files of EgoTaskQA.

A published file is a dictionary with ``model_state_dict``, optimiser, schedule, loss and
step; its names begin with ``module.``. It is the whole pre-trained network with two more
layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from egolib.errors import EgolibError
from egolib.io.checkpoint import (
    KeyTable,
    LoadReport,
    OfficialModel,
    Rule,
    State,
    compare,
    find_state,
    read_foreign,
)
from egolib.vlp.config import ModelConfig
from egolib.vlp.formats import checkpoint
from egolib.vlp.models.question_answering import (
    AnsweringConfig,
    QuestionAnsweringModel,
    build_empty_answering,
)

HEAD = [
    ("answer.hidden.{leaf}", "projector_1.{leaf}"),
    ("answer.score.{leaf}", "projector_2.{leaf}"),
]
FIRST, SECOND = checkpoint.ANSWER_HEAD, "projector_2.weight"
NAME = "vlp/egotaskqa"  #: what ``egolib convert`` calls the network

_RULES: list[Rule | tuple[str, str]] = [*checkpoint.KEYS.rules, *HEAD]
KEYS = KeyTable(_RULES, drop_official=["{rest}.position_ids"])


def read_official(path: str | Path) -> State:
    """The state dict of a fine-tuned file, ``module.`` removed; nothing in it is executed.

    Raises:
        EgolibError: no such file, damaged, or it holds no tensors.
    """
    content = read_foreign(path)
    found = content.get("model_state_dict", content)
    if not isinstance(found, Mapping):
        raise EgolibError("model_state_dict holds no tensors", file=path)
    return find_state(found)


def recognise(
    state: Mapping[str, Tensor],
    *,
    like: ModelConfig | None = None,
    file: str | Path | None = None,
) -> AnsweringConfig:
    """The network that a published state dict belongs to.

    Args:
        state: its entries.
        like: see ``checkpoint.recognise``.
        file: where they are from, for errors.

    Raises:
        EgolibError: the entries are not those of a question answering network.
    """
    if not _matches(state):
        raise EgolibError(
            "not an EgoTaskQA checkpoint",
            file=file,
            remedy=f"{FIRST} and {SECOND} were expected: the pre-trained weights lack them",
        )
    return AnsweringConfig(checkpoint.recognise(state, like=like, file=file), len(state[FIRST]))


def read_any(path: Path, like: ModelConfig | None = None) -> tuple[State, dict[str, Any]]:
    """Weights by our names, and what is known of them, of this network or a pre-trained one.

    Args:
        path: an egolib checkpoint, or an official file.
        like: see ``checkpoint.recognise``.

    Raises:
        EgolibError: no such file, or it is of another network.
    """
    if path.suffix == ".safetensors" and path.with_suffix(".json").is_file():
        return checkpoint.read_any(path)
    state = checkpoint.read_official(path)
    if FIRST not in state:
        return checkpoint.from_official(state, path, like)
    return KEYS.to_ours(state), {"config": asdict(recognise(state, like=like, file=path))}


def load_official(
    model: QuestionAnsweringModel, state: Mapping[str, Tensor], *, file: str | Path | None = None
) -> LoadReport:
    """Loads a published state dict strictly.

    Args:
        model: a network of the same sizes.
        state: entries under their published names.
        file: where they are from, for errors.

    Raises:
        EgolibError: an entry is missing, left over or of another shape.
    """
    return KEYS.load(model, state, file=file)


def load_pretrained(
    model: QuestionAnsweringModel,
    state: Mapping[str, Tensor],
    *,
    time_resize: checkpoint.TimeResize = "bilinear",
    file: str | Path | None = None,
) -> LoadReport:
    """Loads pre-trained weights under our names; the head keeps its own.

    Args:
        model: the network that is to be fine-tuned.
        state: entries of a ``VideoLanguageModel``.
        time_resize: see ``checkpoint.resize_times``.
        file: where they are from, for errors.

    Returns:
        The report, whose ``missing`` lists the head.

    Raises:
        EgolibError: anything but the head is missing, left over or of another shape.
    """
    state = dict(state)
    times = state.get("video.times")
    if times is not None:
        state["video.times"] = checkpoint.resize_times(times, model.config.frames, time_resize)
    target = model.state_dict()
    head = {name for name in target if name.startswith("answer.")}
    trunk = {name: value for name, value in target.items() if name not in head}
    compare(state, trunk).require_complete(file=file)
    model.load_state_dict(state, strict=False)
    return compare(state, target)


def to_official(model: QuestionAnsweringModel) -> State:
    """The weights in the published layout, ``position_ids`` included."""
    return _official_state(model.state_dict())


def _official_state(ours: Mapping[str, Tensor]) -> State:
    state = KEYS.to_official(ours)
    positions = len(ours["text.embeddings.positions.weight"])
    state[checkpoint.POSITION_IDS] = torch.arange(positions)[None]
    return state


# ------------------------------------------------------------------------ egolib convert


def _matches(state: Mapping[str, Tensor]) -> bool:
    return all(key in state for key in (FIRST, SECOND, checkpoint.TIMES, checkpoint.LANGUAGE_HEAD))


def _converted(state: Mapping[str, Tensor]) -> tuple[State, dict[str, Any]]:
    """A published state dict as ours, complete, with its configuration."""
    config = recognise(state)
    ours = KEYS.to_ours(state)
    with torch.device("meta"):
        target = QuestionAnsweringModel(config).state_dict()
    compare(ours, target).require_complete()
    return ours, asdict(config)


def _back(state: Mapping[str, Tensor], config: dict[str, Any]) -> State:
    return _official_state(state)


def network_config(config: Mapping[str, Any]) -> AnsweringConfig:
    """The network's configuration in what lies beside weights."""
    backbone = checkpoint.network_config(config["backbone"])
    return AnsweringConfig(backbone, config["answers"], config["dropout"])


def _empty(config: dict[str, Any]) -> Mapping[str, Tensor]:
    with torch.device("meta"):
        return QuestionAnsweringModel(network_config(config)).state_dict()


MODELS = [
    OfficialModel(
        NAME,
        _matches,
        _converted,
        _back,
        read=lambda official, _: KEYS.to_ours(official),
        empty=_empty,
        accepts=lambda config: "answers" in config,
    )
]


def published(answers: int, frames: int = 16) -> AnsweringConfig:
    """The published network for a set of answers.

    Args:
        answers: lines of the answer set.
        frames: frames of a clip.
    """
    return AnsweringConfig(replace(ModelConfig(), frames=frames), answers)


def load_published(path: str | Path) -> QuestionAnsweringModel:
    """The network of a fine-tuned file.

    Raises:
        EgolibError: the file is of another network.
    """
    state = read_official(path)
    model = build_empty_answering(recognise(state, file=path))
    load_official(model, state, file=path)
    return model
