"""Batches, losses, parameter groups, rates, starting points."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.vod.api import save
from egolib.vod.config import OptimConfig
from egolib.vod.config.data import PipelineConfig
from egolib.vod.data.batches import collate, make_frames
from egolib.vod.data.dataset import PreparedClip
from egolib.vod.data.pipeline import make_sample, prepare_clip
from egolib.vod.formats.checkpoint import layout
from egolib.vod.losses.clips import TrainingLoss
from egolib.vod.models.build import build_model
from egolib.vod.optim import load_start, make_optimizer, parameter_groups, schedule
from tests.vod.small import clip, make


def prepared(seed: int = 0) -> PreparedClip:
    rng = np.random.default_rng(seed)
    boxes = np.array([[4.0, 4, 30, 40]], np.float32)
    samples = [
        make_sample(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8), boxes, np.array([2]))
        for _ in range(3)
    ]
    made = prepare_clip(
        samples, PipelineConfig(long_side=96, short_side=64), np.random.RandomState(seed)
    )
    return PreparedClip(made[0], made[1:])


def test_collate_keeps_clips_apart():
    first, second = collate([prepared(0), prepared(1)])
    assert first.key.images.shape == (1, 3, 64, 96) and first.references.images.shape[0] == 2
    assert second.truth.labels.tolist() == [2] and second.memory is None
    assert make_frames([]) is None


def test_frames_are_padded_to_the_largest():
    small = replace_pixels(prepared().key, (3, 32, 48))
    frames = make_frames([prepared().key, small], [7, 8])
    assert frames.images.shape == (2, 3, 64, 96) and frames.numbers == [7, 8]
    assert frames.images[1, :, 32:].eq(0).all() and frames.sizes[1] == (32, 48)


def replace_pixels(one, shape):
    return replace(one, pixels=np.ones(shape, np.float32), size=shape[1:])


def test_loss_is_the_mean_over_clips():
    model, _ = make("selsa")
    model.train()
    parts = []
    for seed in (0, 1):
        torch.manual_seed(5)
        parts.append(TrainingLoss()(model, [clip(2, seed)]))
    torch.manual_seed(5)
    first = TrainingLoss()(model, [clip(2, 0)])
    torch.testing.assert_close(first["loss"], parts[0]["loss"])
    names = {"loss", "classes", "boxes", "objectness", "rpn_box", "accuracy"}
    assert first.keys() == names
    total = sum(first[n] for n in names - {"loss", "accuracy"})
    torch.testing.assert_close(first["loss"], total)
    assert first["loss"].requires_grad and not first["classes"].requires_grad


def test_a_few_updates_lower_the_loss():
    torch.manual_seed(0)
    model, _ = make("selsa")
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=2e-3, momentum=0.9)
    losses = []
    for _ in range(12):
        torch.manual_seed(0)
        loss = TrainingLoss()(model, [clip(2)])["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 35)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_groups_of_sgd_hold_all_trainable_parameters():
    model, _ = make("selsa")
    model.detector.backbone.stem.requires_grad_(False)
    (group,) = parameter_groups(model, OptimConfig())
    assert group["lr"] == 1e-3 and group["weight_decay"] == 1e-4
    assert len(group["params"]) == sum(p.requires_grad for p in model.parameters())


def test_norms_and_position_biases_do_not_decay_with_adamw():
    model, _ = make("stpn")
    groups = parameter_groups(model, OptimConfig.builders["adamw_9x"]())
    by_decay = {g["weight_decay"]: {id(p) for p in g["params"]} for g in groups}
    assert by_decay.keys() == {0.05, 0.0}
    still = {n for n, p in model.named_parameters() if id(p) in by_decay[0.0]}
    assert all("norm" in n or "bias_table" in n for n in still)
    assert any("merge.norm" in n for n in still) and any("bias_table" in n for n in still)
    assert isinstance(make_optimizer(model, OptimConfig.builders["adamw_9x"]()), torch.optim.AdamW)


def test_biases_are_faster_and_do_not_decay_in_maskrcnn_benchmark():
    model, _ = make("mega")
    groups = parameter_groups(model, OptimConfig.builders["mega_120k"]())
    assert {(g["lr"], g["weight_decay"]) for g in groups} == {(1e-3, 1e-4), (2e-3, 0.0)}


@pytest.mark.parametrize(("rule", "rate"), [("as_written", 1e-3), ("linear", 5e-4)])
def test_rate_of_a_smaller_batch(rule: str, rate: float):
    model, _ = make("single")
    config = OptimConfig(rate_scaling=rule)
    assert parameter_groups(model, config, batch=4)[0]["lr"] == pytest.approx(rate)


def test_schedule_of_epochs():
    factor = schedule(OptimConfig(milestones=(2, 5)), 1000, 7000)
    assert factor(0) == pytest.approx(1 / 3) and factor(250) == pytest.approx(2 / 3)
    assert factor(500) == factor(1999) == 1
    assert factor(2000) == pytest.approx(0.1) and factor(5000) == pytest.approx(0.01)


def test_schedule_of_updates():
    factor = schedule(OptimConfig.builders["mega_120k"](), 7, 120_000)
    assert factor(79_999) == 1 and factor(80_000) == pytest.approx(0.1)


def test_other_schedules():
    def factors(**values):
        config = OptimConfig(warmup_updates=10, warmup_start_factor=0.0, **values)
        made = schedule(config, 100, 110)
        return [made(t) for t in (0, 5, 10, 60, 110)]

    assert factors(schedule="constant") == pytest.approx([0, 0.5, 1, 1, 1])
    assert factors(schedule="polynomial") == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert factors(schedule="cosine") == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_the_backbone_may_learn_at_a_rate_of_its_own():
    model, _ = make("single")
    groups = parameter_groups(model, OptimConfig(backbone_lr_factor=0.1))
    assert sorted(group["lr"] for group in groups) == pytest.approx([1e-4, 1e-3])
    slow = min(groups, key=lambda group: group["lr"])["params"]
    wanted = [p for n, p in model.named_parameters() if n.startswith("detector.backbone.")]
    assert {id(p) for p in slow} == {id(p) for p in wanted if p.requires_grad}


def test_starts(tmp_path: Path, made):
    frame, frame_config = make("single", seed=3)
    ours = save(tmp_path / "frame.safetensors", frame, frame_config, made)
    official = tmp_path / "official.pth"
    torch.save({"state_dict": layout(frame_config).to_official(frame.state_dict())}, official)
    for path, form in ((ours, "ours"), (official, "official")):
        model, config = make("selsa")
        report = load_start(model, config, path, form)
        assert report.loaded == len(frame.state_dict()) and report.missing
        assert torch.equal(
            model.detector.head.layers[0].weight, frame.detector.head.layers[0].weight
        )


def test_a_start_that_fits_little_is_refused_with_the_report(tmp_path: Path):
    model, config = make("selsa")
    path = tmp_path / "official.pth"
    torch.save({"something": torch.zeros(3)}, path)
    with pytest.raises(EgolibError, match=r"fills 0 of \d+ entries.*unexpected: .*something"):
        load_start(model, config, path, "official")
    deep = replace(config, resnet=replace(config.resnet, blocks=(2, 2, 6, 2)))
    torch.save({"state_dict": layout(config).to_official(model.state_dict())}, path)
    with pytest.raises(EgolibError, match="entries of the backbone"):
        load_start(build_model(deep), deep, path, "official")
