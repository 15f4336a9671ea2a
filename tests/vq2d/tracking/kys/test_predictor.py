"""The response predictor."""

from __future__ import annotations

import torch

from egolib.vq2d.tracking.kys.predictor import ResponsePredictor, translate
from tests.vq2d import made


def prepared():
    torch.manual_seed(0)
    config = made.tiny_kys()
    predictor = ResponsePredictor(config).eval()
    side = config.feature_side
    maps = torch.randn(2, config.deep_channels, side, side)
    score = torch.rand(1, 1, side, side)
    return predictor, maps, score, predictor.start(torch.rand(1, 1, side, side))


@torch.no_grad()
def test_both_orders_of_work() -> None:
    predictor, maps, score, state = prepared()
    one = predictor(maps[:1], maps[1:], score, state)
    two = predictor(maps[:1], maps[1:], score, state, official_order=True)
    for a, b in zip(vars(one).values(), vars(two).values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_where_positions_came_from_sums_to_one() -> None:
    predictor, maps, *_ = prepared()
    side = maps.shape[-1]
    weights = predictor.correspondence(torch.randn(1, side * side, side, side))
    torch.testing.assert_close(weights.sum(1), torch.ones(1, side * side))


@torch.no_grad()
def test_low_scores_and_the_window_silence_the_response() -> None:
    predictor, maps, score, state = prepared()
    assert not predictor(maps[:1], maps[1:], torch.zeros_like(score), state).response.any()
    nothing = torch.zeros(1, *score.shape[-2:])
    assert not predictor(maps[:1], maps[1:], score, state, nothing).response.any()
    assert predictor(maps[:1], maps[1:], score, state).response.any()


def test_translate() -> None:
    maps = torch.rand(1, 2, 6, 6)
    torch.testing.assert_close(translate(maps, 0.0), maps)
    moved = translate(maps, torch.tensor([[2 / 6, 0.0]]))  # one cell to the left
    torch.testing.assert_close(moved[..., :-1], maps[..., 1:], atol=1e-5, rtol=0)
    assert moved[..., -1].abs().max() < 1e-5
