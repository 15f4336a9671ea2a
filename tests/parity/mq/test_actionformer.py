"""ActionFormer as OpenTAD has it: outputs, losses, gradients, rates, names of the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egolib.mq.config import ActionFormerConfig, ModelConfig, OptimConfig, PointLossConfig
from egolib.mq.data.annotations import Clip
from egolib.mq.data.points import PointItem, collate
from egolib.mq.formats.actionformer import KEYS, NORMALIZER, recognise, to_official, to_ours
from egolib.mq.losses.points import ActionFormerLoss
from egolib.mq.models.actionformer import ActionFormer
from egolib.mq.optim import schedule
from egolib.nn.points import make_points
from tests.parity.mq.networks import meta
from tests.parity.recordings import auxiliary, normal, read, stream
from tests.parity.weights import make_state_dict


def weights(recording: Path) -> dict[str, torch.Tensor]:
    keys = read(auxiliary(recording, "actionformer.keys.json"))
    return {k: torch.from_numpy(np.asarray(v)) for k, v in make_state_dict(keys, seed=5).items()}


def network(recording: Path, about: dict[str, Any]) -> ActionFormer:
    own = ActionFormerConfig(
        heads=2, windows=tuple(about["windows"]), branch_blocks=3, dropout=0, input_dropout=0
    )
    official = weights(recording)
    config = recognise(official, ModelConfig(length=about["length"], actionformer=own))
    model = ActionFormer(config)
    state = {k: v for k, v in official.items() if k != NORMALIZER}
    KEYS.load(model, state, file=recording)
    return model


def items(about: dict[str, Any]) -> list[PointItem]:
    found = []
    for number, count in enumerate(about["lengths"]):
        rng = stream(f"actionformer/moments/{number}")
        moments = np.sort(rng.uniform(0, count, (5, 2)), 1).astype(np.float32).astype(float)
        clip = Clip(f"c{number}", "v", "train", 0.0, 100.0)
        features = normal(f"actionformer/{number}", (count, 12))
        found.append(PointItem(clip, features, 1.0, 0, moments, rng.integers(0, 7, 5)))
    return found


@pytest.mark.recordings("actionformer")
def test_every_point_of_clips_padded_as_far_as_needed(recording: Path) -> None:
    recorded = read(recording)
    about = meta(recorded)
    model = network(recording, about).eval()
    for number, item in enumerate(items(about)):
        batch = collate([item], model.config)
        with torch.no_grad():
            found = model(batch.features, batch.mask)
        valid, points = found.mask[0], make_points(found.lengths)
        reach = found.offsets[0] * points.strides[:, None]
        segments = torch.stack([points.positions - reach[:, 0], points.positions + reach[:, 1]], 1)
        scores = found.logits[0][valid].sigmoid().numpy()
        np.testing.assert_allclose(scores, recorded[f"scores/{number}"], atol=1e-5)
        np.testing.assert_allclose(
            segments[valid].numpy(), recorded[f"segments/{number}"], atol=1e-4
        )


@pytest.mark.recordings("actionformer")
def test_losses_and_gradients(recording: Path) -> None:
    recorded = read(recording)
    about = meta(recorded)
    model = network(recording, about).train()
    for module in model.modules():
        if hasattr(module, "probability"):
            module.probability = 0
    ranges = tuple(tuple(pair) for pair in about["regression_ranges"])
    loss = ActionFormerLoss(PointLossConfig(regression_ranges=ranges))
    found = loss(model, collate(items(about), model.config))
    for name in ("classification", "regression"):
        assert found[name].item() == pytest.approx(float(recorded[name]), rel=1e-5)
    found["loss"].backward()
    gradients = KEYS.to_official({n: p.grad for n, p in model.named_parameters()})
    norms = np.array([float(gradients[name].norm()) for name in about["names"]])
    largest = recorded["gradient_norms"].max()
    np.testing.assert_allclose(norms, recorded["gradient_norms"], rtol=1e-3, atol=1e-6 * largest)


@pytest.mark.recordings("actionformer")
def test_rates(recording: Path) -> None:
    recorded = read(recording)
    optim = OptimConfig(schedule="cosine", warmup_epochs=5, schedule_epochs=25)
    per_epoch = meta(recorded)["updates_per_epoch"]
    factor = schedule(optim, per_epoch, len(recorded["rates"]))
    found = [1e-4 * factor(update) for update in range(len(recorded["rates"]))]
    np.testing.assert_allclose(found, recorded["rates"], atol=1e-9, rtol=1e-6)


@pytest.mark.recordings("actionformer")
def test_there_and_back(recording: Path) -> None:
    official = weights(recording)
    back = to_official(to_ours(official))
    assert {name.removeprefix("module.") for name in back} == official.keys()
    for name, value in official.items():
        if name != NORMALIZER:
            assert torch.equal(back[f"module.{name}"], value), name
