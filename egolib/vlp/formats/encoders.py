"""Image and language models that a network's two encoders start from."""

from __future__ import annotations

import re
from pathlib import Path

from torch import nn

from egolib.errors import EgolibError
from egolib.io.checkpoint import LoadReport, State, load_partial
from egolib.nn.text_encoder import TextEncoder
from egolib.vlp.formats.checkpoint import ROBERTA_KEYS, VIT_KEYS, read_official

#: Parts of an encoder that neither an image nor a language model has: they start fresh.
_FRESH = re.compile(r"(^|\.)(times$|time_norm\.|time_attention\.|cross\.|cross_gate$)")


def load_vit(video: nn.Module, path: str | Path) -> LoadReport:
    """Loads what a vision transformer's file (``jx_vit_base_p16_224``) offers to the encoder.

    Time attention, its norms, the time embedding and the cross-attention start
    fresh; the report's ``missing`` lists them. The classifier is passed over.

    Raises:
        EgolibError: anything else is missing, or of another shape.
    """
    return _load_encoder(video, VIT_KEYS.to_ours(read_official(path)), path)


def load_roberta(text: TextEncoder, path: str | Path) -> LoadReport:
    """Loads what a RoBERTa file offers to the encoder; cross-attention starts fresh.

    Raises:
        EgolibError: anything else is missing, or of another shape.
    """
    state = {re.sub("^roberta\\.", "", k): v for k, v in read_official(path).items()}
    old = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    for before, after in old.items():
        state = {re.sub(f"{before}$", after, k): v for k, v in state.items()}
    return _load_encoder(text, ROBERTA_KEYS.to_ours(state), path)


def _load_encoder(module: nn.Module, state: State, file: str | Path) -> LoadReport:
    report = load_partial(module, state)
    lost = [name for name in report.missing if not _FRESH.search(name)]
    if report.reshaped or lost or not report.loaded:
        what = f"; of its own are missing: {', '.join(lost[:6])}" if lost else ""
        raise EgolibError(
            f"these initial weights are of another network: {report}{what}",
            file=file,
            remedy="jx_vit_base_p16_224-80ecf9dd.pth for initial.vit, roberta-base's "
            "pytorch_model.bin or model.safetensors for initial.roberta",
        )
    return report
