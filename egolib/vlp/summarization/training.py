"""Training a summariser on the queries of some videos, and evaluating it on those of another.

Legend: S segments, M places, D width, n shots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from egolib.engine.config import FitConfig, updates_per_epoch
from egolib.engine.fit import FitResult
from egolib.engine.job import Evaluate, Job
from egolib.metrics.summarization import EmptyTags, Match, ZeroF1, mean_match
from egolib.vlp.config import LossConfig, OptimConfig, SummarizerConfig
from egolib.vlp.data.qfvs import Query, concept_labels
from egolib.vlp.summarization.evaluation import evaluate_summaries
from egolib.vlp.summarization.features import PaddingFeatures
from egolib.vlp.summarization.losses import SummaryBatch, SummaryLoss, SummarySequence
from egolib.vlp.summarization.network import Summarizer
from egolib.vlp.summarization.optim import make_optimizer, schedule
from egolib.vlp.summarization.selection import FRACTION, best_shots, summary_length


class Features(Protocol):
    """What is read of a video: ``features.VideoFeatures``."""

    @property
    def lengths(self) -> np.ndarray: ...

    def packed(self, prompt: str, places: int, padding: PaddingFeatures = "official") -> np.ndarray:
        """(S, M, D) float32 features for a prompt.

        Args:
            prompt: one of those that features were computed for.
            places: M.
            padding: what stands at empty places, see ``features.PaddingFeatures``.
        """
        ...

    def key(self, prompt: str) -> str: ...


@dataclass(frozen=True)
class SummaryItem:
    """A query with the features of its video and the targets of its three prompts.

    Args:
        query: what is asked.
        features: of the query's video.
        targets: (3, n) float32: shots that show the first concept, the second, and shots of
            the reference summary.
    """

    query: Query
    features: Features
    targets: np.ndarray


def summary_item(query: Query, features: Features, tags: Sequence[tuple[str, ...]]) -> SummaryItem:
    """The item of a query.

    Official behaviour: reference shots beyond the video are no targets.

    Args:
        query: what is asked.
        features: of the query's video.
        tags: concepts of every shot of it.
    """
    shots = int(np.sum(features.lengths))
    rows = [concept_labels(tags, concept, shots) for concept in query.concepts]
    oracle = np.zeros(shots, np.float32)
    oracle[[shot for shot in query.oracle if shot < shots]] = 1
    return SummaryItem(query, features, np.stack([*rows, oracle]))


class SummaryData:
    """Training items for the engine.

    Args:
        items: the queries of all training videos.
        places: M.
        padding: what stands at empty places.
    """

    def __init__(
        self, items: Sequence[SummaryItem], places: int, padding: PaddingFeatures = "official"
    ):
        self.items, self.places, self.padding = list(items), places, padding

    def __len__(self) -> int:
        return len(self.items)

    def sample(self, index: int, rng: np.random.Generator) -> list[SummarySequence]:
        """The sequences of one query: one a prompt, or one for all where they are equal."""
        item = self.items[index]
        rows: dict[str, list[int]] = {}
        for row, prompt in enumerate(item.query.prompts):
            rows.setdefault(item.features.key(prompt), []).append(row)
        lengths = torch.from_numpy(np.asarray(item.features.lengths))
        return [
            SummarySequence(
                packed(item.features, item.query.prompts[places[0]], self.places, self.padding),
                lengths,
                torch.from_numpy(item.targets[places]),
            )
            for places in rows.values()
        ]

    def collate(self, items: list[list[SummarySequence]]) -> SummaryBatch:
        """A batch of items."""
        return SummaryBatch([sequence for item in items for sequence in item], len(items))


def packed(features: Features, prompt: str, places: int, padding: PaddingFeatures) -> Tensor:
    """(S, M, D) features of a video for a prompt, as a tensor.

    Args:
        features: of the video.
        prompt: what they are for.
        places: M.
        padding: what stands at empty places.
    """
    return torch.from_numpy(features.packed(prompt, places, padding))


# -------------------------------------------------------------------------- evaluation


@dataclass(frozen=True)
class SummaryRules:
    """How scores become summaries, and what these are measured by.

    Args:
        fraction: of the shots that become the summary.
        padding: what stands at empty places.
        empty_tags: see ``metrics.summarization.EmptyTags``.
        zero_f1: see ``metrics.summarization.ZeroF1``.
    """

    fraction: float = FRACTION
    padding: PaddingFeatures = "official"
    empty_tags: EmptyTags = "official"
    zero_f1: ZeroF1 = "official"


@torch.no_grad()
def prompt_scores(
    model: Summarizer,
    features: Features,
    prompts: Sequence[str],
    padding: PaddingFeatures = "official",
) -> list[np.ndarray]:
    """(n,) logits of a video's shots for each prompt; equal features are scored once.

    Args:
        model: the summariser.
        features: of the video.
        prompts: what is asked.
        padding: what stands at empty places.
    """
    device = next(model.parameters()).device
    lengths = torch.from_numpy(np.asarray(features.lengths)).to(device)
    found: dict[str, np.ndarray] = {}
    for prompt in prompts:
        key = features.key(prompt)
        if key not in found:
            rows = packed(features, prompt, model.config.longest, padding).to(device)
            found[key] = model.score_shots(rows, lengths).float().cpu().numpy()
    return [found[features.key(prompt)] for prompt in prompts]


def summaries(
    model: Summarizer, features: Features, queries: Sequence[Query], rules: SummaryRules
) -> list[np.ndarray]:
    """(k,) shots of every query's summary, best first: scores of the third prompt alone.

    Args:
        model: the summariser, in evaluation mode.
        features: of the queries' video.
        queries: what is asked.
        rules: length of a summary, padding.
    """
    prompts = [query.prompts[2] for query in queries]
    scores = prompt_scores(model, features, prompts, rules.padding)
    return [best_shots(s, summary_length(len(s), rules.fraction)) for s in scores]


@dataclass(frozen=True)
class EvaluatedVideo:
    """A video that summaries are evaluated on.

    Args:
        features: of its shots.
        queries: with their reference summaries.
        tags: (n, concepts) 0 or 1.
    """

    features: Features
    queries: Sequence[Query]
    tags: np.ndarray

    def evaluate(self, model: Summarizer, rules: SummaryRules) -> Match:
        """Mean precision, recall and F1 over its queries."""
        found = summaries(model, self.features, self.queries, rules)
        matches = evaluate_summaries(
            found, self.queries, self.tags, rules.empty_tags, rules.zero_f1
        )
        return mean_match(matches)


# ---------------------------------------------------------------------------- training


def training_network(network: SummarizerConfig, loss: LossConfig) -> SummarizerConfig:
    """The network as it is trained.

    Official behaviour: an evaluation before the first epoch switches dropout off, and
    nothing switches it on again.
    """
    if loss.train_mode == "dropout":
        return network
    return replace(network, dropout=0.0, head_dropout=0.0)


def make_job(
    model: Summarizer,
    data: SummaryData,
    optim: OptimConfig,
    settings: FitConfig,
    *,
    test: EvaluatedVideo,
    val: EvaluatedVideo | None = None,
    rules: SummaryRules | None = None,
    loss: SummaryLoss | None = None,
    sidecar: dict[str, Any] | None = None,
) -> Job:
    """The training of a summariser, for ``egolib.engine``.

    Args:
        model: with its initial weights; see ``training_network``.
        data: the training queries.
        optim: rates.
        settings: length and batches. Official behaviour: it evaluates before training and
            after each epoch, and keeps the best epoch by F1 on the test video, the untrained
            network included.
        test: the video that results are of, as ``f1``, ``precision``, ``recall``.
        val: a video that is not trained on; its results begin with ``val_``.
        rules: how summaries are made and evaluated.
        loss: another one than the official.
        sidecar: what is written beside the weights.
    """
    per_epoch = updates_per_epoch(len(data), settings)
    return Job(
        model=model,
        loss=loss or SummaryLoss(),
        data=data,
        optimizer=make_optimizer(model, optim),
        schedule=schedule(optim, settings.epochs, per_epoch),
        evaluate=_evaluation(rules or SummaryRules(), test, val),
        sidecar=sidecar or {},
    )


def _evaluation(rules: SummaryRules, test: EvaluatedVideo, val: EvaluatedVideo | None) -> Evaluate:
    def evaluate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, Summarizer)
        found = vars(test.evaluate(model, rules))
        if val is not None:
            found = found | {f"val_{k}": v for k, v in vars(val.evaluate(model, rules)).items()}
        return dict(found)

    return evaluate


def trained_matches(result: FitResult, monitor: str = "f1:max") -> dict[str, Match]:
    """The test video's results of the ``untrained``, the ``last`` and the ``selected`` weights.

    Args:
        result: of a training.
        monitor: what was selected on, see ``FitConfig``; empty takes the last.
    """
    records = result.evaluations()
    found = [Match(r["precision"], r["recall"], r["f1"]) for r in records]
    name = monitor.partition(":")[0]
    selected = found[-1]
    if name:
        values = [r[name] if r[name] == r[name] else -1.0 for r in records]  # NaN is never best
        selected = found[int(np.argmax(values))]
    return {"untrained": found[0], "last": found[-1], "selected": selected}
