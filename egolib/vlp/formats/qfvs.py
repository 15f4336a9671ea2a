"""Between our networks of QFVS and the published ones: backbone and summariser.

The official code saves no summariser; ours is stored under the names that it has there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from egolib.config import build
from egolib.engine.device import resolve_device
from egolib.errors import EgolibError
from egolib.io import checkpoint as files
from egolib.io.checkpoint import KeyTable, LoadReport, OfficialModel, Rule, State, compare
from egolib.vlp.config import ModelConfig, SummarizerConfig, egovlpv2
from egolib.vlp.formats import checkpoint
from egolib.vlp.summarization.encoder import ShotEncoder, build_empty_encoder
from egolib.vlp.summarization.network import Summarizer

FRAMES = 5
NAME = "vlp/qfvs"  #: what ``egolib convert`` calls the summariser
BACKBONE = "backbone.safetensors"  #: what lies beside a summariser's weights
PROJECTORS = ("txt_proj.{rest}", "vid_proj.{rest}")

_BACKBONE: list[Rule | tuple[str, str]] = [*checkpoint.KEYS.rules]

#: The backbone alone; a pre-trained file's projectors are passed over.
BACKBONE_KEYS = KeyTable(_BACKBONE, drop_official=["{rest}.position_ids", *PROJECTORS])

_LAYER = [
    ("qkv.weight", "self_attn.in_proj_weight"),
    ("qkv.bias", "self_attn.in_proj_bias"),
    ("out.{leaf}", "self_attn.out_proj.{leaf}"),
    ("expand.{leaf}", "linear1.{leaf}"),
    ("contract.{leaf}", "linear2.{leaf}"),
    ("attention_norm.{leaf}", "norm1.{leaf}"),
    ("hidden_norm.{leaf}", "norm2.{leaf}"),
]

SUMMARY_KEYS = KeyTable(
    [
        ("positions", "pos.pe"),
        *((f"template.{ours}", f"encoder_layer.{official}") for ours, official in _LAYER),
        *(
            (f"layers.{{i}}.{ours}", f"transformer_encoder.layers.{{i}}.{official}")
            for ours, official in _LAYER
        ),
        ("project.{leaf}", "projector_1.{leaf}"),
        ("score.{leaf}", "summ_head.{leaf}"),
    ]
)


# ---------------------------------------------------------------------------- backbone


def backbone(frames: int = FRAMES) -> ModelConfig:
    """The published backbone for shots of so many frames."""
    return replace(egovlpv2(), frames=frames)


def load_backbone(
    model: ShotEncoder,
    state: Mapping[str, Tensor],
    *,
    time_resize: checkpoint.TimeResize = "bilinear",
    file: str | Path | None = None,
) -> LoadReport:
    """Loads a published pre-trained or QFVS state dict; its projectors are passed over.

    Args:
        model: the encoder.
        state: entries under their published names.
        time_resize: how a time embedding of another length is resized.
        file: where they are from, for errors.

    Raises:
        EgolibError: an entry is missing, left over or of another shape.
    """
    return load_pretrained(model, BACKBONE_KEYS.to_ours(state), time_resize=time_resize, file=file)


def load_pretrained(
    model: ShotEncoder,
    state: Mapping[str, Tensor],
    *,
    time_resize: checkpoint.TimeResize = "bilinear",
    file: str | Path | None = None,
) -> LoadReport:
    """Loads pre-trained weights under our names; projectors are passed over.

    Args:
        model: the encoder.
        state: entries of a ``VideoLanguageModel`` or a ``ShotEncoder``.
        time_resize: how a time embedding of another length is resized.
        file: where they are from, for errors.

    Raises:
        EgolibError: an entry is missing, left over or of another shape.
    """
    wanted = {
        name: value
        for name, value in state.items()
        if not name.startswith(("video_projector.", "text_projector."))
    }
    times = wanted.get("video.times")
    if times is not None:
        wanted["video.times"] = checkpoint.resize_times(times, model.config.frames, time_resize)
    report = compare(wanted, model.state_dict()).require_complete(file=file)
    model.load_state_dict(wanted)
    return report


def backbone_to_official(model: ShotEncoder) -> State:
    """The backbone's weights in the published layout, ``position_ids`` included."""
    ours = model.state_dict()
    state = BACKBONE_KEYS.to_official(ours)
    positions = len(ours["text.embeddings.positions.weight"])
    state[checkpoint.POSITION_IDS] = torch.arange(positions)[None]
    return state


def require_backbone(file: Path) -> Path:
    """The file of the network that gives a summariser's features.

    Raises:
        EgolibError: it is not there.
    """
    if not file.is_file():
        raise EgolibError(
            "the network that gives the summariser's features is not there",
            file=file,
            remedy="a training on QFVS writes it beside its weights: keep both together",
        )
    return file


def read_encoder(file: Path, summarizer: SummarizerConfig, device: str = "auto") -> ShotEncoder:
    """The network that gives features, from the file beside a summariser's weights.

    Args:
        file: an egolib checkpoint.
        summarizer: says which of its layers run.
        device: where it computes.

    Raises:
        EgolibError: no such file.
    """
    state, about = files.load(require_backbone(file))
    read = summarizer.layers if summarizer.fusion_layers == "official" else None
    encoder = build_empty_encoder(checkpoint.network_config(about["config"]), read)
    load_pretrained(encoder, state, file=file)
    return encoder.to(resolve_device(device)).eval()


# -------------------------------------------------------------------------- summariser


def recognise_summary(
    state: Mapping[str, Tensor], heads: int = 2, *, file: str | Path | None = None
) -> SummarizerConfig:
    """The summariser that a state dict in the published layout belongs to.

    Args:
        state: its entries.
        heads: attention heads, which the shapes do not tell.
        file: where they are from, for errors.

    Raises:
        EgolibError: the entries are not those of a summariser.
    """
    if not {"pos.pe", "projector_1.weight", "encoder_layer.linear1.weight"} <= state.keys():
        raise EgolibError("not a summariser of QFVS", file=file, remedy="pos.pe was expected")
    numbers = {int(k.split(".")[2]) for k in state if k.startswith("transformer_encoder.layers.")}
    head_width, width = state["projector_1.weight"].shape
    return SummarizerConfig(
        width=width,
        heads=heads,
        layers=len(numbers),
        hidden=len(state["encoder_layer.linear1.weight"]),
        head_width=head_width,
        longest=state["pos.pe"].shape[1],
    )


def load_summary(
    model: Summarizer, state: Mapping[str, Tensor], *, file: str | Path | None = None
) -> LoadReport:
    """Loads a state dict in the published layout strictly.

    Args:
        model: a summariser of the same sizes.
        state: entries under their published names.
        file: where they are from, for errors.

    Raises:
        EgolibError: an entry is missing, left over or of another shape.
    """
    return SUMMARY_KEYS.load(model, state, file=file)


def summary_to_official(model: Summarizer) -> State:
    """The summariser's weights under the names that they have in the official code."""
    return SUMMARY_KEYS.to_official(model.state_dict())


# ------------------------------------------------------------------------ egolib convert


def summarizer_config(config: Mapping[str, Any]) -> SummarizerConfig:
    """The summariser's configuration in what lies beside weights."""
    return build(SummarizerConfig, dict(config))


def _matches(state: Mapping[str, Tensor]) -> bool:
    return {"pos.pe", "summ_head.weight", "encoder_layer.linear1.weight"} <= state.keys()


def _converted(state: Mapping[str, Tensor]) -> tuple[State, dict[str, Any]]:
    return SUMMARY_KEYS.to_ours(state), asdict(recognise_summary(state))


def _back(state: Mapping[str, Tensor], config: dict[str, Any]) -> State:
    return SUMMARY_KEYS.to_official(state)


def _empty(config: dict[str, Any]) -> Mapping[str, Tensor]:
    with torch.device("meta"):
        return Summarizer(summarizer_config(config)).state_dict()


MODELS = [
    OfficialModel(
        NAME,
        _matches,
        _converted,
        _back,
        read=lambda official, _: SUMMARY_KEYS.to_ours(official),
        empty=_empty,
        accepts=lambda config: "head_width" in config,
    )
]
