"""From settings to a network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from egolib.vod.config.model import ModelConfig
from egolib.vod.models.eovod import Eovod
from egolib.vod.models.flow_methods import Dff, Fgfa
from egolib.vod.models.mamba import Mamba
from egolib.vod.models.mega import Mega
from egolib.vod.models.selsa import Selsa
from egolib.vod.models.single import single_frame
from egolib.vod.models.stpn import Stpn
from egolib.vod.models.tdvit import TdVit

METHODS: dict[str, Callable[[ModelConfig], nn.Module]] = {
    "single": single_frame,
    "selsa": Selsa,
    "mamba": Mamba,
    "mega": Mega,
    "stpn": Stpn,
    "tdvit": TdVit,
    "eovod": Eovod,
    "dff": Dff,
    "fgfa": Fgfa,
}


def build_model(config: ModelConfig) -> nn.Module:
    """The detector that the settings describe, with initial weights."""
    return METHODS[config.method](config)


def build_empty(config: ModelConfig) -> nn.Module:
    """The same without memory for weights, which are then assigned to it."""
    with torch.device("meta"):
        return build_model(config)
