"""nlq on a GPU: answers of GroundNLQ and its training step.

    python -m benchmarks.gpu_nlq [--device cpu] [--tiny] [PART ...]

The official order of work asks one question at a time, padded to the longest video.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.bars import Bar
from benchmarks.gpu_common import Measured, Setting, compare, precision, seconds
from benchmarks.nlq import questions
from egolib.nlq.api import Grounder
from egolib.nlq.config import InferConfig, ModelConfig, groundnlq
from egolib.nlq.config.losses import LossConfig
from egolib.nlq.config.optim import OptimConfig
from egolib.nlq.data.dataset import NlqData, collate
from egolib.nlq.losses.training import TrainingLoss
from egolib.nlq.models.network import GroundNLQ
from egolib.nlq.optim import make_optimizer

Record = dict[str, Any]
TINY = replace(
    groundnlq(), max_length=160, width=32, head_width=32, stem_blocks=1, text_blocks=1,
    plain_branch_blocks=3,
)  # fmt: skip
CLIPS, OFFICIAL_CLIPS, SHORT = 24, 4, 16  # with ``tiny``, clips are 16 times shorter
FASTER = 20.0


def network(config: ModelConfig, device: str) -> GroundNLQ:
    """A network whose every part counts."""
    torch.manual_seed(0)
    model = GroundNLQ(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("gain"):
                parameter.fill_(1.0)
    return model.to(device)


def subset(data: NlqData, clips: int) -> NlqData:
    """The questions about the first clips."""
    uids = list(dict.fromkeys(query.clip_uid for query in data.queries))[:clips]
    chosen = [query for query in data.queries if query.clip_uid in uids]
    return NlqData(chosen, data.video, data.texts, data.model, data.data, cached_videos=clips)


def inference(setting: Setting) -> Record:
    """Answers to 11 questions about each of 24 clips of the real lengths."""
    config, clips = (TINY, 6) if setting.tiny else (groundnlq(), CLIPS)
    data = questions(config, clips, SHORT if setting.tiny else 1)
    few = subset(data, 1 if setting.tiny else OFFICIAL_CLIPS)
    model = network(config, setting.device)
    grounder = Grounder(model, device=setting.device)
    alone = InferConfig(path="official", text_batch=1)
    row = compare(
        setting,
        lambda: _scores(grounder, data),
        unit="questions/s",
        units=len(data),
        official=lambda: _scores(grounder, few, alone),
        official_units=len(few),
        repeats=2,
        warm_up=1,
    )
    _compare_paths(setting, row, grounder, few)
    fastest = max(row.ours.values()) / (row.official or 1)
    equal = row.deviation["official"]["absolute"] < 0.05
    row.bars = [Bar("answers, against one question at a time", fastest, "x", FASTER, True, equal)]
    row.note = f"{len(data)} questions about {clips} clips, features in memory"
    return row.record(setting)


def _scores(grounder: Grounder, data: NlqData, infer: InferConfig | None = None) -> list[Any]:
    """The best score of every question: which window has it may change where two are close."""
    return [float(m.scores[0]) for m in grounder.answers(data, infer)]


def _compare_paths(setting: Setting, row: Measured, grounder: Grounder, data: NlqData) -> None:
    """Seconds between the best windows of both orders of work, in float32, and their scores."""
    each = InferConfig(text_padding="per_query")
    with precision("fp32", setting.device):
        ours, theirs = (
            grounder.answers(data, infer) for infer in (each, replace(each, path="official"))
        )
    pairs = list(zip(ours, theirs, strict=True))
    apart = [float(np.abs(a.segments_sec[0] - b.segments_sec[0]).max()) for a, b in pairs]
    scores = [float(np.abs(a.scores[0] - b.scores[0])) for a, b in pairs]
    row.deviation["official"] = {
        "absolute": max(scores),
        "relative": max(scores) / max(float(b.scores[0]) for b in theirs),
        "arrays": len(pairs),
        "differing": sum(a > 0.01 for a in apart),
    }
    row.more["best windows that differ from the official ones by over 0.01 s"] = sum(
        a > 0.01 for a in apart
    )


def training(setting: Setting) -> Record:
    """A step of 4 questions, as published (float32), and in every precision."""
    config = TINY if setting.tiny else groundnlq()
    data = questions(config, 4, SHORT if setting.tiny else 1)
    for query in data.queries:
        object.__setattr__(query, "windows_sec", ((1.0, 1.0 + query.duration_sec / 4),))
    row = Measured("ms/step", note="4 questions about 4 clips; official pads to 2,560 features")
    chosen = [data[i] for i in range(0, len(data), 11)]
    for name in ("official", "ours"):
        batch = collate(chosen, config, "official" if name == "official" else "cropped")
        step = _step(network(config, setting.device), batch.to(setting.device))
        kinds = ("fp32",) if name == "official" else ("fp32", "tf32", "bf16")
        for kind in kinds:
            with precision(kind, setting.device):
                try:
                    taken = 1000 * seconds(step, setting, repeats=5, warm_up=2)
                except Exception as error:
                    row.errors[kind] = f"{type(error).__name__}: {error}"[:500]
                    continue
            if name == "official":
                row.official = taken
            else:
                row.ours[kind] = taken
    return row.record(setting)


def _step(model: GroundNLQ, batch: Any) -> Callable[[], torch.Tensor]:
    optimizer, loss = make_optimizer(model.train(), OptimConfig()), TrainingLoss(LossConfig())

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        total = loss(model, batch)["loss"]
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return total.detach()

    return step


PARTS: dict[str, Callable[[Setting], Record]] = {
    "inference": inference,
    "training": training,
}


def main() -> None:
    """Prints the records of some parts, or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("parts", nargs="*", help="parts of names; all without any")
    given = parser.parse_args()
    setting = Setting(given.device, given.tiny)
    for name, part in PARTS.items():
        if not given.parts or any(word in name for word in given.parts):
            begin = time.perf_counter()
            record = part(setting)
            print(name, round(time.perf_counter() - begin, 1), "s")
            print(json.dumps(record, indent=1, default=str), flush=True)


if __name__ == "__main__":
    main()
