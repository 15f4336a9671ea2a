"""Blocks of a network compiled by torch, one graph for all blocks that are alike.

A compiled block launches few kernels, and keeps for its backward pass only as much as it is
told to: the rest is recomputed there, cheap operators first, without a second forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch._functorch import config as partitioning

#: What compiled blocks keep with ``checkpointing``, between their inputs alone (0) and
#: everything that is dear to compute (1).
KEPT = 0.1
#: Shapes and modes of one kind of block, beyond which further ones run eagerly.
VARIANTS = 32


def compile_blocks(
    blocks: Iterable[nn.Module],
    *,
    checkpointing: bool = False,
    backend: str | Callable[..., Any] = "inductor",
) -> int:
    """Compiles the forward and backward passes of blocks, at their first call in training.

    Blocks of one class that differ in their weights alone share their compiled code. In
    evaluation mode and without gradients they stay eager.

    Args:
        blocks: modules; their parameters and names stay.
        checkpointing: keep the fraction ``KEPT`` of the activations.
        backend: of ``torch.compile``.

    Returns:
        How many blocks.
    """
    partitioning.activation_memory_budget = KEPT if checkpointing else 1.0
    torch._dynamo.config.suppress_errors = True  # what cannot be compiled is told, and runs eagerly
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, VARIANTS)
    count = 0
    for block in blocks:
        compiled = torch.compile(block.forward, backend=backend)
        block.forward = _in_training(block, block.forward, compiled)
        count += 1
    return count


def _in_training(
    block: nn.Module, eager: Callable[..., Any], compiled: Callable[..., Any]
) -> Callable[..., Any]:
    """The forward pass that suits the mode of the block."""

    def forward(*inputs: Any) -> Any:
        training = block.training and torch.is_grad_enabled()
        return (compiled if training else eager)(*inputs)

    return forward


def is_compiled(block: nn.Module) -> bool:
    """Whether ``compile_blocks`` was asked to compile it."""
    return "forward" in vars(block)
