"""The network of a configuration: VSGN, or ActionFormer."""

from __future__ import annotations

import torch

from egolib.mq.config import ModelConfig
from egolib.mq.models.actionformer import ActionFormer
from egolib.mq.models.vsgn import VSGN

Network = VSGN | ActionFormer


def build(config: ModelConfig, seed: int | None = None) -> Network:
    """A network with random weights; equal seeds give equal weights.

    Args:
        config: sizes, and which network.
        seed: of the weights; the official code of VSGN uses 21. None leaves torch's state alone.
    """
    kind = VSGN if config.actionformer is None else ActionFormer
    if seed is None:
        return kind(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(config)
