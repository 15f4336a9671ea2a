"""STPN: prompts equal the official order of work; options."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.nn.swin import DropPath
from egolib.vod.models.stpn import merge_prompts
from tests.oracles.vod import official_prompt_maps
from tests.vod.small import begin, clip, frames, make, same


def test_prompted_maps_equal_the_official_order_of_work():
    model, _ = make("stpn")
    images, prompts = frames(1).images, torch.randn(5, 16)
    with torch.no_grad():
        ours = model.backbone(images, prompts)
        official = official_prompt_maps(model.backbone, images, prompts)
        plain = model.backbone(images)
    for a, b, c in zip(ours, official, plain, strict=False):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(a, c)


def test_images_of_a_batch_do_not_mix():
    """The official code is right for one image at a time only."""
    model, _ = make("stpn")
    images, prompts = frames(2).images, torch.randn(5, 16)
    with torch.no_grad():
        both = model.backbone(images, prompts)
        alone = model.backbone(images[1:], prompts)
    for a, b in zip(both, alone, strict=False):
        torch.testing.assert_close(a[1:], b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rule", ["official", "interleaved"])
def test_merging_of_prompts(rule: str):
    """A prompt that interleaves is what a constant map of its value becomes."""
    model, _ = make("stpn")
    merge = model.backbone.stages[0].merge
    prompts = torch.randn(1, 2, 16)
    with torch.no_grad():
        merged = merge_prompts(merge, prompts, rule)
        constant = merge(prompts[:, 0, None, None].expand(1, 2, 2, 16))[0, 0, 0]
    assert merged.shape == (1, 2, 32)
    assert torch.allclose(merged[0, 0], constant, atol=1e-5) == (rule == "interleaved")


def test_prompts_come_from_the_references_once():
    model, _ = make("stpn")
    references, frame = frames(3, seed=4), frames(1)
    state = begin(model, references)
    assert state.prompts.shape == (5, 16)
    same(model.step(frame, state), model.step(frame, state))
    other = begin(model, frames(3, seed=8))
    assert not torch.allclose(state.prompts, other.prompts)
    assert begin(model).prompts is None


def test_average_predictor():
    model, config = make(
        "stpn", change=lambda c: replace(c, prompt=replace(c.prompt, predictor="average"))
    )
    tokens = torch.zeros(2, 9, 128)
    tokens[0, 4], tokens[1, 7] = 3.0, -5.0
    with torch.no_grad():
        prompts = model.predictor(tokens)
        expected = model.predictor.reduction(torch.full((128,), -1.0))
    assert prompts.shape == (config.prompt.number, 16)
    torch.testing.assert_close(prompts[0], expected)


@pytest.mark.parametrize(("rule", "active"), [("official", True), ("off", False)])
def test_drop_path_of_the_reference_pass(rule: str, active: bool):
    def change(config):
        swin = replace(config.swin, drop_path=0.5)
        return replace(config, swin=swin, prompt=replace(config.prompt, reference_drop_path=rule))

    model, _ = make("stpn", change=change)
    model.train()
    seen: list[bool] = []
    drop = next(m for m in model.backbone.modules() if isinstance(m, DropPath) and m.fraction > 0)
    drop.together = lambda *parts: (seen.append(drop.training), parts)[1]
    model.losses(clip(2), torch.Generator().manual_seed(0))
    assert seen[0] is active  # the references come first
    assert seen[-1] is True and drop.training


def test_references_take_no_gradient():
    model, _ = make("stpn")
    given = clip(2)
    given.references.images.requires_grad_(True)
    model.train().losses(given)["classes"].backward()
    assert given.references.images.grad is None
