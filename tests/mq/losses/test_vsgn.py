"""The whole objective: finite, learnable, and its conventions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.mq.config import LossConfig
from egolib.mq.data.targets import Targets
from egolib.mq.losses.vsgn import TERMS, training_losses, vsgn_losses
from egolib.mq.models.vsgn import build
from tests.mq.small import CLIPS, SMALL, clip, data


def batch_of(clips=CLIPS):
    items = data(clips)
    return items.collate([items[i] for i in range(len(items))])


def losses(batch, network=None, **settings):
    network = network or build(SMALL, 0)
    return training_losses(
        network, batch.features, batch.lengths, batch.targets, LossConfig(**settings)
    )


def test_terms_and_their_sum():
    found = losses(batch_of())
    assert set(found) == {*TERMS, "loss"}
    curves = found["action"] + found["start"] + found["end"]
    heads = found["classification"] + found["regression"] + found["boundary"]
    torch.testing.assert_close(found["loss"], heads + 0.2 * curves)


def test_every_parameter_gets_a_gradient():
    network = build(SMALL, 0)
    losses(batch_of(), network)["loss"].backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_boundary_loss_trains_the_box_tower():
    network = build(SMALL, 0)
    losses(batch_of(), network)["boundary"].backward()
    assert network.detection.box_output.weight.grad.abs().sum() > 0


def test_a_batch_without_a_positive_is_finite():
    network = build(SMALL, 0)
    batch = batch_of()
    empty = Targets(
        [torch.zeros(0, 2)] * 3,
        [torch.zeros(0, dtype=torch.long)] * 3,
        *[torch.zeros(3, 64) for _ in range(3)],
    )
    found = vsgn_losses(network(batch.features), network.anchors, empty, LossConfig())
    found["loss"].backward()
    assert all(value.isfinite() for value in found.values())
    assert found["regression"].item() == found["boundary"].item() == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    official = LossConfig(empty_terms="official")
    assert vsgn_losses(network(batch.features), network.anchors, empty, official)["loss"].isnan()


@pytest.mark.parametrize("zero_iou_truths", ["official", "ignore"])
def test_a_moment_beyond_the_features_is_finite(zero_iou_truths):
    beyond = [clip(0, ("open", 40, 50))]  # the clip's features end at 30 s
    found = losses(batch_of(beyond), zero_iou_truths=zero_iou_truths)
    assert found["loss"].isfinite()
    official = losses(batch_of(beyond), zero_iou_truths="official", empty_terms="official")
    assert official["classification"].isnan()  # all boxes are positive


def test_replicas_are_averaged():
    batch = batch_of(CLIPS[:2])
    network = build(SMALL, 0)
    parts = [losses(batch_of([c]), network)["loss"] for c in CLIPS[:2]]
    found = losses(batch, network, replicas=2)["loss"]
    torch.testing.assert_close(found, torch.stack(parts).mean(), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, losses(batch, network)["loss"], rtol=1e-4)


def test_options_change_the_loss():
    batch, network = batch_of(), build(SMALL, 0)
    official = losses(batch, network)
    plain = losses(batch, network, anchor_iou="plain")
    assert not torch.equal(official["classification"], plain["classification"])
    long_clips = [clip(0, ("wash", 0, 30))]
    model = replace(SMALL, levels=1, anchor_scales=(0.25, 0.5))
    tiny, long = build(model, 0), batch_of(long_clips)
    short = losses(long, tiny)["regression"]
    truth = losses(long, tiny, target_box="truth")["regression"]
    assert not torch.equal(short, truth)  # the coder shortens it


def test_it_learns():
    batch, network = batch_of(), build(SMALL, 0)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    values = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = losses(batch, network)["loss"]
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.5 * values[0]
