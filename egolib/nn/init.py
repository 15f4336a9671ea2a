"""Initial weights of single layers; biases start at zero."""

from __future__ import annotations

from torch import nn

Layer = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


def normal(layer: Layer, std: float) -> None:
    """Gaussian weights."""
    nn.init.normal_(layer.weight, std=std)
    zero_bias(layer)


def xavier(layer: Layer) -> None:
    """Uniform weights after Glorot and Bengio (2010)."""
    nn.init.xavier_uniform_(layer.weight)
    zero_bias(layer)


def kaiming(layer: Layer) -> None:
    """Gaussian weights after He et al. (2015), for layers before a ReLU."""
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    zero_bias(layer)


def zero_bias(layer: Layer) -> None:
    """Sets the bias, where there is one, to zero."""
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
