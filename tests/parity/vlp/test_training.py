"""One training step, gradients of the whole network, optimiser, groups and schedules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from egolib.vlp.config import LossConfig, OptimConfig
from egolib.vlp.formats.checkpoint import KEYS, recognise
from egolib.vlp.losses.contrastive import norm_softmax
from egolib.vlp.losses.masked_language import masked_language
from egolib.vlp.losses.matching import MatchingPlan, make_plan, matching, negative_weights
from egolib.vlp.losses.pretraining import PretrainingBatch, PretrainingLoss
from egolib.vlp.losses.similarity import cosine_similarity
from egolib.vlp.models.build import build_empty
from egolib.vlp.models.model import VideoLanguageModel
from egolib.vlp.optim import LegacyAdamW, make_optimizer, parameter_groups, schedule
from tests.parity.recordings import auxiliary, normal, read, recipe
from tests.parity.vlp.networks import assert_close, published, video

on_network = pytest.mark.xdist_group("vlp_network")


def recorded_batch(recording: Path, recorded: dict[str, Any], rows: int) -> PretrainingBatch:
    """The first rows of the recorded batch."""
    shape = (len(recorded["input_ids"]), 4, 3, 224, 224)
    clips = 0.5 * video(recording, "loss/video", shape)
    names = {
        "ids": "input_ids",
        "mask": "attention_mask",
        "corrupted": "text_mlm_ids",
        "labels": "text_mlm_labels",
        "nouns": "noun_vec",
        "verbs": "verb_vec",
    }
    texts = {ours: torch.from_numpy(recorded[name][:rows]) for ours, name in names.items()}
    black = torch.zeros(rows, dtype=torch.bool)
    return PretrainingBatch(video=torch.from_numpy(clips[:rows]), black=black, **texts)


def network_of(recorded: dict[str, Any]) -> str:
    """The network that a recording names; else the published one of four frames."""
    return str(recorded.get("network", "egovlpv2_4f"))


class RecordedPlan(PretrainingLoss):
    """The training step with matching pairs that are given instead of drawn."""

    def __init__(self, config: LossConfig, plan: MatchingPlan):
        super().__init__(config)
        self.given = plan

    def plan(self, similarity: torch.Tensor, positives: torch.Tensor, own: int) -> MatchingPlan:
        self.seen = similarity, positives
        return self.given


@on_network
@pytest.mark.slow
@pytest.mark.recordings("train_step")
@torch.no_grad()
def test_training_step(recording: Path, device: str) -> None:
    recorded = read(recording)
    model = published(recording, network_of(recorded), device)
    plan = MatchingPlan(
        *(
            torch.from_numpy(recorded[name]).long().to(device)
            for name in ("itm_labels", "itm_video_source", "itm_text_source")
        )
    )
    batch = recorded_batch(recording, recorded, len(recorded["input_ids"])).to(device)
    step = RecordedPlan(LossConfig(), plan)
    logits: list[torch.Tensor] = []
    hook = model.matching.register_forward_hook(lambda _m, _i, output: logits.append(output))
    losses = step(model, batch)
    hook.remove()
    names = {"egonce": "EgoNCE", "mlm": "loss_mlm", "itm": "loss_itm", "loss": "loss_total"}
    assert losses.keys() == {*names, "black"}
    for ours, name in names.items():
        assert_close(losses[ours], recorded[f"loss_{name}"], rtol=1e-4, atol=0, what=name)
    compare_negatives(recorded, *(x.cpu() for x in step.seen))
    assert_close(logits[0], recorded["itm_logits"], atol=1e-3, what="match logits")


def compare_negatives(
    recorded: dict[str, Any], similarity: torch.Tensor, positives: torch.Tensor
) -> None:
    """The recorded draws, replayed on our weights, give the recorded pairs."""
    assert_close(similarity.mT, recorded["sim_v2t"].T, rtol=1e-4, atol=2e-4, what="similarity")
    labels = torch.from_numpy(recorded["itm_labels"]).long()
    lost = torch.nonzero(labels == 0)[:, 0]
    draws = torch.zeros(len(labels))
    draws[lost] = torch.from_numpy(recorded["rand_draws"]).float()
    index = torch.zeros_like(labels)
    index[lost] = torch.from_numpy(recorded["multinomial_index"])
    plan = make_plan(labels, torch.arange(len(labels)), draws > 0.5, index, index)
    np.testing.assert_array_equal(plan.video_source, recorded["itm_video_source"])
    np.testing.assert_array_equal(plan.text_source, recorded["itm_text_source"])
    by_video = negative_weights(similarity.mT, positives)
    by_text = negative_weights(similarity, positives)
    weights = torch.where((draws > 0.5)[:, None], by_video, by_text)[lost]
    assert_close(weights, recorded["multinomial_weights"], rtol=1e-3, atol=1e-5, what="weights")


@on_network
@pytest.mark.slow
@pytest.mark.recordings("gradients")
def test_gradients(recording: Path, device: str) -> None:
    recorded = read(recording)
    step_file = auxiliary(recording, recording.name.replace("gradients", "train_step"))
    model = published(recording, network_of(recorded), device)
    batch = recorded_batch(recording, read(step_file), 2).to(device)
    model.zero_grad()
    losses = gradient_losses(model, batch)
    np.testing.assert_allclose([x.item() for x in losses], recorded["losses"], rtol=1e-4)
    (losses[0] + losses[1] + 2 * losses[2]).backward()
    compare_gradients(model, recorded)
    model.zero_grad()


def gradient_losses(model: VideoLanguageModel, batch: PretrainingBatch) -> list[torch.Tensor]:
    """Contrastive, language and matching loss; both matching texts are the first one."""
    text, clips = model.encode_text(batch.ids, batch.mask), model.encode_video(batch.video)
    prefix = model.video_prefix(batch.video)
    spoken = model.fuse(prefix, model.text_prefix(batch.corrupted, batch.mask), batch.mask)
    first = torch.zeros(len(batch.ids), dtype=torch.long, device=prefix.device)
    states = model.text_prefix(batch.ids, batch.mask)[first]
    pairs = model.fuse(prefix, states, batch.mask[first])
    labels = torch.tensor([1, 0], device=prefix.device)
    return [
        norm_softmax(cosine_similarity(text, clips)),
        masked_language(model, spoken.text, batch.labels),
        matching(model.itm_logits(pairs), labels),
    ]


def compare_gradients(model: VideoLanguageModel, recorded: dict[str, Any]) -> None:
    ours = {KEYS.official_name(n): p.grad for n, p in model.named_parameters()}
    assert set(ours) == set(recorded["names"].tolist())
    for name, norm, total in zip(
        recorded["names"], recorded["grad_norm"], recorded["grad_sum"], strict=False
    ):
        grad = ours[str(name)]
        found = 0.0 if grad is None else grad.double().norm().item()
        tolerance = 5e-3 * norm if norm > 1e-4 else 1e-6
        assert abs(found - norm) <= tolerance, (name, found, norm)
        if grad is not None and norm > 1e-4:
            # a sum of values of both signs is known as well as their norm allows
            bound = 5e-3 * norm * np.sqrt(grad.numel())
            assert abs(grad.double().sum().item() - total) <= bound, name


@pytest.mark.recordings("optimizer")
def test_optimiser_trajectory(recording: Path) -> None:
    recorded = read(recording)
    stream = recipe(recording)["streams"]
    config = OptimConfig(learning_rate=1e-2, warmup_updates=3)
    steps = len(recorded["lr"])
    factor = schedule(config, steps)
    rates = [config.learning_rate * factor(t) for t in range(steps)]
    np.testing.assert_allclose(rates, recorded["lr"], atol=1e-12, rtol=1e-9)
    start = normal(f"{stream}/optim/p", recorded["trajectory"].shape[1:])
    parameter = nn.Parameter(torch.from_numpy(start))
    optimizer = LegacyAdamW([parameter], 1e-2, (0.9, 0.98), 1e-8, weight_decay=0.01)
    for i, rate in enumerate(rates):
        assert_close(parameter, recorded["trajectory"][i], atol=1e-6, what=f"step {i}")
        parameter.grad = torch.from_numpy(normal(f"{stream}/optim/g{i}", start.shape))
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
    assert_close(parameter, recorded["trajectory"][-1], atol=1e-6, what="end")


@pytest.mark.recordings("optimizer")
def test_linear_schedule(recording: Path) -> None:
    recorded = read(recording)["linear_lr"]
    config = OptimConfig(learning_rate=3e-5, schedule="polynomial", warmup_updates=2)
    factor = schedule(config, 20)
    np.testing.assert_allclose(
        [3e-5 * factor(t) for t in range(len(recorded))], recorded, atol=1e-12, rtol=1e-9
    )


@pytest.mark.recordings("groups")
def test_parameter_groups(recording: Path) -> None:
    recorded = json.loads(recording.read_text())
    keys = json.loads(auxiliary(recording, "egovlpv2_4f.keys.json").read_text())
    state = {k: torch.empty(shape) for k, (_, shape) in keys.items()}
    model = build_empty(recognise(state))
    factor = recorded[2]["lr"] / recorded[0]["lr"]
    config = OptimConfig(
        learning_rate=recorded[0]["lr"], head_lr_factor=factor, cross_lr_factor=factor
    )
    groups = parameter_groups(model, config)
    assert len(groups) == len(recorded)
    for ours, theirs in zip(groups, recorded, strict=False):
        assert ours["lr"] == pytest.approx(theirs["lr"], rel=1e-12)
        assert ours["weight_decay"] == theirs["weight_decay"]
        assert {KEYS.official_name(n) for n in ours["names"]} == set(theirs["names"])
    assert sum(len(g["params"]) for g in make_optimizer(model, config).param_groups) == len(
        list(model.parameters())
    )
