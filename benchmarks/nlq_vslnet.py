"""Speed of VSLNet's preparation, as ratios in one run with a check that outputs are equal.

    OMP_NUM_THREADS=1 python -m benchmarks.nlq_vslnet [--runs 3] [--only labels,features]

Times are CPU seconds of this process. The slow side is our own code in the official order
of work, on the same kernels. Ends with 1 when a bar is missed or outputs differ.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EGOLIB_PROGRESS", "off")

import numpy as np
import torch

from benchmarks.bars import Bar, interleaved, ratio, run_parts
from egolib.nlq.data.vslnet.cells import cell_borders, to_cells
from egolib.vlp.api import VideoLanguage
from egolib.vlp.config import egovlpv2
from egolib.vlp.features.questions import QUESTION_TOKENS, question_features
from egolib.vlp.models.build import build

CELLS, DURATION = 256, 479.4666666666667
SEARCHED = 8  # questions that every stretch is tried for
QUESTIONS, WINDOWS = 11, 1  # questions about one clip; the ratio does not depend on windows
START, PAD, END = 0, 1, 2


def every_stretch(start: float, end: float) -> tuple[int, int]:
    """The official search: a list of all pairs of borders, then the best overlap."""
    borders = cell_borders(CELLS, DURATION).tolist()
    pairs = np.array([[first, last] for first in borders[:-1] for last in borders[1:]])
    common = np.maximum(0.0, np.minimum(pairs[:, 1], end) - np.maximum(pairs[:, 0], start))
    hull = np.maximum(1e-12, np.maximum(pairs[:, 1], end) - np.minimum(pairs[:, 0], start))
    return divmod(int((common / hull).argmax()), CELLS)


def labels(runs: int) -> list[Bar]:
    """From windows in seconds to cells, for clips of the usual length."""
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, DURATION, SEARCHED)
    windows = np.stack([starts, starts + rng.exponential(10, SEARCHED)], 1).tolist()
    found: dict[str, list[tuple[int, int]]] = {}

    def searched() -> None:
        found["every"] = [every_stretch(*window) for window in windows]

    def closed() -> None:
        found["closed"] = [to_cells(*window, CELLS, DURATION) for window in windows]

    times = interleaved({"every": searched, "closed": closed}, max(5, runs))
    factor, equal = ratio(times, "every", "closed"), found["every"] == found["closed"]
    return [Bar("labels, closed form against all stretches", factor, "x", 100, True, equal)]


class Numbers:
    """A vocabulary in which every text is a list of token ids."""

    size = 50265

    class special:
        start, pad, end = START, PAD, END

    def ids(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]


def features(runs: int) -> list[Bar]:
    """The published network, one clip, as many questions as a clip has on average."""
    generator = torch.Generator().manual_seed(0)
    network, _ = build(egovlpv2(), generator=generator)
    model = VideoLanguage(network, Numbers())  # type: ignore[arg-type]
    side = network.config.image_size
    views = torch.randn(WINDOWS, network.config.frames, 3, side, side, generator=generator)
    rng = np.random.default_rng(0)
    questions = [" ".join(map(str, rng.integers(10, 50000, 8))) for _ in range(QUESTIONS)]
    found: dict[str, np.ndarray] = {}

    @torch.inference_mode()
    def repeated() -> None:
        rows = []
        for question in questions:
            words = [START, *Numbers().ids(question), END]
            ids = torch.tensor([words + [PAD] * (QUESTION_TOKENS - len(words))])
            mask = (ids != PAD).long()
            network.text(ids, mask)
            fused = network.fuse_pairs(views, ids.expand(WINDOWS, -1), mask.expand(WINDOWS, -1))
            rows.append(fused.video_class.numpy())
        found["repeated"] = np.stack(rows)

    def shared() -> None:
        found["shared"] = question_features(model, [views], questions).video

    times = interleaved({"repeated": repeated, "shared": shared}, runs)
    equal = np.allclose(found["repeated"], found["shared"], atol=1e-4)
    factor = ratio(times, "repeated", "shared")
    return [Bar("features of 11 questions, clip shared", factor, "x", 1.8, True, equal)]


PARTS = {"labels": labels, "features": features}

if __name__ == "__main__":
    sys.exit(run_parts(PARTS, __doc__))
