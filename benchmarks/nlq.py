"""Speed of nlq, as ratios in one run with a check that outputs are equal.

    OMP_NUM_THREADS=1 python -m benchmarks.nlq [--runs 3] [--only inference,soft_nms]

Times are CPU seconds of this process. The slow side is our own code in the official order
of work, on the same kernels.
Ends with 1 when a bar is missed or outputs differ.
"""

from __future__ import annotations

import os
import sys
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EGOLIB_PROGRESS", "off")

import numpy as np
import torch

from benchmarks.bars import Bar, cpu_seconds, interleaved, ratio, run_parts
from egolib.io.features import Provenance
from egolib.nlq.api import Grounder
from egolib.nlq.config import DataConfig, InferConfig, ModelConfig, groundnlq
from egolib.nlq.data.annotations import Query, to_official
from egolib.nlq.data.dataset import NlqData
from egolib.nlq.data.truth import make_truth
from egolib.nlq.evaluation import Evaluation, evaluate
from egolib.nlq.models.network import GroundNLQ
from egolib.ops.segments import soft_nms

QUERIES_PER_CLIP = 11
# Sixths of the 415 validation clips, in features; the last one is raised so that the
# mean is that of all clips (935), 5 % of which have about 2,240.
CLIP_LENGTHS = (727, 898, 898, 898, 898, 1291)
CANDIDATES = 4520
QUERIES = 4552


class Memory:
    """A store in memory."""

    def __init__(self, kind: str, width: int, arrays: dict[str, np.ndarray]):
        self.provenance, self.arrays = Provenance(kind, width), arrays

    def get(self, uid: str) -> np.ndarray:
        return self.arrays[uid]

    def uids(self) -> list[str]:
        return sorted(self.arrays)

    def length(self, uid: str) -> int:
        return len(self.arrays[uid])

    def __contains__(self, uid: object) -> bool:
        return uid in self.arrays


def questions(
    config: ModelConfig | None = None, clips: int = len(CLIP_LENGTHS), shorter: int = 1
) -> NlqData:
    """Random features of the validation clips' lengths, 11 questions each.

    Args:
        config: the network; the published one if None.
        clips: how many, the six lengths in turns.
        shorter: what lengths are divided by.
    """
    rng, model = np.random.default_rng(0), config or groundnlq()
    lengths = (CLIP_LENGTHS[i % len(CLIP_LENGTHS)] // shorter for i in range(clips))
    videos = {
        f"clip{i}": rng.standard_normal((n, 2304), dtype=np.float32) for i, n in enumerate(lengths)
    }
    queries, tokens = [], {}
    for uid, video in videos.items():
        for index in range(QUERIES_PER_CLIP):
            query = Query("what", f"{uid}_{index}", len(video) * 16.043 / 30, uid)
            length = int(rng.integers(4, 20))
            tokens[query.query_id] = rng.standard_normal((length, 512), dtype=np.float32)
            queries.append(query)
    text = Memory("text", 512, tokens)
    return NlqData(queries, Memory("video", 2304, videos), {"query": text}, model, DataConfig())


def inference(runs: int) -> list[Bar]:
    """Six clips of the real lengths, 11 questions each, the published network."""
    torch.manual_seed(0)
    network, data = GroundNLQ(groundnlq()), questions()
    with torch.no_grad():  # gains of a trained network, so that every part counts
        for name, parameter in network.named_parameters():
            if name.endswith("gain"):
                parameter.fill_(1.0)
    paths = {path: Grounder(network, infer=InferConfig(path=path)) for path in ("official", "fast")}
    answers = {}

    def work(path: str) -> None:
        answers[path] = paths[path].answers(data)

    times = interleaved({path: partial(work, path) for path in paths}, runs)
    equal = all(
        a.segments_sec.shape == b.segments_sec.shape
        and np.allclose(a.segments_sec, b.segments_sec, atol=1e-2)
        and np.allclose(a.scores, b.scores, atol=1e-4)
        for a, b in zip(answers["official"], answers["fast"], strict=False)
    )
    factor = ratio(times, "official", "fast")
    return [Bar("inference, fast against official order of work", factor, "x", 2.5, True, equal)]


def suppression(runs: int) -> list[Bar]:
    """Soft-NMS of as many candidates as one long clip can have."""
    rng = np.random.default_rng(0)
    center, half = rng.uniform(0, 2560, CANDIDATES), rng.exponential(8, CANDIDATES)
    segments = np.stack([center - half, center + half], 1).astype(np.float32)
    scores = rng.uniform(0.001, 0.9, CANDIDATES).astype(np.float32)

    def stopped() -> tuple:
        return soft_nms(segments, scores, sigma=0.75, limit=5)

    def full() -> tuple:
        return soft_nms(segments, scores, sigma=0.75)

    equal = all(np.array_equal(a, b[:5]) for a, b in zip(stopped(), full(), strict=False))
    times = interleaved({"all": full, "five": stopped}, max(5, runs))
    factor, best = ratio(times, "all", "five"), min(times["five"])
    return [
        Bar("soft-NMS, 5 picks against all picks", factor, "x", 50, True, equal),
        Bar("soft-NMS, 4,520 candidates, 5 picks", 1e3 * best, "ms", 1, False, equal),
    ]


def evaluator(runs: int) -> list[Bar]:
    """Scoring 4,552 questions with 5 windows each, against a loop over questions."""
    rng = np.random.default_rng(0)
    queries, results = [], []
    for i in range(QUERIES):
        start = float(rng.uniform(0, 400))
        window = (start, start + float(rng.exponential(10)))
        queries.append(Query("what", f"a{i // 11}_{i % 11}", 480.0, f"c{i // 11}", (window,)))
        windows = np.sort(rng.uniform(0, 480, (5, 2)), 1)
        windows[rng.integers(5)] = np.array(window) + rng.normal(0, 2, 2)
        results.append(
            {
                "clip_uid": f"c{i // 11}",
                "annotation_uid": f"a{i // 11}",
                "query_idx": i % 11,
                "predicted_times": windows.tolist(),
            }
        )
    truth = make_truth(to_official(queries, "val"))
    found = evaluate(results, truth)
    equal = _recall_by_loop(queries, results, found)
    best = min(cpu_seconds(lambda: evaluate(results, truth)) for _ in range(max(5, runs)))
    return [Bar("evaluation of 4,552 questions", best, "CPU s", 0.03, False, equal)]


def _recall_by_loop(queries: list[Query], results: list[dict], found: Evaluation) -> bool:
    hits = np.zeros((2, 3))
    for query, record in zip(queries, results, strict=False):
        assert query.windows_sec is not None
        (start, end) = query.windows_sec[0]
        overlaps = [
            max(0.0, min(b, end) - max(a, start)) / (max(b, end) - min(a, start))
            for a, b in record["predicted_times"]
        ]
        for row, threshold in enumerate((0.3, 0.5)):
            for column, k in enumerate((1, 5, 10)):
                hits[row, column] += any(o > threshold for o in overlaps[:k])
    return bool(np.allclose(hits / len(queries), found.recall.values, atol=1e-12))


def construction(runs: int) -> list[Bar]:
    """Building the published network."""
    best = min(cpu_seconds(lambda: GroundNLQ(groundnlq())) for _ in range(max(5, runs)))
    return [Bar("construction of the published network", best, "CPU s", 0.3, False)]


BENCHMARKS = {
    "construction": construction,
    "evaluator": evaluator,
    "soft_nms": suppression,
    "inference": inference,
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(run_parts(BENCHMARKS, __doc__))
