from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from egolib.vlp.config import SummarizerConfig
from egolib.vlp.summarization.losses import (
    SummaryBatch,
    SummaryLoss,
    SummarySequence,
    shot_scores,
    summary_losses,
)
from egolib.vlp.summarization.network import build_summarizer

MODEL = build_summarizer(
    SummarizerConfig(width=12, hidden=20, longest=9), torch.Generator().manual_seed(0)
).eval()


def sequence(lengths: list[int], targets: int, seed: int) -> SummarySequence:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(targets, sum(lengths), generator=generator) < 0.3
    features = torch.randn(len(lengths), 9, 12, generator=generator)
    return SummarySequence(features, torch.tensor(lengths), labels.float())


BATCH = SummaryBatch([sequence([4, 0, 2], 3, 1), sequence([9, 1, 0], 1, 2)], 2)


def test_sequences_of_a_batch_do_not_meet() -> None:
    together = shot_scores(MODEL, BATCH.sequences)
    for found, alone in zip(together, BATCH.sequences, strict=False):
        expected = MODEL.score_shots(alone.features, alone.lengths)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_every_target_is_a_mean_over_shots() -> None:
    losses = summary_losses(MODEL, BATCH)
    scores = [
        s
        for s, q in zip(shot_scores(MODEL, BATCH.sequences), BATCH.sequences, strict=False)
        for _ in q.targets
    ]
    targets = [t for q in BATCH.sequences for t in q.targets]
    assert losses.shape == (4,)
    for loss, score, target in zip(losses, scores, targets, strict=False):
        expected = F.binary_cross_entropy_with_logits(score, target)
        torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("reduction, divisor", [("official", 1), ("mean", 2)])
def test_queries_are_summed_officially(reduction: str, divisor: int) -> None:
    loss = SummaryLoss(reduction)(MODEL, BATCH)["loss"]  # type: ignore[arg-type]
    torch.testing.assert_close(loss, summary_losses(MODEL, BATCH).sum() / divisor)


def test_shared_features_give_the_gradient_of_three_sequences() -> None:
    """Where the query changes no feature, one pass serves all three targets."""
    shared = sequence([5, 3], 3, 4)
    apart = [
        SummarySequence(shared.features, shared.lengths, shared.targets[i : i + 1])
        for i in range(3)
    ]
    grads = []
    for sequences in ([shared], apart):
        MODEL.zero_grad()
        summary_losses(MODEL, SummaryBatch(sequences, 1)).sum().backward()
        grads.append({k: p.grad.clone() for k, p in MODEL.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    for name, grad in grads[0].items():
        torch.testing.assert_close(grad, grads[1][name], atol=1e-6, rtol=1e-4)
