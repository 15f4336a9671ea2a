"""Between our weights and the official EgoVLPv2 files.

An official file is a dictionary with ``state_dict``, optimiser and schedule, and a
pickled configuration parser of the training code, which is never executed here
(``egolib.io.checkpoint.read_foreign``). All entries are required, under their published
names; the constant ``position_ids`` alone may be absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from egolib.config import build
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import (
    KeyTable,
    LoadReport,
    OfficialModel,
    Rule,
    State,
    find_weights,
    read_foreign,
)
from egolib.io.records import file_sha256, read_json
from egolib.vlp.config import ModelConfig, egovlpv2, egovlpv2_small_projection
from egolib.vlp.models.model import VideoLanguageModel

TimeResize = Literal["bilinear", "zeros"]

POSITION_IDS = "text_model.embeddings.position_ids"
TIMES = "video_model.temporal_embed"
LANGUAGE_HEAD = "mlm_score.decoder.weight"
ANSWER_HEAD = "projector_1.weight"  #: of EgoTaskQA's files alone
HEAD_WIDTH = 64  #: channels of a head in all published networks


def _under(ours: str, official: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(ours + a, official + b) for a, b in pairs]


_EMBEDDINGS = [
    ("words.weight", "word_embeddings.weight"),
    ("positions.weight", "position_embeddings.weight"),
    ("types.weight", "token_type_embeddings.weight"),
    ("norm.{leaf}", "LayerNorm.{leaf}"),
]

_LAYER = [
    ("attention.out.{leaf}", "attention.output.dense.{leaf}"),
    ("attention.{part}.{leaf}", "attention.self.{part}.{leaf}"),
    ("attention_norm.{leaf}", "attention.output.LayerNorm.{leaf}"),
    ("cross.out.{leaf}", "crossattention_t2i.output.dense.{leaf}"),
    ("cross.{part}.{leaf}", "crossattention_t2i.self.{part}.{leaf}"),
    ("cross_gate", "alpha_t2i"),
    ("expand.{leaf}", "intermediate.dense.{leaf}"),
    ("contract.{leaf}", "output.dense.{leaf}"),
    ("mlp_norm.{leaf}", "output.LayerNorm.{leaf}"),
]

_BLOCK = [
    ("time_norm.{leaf}", "norm3.{leaf}"),
    ("time_attention.qkv.{leaf}", "timeattn.qkv.{leaf}"),
    ("time_attention.out.{leaf}", "timeattn.proj.{leaf}"),
    ("space_norm.{leaf}", "norm1.{leaf}"),
    ("space_attention.qkv.{leaf}", "attn.qkv.{leaf}"),
    ("space_attention.out.{leaf}", "attn.proj.{leaf}"),
    ("cross.norm.{leaf}", "attn.norm_i2t_i.{leaf}"),
    ("cross.query.{leaf}", "attn.qkv_i2t.{leaf}"),
    ("cross.key_value.{leaf}", "attn.qkv_text_i2t.{leaf}"),
    ("cross.out.{leaf}", "attn.proj_i2t.{leaf}"),
    ("cross_gate", "attn.alpha_i2t"),
    ("mlp_norm.{leaf}", "norm2.{leaf}"),
    ("mlp.expand.{leaf}", "mlp.fc1.{leaf}"),
    ("mlp.contract.{leaf}", "mlp.fc2.{leaf}"),
]

_VIDEO = [
    ("class_token", "cls_token"),
    ("positions", "pos_embed"),
    ("times", "temporal_embed"),
    ("patches.{leaf}", "patch_embed.proj.{leaf}"),
    ("norm.{leaf}", "norm.{leaf}"),
    *_under("blocks.{i}.", "blocks.{i}.", _BLOCK),
]

_HEADS = [
    ("video_projector.{rest}", "vid_proj.{rest}"),
    ("text_projector.{rest}", "txt_proj.{rest}"),
    ("fusion_class_token", "cls_token"),
    ("fusion_norm.{leaf}", "norm.{leaf}"),
    ("text_transform.{leaf}", "cross_modal_text_transform.{leaf}"),
    ("video_transform.{leaf}", "cross_modal_video_transform.{leaf}"),
    ("matching.text_pooler.{leaf}", "cross_modal_text_pooler.dense.{leaf}"),
    ("matching.video_pooler.{leaf}", "cross_modal_video_pooler.dense.{leaf}"),
    ("matching.classify.{leaf}", "itm_score.fc.{leaf}"),
    ("masked_language.dense.{leaf}", "mlm_score.transform.dense.{leaf}"),
    ("masked_language.norm.{leaf}", "mlm_score.transform.LayerNorm.{leaf}"),
    ("masked_language.decode.weight", "mlm_score.decoder.weight"),
    ("masked_language.decode.bias", "mlm_score.bias"),
]


def _table(pairs: list[tuple[str, str]]) -> KeyTable:
    rules: list[Rule | tuple[str, str]] = list(pairs)
    return KeyTable(rules, drop_official=["{rest}.position_ids", "position_ids"])


#: Tables of the parts alone, for files that hold one block, layer or embedding.
BLOCK_KEYS = _table(_BLOCK)
LAYER_KEYS = _table(_LAYER)
EMBEDDING_KEYS = _table(_EMBEDDINGS)

#: The whole model.
KEYS = _table(
    _HEADS
    + _under("video.", "video_model.", _VIDEO)
    + _under("text.embeddings.", "text_model.embeddings.", _EMBEDDINGS)
    + _under("text.layers.{i}.", "text_model.encoder.layer.{i}.", _LAYER)
)

#: A RoBERTa file (``roberta.`` removed) and our text encoder.
ROBERTA_KEYS = _table(
    _under("embeddings.", "embeddings.", _EMBEDDINGS)
    + _under("layers.{i}.", "encoder.layer.{i}.", _LAYER)
)

#: A vision transformer's file and our video encoder.
VIT_KEYS = _table(_VIDEO)


# ----------------------------------------------------------------------- reading


def read_official(path: str | Path) -> State:
    """The state dict of an official file, ``module.`` removed, under official names, float32.

    Raises:
        EgolibError: no such file, damaged, no tensors, or weights that are not finite.
    """
    return find_weights(read_foreign(path), file=path).state


def recognise(
    state: Mapping[str, Tensor],
    *,
    like: ModelConfig | None = None,
    file: str | Path | None = None,
) -> ModelConfig:
    """The network that an official state dict belongs to: the published ones, or other sizes.

    Args:
        state: under official names.
        like: a configuration that knows what shapes do not tell (numbers of heads) of
            networks that are not the published ones; by default heads are 64 wide.
        file: for errors.

    Raises:
        EgolibError: the entries are not those of EgoVLPv2.
    """
    times = state.get(TIMES)
    if times is None or LANGUAGE_HEAD not in state:
        raise EgolibError(
            "not an EgoVLPv2 checkpoint",
            file=file,
            remedy=f"{TIMES} and {LANGUAGE_HEAD} were expected; was the right file downloaded?",
        )
    published = egovlpv2() if "vid_proj.4.weight" in state else egovlpv2_small_projection()
    try:
        sizes = _sizes(state)
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise EgolibError(
            f"an EgoVLPv2 checkpoint without {error}", file=file, remedy="download it again"
        ) from error
    return replace(published, **(sizes | _heads(sizes, like or published)))


def _sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the shapes of an official state dict tell of a network."""
    patch, width = state["video_model.patch_embed.proj.weight"], state[TIMES].shape[2]
    projector = "vid_proj.4.weight" if "vid_proj.4.weight" in state else "vid_proj.0.weight"
    words = state["text_model.embeddings.word_embeddings.weight"]
    text_hidden = state["text_model.encoder.layer.0.intermediate.dense.weight"]
    blocks = {k.split(".")[2] for k in state if k.startswith("video_model.blocks.")}
    patches = state["video_model.pos_embed"].shape[1] - 1
    return {
        "frames": state[TIMES].shape[1],
        "image_size": round(patches**0.5) * patch.shape[-1],
        "patch_size": patch.shape[-1],
        "width": width,
        "mlp_ratio": len(state["video_model.blocks.0.mlp.fc1.weight"]) / width,
        "text_width": words.shape[1],
        "text_mlp_width": len(text_hidden),
        "depth": len(blocks),
        "fusion_depth": sum(k.endswith(".attn.alpha_i2t") for k in state),
        "vocabulary_size": len(words),
        "text_positions": len(state["text_model.embeddings.position_embeddings.weight"]),
        "projection_width": len(state[projector]),
    }


def _heads(sizes: Mapping[str, Any], like: ModelConfig) -> dict[str, int]:
    """Numbers of heads: those of ``like`` where the widths agree, else heads of 64."""
    found = {}
    for heads, width in (("heads", "width"), ("text_heads", "text_width")):
        same = getattr(like, width) == sizes[width]
        found[heads] = getattr(like, heads) if same else max(1, sizes[width] // HEAD_WIDTH)
    return found


def load_official(
    model: VideoLanguageModel,
    state: Mapping[str, Tensor],
    *,
    time_resize: TimeResize = "bilinear",
    file: str | Path | None = None,
) -> LoadReport:
    """Loads an official state dict strictly; the time embedding is resized where needed.

    Args:
        model: the network that is loaded into.
        state: under official names.
        time_resize: ``bilinear`` or ``zeros``, see ``resize_times``.
        file: for errors.

    Raises:
        EgolibError: an entry is missing, left over or of another shape (an official
            large-projector file does not fit a small-projector model).
    """
    check_positions(state, file)
    state = dict(state)
    times = state.get(TIMES)
    if times is not None and times.ndim == 3:
        state[TIMES] = resize_times(times, model.config.frames, mode=time_resize)
    return KEYS.load(model, state, file=file)


def to_official(model: VideoLanguageModel) -> State:
    """The model's weights in the official layout, ``position_ids`` included."""
    return _official_state(model.state_dict())


def _official_state(ours: Mapping[str, Tensor]) -> State:
    state = KEYS.to_official(ours)
    state[POSITION_IDS] = torch.arange(len(ours["text.embeddings.positions.weight"]))[None]
    return state


def resize_times(times: Tensor, frames: int, mode: str = "bilinear") -> Tensor:
    """A time embedding (1, L, D) for another number of frames: (1, F, D).

    More frames than wanted: the first ones are kept. Fewer: ``bilinear`` interpolates
    linearly with both ends kept, ``zeros`` appends zeros (Bain et al., arXiv 2104.00650).

    Args:
        times: (1, L, D).
        frames: F.
        mode: ``bilinear`` or ``zeros``.

    Raises:
        EgolibError: another mode, where one is needed.
    """
    length = times.shape[1]
    if length >= frames:
        return times[:, :frames]
    if mode == "zeros":
        return F.pad(times, (0, 0, 0, frames - length))
    if mode != "bilinear":
        raise EgolibError(f"time_resize is {mode!r}", remedy="use bilinear or zeros")
    return F.interpolate(times.mT, size=frames, mode="linear", align_corners=True).mT


def check_positions(state: Mapping[str, Tensor], file: str | Path | None) -> None:
    """The positions of this network are counted; a file with others is another network."""
    ids = state.get(POSITION_IDS)
    if ids is not None and not torch.equal(ids.flatten(), torch.arange(ids.numel())):
        raise EgolibError("position_ids do not count from 0", file=file, record=POSITION_IDS)


# ------------------------------------------------------------------- any file of weights


def read_any(path: Path, like: ModelConfig | None = None) -> tuple[State, dict[str, Any]]:
    """Weights by our names, in float32, and what is known of them (at least ``config``).

    Args:
        path: an egolib checkpoint, or an official file.
        like: what an official file of another size does not tell, see ``recognise``.

    Raises:
        EgolibError: no such file, or it is not of this network.
    """
    if path.suffix == ".safetensors" and path.with_suffix(".json").is_file():
        state, about = checkpoint.load(path)
        if not str(about.get("model")).startswith("vlp"):
            raise EgolibError(f"a checkpoint of {about.get('model')}, not of vlp", file=path)
        return state, about
    return from_official(read_official(path), path, like)


def from_official(
    state: State, path: Path, like: ModelConfig | None = None
) -> tuple[State, dict[str, Any]]:
    """Official weights by our names, and what is known of them.

    Args:
        state: of an official file.
        path: the file.
        like: what it does not tell, see ``recognise``.

    Raises:
        EgolibError: it is not of this network.
    """
    check_positions(state, path)
    about = _exported(path) or {"config": asdict(recognise(state, like=like, file=path))}
    return KEYS.to_ours(state), about


def _exported(path: Path) -> dict[str, Any]:
    """What ``egolib convert`` wrote beside an exported file; empty for any other file."""
    file = path.with_suffix(".json")
    content = read_json(file) if file.is_file() else {}
    known = isinstance(content, dict) and content.keys() >= {"model", "config", "sha256"}
    return content if known and content["sha256"] == file_sha256(path) else {}


def network_config(config: Mapping[str, Any]) -> ModelConfig:
    """The network's configuration in what lies beside weights.

    Checkpoints of earlier versions hold how weights started, too, which is passed over.
    """
    old = ("time_init", "initial_std", "position_std")
    return build(ModelConfig, {k: v for k, v in config.items() if k not in old})


# ---------------------------------------------------------------- egolib convert

#: Names of the two published architectures, by projector.
NAMES = {"large": "vlp/egovlpv2", "small": "vlp/egovlpv2_smallproj"}


def model_name(config: ModelConfig) -> str:
    """What ``egolib convert`` calls a network, whatever its size."""
    return NAMES[config.projection]


def _converted(state: Mapping[str, Tensor]) -> tuple[State, dict[str, Any]]:
    """An official state dict as ours, with its configuration."""
    config = recognise(state)
    check_positions(state, None)
    return KEYS.to_ours(state), asdict(config)


def _matches(state: Mapping[str, Tensor], projection: str) -> bool:
    marker = {"large": "txt_proj.4.weight", "small": "txt_proj.1.weight"}[projection]
    return ANSWER_HEAD not in state and all(key in state for key in (TIMES, LANGUAGE_HEAD, marker))


def _back(state: Mapping[str, Tensor], config: dict[str, Any]) -> State:
    return _official_state(state)


def _read(state: Mapping[str, Tensor], config: dict[str, Any]) -> State:
    check_positions(state, None)
    return KEYS.to_ours(state)


def _empty(config: dict[str, Any]) -> Mapping[str, Tensor]:
    with torch.device("meta"):
        return VideoLanguageModel(network_config(config)).state_dict()


def _accepts(config: dict[str, Any], projection: str) -> bool:
    return "projection" in config and network_config(config).projection == projection


MODELS = [
    OfficialModel(
        name,
        partial(_matches, projection=projection),
        _converted,
        _back,
        read=_read,
        empty=_empty,
        accepts=partial(_accepts, projection=projection),
    )
    for projection, name in NAMES.items()
]
