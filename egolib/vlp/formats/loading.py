"""From any file of weights to a network with its vocabulary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.records import read_json
from egolib.text.tokens import Tokenizer, load_tokenizer
from egolib.vlp.config import ModelConfig
from egolib.vlp.formats import checkpoint as convert
from egolib.vlp.formats import egotaskqa, qfvs
from egolib.vlp.models.build import build_empty
from egolib.vlp.models.model import VideoLanguageModel
from egolib.vlp.models.question_answering import build_empty_answering

VOCABULARIES = ("vocabulary.json", "tokenizer.json", "vocab.json")


def backbone_file(path: Path) -> Path:
    """The file of the network itself: beside a summariser's weights, else the file.

    Raises:
        EgolibError: a summariser's weights lie alone.
    """
    about = path.with_suffix(".json")
    if not (path.suffix == ".safetensors" and about.is_file()):
        return path
    if read_json(about, dict).get("model") != qfvs.NAME:
        return path
    return qfvs.require_backbone(path.parent / qfvs.BACKBONE)


def read_model(
    path: Path, frames: int | None = None, like: ModelConfig | None = None
) -> tuple[VideoLanguageModel, dict[str, Any]]:
    """The network of a file of weights, and what is known of it.

    Args:
        path: an egolib checkpoint, or an official file; of EgoTaskQA, too.
        frames: frames of a clip; those of the weights if None.
        like: what an official file of other than the published sizes does not tell.

    Raises:
        EgolibError: no such file, or it is of another network.
    """
    state, about = egotaskqa.read_any(path, like)
    answers = "answers" in about["config"]
    network = about["config"]["backbone"] if answers else about["config"]
    config = convert.network_config(network)
    config = replace(config, frames=frames or config.frames)
    state["video.times"] = convert.resize_times(state["video.times"], config.frames)
    model = build_empty(config)
    if answers:
        asked = egotaskqa.network_config(about["config"])
        model = build_empty_answering(replace(asked, backbone=config))
    checkpoint.load_into(model, state, file=path)
    return model, about


def find_tokenizer(
    path: Path, given: str | Path | None, recorded: str | None, config: ModelConfig
) -> Tokenizer | None:
    """The vocabulary beside the weights or the one named; its hash must be the recorded one.

    Args:
        path: the weights.
        given: a vocabulary file or folder; None looks beside the weights.
        recorded: hash of the vocabulary that the weights were trained with, if known.
        config: the network.

    Raises:
        EgolibError: it is another vocabulary.
    """
    if given is None:
        beside = (path.parent / name for name in VOCABULARIES)
        given = next((file for file in beside if file.is_file()), None)
    if given is None:
        return None
    found = load_tokenizer(given)
    if recorded is not None and found.hash != recorded:
        raise EgolibError(
            "the weights were trained with another vocabulary", file=given, remedy=f"see {path}"
        )
    size = config.vocabulary_size
    if recorded is None and found.name == "words" and found.size != size:
        raise EgolibError(
            f"a vocabulary of {found.size} whole words cannot serve weights of {size} tokens",
            file=given,
            remedy="published weights need RoBERTa's vocab.json and merges.txt",
        )
    return found
