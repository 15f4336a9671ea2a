"""The target filter: matrix products against convolutions, descent, learned functions."""

from __future__ import annotations

import torch

from egolib.vq2d.tracking.kys.classifier import (
    Classifier,
    Convolutions,
    FilterOptimiser,
    Products,
    apply_filter,
)
from tests.vq2d import made


def problem():
    torch.manual_seed(0)
    config = made.tiny_kys()
    features = torch.randn(3, config.classifier_channels, 6, 6) * 0.1
    boxes = torch.tensor([[32.0, 30, 30, 28], [20, 30, 30, 28], [36, 36, 30, 28]])
    return config, features, boxes


def test_products_and_convolutions_agree() -> None:
    _, features, _ = problem()
    for side in (4, 3):
        weight, residual = torch.randn(1, features.shape[1], side, side), None
        products, convolutions = Products(features, side), Convolutions(features, side)
        scores = apply_filter(features, weight)
        torch.testing.assert_close(products.scores(weight), scores, rtol=1e-4, atol=1e-5)
        residual = torch.randn_like(scores)
        torch.testing.assert_close(
            products.transposed(residual), convolutions.transposed(residual), rtol=1e-4, atol=1e-5
        )


def test_the_transpose_is_the_transpose() -> None:
    """<scores(w), r> = <w, transposed(r)>."""
    _, features, _ = problem()
    weight = torch.randn(1, features.shape[1], 4, 4)
    products = Products(features, 4)
    scores = products.scores(weight)
    residual = torch.randn_like(scores)
    left, right = (scores * residual).sum(), (weight * products.transposed(residual)).sum()
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_loss_goes_down_and_history_is_kept() -> None:
    config, features, boxes = problem()
    classifier = Classifier(config)
    first = classifier.initialiser(features, boxes)
    fit = classifier.optimiser(first, features, boxes, 5)
    assert len(fit.losses) == len(fit.history) == 6
    assert fit.losses[-1] < fit.losses[0]
    assert torch.equal(fit.history[0], first) and torch.equal(fit.history[-1], fit.weight)
    assert classifier.optimiser(first, features, boxes, 0).weight is first


@torch.no_grad()
def test_sample_weights() -> None:
    config, features, boxes = problem()
    optimise = FilterOptimiser(config)
    first = torch.randn(1, config.classifier_channels, 4, 4) * 0.1
    equal = optimise(first, features, boxes, 3, torch.full((3,), 1 / 3)).weight
    torch.testing.assert_close(optimise(first, features, boxes, 3).weight, equal)
    only = optimise(first, features, boxes, 3, torch.tensor([1.0, 0, 0])).weight
    torch.testing.assert_close(only, optimise(first, features[:1], boxes[:1], 3).weight)


def test_gradients_reach_every_parameter() -> None:
    config, features, boxes = problem()
    classifier = Classifier(config)
    deep = torch.randn(3, config.deep_channels, 6, 6)
    features = classifier.features(deep)
    fit = classifier.optimiser(classifier.initialiser(features, boxes), features, boxes, 2)
    apply_filter(features, fit.weight).sum().backward()
    assert all(p.grad is not None for p in classifier.parameters())
