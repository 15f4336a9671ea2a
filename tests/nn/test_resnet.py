"""Residual networks: strides, dilation, normalisation, freezing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.models import resnet50

from egolib.nn.config import ResNetConfig
from egolib.nn.resnet import FixedBatchNorm, ResNet, stage_channels

SMALL = ResNetConfig(blocks=(1, 2, 1, 1), stem_channels=8, width=8, freeze="none")


def randomise(norm: FixedBatchNorm) -> FixedBatchNorm:
    for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        value.data = torch.rand(value.shape) + 0.1
    return norm


@pytest.mark.parametrize("eps", [1e-5, 0.0])
def test_fixed_norm_is_one_affine_map(eps):
    norm, x = randomise(FixedBatchNorm(5, eps)), torch.randn(2, 5, 3, 4)
    expected = F.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=max(eps, 1e-30)
    )
    torch.testing.assert_close(norm(x), expected)
    norm.train()
    norm(x)
    assert torch.equal(norm(x), norm.eval()(x))  # statistics never move


def test_frozen_norm_has_no_parameters():
    assert not list(FixedBatchNorm(5, trainable=False).parameters())
    assert len(FixedBatchNorm(5, trainable=False).state_dict()) == 4


@pytest.mark.parametrize("stride_in", ["3x3", "1x1"])
def test_maps_have_the_strides_of_the_stages(stride_in):
    config = ResNetConfig((1, 1, 1, 1), 8, 8, stride_in=stride_in, norm="group")
    maps = ResNet(config)(torch.randn(2, 3, 64, 96))
    assert [m.shape[1] for m in maps] == stage_channels(config) == [32, 64, 128, 256]
    assert [tuple(m.shape[-2:]) for m in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]


def test_dilation_keeps_the_resolution_and_lies_in_all_blocks():
    config = ResNetConfig((1, 1, 1, 2), 8, 8, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2))
    network = ResNet(config)
    assert network(torch.randn(1, 3, 64, 64))[-1].shape[-2:] == (4, 4)
    assert [block.conv2.dilation for block in network.layer4] == [(2, 2), (2, 2)]


@pytest.mark.parametrize(
    ("upto", "frozen"), [("none", 0), ("stem", 1), ("stage1", 2), ("stage3", 4)]
)
def test_freeze(upto, frozen):
    network = ResNet(ResNetConfig((1, 1, 1), 8, 8, (1, 2, 2), (1, 1, 1), freeze=upto))
    parts = [network.stem, *network.stages]
    assert [any(p.requires_grad for p in part.parameters()) for part in parts] == [
        i >= frozen for i in range(len(parts))
    ]


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="freeze"):
        ResNet(ResNetConfig((1,), 8, 8, (1,), (1,), freeze="layer9"))
    with pytest.raises(ValueError, match="norm"):
        ResNet(ResNetConfig((1,), 8, 8, (1,), (1,), norm="layer"))


def test_equals_torchvision_with_the_stride_in_the_3x3():
    theirs = resnet50(weights=None).eval()
    ours = ResNet(ResNetConfig(blocks=(3, 4, 6, 3)), weights="empty").eval()
    names = [("norm", "bn"), ("shortcut.conv", "downsample.0"), ("shortcut.bn", "downsample.1")]
    state = theirs.state_dict()
    renamed = {}
    for key in ours.state_dict():
        name = key.replace("stem.conv", "conv1").replace("stem.norm", "bn1")
        for mine, foreign in names:
            name = name.replace(mine, foreign)
        renamed[key] = state[name]
    ours.load_state_dict(renamed)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
        expected = [x := getattr(theirs, f"layer{i}")(x) for i in range(1, 5)]
        for mine, foreign in zip(ours(images), expected, strict=True):
            torch.testing.assert_close(mine, foreign)


def test_gradient_reaches_every_trainable_parameter():
    network = ResNet(SMALL)
    network(torch.randn(1, 3, 64, 64))[-1].square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())
