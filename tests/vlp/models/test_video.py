from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from egolib.vlp.models.video import DividedAttention, DropPath, VideoBlock, VideoEncoder
from tests.vlp.small import CONFIG, small_model

FRAMES, PATCHES = 3, 4


def masked_attention(attention: DividedAttention, x: Tensor) -> Tensor:
    """The same attention over all tokens at once, with a mask instead of groups."""
    frame = torch.arange(FRAMES).repeat_interleave(PATCHES)
    place = torch.arange(PATCHES).repeat(FRAMES)
    key = place if attention.axis == "time" else frame
    allowed = torch.ones(len(key) + 1, len(key) + 1, dtype=torch.bool)
    allowed[1:, 1:] = key[:, None] == key
    q, k, v = attention.qkv(x).unflatten(-1, (3, attention.heads, -1)).permute(2, 0, 3, 1, 4)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    weights = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
    return attention.out((weights @ v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize("axis", ["time", "space"])
def test_groups_equal_a_mask(axis: str) -> None:
    torch.manual_seed(0)
    attention = DividedAttention(24, 3, axis, PATCHES)  # type: ignore[arg-type]
    x = torch.randn(2, 1 + FRAMES * PATCHES, 24)
    torch.testing.assert_close(attention(x), masked_attention(attention, x))


def test_few_frames_product_by_product() -> None:
    """What a GPU computes for short groups, here on the CPU."""
    torch.manual_seed(0)
    attention = DividedAttention(24, 3, "time", PATCHES)
    x = torch.randn(2, 1 + FRAMES * PATCHES, 24)
    q, k, v = attention.qkv(x).unflatten(-1, (3, 3, -1)).permute(2, 0, 3, 1, 4)
    patches = attention.out(attention._few_frames(q, k, v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(patches, masked_attention(attention, x)[:, 1:])


def test_the_spatial_branch_is_added_to_the_blocks_input() -> None:
    torch.manual_seed(0)
    block = VideoBlock(24, 3, 48, PATCHES).eval()
    x = torch.randn(1, 1 + FRAMES * PATCHES, 24)
    time = x + block.time_attention(block.time_norm(x))
    y = x + block.space_attention(block.space_norm(time))
    torch.testing.assert_close(block(x), y + block.mlp(block.mlp_norm(y)))


def test_a_closed_gate_changes_nothing_and_an_open_one_reads_the_text() -> None:
    torch.manual_seed(0)
    block = VideoBlock(24, 3, 48, PATCHES, text_width=10).eval()
    x, text = torch.randn(1, 1 + FRAMES * PATCHES, 24), torch.randn(1, 5, 10)
    torch.testing.assert_close(block(x, text), block(x))
    block.cross_gate.data.fill_(1.0)
    assert (block(x, text) - block(x)).abs().max() > 1e-2


def test_drop_path_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.25).train()
    out = drop(torch.ones(4000, 2))
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    assert (out[:, 0] == out[:, 1]).all()
    assert drop.eval()(out) is out


def test_drop_path_grows_over_the_blocks() -> None:
    encoder = VideoEncoder(replace(CONFIG, drop_path=0.2))
    found = [block.drop_path.probability for block in encoder.blocks]
    assert found == pytest.approx([0.0, 0.1, 0.2])


def test_tokens_are_frame_by_frame() -> None:
    """A change in one frame's last patch changes that token and no other."""
    encoder = small_model().video
    video = torch.zeros(1, 2, 3, 32, 32)
    before = encoder.embed(video, encoder.class_token)
    video[0, 1, :, 16:, 16:] = 1
    changed = (encoder.embed(video, encoder.class_token) - before).abs().sum(-1)[0] > 0
    assert changed.nonzero().flatten().tolist() == [1 + 4 + 3]


@pytest.mark.parametrize("shape", [(1, 3, 3, 32, 32), (1, 2, 3, 64, 64)])
def test_wrong_input_is_refused(shape: tuple[int, ...]) -> None:
    encoder = small_model().video
    with pytest.raises(ValueError, match="frames|pixels"):
        encoder.embed(torch.zeros(shape), encoder.class_token)


def test_checkpointing_gives_the_same_gradients() -> None:
    found = []
    for recompute in (False, True):
        model = small_model(gradient_checkpointing=recompute).train()
        torch.manual_seed(0)
        model.encode_video(torch.randn(1, 2, 3, 32, 32)).pow(2).sum().backward()
        found.append({k: p.grad for k, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, grad in found[0].items():
        torch.testing.assert_close(grad, found[1][name])
