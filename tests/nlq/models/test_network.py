"""The assembled network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.nlq.config import ModelConfig
from egolib.nlq.data.dataset import collate
from egolib.nlq.models.network import GroundNLQ, branch_windows, padded_length
from egolib.nn.temporal_attention import _band
from egolib.nn.temporal_blocks import position_table
from tests.nlq.small import CUES, SMALL, data, network


def run(model: GroundNLQ, batch, text_padding="official"):
    with torch.no_grad():
        return model(
            batch.video,
            batch.video_mask,
            batch.tokens,
            batch.token_masks,
            text_padding=text_padding,
        )


def batch_of(config: ModelConfig, indices, padding="official"):
    questions = data(config)
    return collate([questions[i] for i in indices], config, padding)


def test_shapes_and_zeros_in_the_padding():
    found = run(network(), batch_of(SMALL, range(4)))
    assert found.lengths == (256, 128, 64, 32, 16)
    assert found.logits.shape == (4, sum(found.lengths), 1)
    assert found.offsets.shape == (4, sum(found.lengths), 2)
    assert (found.offsets >= 0).all()
    assert (found.logits[~found.mask] == 0).all() and (found.offsets[~found.mask] == 0).all()
    assert (found.logits[found.mask] != 0).all()


@pytest.mark.parametrize("config", [SMALL, CUES, replace(SMALL, head_kernel=5, embedding_kernel=7)])
def test_cropped_padding_changes_nothing(config):
    model = network(config)
    whole, cropped = (run(model, batch_of(config, range(9), p)) for p in ("official", "cropped"))
    assert cropped.lengths[0] < whole.lengths[0]
    for values in ("logits", "offsets"):
        for level in range(config.levels):
            a = whole.level(getattr(whole, values), level)
            b = cropped.level(getattr(cropped, values), level)
            torch.testing.assert_close(a[:, : b.shape[1]], b, rtol=1e-4, atol=1e-5)


def test_less_padding_would_change_something():
    """The padded position is there for a reason."""
    model, questions = network(), data(lengths=(64,))
    item = questions[0]
    length = padded_length(64, SMALL)
    outputs = []
    for padding in (length, 64):
        video = torch.zeros(1, padding, 12)
        video[0, :64] = torch.from_numpy(item.video)
        mask = torch.arange(padding)[None] < 64
        tokens = {"query": torch.from_numpy(item.tokens["query"])[None]}
        with torch.no_grad():
            found = model(video, mask, tokens, {"query": torch.ones(tokens["query"].shape[:2]) > 0})
        outputs.append(found.level(found.logits, 0)[:, :64])
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


@pytest.mark.parametrize(("padding", "same"), [("official", False), ("per_query", True)])
def test_text_padding(padding, same):
    """Per-query text makes a result independent of what it is batched with."""
    model, questions = network(), data()
    lengths = [len(item.tokens["query"]) for item in questions]
    short, long = int(np.argmin(lengths)), int(np.argmax(lengths))
    assert lengths[short] < lengths[long]
    alone = run(model, collate([questions[short]], SMALL, "official"), padding)
    beside = run(model, collate([questions[short], questions[long]], SMALL, "official"), padding)
    difference = (alone.logits[0] - beside.logits[0]).abs().max().item()
    assert difference < 1e-5 if same else difference > 1e-3


def test_the_whole_network_gets_gradients():
    config = replace(CUES, cross_branch_blocks=2, plain_branch_blocks=2, relative_bias=True)
    model = network(config).train()
    batch = batch_of(config, range(6))
    found = model(batch.video, batch.video_mask, batch.tokens, batch.token_masks)
    (found.logits.square().sum() + found.offsets.square().sum()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_cues_have_an_effect():
    model, batch = network(CUES), batch_of(CUES, range(3))
    before = run(model, batch).logits
    batch.tokens["captions"] = batch.tokens["captions"] + 1
    assert (run(model, batch).logits - before).abs().max() > 1e-3


def test_a_question_may_lack_cues():
    model, questions = network(CUES), data(CUES)
    items = [questions[0], questions[1]]
    items[0].tokens["objects"] = np.zeros((0, 5), np.float32)
    found = run(model, collate(items, CUES))
    assert found.logits.isfinite().all()


def test_windows_of_mixed_branches():
    config = ModelConfig(
        cross_branch_blocks=2, plain_branch_blocks=4, windows=(9, 9, 9, 9, 9, 5, -1)
    )
    assert branch_windows(config) == [9, 9, 9, 9, 9, 9, 9]
    assert branch_windows(replace(config, branch_windows="by_level")) == [9, 9, 9, 9, 9, 5, -1]
    with pytest.raises(EgolibError, match="windows"):
        branch_windows(replace(config, windows=(9, 5)))


@pytest.mark.parametrize(
    ("longest", "expected"), [(1, 65), (64, 65), (65, 129), (897, 961), (2500, 2560), (2560, 2560)]
)
def test_padded_length(longest, expected):
    assert padded_length(longest, ModelConfig()) == expected


def test_position_table_follows_the_formula():
    table = position_table(100, 256, 16, torch.device("cpu"))
    for position, channel in ((0, 0), (0, 1), (7, 4), (99, 15)):
        angle = position / 10000 ** (2 * (channel // 2) / 16)
        expected = (np.cos if channel % 2 else np.sin)(angle) / 4
        assert table[position, channel].item() == pytest.approx(expected, abs=1e-6)


def test_longer_videos_stretch_the_table_at_inference_only():
    table = position_table(512, 256, 16, torch.device("cpu"))
    assert table.shape == (512, 16)
    model = network()
    video, mask = torch.randn(1, 300, 12), torch.ones(1, 300, dtype=torch.bool)
    model.encode_video(video, mask)
    with pytest.raises(EgolibError, match="max_length"):
        model.train().encode_video(video, mask)


def test_initial_values():
    model = GroundNLQ(replace(SMALL, classes=2, empty_classes=(1,), relative_bias=True))
    bias = model.classification.output.bias
    assert bias.tolist() == pytest.approx([-4.59512, -13.81551], abs=1e-4)
    zero = [p for n, p in model.named_parameters() if n.endswith("bias") and p is not bias]
    assert all((p == 0).all() for p in zero if p.ndim == 1)
    assert all((p == 1).all() for p in model.level_scales)
    assert (model.stem[0].attention_depth.gain == 1e-4).all()


def test_impossible_networks_are_refused():
    for wrong in ({"heads": 3}, {"stem_blocks": 0}, {"text_streams": ()}):
        with pytest.raises(EgolibError):
            GroundNLQ(replace(SMALL, **wrong))


def test_inference_first_does_not_break_training():
    """Cached tables made in inference mode must serve a later backward pass."""
    position_table.cache_clear()
    _band.cache_clear()
    config = replace(SMALL, relative_bias=True)
    model, batch = network(config), batch_of(config, range(2), "cropped")
    with torch.inference_mode():
        model(batch.video, batch.video_mask, batch.tokens, batch.token_masks)
    model.train()
    run_again = model(batch.video, batch.video_mask, batch.tokens, batch.token_masks)
    run_again.logits.sum().backward()
