"""The network's small parts against their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from egolib.nlq.models.vslnet.embedding import Positions, VideoEmbedding
from egolib.nlq.models.vslnet.encoder import AttentionBlock, SeparableConv
from egolib.nlq.models.vslnet.fusion import Concatenation, ContextQueryAttention
from egolib.nlq.models.vslnet.highlight import Highlight
from egolib.nlq.models.vslnet.masks import BLOCKED, blocked
from egolib.nlq.models.vslnet.predictor import SpanPredictor
from tests.nlq.vslnet.small import FULL

B, T, L, C = 2, 7, 5, 8


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def inputs():
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[1, 4:] = False
    token_mask = torch.ones(B, L, dtype=torch.bool)
    token_mask[0, 3:] = False
    return torch.randn(B, T, C), torch.randn(B, L, C), mask, token_mask


def test_blocked():
    scores = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    mask = torch.tensor([[True, False], [False, False]])
    found = blocked(scores, mask)
    assert found.tolist() == [[1.0, pytest.approx(BLOCKED)], [pytest.approx(BLOCKED)] * 2]
    assert found.softmax(1).tolist() == [[1, 0], [0.5, 0.5]]  # nothing counts: uniform


def test_positions_are_added_to_padding_too():
    positions = Positions(T, C)
    assert torch.equal(positions(torch.zeros(B, 3, C))[1], positions.table[:3])


def test_video_embedding_drops_features_before_the_map():
    embedding = VideoEmbedding(4, C, 0.5)
    x = torch.ones(1, 1, 4)
    found = {tuple(embedding(x)[0, 0].tolist()) for _ in range(50)}
    assert len(found) > 4
    assert torch.equal(embedding.eval()(x), embedding.linear(x))


def test_separable_convolution():
    layer = SeparableConv(C, 3, 0.0)
    x = torch.randn(1, T, C)
    normed = torch.nn.functional.pad(layer.norm(x)[0], (0, 0, 1, 1))
    near = torch.stack(
        [(normed[t : t + 3] * layer.depthwise.weight[:, 0].t()).sum(0) for t in range(T)]
    )
    expected = x[0] + layer.pointwise(near).relu()
    torch.testing.assert_close(layer(x)[0], expected)


def test_separable_convolution_reads_what_the_mask_allows():
    layer = SeparableConv(C, 3, 0.0)
    x = torch.randn(1, T, C)
    mask = torch.arange(T).unsqueeze(0) < 4
    torch.testing.assert_close(layer(x, mask)[:, :4], layer(x[:, :4]))
    assert not torch.allclose(layer(x)[:, :4], layer(x[:, :4]))


def test_attention_block():
    block = AttentionBlock(C, 2, 0.0)
    x, _, mask, _ = inputs()
    normed = block.attention_norm(x)
    query, key, value = block.query(normed), block.key(normed), block.value(normed)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        scores = query[..., part] @ key[..., part].transpose(1, 2) / math.sqrt(4)
        scores = scores.masked_fill(~mask.unsqueeze(1), -math.inf)
        heads.append(scores.softmax(2) @ value[..., part])
    attended = torch.cat(heads, 2) + x
    expected = attended + block.output(block.output_norm(attended))
    torch.testing.assert_close(block(x, mask), expected)


def test_context_query_attention():
    layer = ContextQueryAttention(C, 0.0)
    video, tokens, mask, token_mask = inputs()
    similarity = torch.empty(B, T, L)
    for b in range(B):
        for t in range(T):
            for word in range(L):
                similarity[b, t, word] = (
                    video[b, t] @ layer.video_weight
                    + tokens[b, word] @ layer.token_weight
                    + (video[b, t] * tokens[b, word]) @ layer.product_weight
                )
    over_tokens = similarity.masked_fill(~token_mask.unsqueeze(1), -math.inf).softmax(2)
    over_video = similarity.masked_fill(~mask.unsqueeze(2), -math.inf).softmax(1)
    asked = over_tokens @ tokens
    seen = (over_tokens @ over_video.transpose(1, 2)) @ video
    expected = layer.output(torch.cat([video, asked, video * asked, video * seen], 2))
    torch.testing.assert_close(layer(video, tokens, mask, token_mask), expected)


def test_context_query_dropout_touches_the_similarity_alone():
    """What is attended to and concatenated keeps every value."""
    layer = ContextQueryAttention(C, 0.9).train()
    video, tokens, mask, token_mask = inputs()
    tokens = tokens[:, :1].expand(-1, L, -1)  # all alike, so that the weights do not matter
    with torch.no_grad():
        layer.output.weight[:, 3 * C :] = 0
    first, second = (layer(video, tokens, mask, token_mask) for _ in range(2))
    torch.testing.assert_close(first, second)


def test_concatenation():
    layer = Concatenation(C)
    video, tokens, _, token_mask = inputs()
    share = (tokens @ layer.pooling_weight).masked_fill(~token_mask, -math.inf).softmax(1)
    question = (share.unsqueeze(2) * tokens).sum(1, keepdim=True)
    expected = layer.output(torch.cat([video, question.repeat(1, T, 1)], 2))
    torch.testing.assert_close(layer(video, tokens, token_mask), expected)


def test_highlight():
    layer = Highlight(C)
    video, _, mask, _ = inputs()
    logits = layer(video, mask)
    torch.testing.assert_close(logits[mask], layer.output(video)[..., 0][mask])
    assert (logits[~mask].sigmoid() == 0).all()


def test_ends_are_encoded_from_starts_before_their_norm():
    predictor = SpanPredictor(FULL).eval()
    x, mask = torch.randn(1, T, FULL.width), torch.ones(1, T, dtype=torch.bool)
    before = predictor(x, mask)
    with torch.no_grad():
        predictor.start.norm.weight.mul_(2)
    start, end = predictor(x, mask)
    assert torch.equal(end, before[1]) and not torch.allclose(start, before[0])
    encoded = predictor.encoder(predictor.encoder(x, mask), mask)
    torch.testing.assert_close(end, predictor.end(encoded, x, mask))
