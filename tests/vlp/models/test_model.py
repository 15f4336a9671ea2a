from __future__ import annotations

import torch

from tests.vlp.small import batch, small_model


def test_widths_of_all_outputs() -> None:
    model, b = small_model(), batch(3)
    with torch.no_grad():
        fused = model.fuse_pairs(b.video, b.ids, b.mask)
        assert model.encode_video(b.video).shape == (3, 16)
        assert model.encode_text(b.ids, b.mask).shape == (3, 16)
        assert model.itm_logits(fused).shape == (3, 2)
        assert model.mlm_logits(fused.text).shape == (3, 7, 13)


@torch.no_grad()
def test_one_prefix_serves_any_pair() -> None:
    model, b = small_model(), batch(3)
    video, text = model.video_prefix(b.video), model.text_prefix(b.ids, b.mask)
    for i, j in ((0, 0), (1, 0), (2, 1)):
        shared = model.fuse(video[i : i + 1], text[j : j + 1], b.mask[j : j + 1])
        alone = model.fuse_pairs(b.video[i : i + 1], b.ids[j : j + 1], b.mask[j : j + 1])
        torch.testing.assert_close(model.itm_logits(shared), model.itm_logits(alone))


@torch.no_grad()
def test_both_sides_read_the_state_before_the_layer() -> None:
    """Layer by layer by hand: no side sees what the other one becomes in the same layer."""
    model, b = small_model(), batch(2)
    from egolib.nn.text_encoder import attention_bias

    video, text = model.video_prefix(b.video), model.text_prefix(b.ids, b.mask)
    fused = model.fuse(video, text, b.mask)
    bias = attention_bias(b.mask)
    for i in (1, 2):
        before_video, before_text = video, text
        video = model.video.blocks[i](before_video, before_text, bias)
        text = model.text.layers[i](before_text, bias, before_video)
    torch.testing.assert_close(fused.text, text)
    torch.testing.assert_close(fused.video_class, model.fusion_norm(video[:, 0]))


@torch.no_grad()
def test_the_two_paths_start_from_different_class_tokens() -> None:
    model, b = small_model(), batch(2)
    before = model.encode_video(b.video), model.video_prefix(b.video)
    model.fusion_class_token.add_(1)
    torch.testing.assert_close(model.encode_video(b.video), before[0])
    assert (model.video_prefix(b.video) - before[1]).abs().max() > 1e-3


def test_every_weight_gets_a_gradient() -> None:
    """The three objectives together reach every part of the network."""
    from egolib.vlp.config import LossConfig
    from egolib.vlp.losses.pretraining import PretrainingLoss

    model = small_model().train()
    PretrainingLoss(LossConfig())(model, batch(4))["loss"].backward()
    without = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == set()


@torch.no_grad()
def test_the_small_text_projector_cuts_negative_values_first() -> None:
    model = small_model()
    assert not model.text_projector(-torch.ones(1, 40)).sub(model.text_projector[1].bias).any()
    assert small_model(projection="large").text_projector[0].bias is None
