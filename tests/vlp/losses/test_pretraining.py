from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.vlp.config import LossConfig
from egolib.vlp.losses.pretraining import PretrainingLoss
from tests.vlp.small import batch, small_model


def losses(config: LossConfig, seed: int = 0) -> tuple[dict[str, torch.Tensor], dict]:
    model = small_model().train()  # without dropout
    step = PretrainingLoss(config, torch.Generator().manual_seed(seed))
    found = step(model, batch(6))
    found["loss"].backward()
    return found, {k: p.grad for k, p in model.named_parameters() if p.grad is not None}


def test_a_shared_prefix_gives_equal_losses_and_gradients() -> None:
    shared, separate = (losses(LossConfig(share_prefix=share)) for share in (True, False))
    torch.testing.assert_close(shared[0], separate[0])
    assert shared[1].keys() == separate[1].keys()
    for name, grad in shared[1].items():
        torch.testing.assert_close(grad, separate[1][name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("objectives", [("mlm",), ("itm",), ("egonce", "itm")])
def test_a_shared_prefix_serves_any_objectives(objectives: tuple[str, ...]) -> None:
    shared, separate = (
        losses(LossConfig(objectives=objectives, share_prefix=share))  # type: ignore[arg-type]
        for share in (True, False)
    )
    torch.testing.assert_close(shared[0], separate[0])
    for name, grad in shared[1].items():
        torch.testing.assert_close(grad, separate[1][name], rtol=1e-4, atol=1e-6)


def test_shared_passes_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks fuse in each of two passes: of 3 blocks and 3 passes, 9, 5 runs are left."""
    runs = {}
    for share in (True, False):
        model, calls = small_model(), []
        for block in model.video.blocks:
            block.register_forward_hook(lambda _m, _i, _o, calls=calls: calls.append(1))
        PretrainingLoss(LossConfig(share_prefix=share))(model, batch(6))
        runs[share] = len(calls)
    assert runs == {True: 5, False: 9}


def test_places_are_counted_before_a_batch_moves() -> None:
    clips = batch(4)
    expected = (clips.labels.flatten() >= 0).nonzero()[:, 0]
    moved = clips.to("meta")
    assert moved.masked_places.device.type == "meta"
    assert moved.masked_places.shape == expected.shape
    assert torch.equal(clips.masked_places, expected)
    assert torch.equal(
        clips.every(2).masked_places, (clips.labels[::2] >= 0).flatten().nonzero()[:, 0]
    )


def test_the_total_is_weighted() -> None:
    found, _ = losses(LossConfig())
    expected = found["egonce"] + found["mlm"] + 2 * found["itm"]
    torch.testing.assert_close(found["loss"], expected)
    found, _ = losses(LossConfig(language_weight=0.5, matching_weight=3.0))
    expected = found["egonce"] + 0.5 * found["mlm"] + 3 * found["itm"]
    torch.testing.assert_close(found["loss"], expected)


@pytest.mark.parametrize("name", ["egonce", "mlm", "itm"])
def test_objectives_alone(name: str) -> None:
    found, _ = losses(LossConfig(objectives=(name,)))  # type: ignore[arg-type]
    assert found.keys() == {"loss", name, "black"}


def test_the_order_of_frames_is_an_objective_by_option() -> None:
    plain, _ = losses(LossConfig())
    assert "order" not in plain
    clips = replace(batch(4), opposites=torch.tensor([[0, 2], [1, 3]]))
    config = LossConfig(objectives=("egonce",), order_weight=3.0)
    found = PretrainingLoss(config)(small_model(), clips)
    torch.testing.assert_close(found["loss"], found["egonce"] + 3 * found["order"])
    none = PretrainingLoss(config)(small_model(), batch(4))
    assert none["order"].item() == 0


def test_the_fused_passes_may_see_a_part_of_the_pairs() -> None:
    """What they compute is what a batch of these pairs alone gives."""
    clips = batch(6)
    found = PretrainingLoss(LossConfig(fused_every=2), torch.Generator().manual_seed(0))(
        small_model(), clips
    )
    alone = PretrainingLoss(LossConfig(), torch.Generator().manual_seed(0))(
        small_model(), clips.every(2)
    )
    whole = PretrainingLoss(LossConfig(), torch.Generator().manual_seed(0))(small_model(), clips)
    torch.testing.assert_close(found["egonce"], whole["egonce"])
    for name in ("mlm", "itm"):
        torch.testing.assert_close(found[name], alone[name])


def test_tags_make_positives() -> None:
    with_tags, _ = losses(LossConfig(objectives=("egonce",)))
    plain = LossConfig(objectives=("egonce",), egonce_noun=False, egonce_verb=False)
    without, _ = losses(plain)
    assert with_tags["loss"] < without["loss"]


def test_unreadable_clips_are_counted() -> None:
    clips = batch(4)
    clips = replace(clips, black=torch.tensor([True, False, False, False]))
    found = PretrainingLoss(LossConfig(objectives=("egonce",)))(small_model(), clips)
    assert found["black"].item() == 0.25


def test_the_generators_state_is_kept() -> None:
    step = PretrainingLoss(LossConfig(), torch.Generator().manual_seed(3))
    state = step.state_dict()
    first = torch.rand(3, generator=step.generator)
    step.load_state_dict(state)
    torch.testing.assert_close(torch.rand(3, generator=step.generator), first)
    assert PretrainingLoss(LossConfig()).state_dict() == {}


def test_batches_move() -> None:
    moved = batch(2).to("cpu")
    assert moved.video.device.type == "cpu" and moved.ids.shape == (2, 7)


def test_sixteen_bits_stay_close_and_finite() -> None:
    model, clips = small_model(), batch(6)
    plain = PretrainingLoss(LossConfig(), torch.Generator().manual_seed(0))(model, clips)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = PretrainingLoss(LossConfig(), torch.Generator().manual_seed(0))(model, clips)
    mixed["loss"].backward()
    assert mixed["egonce"].item() == pytest.approx(plain["egonce"].item(), rel=0.1)
    assert mixed["mlm"].item() == pytest.approx(plain["mlm"].item(), rel=0.05)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
