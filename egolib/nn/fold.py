"""Networks rearranged for inference: norms folded into convolutions, channels last.

The outputs are equal up to rounding; the work is less.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.mkldnn import to_mkldnn

from egolib.nn.resnet import FixedBatchNorm

Network = TypeVar("Network", bound=nn.Module)
FOLDABLE = (FixedBatchNorm, nn.BatchNorm2d)


def for_inference(network: Network) -> Network:
    """A copy in evaluation mode, without gradients, its norms folded, its weights laid out
    channels last. Norms without stored statistics (group norm) stay as they are."""
    twin = copy.deepcopy(network).eval().requires_grad_(False)
    for module in twin.modules():
        _fold_children(module)
    result: Network = twin.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return result


def blocked(network: Network) -> Network:
    """The same with its convolutions in oneDNN's blocked layout, where torch has oneDNN.

    The network then takes and gives tensors of that layout (``to_mkldnn``, ``to_dense``).
    Only for the CPU and without gradients.
    """
    result: Network = to_mkldnn(network.to(memory_format=torch.contiguous_format))  # type: ignore[call-overload, no-untyped-call]
    return result


def has_blocked_layout() -> bool:
    """Whether torch was built with oneDNN."""
    result: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return result


def _fold_children(module: nn.Module) -> None:
    """Folds pairs of a convolution and the norm that follows it: ``conv2`` with ``norm2``,
    ``conv`` with ``norm``, neighbours in a sequence."""
    children = dict(module.named_children())
    if isinstance(module, nn.Sequential):
        pairs = list(pairwise(children))
    else:
        pairs = [(name, name.replace("conv", "norm")) for name in children if "conv" in name]
    for conv_name, norm_name in pairs:
        conv, norm = children.get(conv_name), children.get(norm_name)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, FOLDABLE):
            setattr(module, conv_name, folded(conv, norm))
            setattr(module, norm_name, nn.Identity())


def folded(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """The convolution that does what convolution and norm do."""
    scale, shift = _scale_and_shift(norm)
    result = copy.deepcopy(conv)
    result.weight.data = conv.weight * scale[:, None, None, None]
    bias = shift if conv.bias is None else shift + conv.bias * scale
    result.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return result


def _scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    if isinstance(norm, FixedBatchNorm):
        scale, shift = norm.scale_and_shift()
        return scale.detach(), shift.detach()
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale.detach(), (norm.bias - norm.running_mean * scale).detach()
