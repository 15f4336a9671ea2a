from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egolib.engine.config import FitConfig
from egolib.engine.fit import FitResult, fit
from egolib.io import checkpoint
from egolib.vlp.config import LossConfig, OptimConfig, SummarizerConfig
from egolib.vlp.data import qfvs
from egolib.vlp.summarization.features import COMMON
from egolib.vlp.summarization.network import build_summarizer
from egolib.vlp.summarization.selection import best_possible_summary
from egolib.vlp.summarization.training import (
    EvaluatedVideo,
    SummaryData,
    SummaryRules,
    evaluate_summaries,
    make_job,
    mean_match,
    prompt_scores,
    summaries,
    summary_item,
    trained_matches,
    training_network,
)
from tests.vlp.summaries import PLACES, SHOTS, features, write_annotations

NETWORK = SummarizerConfig(width=12, hidden=20, longest=PLACES)
OPTIM = OptimConfig(
    learning_rate=0.05,
    head_lr_factor=1.0,
    weight_decay=0.1,
    warmup_epochs=2,
    end_learning_rate=5e-5,
)
RULES = SummaryRules(fraction=0.2, zero_f1="zero")


def world(folder: Path, video: int, common: bool = False) -> tuple[SummaryData, EvaluatedVideo]:
    """A video's training data, and the same video to be evaluated on."""
    tags = write_annotations(folder, video, seed=video)
    queries = qfvs.read_queries(folder, video, SHOTS, SHOTS + 9)
    prompts = list(dict.fromkeys(p for q in queries for p in q.prompts))
    found = features([COMMON] if common else prompts, seed=video)
    dense = qfvs.read_dense_tags(folder, video)
    items = [summary_item(query, found, dense) for query in queries]
    return SummaryData(items, PLACES), EvaluatedVideo(found, queries, tags)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_targets_of_an_item(tmp_path: Path) -> None:
    data, judged = world(tmp_path, 1)
    item = data.items[0]
    assert item.targets.shape == (3, SHOTS)
    assert item.targets[0].tolist() == judged.tags[:, 0].tolist()
    assert np.flatnonzero(item.targets[2]).tolist() == list(item.query.oracle)
    beyond = replace(item.query, oracle=(*item.query.oracle, SHOTS + 2))
    dense = qfvs.read_dense_tags(tmp_path, 1)
    assert np.array_equal(summary_item(beyond, item.features, dense).targets, item.targets)


def test_prompts_with_equal_features_share_a_sequence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    apart, shared = world(tmp_path, 1)[0], world(tmp_path, 1, common=True)[0]
    assert [s.targets.shape[0] for s in apart.sample(0, rng)] == [1, 1, 1]
    assert [s.targets.shape[0] for s in shared.sample(0, rng)] == [3]
    batch = apart.collate([apart.sample(i, rng) for i in range(2)])
    assert batch.queries == 2 and len(batch.sequences) == 6


def test_every_query_of_a_video_has_one_summary_where_it_has_no_effect(tmp_path: Path) -> None:
    model = build_summarizer(NETWORK, generator()).eval()
    for common, equal in ((True, True), (False, False)):
        _, judged = world(tmp_path, 1, common)
        first, second = summaries(model, judged.features, judged.queries, RULES)
        assert len(first) == int(0.2 * SHOTS)
        assert np.array_equal(first, second) == equal


def test_scores_of_prompts(tmp_path: Path) -> None:
    model = build_summarizer(NETWORK, generator()).eval()
    _, judged = world(tmp_path, 1)
    prompt = judged.queries[0].prompts[2]
    (official,) = prompt_scores(model, judged.features, [prompt])
    (zeros,) = prompt_scores(model, judged.features, [prompt], "zeros")
    assert official.shape == (SHOTS,) and np.abs(official - zeros).max() > 1e-6


def train(folder: Path, monitor: str = "f1:max") -> FitResult:
    data, _ = world(folder, 1)
    _, val = world(folder, 2)
    _, test = world(folder, 3)
    settings = FitConfig(
        epochs=4, log_every=1, drop_last=False, evaluate_first=True, evaluate_every=1,
        monitor=monitor,
    )  # fmt: skip

    def build() -> Any:
        model = build_summarizer(training_network(NETWORK, LossConfig()), generator())
        return make_job(model, data, OPTIM, settings, test=test, val=val, rules=RULES)

    return fit(build, settings, folder / f"run_{monitor}", seed=0, fingerprint=monitor)


@pytest.mark.parametrize("monitor", ["f1:max", "val_f1:max", ""])
def test_what_is_selected(tmp_path: Path, monitor: str) -> None:
    result = train(tmp_path, monitor)
    records = result.evaluations()
    assert [r["update"] for r in records] == [0, 2, 4, 6, 8]
    matches = trained_matches(result, monitor)
    assert matches["untrained"].f1 == records[0]["f1"]
    assert matches["last"].f1 == records[-1]["f1"]
    if not monitor:
        assert result.best is None and matches["selected"] == matches["last"]
        return
    name = monitor.partition(":")[0]
    best = max(records, key=lambda r: r[name])
    assert matches["selected"].f1 == best["f1"]
    assert result.best is not None
    _, about = checkpoint.load(result.best)
    assert about["update"] == best["update"]


def test_the_loss_falls(tmp_path: Path) -> None:
    losses = [r["loss"] for r in train(tmp_path).losses()]
    assert np.mean(losses[-2:]) < np.mean(losses[:2])


def test_dropout_is_off_officially() -> None:
    assert training_network(NETWORK, LossConfig()).dropout == 0.0
    kept = training_network(NETWORK, LossConfig(train_mode="dropout"))
    assert (kept.dropout, kept.head_dropout) == (0.1, 0.2)


def test_the_best_possible_summary_is_the_ceiling(tmp_path: Path) -> None:
    _, judged = world(tmp_path, 1)
    found = [best_possible_summary(q.oracle, judged.tags, 4) for q in judged.queries]
    matches = evaluate_summaries(found, judged.queries, judged.tags)
    shown = [sum(judged.tags[s].any() for s in q.oracle) for q in judged.queries]
    expected = [
        2 * min(4, n) / (4 + len(q.oracle)) for n, q in zip(shown, judged.queries, strict=False)
    ]
    assert [m.f1 for m in matches] == pytest.approx(expected)
    assert (
        judged.evaluate(build_summarizer(NETWORK, generator()).eval(), RULES).f1
        <= mean_match(matches).f1 + 0.2
    )
