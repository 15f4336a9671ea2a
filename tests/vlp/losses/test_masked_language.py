from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from egolib.vlp.losses.masked_language import IGNORED, corrupt, masked_language
from tests.vlp.small import small_model

SETTINGS = {"special_ids": (0, 1, 2), "mask_id": 99, "vocabulary_size": 100}


def test_corruption_follows_its_shares() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(3, 99, (400, 100))
    found, labels = corrupt(ids, rng, **SETTINGS)
    chosen = labels != IGNORED
    assert chosen.mean() == pytest.approx(0.15, abs=0.01)
    assert (labels[chosen] == ids[chosen]).all()
    assert (found[~chosen] == ids[~chosen]).all()
    assert (found[chosen] == 99).mean() == pytest.approx(0.8, abs=0.02)
    assert (found[chosen] == ids[chosen]).mean() == pytest.approx(0.1, abs=0.02)
    assert found.dtype == labels.dtype == np.int64


@pytest.mark.parametrize("shape", [(0,), (0, 5), (1, 1)])
def test_special_tokens_are_never_chosen(shape: tuple[int, ...]) -> None:
    ids = np.full(shape, 2)
    found, labels = corrupt(ids, np.random.default_rng(0), **SETTINGS, probability=1.0)
    assert (found == 2).all() and (labels == IGNORED).all()


def test_decoding_the_masked_tokens_only_gives_the_same_loss_and_gradient() -> None:
    model = small_model()
    text = torch.randn(3, 7, 40)
    labels = torch.full((3, 7), IGNORED)
    labels[0, 2], labels[2, 5], labels[2, 6] = 4, 9, 11
    grads = []
    for loss in (
        lambda t: masked_language(model, t, labels),
        lambda t: F.cross_entropy(model.mlm_logits(t).flatten(0, 1), labels.flatten()),
    ):
        states = text.clone().requires_grad_()
        value = loss(states)
        value.backward()
        grads.append((value.detach(), states.grad))
    torch.testing.assert_close(grads[0], grads[1])


def test_a_batch_without_masked_tokens_costs_nothing() -> None:
    model = small_model()
    loss = masked_language(model, torch.randn(1, 4, 40), torch.full((1, 4), IGNORED))
    loss.backward()
    assert loss.item() == 0
