"""Folded networks give equal outputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from egolib.nn.config import ResNetConfig
from egolib.nn.fold import blocked, for_inference, has_blocked_layout
from egolib.nn.resnet import FixedBatchNorm, ResNet


def network(norm: str) -> ResNet:
    torch.manual_seed(0)
    net = ResNet(ResNetConfig(blocks=(1, 2), stem_channels=8, width=8, strides=(1, 2), norm=norm))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | FixedBatchNorm):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return net.eval()


@pytest.mark.parametrize("norm", ["fixed", "batch", "group"])
@torch.no_grad()
def test_residual_networks(norm: str) -> None:
    net, x = network(norm), torch.randn(2, 3, 40, 56)
    twin = for_inference(net)
    for found, expected in zip(twin(x), net(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    norms = [m for m in twin.modules() if isinstance(m, nn.BatchNorm2d | FixedBatchNorm)]
    assert not norms
    assert not any(parameter.requires_grad for parameter in twin.parameters())


@torch.no_grad()
def test_sequences_and_biases() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4))
    net[1].running_mean.fill_(0.3)
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(for_inference(net)(x), net.eval()(x), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_blocked_layout() -> None:
    if not has_blocked_layout():
        pytest.skip("torch was built without oneDNN")
    net, x = network("fixed"), torch.randn(2, 3, 40, 56)
    twin = blocked(for_inference(net))
    for found, expected in zip(twin(x.to_mkldnn()), net(x), strict=True):
        torch.testing.assert_close(found.to_dense(), expected, rtol=1e-4, atol=1e-4)


def test_the_original_is_left_alone() -> None:
    net = network("batch")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for_inference(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
