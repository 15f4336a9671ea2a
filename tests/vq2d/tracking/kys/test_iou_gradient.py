"""The written-down gradient of the IoU net, and its maps around a target."""

from __future__ import annotations

import pytest
import torch

from egolib.vq2d.tracking.kys.iou_gradient import IouGradient
from egolib.vq2d.tracking.kys.iou_net import IouNet, Weighted
from tests.vq2d import made

BOXES = torch.tensor([[90.0, 78, 20, 24], [93, 80, 26, 18], [85.5, 81.2, 18, 22]])


def prepared():
    torch.manual_seed(0)
    config = made.tiny_kys()
    net = IouNet(config)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
    net.eval()
    shallow = torch.randn(1, config.shallow_channels, 24, 24)
    deep = torch.randn(1, config.deep_channels, 12, 12)
    with torch.no_grad():
        modulation = net.modulation(shallow, deep, BOXES[:1])
    return net, modulation, shallow, deep


def automatic(net: IouNet, weighted: Weighted, boxes: torch.Tensor):
    moving = boxes.clone().requires_grad_()
    iou = net(weighted, moving[None])
    return iou.detach()[0], torch.autograd.grad(iou.sum(), moving)[0]


@pytest.mark.parametrize("boxes", [BOXES, torch.tensor([[-20.0, 5, 40, 30], [170, 170, 40, 40]])])
@torch.no_grad()
def test_against_automatic_differentiation(boxes: torch.Tensor) -> None:
    net, modulation, shallow, deep = prepared()
    weighted = net.weighted(modulation, shallow, deep)
    value, gradient = IouGradient(net)(weighted, boxes)
    with torch.enable_grad():
        expected = automatic(net, weighted, boxes)
    torch.testing.assert_close(value, expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, expected[1], rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_a_part_of_the_maps_gives_the_same() -> None:
    net, modulation, shallow, deep = prepared()
    whole = net.weighted(modulation, shallow, deep)
    part = net.weighted_near(modulation, shallow, deep, BOXES)
    assert part.maps[0].shape[-1] < whole.maps[0].shape[-1]
    assert part.covers(BOXES)
    iou_gradient = IouGradient(net)
    for boxes in (BOXES, BOXES + torch.tensor([3.0, -2, 4, 1])):
        near, far = iou_gradient(part, boxes), iou_gradient(whole, boxes)
        for found, expected in zip(near, far, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_boxes_that_leave_the_part_are_noticed() -> None:
    part = Weighted((torch.zeros(1), torch.zeros(1)), valid=(10.0, 10, 50, 50))
    assert part.covers(torch.tensor([[10.0, 10, 40, 40]]))
    for box in ([9.0, 20, 5, 5], [20.0, 9, 5, 5], [45.0, 20, 6, 5], [20.0, 45, 5, 6]):
        assert not part.covers(torch.tensor([box]))
    assert Weighted((torch.zeros(1), torch.zeros(1))).covers(torch.tensor([[-1e4, 0, 1e5, 1e5]]))
