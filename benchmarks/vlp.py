"""Speed of vlp, as ratios in one run with a check that outputs are equal.

    OMP_NUM_THREADS=1 python -m benchmarks.vlp [--runs 3] [--only relevancy,metrics]

Times are CPU seconds of this process. The slow side is a literal loop, or our own
code in the official order of work on the same kernels. With a GPU, one training step
in bfloat16 is compared with the official mode in float16 (wall time). Ends with 1
when a bar is missed or outputs differ.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EGOLIB_PROGRESS", "off")

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.bars import Bar, cpu_seconds, interleaved, ratio, run_parts
from egolib.metrics.retrieval import retrieval_metrics
from egolib.vlp.config import LossConfig, ModelConfig, egovlpv2
from egolib.vlp.data.egoclip import SegmentIndex
from egolib.vlp.data.epic import EpicClips, Sentences, make_sentences, relevancy_matrix
from egolib.vlp.losses.matching import MatchingPlan
from egolib.vlp.losses.pretraining import PretrainingBatch, PretrainingLoss
from egolib.vlp.models.build import build, build_empty
from egolib.vlp.models.model import VideoLanguageModel
from egolib.vlp.optim import LegacyAdamW

CLIPS, SENTENCES = 9_668, 3_842  # the EPIC-KITCHENS-100 test split
EGOCLIP, EGOCLIP_VIDEOS = 3_847_723, 2_927
LOOP_ROWS = 40  # clips that the literal loop is timed on; it is linear in them


# ------------------------------------------------------------------------- relevancy


def epic_clips() -> tuple[EpicClips, Sentences]:
    """Clips and sentences in the numbers of the test split; clips of one text are alike."""
    rng = np.random.default_rng(0)
    sets = [
        tuple(sorted(set(np.minimum(rng.zipf(1.4, rng.integers(1, 5)), 299).tolist())))
        for _ in range(SENTENCES)
    ]
    verbs = np.minimum(rng.zipf(1.5, SENTENCES), 96)
    text_of = np.concatenate([np.arange(SENTENCES), rng.integers(0, SENTENCES, CLIPS - SENTENCES)])
    text_of = text_of[rng.permutation(CLIPS)]
    names = [f"P01_01_{i}" for i in range(CLIPS)]
    clips = EpicClips(
        names,
        ["P01_01"] * CLIPS,
        ["P01"] * CLIPS,
        [f"text {t}" for t in text_of],
        np.zeros(CLIPS),
        np.ones(CLIPS),
        verbs[text_of],
        np.array([sets[t][0] for t in text_of]),
        [sets[t] for t in text_of],
    )
    return clips, make_sentences(clips)


def literal_relevancy(clips: EpicClips, sentences: Sentences, rows: int) -> np.ndarray:
    """Clip by clip and sentence by sentence, with Python's sets."""
    result = np.zeros((rows, len(sentences.clip_rows)))
    for i in range(rows):
        for j, row in enumerate(sentences.clip_rows):
            a, b = set(clips.noun_sets[i]), set(clips.noun_sets[row])
            noun = len(a & b) / len(a | b)
            verb = 1.0 if clips.verbs[i] == clips.verbs[row] else 0.0
            result[i, j] = (verb + noun) / 2
    return result


def relevancy(runs: int) -> list[Bar]:
    """The relevancy matrix of the test split."""
    clips, sentences = epic_clips()
    found: dict[str, np.ndarray] = {}

    def keep(name: str, work: Callable[[], np.ndarray]) -> Callable[[], None]:
        def run() -> None:
            found.pop(name, None)  # matrices of 300 MB: memory of one is enough
            found[name] = work()

        return run

    times = interleaved(
        {
            "loop": keep("loop", lambda: literal_relevancy(clips, sentences, LOOP_ROWS)),
            "ours": keep("ours", lambda: relevancy_matrix(clips, sentences)),
        },
        max(7, runs),
    )
    equal = bool((found["ours"][:LOOP_ROWS] == found["loop"]).all())
    factor = ratio(times, "loop", "ours") * CLIPS / LOOP_ROWS
    name = f"relevancy {found['ours'].shape[0]} x {found['ours'].shape[1]}"
    return [
        Bar(f"{name}, against a loop (of {LOOP_ROWS} clips, scaled)", factor, "x", 50, True, equal),
        Bar(name, min(times["ours"]), "CPU s", 4, False, equal),
    ]


# --------------------------------------------------------------------------- metrics


def literal_metrics(similarity: np.ndarray, relevancy: np.ndarray) -> dict[str, float]:
    """nDCG and mAP with whole matrices: a sort for each metric and for the ideal order."""
    result = {}
    for name, s, r in (("V2T", similarity, relevancy), ("T2V", similarity.T, relevancy.T)):
        positive = np.sort(r, 1)[:, ::-1] > 0
        gain, ideal = (literal_gain(scores, r, positive) for scores in (s, r))
        result[f"nDCG_{name}"] = 100 * float((gain / ideal).mean())
        result[f"mAP_{name}"] = 100 * float(literal_precision(s, r).mean())
    for metric in ("nDCG", "mAP"):
        result[f"{metric}_AVG"] = (result[f"{metric}_V2T"] + result[f"{metric}_T2V"]) / 2
    return result


def literal_gain(scores: np.ndarray, relevancy: np.ndarray, positive: np.ndarray) -> np.ndarray:
    order = np.argsort(scores, 1)[:, ::-1]
    ranked = relevancy[np.arange(len(relevancy))[:, None], order]
    return (ranked * positive / np.log2(np.arange(ranked.shape[1]) + 2)).sum(1)


def literal_precision(similarity: np.ndarray, relevancy: np.ndarray) -> np.ndarray:
    order = np.argsort(-similarity, 1)
    ranked = relevancy[np.arange(len(relevancy))[:, None], order]
    sums = np.cumsum(ranked, 1)
    sums[ranked != 1] = 0
    return (sums / (np.arange(ranked.shape[1]) + 1)).sum(1) / (ranked == 1).sum(1)


def metrics(runs: int) -> list[Bar]:
    """nDCG and mAP of the test split, both directions."""
    clips, sentences = epic_clips()
    matrix = relevancy_matrix(clips, sentences)
    rng = np.random.default_rng(1)
    similarity = rng.standard_normal(matrix.shape, np.float32) + matrix.astype(np.float32)
    found: dict[str, dict[str, float]] = {}
    works = {
        "literal": lambda: found.__setitem__("literal", literal_metrics(similarity, matrix)),
        "ours": lambda: found.__setitem__("ours", retrieval_metrics(similarity, matrix)),
    }
    times = interleaved(works, runs)
    # equal scores stand in any order in the literal sort, hence not to the last digit
    equal = all(abs(found["literal"][k] - v) < 1e-4 for k, v in found["ours"].items())
    name = "nDCG + mAP, both directions"
    return [
        Bar(
            f"{name}, against whole matrices", ratio(times, "literal", "ours"), "x", 2, True, equal
        ),
        Bar(name, min(times["ours"]), "CPU s", 6, False, equal),
    ]


# -------------------------------------------------------------------------- training


def open_model(config: ModelConfig) -> VideoLanguageModel:
    """A network whose gates are open, so that every part counts."""
    model, _ = build(config, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("cross_gate"):
                parameter.fill_(0.5)
    return model


def random_batch(config: ModelConfig, size: int, length: int = 15) -> PretrainingBatch:
    """Clips and texts of full length, with tags, 15 % of the tokens masked."""
    g = torch.Generator().manual_seed(0)
    ids = torch.randint(4, config.vocabulary_size - 1, (size, length), generator=g)
    masked = torch.rand(ids.shape, generator=g) < 0.15
    masked[0, 1] = True
    side = config.image_size
    return PretrainingBatch(
        video=torch.randn(size, config.frames, 3, side, side, generator=g),
        ids=ids,
        mask=torch.ones_like(ids),
        corrupted=torch.where(masked, torch.full_like(ids, config.vocabulary_size - 1), ids),
        labels=torch.where(masked, ids, torch.full_like(ids, -100)),
        nouns=torch.eye(size, 582),
        verbs=torch.eye(size, 118),
        black=torch.zeros(size, dtype=torch.bool),
    )


class FixedPairs(PretrainingLoss):
    """The fused objectives alone, with matching pairs that do not change."""

    def similarity(self, passes: Any, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        size = len(batch.ids)
        return torch.zeros(size, size), torch.ones(size, size, dtype=torch.bool)

    def plan(self, similarity: torch.Tensor, positives: torch.Tensor, own: int) -> MatchingPlan:
        rows = torch.arange(own)
        return MatchingPlan((rows % 2 == 0).long(), rows, rows // 2 * 2)


@torch.no_grad()
def joint(runs: int) -> list[Bar]:
    """Masked language and matching passes of the published network, two clips."""
    model = open_model(egovlpv2()).eval()
    batch = random_batch(model.config, 2)
    losses: dict[str, torch.Tensor] = {}

    def work(name: str, share: bool) -> Callable[[], None]:
        config = LossConfig(objectives=("mlm", "itm"), share_prefix=share)
        return lambda: losses.__setitem__(name, FixedPairs(config)(model, batch)["loss"])

    times = interleaved({"separate": work("separate", False), "joint": work("joint", True)}, runs)
    equal = bool(torch.isclose(losses["separate"], losses["joint"], rtol=1e-5))
    factor = ratio(times, "separate", "joint")
    return [Bar("MLM + ITM on one prefix, against separate passes", factor, "x", 1.15, True, equal)]


def lookup(runs: int) -> list[Bar]:
    """Scene-aware negatives in a table of EgoClip's size."""
    rng = np.random.default_rng(0)
    videos = rng.integers(0, EGOCLIP_VIDEOS, EGOCLIP)
    times = rng.uniform(0, 3600, EGOCLIP)
    index = SegmentIndex(videos, times)
    build_time = cpu_seconds(lambda: SegmentIndex(videos, times))
    asked = rng.integers(0, EGOCLIP, 20_000)

    def work() -> None:
        for row in asked:
            index.partner(row, rng)

    best = min(cpu_seconds(work) for _ in range(max(3, runs))) / len(asked)
    stretch = times // 60
    equal = all(
        np.array_equal(
            index.rows(row),
            np.flatnonzero((videos == videos[row]) & (stretch == stretch[row])),
        )
        for row in asked[:20]
    )
    return [
        Bar(f"negative of one of {EGOCLIP:,} clips", best * 1e3, "ms", 1, False, equal),
        Bar("building its index, once", build_time, "CPU s"),
    ]


def construction(runs: int) -> list[Bar]:
    """The published network, with all initial weights drawn, and ready to be loaded into."""
    config = egovlpv2()
    runs = max(5, runs)
    drawn = min(cpu_seconds(lambda: build(config)) for _ in range(runs))
    empty = min(cpu_seconds(lambda: build_empty(config)) for _ in range(runs))
    return [
        Bar("construction of the published network, weights drawn", drawn, "CPU s", 2, False),
        Bar("construction to be loaded into", empty, "CPU s", 2, False),
    ]


# -------------------------------------------------------------------------------- GPU


def training_step(
    model: VideoLanguageModel, config: LossConfig, batch: PretrainingBatch, official: bool
) -> Callable[[], float]:
    """One update; the official mode takes float16, its own passes and plain attention."""
    kind = torch.device(batch.video.device).type
    dtype = torch.float16 if official else torch.bfloat16
    optimizer = LegacyAdamW(model.parameters(), 1e-6)
    scaler = torch.amp.GradScaler(kind, enabled=official)
    backends = [SDPBackend.MATH] if official else list(SDPBackend.__members__.values())[1:]

    def step() -> float:
        torch.manual_seed(0)
        optimizer.zero_grad()
        with sdpa_kernel(backends), torch.autocast(kind, dtype):
            loss = PretrainingLoss(config, torch.Generator().manual_seed(0))(model, batch)["loss"]
            scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return float(loss.detach())

    return step


def gpu(runs: int, device: str = "cuda", config: ModelConfig | None = None) -> list[Bar]:
    """A training step of the published network, 16 clips; needs a GPU."""
    if device == "cuda" and not torch.cuda.is_available():
        print("training step on a GPU: not measured, there is none", flush=True)
        return []
    config = config or egovlpv2()
    batch = random_batch(config, 16 if device == "cuda" else 4).to(device)
    times: dict[str, list[float]] = {}
    losses: dict[str, float] = {}
    for name, official in (("official", True), ("ours", False)):
        model = open_model(replace(config, gradient_checkpointing=official)).to(device).train()
        step = training_step(model, LossConfig(share_prefix=not official), batch, official)
        losses[name] = step()  # warm-up, with the initial weights
        times[name] = [_wall(step, device) for _ in range(max(5, runs))]
    equal = abs(losses["official"] - losses["ours"]) < 0.02 * abs(losses["official"])
    factor = min(times["official"]) / min(times["ours"])
    return [
        Bar("training step, bfloat16 against official float16", factor, "x", 3, True, equal),
        Bar("training step of 16 clips", min(times["ours"]), "s"),
    ]


def _wall(work: Callable[[], object], device: str) -> float:
    begin = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


BENCHMARKS: dict[str, Callable[[int], list[Bar]]] = {
    "construction": construction,
    "relevancy": relevancy,
    "metrics": metrics,
    "lookup": lookup,
    "joint": joint,
    "gpu": gpu,
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(run_parts(BENCHMARKS, __doc__))
