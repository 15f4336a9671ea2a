"""Speed of question answering and of summaries, as ratios in one run with equal outputs.

    OMP_NUM_THREADS=1 python -m benchmarks.vlp_summaries [--runs 3] [--only segmentation,questions]

Times are CPU seconds of this process. The slow side of the segmentation is the published
algorithm loop by loop, with its second pass; that of question answering is our own network
on the same kernels, asked question by question. Ends with 1 when a bar is missed or
outputs differ.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EGOLIB_PROGRESS", "off")

import numpy as np
import torch

from benchmarks.bars import Bar, cpu_seconds, interleaved, ratio, run_parts
from egolib.ops.segmentation import segment_kernel
from egolib.vlp.config import ModelConfig
from egolib.vlp.models.question_answering import AnsweringConfig, build_answering

SHOTS, WIDTH = 1_500, 64  # the published videos have 2,152 to 3,692 shots
LONGEST, MAX_POINTS = 199, 19
QUESTIONS = 20  # about one interval


# ---------------------------------------------------------------------- segmentation


def literal_scatters(kernel: np.ndarray) -> np.ndarray:
    """Item by item, from cumulative sums."""
    count = len(kernel)
    diagonal = np.concatenate([[0.0], np.cumsum(kernel.diagonal().astype(float))])
    squares = np.zeros((count + 1, count + 1))
    squares[1:, 1:] = np.cumsum(np.cumsum(kernel, 0), 1)
    table = np.zeros((count, count))
    for i in range(count):
        for j in range(i, count):
            total = (squares[j + 1, j + 1] + squares[i, i]) - squares[j + 1, i] - squares[i, j + 1]
            table[i, j] = diagonal[j + 1] - diagonal[i] - total / (j - i + 1)
    return table


def literal_programme(table: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of all lengths, and the change points of one number of them, step by step."""
    count = len(table)
    scores = np.full((points + 1, count + 1), 1e101)
    back = np.zeros((points + 1, count + 1), int)
    scores[0, 1:LONGEST] = table[0, : LONGEST - 1]
    for k in range(1, points + 1):
        for length in range(k + 1, count + 1):
            scores[k, length] = 1e100
            for start in range(max(k, length - LONGEST), length):
                candidate = scores[k - 1, start] + table[start, length - 1]
                if candidate < scores[k, length]:
                    scores[k, length], back[k, length] = candidate, start
    cuts = np.zeros(points, int)
    place = count
    for k in range(points, 0, -1):
        place = cuts[k - 1] = back[k, place]
    return scores[:, count], cuts


def literal_segmentation(kernel: np.ndarray) -> np.ndarray:
    """Change points: the number first, then a second pass for the points."""
    count = len(kernel)
    costs, _ = literal_programme(literal_scatters(kernel), MAX_POINTS)
    number = np.arange(1, MAX_POINTS + 1)
    prices = number / (2.0 * count) * (np.log(count / number) + 1)
    costs = np.where(costs > 1e99, np.inf, costs) / count + np.concatenate([[0.0], prices])
    return literal_programme(literal_scatters(kernel), int(np.argmin(costs)))[1]


def segmentation(runs: int) -> list[Bar]:
    """Kernel temporal segmentation of a video of 1,500 shots."""
    rng = np.random.default_rng(0)
    means = np.repeat(rng.standard_normal((30, WIDTH)), SHOTS // 30, 0)
    x = np.rint(8 * (means + 0.5 * rng.standard_normal(means.shape))).astype(np.float32)
    kernel = x @ x.T
    found: list[np.ndarray] = []
    slow = cpu_seconds(lambda: found.append(literal_segmentation(kernel)))
    fast = min(cpu_seconds(lambda: segment_kernel(kernel, MAX_POINTS)) for _ in range(runs))
    equal = np.array_equal(found[0], segment_kernel(kernel, MAX_POINTS).points)
    name = f"segmentation of {SHOTS} shots, loops over arrays"
    return [Bar(name, slow / fast, "x", 50, equal=equal)]


# ------------------------------------------------------------------ question answering


@torch.inference_mode()
def questions(runs: int) -> list[Bar]:
    """Twenty questions about one clip: its prefix once, against the whole path for each."""
    config = ModelConfig(
        frames=4, image_size=96, width=192, heads=4, text_width=192, text_heads=4,
        text_mlp_width=768, depth=12, fusion_depth=6, vocabulary_size=200,
        projection="small", projection_width=64, time_init="zero_output",
    )  # fmt: skip
    model = build_answering(AnsweringConfig(config, 100), torch.Generator().manual_seed(0)).eval()
    clip = torch.randn(1, 4, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    ids = torch.randint(3, 200, (QUESTIONS, 12), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(ids)

    def apart() -> torch.Tensor:
        return model(clip.expand(QUESTIONS, -1, -1, -1, -1), ids, mask)

    def shared() -> torch.Tensor:
        prefix = model.video_prefix(clip).expand(QUESTIONS, -1, -1)
        return model.answer_prefixes(prefix, model.text_prefix(ids, mask), mask)

    equal = bool(torch.allclose(apart(), shared(), atol=1e-4))
    times = interleaved({"apart": apart, "shared": shared}, runs)
    name = f"{QUESTIONS} questions about a clip, its prefix once"
    return [Bar(name, ratio(times, "apart", "shared"), "x", 1.5, equal=equal)]


if __name__ == "__main__":
    sys.exit(run_parts({"segmentation": segmentation, "questions": questions}, __doc__))
