"""Speed of mq, as ratios in one run with a check that outputs are equal.

    OMP_NUM_THREADS=1 python -m benchmarks.mq [--runs 3] [--only inference,training]

Times are CPU seconds of this process. The slow side is our own code in the official order
of work, on the same kernels: all differences of features before they are reduced, every
neighbour mapped by itself, suppression class by class, metrics by plain loops.
Ends with 1 when a bar is missed or outputs differ.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EGOLIB_PROGRESS", "off")

import numpy as np
import torch

from benchmarks.bars import Bar, interleaved, ratio, run_parts
from egolib.mq.config import InferConfig, LossConfig, ModelConfig
from egolib.mq.data.annotations import Clip, Moment
from egolib.mq.data.labels import clip_targets
from egolib.mq.data.targets import Targets, stack_targets
from egolib.mq.evaluation import Evaluation, evaluate
from egolib.mq.localization.proposals import ClipOutputs, propose
from egolib.mq.localization.suppression import soft_nms
from egolib.mq.losses.vsgn import training_losses
from egolib.mq.models import graph
from egolib.mq.models.boundary import BoundaryOffset
from egolib.mq.models.graph import GraphBranch
from egolib.mq.models.vsgn import VSGN, build
from tests.oracles import moment_detection as loops
from tests.oracles import vsgn as plain

FEATURES = 897  # of a clip of 480 s
VAL_CLIPS = 521
VAL_MOMENTS = 4296


@contextmanager
def official_order() -> Iterator[None]:
    """The network's graph and boundary adjustment in the published order of work."""
    with (
        patch.object(graph, "find_neighbors", plain.find_neighbors),
        patch.object(GraphBranch, "aggregate", plain.aggregate),
        patch.object(BoundaryOffset, "forward", plain.boundary_offset),
    ):
        yield


def published() -> tuple[VSGN, torch.Tensor, torch.Tensor]:
    """The published network, and a clip of the real length."""
    generator = torch.Generator().manual_seed(0)
    features = torch.zeros(1, 4096, 928)
    features[..., :FEATURES] = torch.randn(1, 4096, FEATURES, generator=generator)
    return build(ModelConfig(), 0), features, torch.tensor([FEATURES])


def compared(name: str, work: Callable[[], Any], runs: int, equal: Callable, least: float) -> Bar:
    """One work in both orders: the ratio of their times, and whether the results agree."""
    results = {}

    def slow() -> None:
        with official_order():
            results["official"] = work()

    def fast() -> None:
        results["fast"] = work()

    times = interleaved({"official": slow, "fast": fast}, runs)
    same = equal(results["official"], results["fast"])
    return Bar(name, ratio(times, "official", "fast"), "x", least, True, same)


def inference(runs: int) -> list[Bar]:
    """One clip through the published network."""
    network, features, lengths = published()

    @torch.inference_mode()
    def work() -> tuple[torch.Tensor, ...]:
        found = network(features, lengths)
        return found.scores(), found.boxes, found.adjusted, found.startness

    def equal(a: tuple, b: tuple) -> bool:
        scores, boxes, _, curves = (float((x - y).abs().max()) for x, y in zip(a, b, strict=False))
        moved = ((a[2] - b[2]).abs() > 1e-3).float().mean()  # a column index may fall apart
        return scores < 1e-5 and boxes < 1e-3 and curves < 1e-5 and moved < 0.01

    return [compared("inference of a clip, against official order", work, runs, equal, 2)]


def targets() -> Targets:
    """Eight moments of a clip."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0, FEATURES - 100, 8)
    moments = np.stack([start, start + rng.exponential(30, 8) + 2], 1)
    return stack_targets([clip_targets(moments, rng.integers(1, 111, 8), FEATURES, 928)])


def training(runs: int) -> list[Bar]:
    """Loss and gradients of one clip in the published network."""
    network, features, lengths = published()
    wanted = targets()

    def work() -> tuple[float, float]:
        network.zero_grad(set_to_none=True)
        loss = training_losses(network, features, lengths, wanted, LossConfig())["loss"]
        loss.backward()
        norms = [p.grad.norm() for p in network.parameters() if p.grad is not None]
        return loss.item(), torch.stack(norms).norm().item()

    equal = partial(np.allclose, rtol=1e-4)
    return [compared("training step of a clip, against official order", work, runs, equal, 2)]


# ------------------------------------------------------------------- post-processing


def untrained_outputs() -> ClipOutputs:
    """Outputs of a network that knows nothing: almost every box of every class is likely."""
    rng = np.random.default_rng(0)
    center = rng.uniform(0, 928, 3596)
    half = rng.exponential(15, 3596)
    logits = rng.standard_normal((3596, 111)).astype(np.float32) * 2
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    boxes = np.stack([center - half, center + half], 1).astype(np.float32)
    curves = rng.uniform(0.1, 0.9, (2, 928)).astype(np.float32)
    return ClipOutputs(scores, boxes, *curves)


def suppression(runs: int) -> list[Bar]:
    """Hard suppression of 110 classes, then soft suppression of all that is left."""
    outputs, config = untrained_outputs(), InferConfig()
    found: dict[str, Any] = {}

    def fast() -> None:
        proposals = propose(outputs, FEATURES, 1.87, config)
        picks, scores = soft_nms(proposals.segments_sec, proposals.scores, proposals.labels)
        found["fast"] = (proposals, picks, scores)

    def by_class() -> None:
        found["by class"] = propose_by_class(outputs, config)

    def by_list() -> None:
        p = found["fast"][0]
        found["list"] = loops.soft_nms(p.segments_sec, p.scores, p.labels, 0.46, 20)

    fast()  # once, for what follows
    times = interleaved({"fast": fast, "by class": by_class, "by list": by_list}, min(runs, 3))
    hard, soft = (
        found["fast"][0],
        list(zip(found["fast"][1].tolist(), found["fast"][2].tolist(), strict=False)),
    )
    same_hard = np.allclose(hard.scores, found["by class"], rtol=1e-6)
    same_soft = np.allclose(soft[:20], found["list"], rtol=1e-9)
    return [
        Bar(
            "candidates and their suppression, against class by class",
            ratio(times, "by class", "fast"),
            "x",
            5,
            True,
            same_hard,
        ),
        Bar(
            "all 200 detections, against 20 by lists",
            ratio(times, "by list", "fast"),
            "x",
            2,
            True,
            same_soft,
        ),
    ]


def propose_by_class(outputs: ClipOutputs, config: InferConfig) -> np.ndarray:
    """Scores of the candidates, one class after the other, one pick after the other."""
    inside = outputs.boxes.clip(0, 927)
    low, high = np.floor(inside).astype(int), np.ceil(inside).astype(int)
    start = (outputs.startness[high[:, 0]] + outputs.startness[low[:, 0]]) / 2
    end = (outputs.endness[high[:, 1]] + outputs.endness[low[:, 1]]) / 2
    inside = inside.clip(0, FEATURES - 1).astype(np.float64)
    kept = []
    for label in range(1, outputs.scores.shape[1]):
        likely = outputs.scores[:, label] > config.score_threshold
        scores = (outputs.scores[:, label] * (start * end))[likely].astype(np.float64)
        boxes = inside[likely]
        order = scores.argsort()[::-1]
        while len(order):
            best, order = order[0], order[1:]
            kept.append(scores[best])
            common = np.minimum(boxes[best, 1], boxes[order, 1])
            common = np.maximum(0, common - np.maximum(boxes[best, 0], boxes[order, 0]))
            length = boxes[order, 1] - boxes[order, 0]
            union = boxes[best, 1] - boxes[best, 0] + length - common
            with np.errstate(invalid="ignore"):
                order = order[common / union <= config.nms_iou]
    return np.array(kept)


# ------------------------------------------------------------------------- evaluation


def validation_set() -> tuple[list[Clip], dict[str, list[dict]]]:
    """As many clips, moments and answers as the real validation set has."""
    rng = np.random.default_rng(0)
    owners = rng.integers(VAL_CLIPS, size=VAL_MOMENTS)
    common = rng.integers(110, size=(VAL_CLIPS, 4))  # a clip has about four classes
    moments: list[list[Moment]] = [[] for _ in range(VAL_CLIPS)]
    for owner in owners:
        start = float(rng.uniform(0, 440))
        label = f"class {common[owner, rng.integers(4)]}"
        moments[owner].append(Moment(label, start, start + float(rng.exponential(20)) + 0.2))
    clips = [Clip(f"c{i}", f"v{i}", "val", 0, 480, tuple(m)) for i, m in enumerate(moments)]
    answers = {clip.clip_uid: answers_of(clip, rng) for clip in clips}
    return clips, answers


def answers_of(clip: Clip, rng: np.random.Generator) -> list[dict]:
    """200 answers; some are near a moment."""
    found = []
    for i in range(200):
        start = float(rng.uniform(0, 440))
        label, end = f"class {rng.integers(110)}", start + float(rng.exponential(20))
        if clip.moments and i % 3 == 0:
            moment = clip.moments[rng.integers(len(clip.moments))]
            shift = rng.normal(0, 4, 2)
            label = moment.label
            start, end = moment.start_sec + shift[0], max(moment.end_sec + shift[1], 0)
            start = min(start, end)
        found.append({"label": label, "score": float(rng.random()), "segment": [start, end]})
    return sorted(found, key=lambda record: -record["score"])


def evaluator(runs: int) -> list[Bar]:
    """Both scores of a validation set of the real size, against plain loops."""
    clips, answers = validation_set()
    truth = {c.clip_uid: [(m.label, m.start_sec, m.end_sec) for m in c.moments] for c in clips}
    found: dict[str, Any] = {}

    def fast() -> None:
        found["fast"] = evaluate(clips, answers, answers)

    def slow() -> None:
        found["precision"] = loops.average_precision(truth, answers, (0.1, 0.2, 0.3, 0.4, 0.5))
        found["recall"] = loops.recall_at_kx(truth, answers, (0.3, 0.5, 0.7), (1, 2, 3, 4, 5))

    times = interleaved({"loops": slow, "fast": fast}, min(runs, 3))
    equal = _same(found["fast"], found["precision"], found["recall"])
    return [
        Bar("evaluation, against plain loops", ratio(times, "loops", "fast"), "x", 10, True, equal),
        Bar("evaluation of 521 clips, 104,200 answers", min(times["fast"]), "CPU s", 1.8, False),
    ]


def _same(found: Evaluation, precision: dict[str, list[float]], recall: list) -> bool:
    assert found.detection is not None and found.retrieval is not None
    expected = [precision[name] for name in found.classes]
    return bool(
        np.allclose(found.detection.values, expected, rtol=0, atol=1e-12)
        and np.allclose(found.retrieval.values, recall, rtol=0, atol=1e-12)
    )


BENCHMARKS = {
    "inference": inference,
    "training": training,
    "suppression": suppression,
    "evaluator": evaluator,
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(run_parts(BENCHMARKS, __doc__))
