"""Speed of vod, as ratios in one run with a check that outputs are equal.

    OMP_NUM_THREADS=1 python -m benchmarks.vod [--runs 3] [--only evaluator,selsa]

The slow side is our own code in the official order of work, on the same kernels
(``tests/oracles/vod.py``). Ends with 1 when a bar is missed or outputs differ.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EGOLIB_PROGRESS", "off")

import numpy as np
import torch

from benchmarks.bars import Bar, cpu_seconds, interleaved, ratio, run_parts
from egolib.metrics.detection import evaluate_vid, predictions_from_lists, truths
from egolib.metrics.motion_speed import table_from_rows
from egolib.nn.roi import Found
from egolib.vod.config import networks
from egolib.vod.config.infer import published_infer
from egolib.vod.data.classes import IMAGENET_VID, make_categories
from egolib.vod.data.cocovid import convert_vid
from egolib.vod.data.lists import ListedVideo
from egolib.vod.models.bank import MemoryBank
from egolib.vod.models.build import build_model
from egolib.vod.models.frames import Frames
from tests.oracles.vod import (
    OfficialSelsa,
    literal_vid,
    official_mamba_head,
    official_prompt_maps,
    random_detections,
)

SIZE = (600, 1000)  # pixels, padded to a multiple of 16
REFERENCES = 14


def frames(count: int, seed: int = 0) -> Frames:
    """Made-up frames at the published size."""
    generator = torch.Generator().manual_seed(seed)
    height, width = (-(-side // 16) * 16 for side in SIZE)
    images = torch.zeros(count, 3, height, width)
    images[:, :, : SIZE[0], : SIZE[1]] = torch.randn(count, 3, *SIZE, generator=generator)
    return Frames(images, [SIZE] * count, torch.ones(count, 4), list(range(1000, 1000 + count)))


def network(builder: Callable[[], Any]) -> Any:
    """A published network with random weights that give it something to detect."""
    torch.manual_seed(0)
    model = build_model(builder()).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.normal_(0, module.in_features**-0.5)
            if isinstance(module, torch.nn.Conv2d) and module.kernel_size[0] == 1:
                fan = module.in_channels
                module.weight.normal_(0, fan**-0.5)
    return model


def equal(first: Found, second: Found) -> bool:
    """Whether two sets of detections agree."""
    return len(first.scores) == len(second.scores) and all(
        torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-2)
        for a, b in zip(first, second, strict=False)
    )


def selsa(runs: int) -> list[Bar]:
    """A frame with 14 references at 600x1000."""
    model, references, frame = network(networks.selsa_r101_dc5), frames(REFERENCES), frames(1, 1)
    state = model.start_video(published_infer(model.config), references)
    official = OfficialSelsa(model, references)
    found: dict[str, Found] = {}
    with torch.no_grad():
        maps = model.detector.maps(frame.images)

    def ours_after_neck() -> None:
        kept = model.detector.maps
        model.detector.maps = lambda images: maps
        found["ours, neck"] = model.step(frame, state)
        model.detector.maps = kept

    works = {
        "official": lambda: found.update(official=official.step(frame)),
        "ours": lambda: found.update(ours=model.step(frame, state)),
        "official, neck": lambda: found.update(
            {"official, neck": official.after_neck(frame, maps)}
        ),
        "ours, neck": ours_after_neck,
    }
    frame = Frames(frame.images, frame.sizes, frame.scales)  # without number: always computed
    times = interleaved(works, runs)
    agree = equal(found["official"], found["ours"]) and len(found["ours"].scores) > 0
    agree_neck = equal(found["official, neck"], found["ours, neck"])
    return [
        Bar("SELSA, a frame", ratio(times, "official", "ours"), "x", 2.3, True, agree),
        Bar(
            "SELSA, a frame after backbone and neck",
            ratio(times, "official, neck", "ours, neck"),
            "x",
            6,
            True,
            agree_neck,
        ),
    ]


def mamba(runs: int) -> list[Bar]:
    """The box head on 300 regions with full banks (2,000 rows read)."""
    model = network(networks.mamba_r101_dc5)
    head, settings = model.head, published_infer(model.config).memory
    top = model.memory.top
    generator = torch.Generator().manual_seed(0)
    pooled = torch.rand(300, head.layers[0].in_features, generator=generator)
    rows = torch.randn(4000, 1024, generator=generator)
    hidden: dict[str, torch.Tensor] = {}

    def banks(projected: bool) -> list[MemoryBank]:
        made = []
        own = torch.Generator().manual_seed(1)
        for aggregator in head.aggregators:
            made.append(MemoryBank(settings.size, settings.keys, own))
            made[-1].update(rows, *(aggregator.project(rows) if projected else ()))
        return made

    with torch.no_grad():
        cached, plain = banks(True), banks(False)

        def official() -> None:
            with torch.no_grad():
                hidden["official"] = official_mamba_head(head, pooled, plain, top)

        def ours() -> None:
            with torch.no_grad():
                hidden["ours"] = model.attend_and_write(pooled, cached, top)

        times = interleaved({"official": official, "ours": ours}, max(runs, 5))
    agree = torch.allclose(hidden["official"], hidden["ours"], rtol=1e-3, atol=1e-3)
    return [Bar("MAMBA, box head", ratio(times, "official", "ours"), "x", 1.3, True, agree)]


def stpn(runs: int) -> list[Bar]:
    """The prompted backbone against the plain one at 600x1000."""
    model, images = network(networks.stpn_swint), frames(1).images
    backbone, prompts = model.backbone, torch.randn(5, 96)
    maps: dict[str, list[torch.Tensor]] = {}

    def work(name: str, call: Callable[[], list[torch.Tensor]]) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad():
                maps[name] = call()

        return run

    works = {
        "plain": work("plain", lambda: backbone(images)),
        "ours": work("ours", lambda: backbone(images, prompts)),
        "official": work("official", lambda: official_prompt_maps(backbone, images, prompts)),
    }
    interleaved(works, 1)
    times = interleaved(works, max(runs, 7))
    agree = all(
        torch.allclose(a, b, rtol=1e-3, atol=1e-4)
        for a, b in zip(maps["ours"], maps["official"], strict=False)
    )
    cost = {
        name: 100
        * (statistics.median(a / b for a, b in zip(times[name], times["plain"], strict=False)) - 1)
        for name in ("ours", "official")
    }
    return [
        Bar("STPN, cost of the prompts", cost["ours"], "%", 15, False, agree),
        Bar("STPN, cost of the prompts, official order", cost["official"], "%"),
    ]


def evaluator(runs: int) -> list[Bar]:
    """5,000 frames of 30 classes, 100 detections each, all four motion ranges. Each side
    reads the layout that its results files have: columns, or lists of arrays."""
    made, predictions = random_detections(5000, 30, found=100)
    boxes = [t[0] for t in made]
    frame = np.repeat(np.arange(len(made)), [len(b) for b in boxes])
    truth = truths(frame, np.concatenate([t[1] for t in made]), np.concatenate(boxes))
    motion = table_from_rows([t[2].tolist() for t in made])
    names = [name for name, _ in IMAGENET_VID]
    found = predictions_from_lists(predictions)
    ap: dict[str, np.ndarray] = {}
    works = {
        "literal": lambda: ap.update(literal=literal_vid(made, predictions, 30)),
        "ours": lambda: ap.update(ours=evaluate_vid(truth, found, motion, names).ap),
        "conversion": lambda: predictions_from_lists(predictions),
    }
    times = interleaved(works, runs)
    agree = np.allclose(ap["ours"], ap["literal"], rtol=0, atol=1e-9, equal_nan=True)
    return [
        Bar("evaluator", ratio(times, "literal", "ours"), "x", 20, True, agree),
        Bar("evaluator, lists into columns", 1e6 * min(times["conversion"]) / len(made), "us/fr"),
    ]


XML = """<annotation><size><width>320</width><height>240</height></size>{}</annotation>"""
OBJECT = """<object><trackid>{}</trackid><name>n02084071</name><bndbox><xmax>{}</xmax>
<xmin>10</xmin><ymax>90</ymax><ymin>20</ymin></bndbox><occluded>0</occluded>
<generated>1</generated></object>"""


def converter(runs: int) -> list[Bar]:
    """Seconds a frame for 1,000 and for 8,000 frames; equal when linear."""
    categories, video_length, sizes = make_categories(IMAGENET_VID), 50, (1000, 8000)
    with tempfile.TemporaryDirectory() as folder:
        videos = []
        for v in range(max(sizes) // video_length):
            name = f"train/part_{v // 40:04d}/video_{v:08d}"
            (Path(folder) / name).mkdir(parents=True)
            for f in range(video_length):
                text = XML.format("".join(OBJECT.format(k, 50 + f + k) for k in range(2)))
                (Path(folder) / name / f"{f:06d}.xml").write_text(text)
            videos.append(ListedVideo(name, video_length, list(range(1, 16))))
        cost, correct = {}, True
        for size in sizes:
            chosen = videos[: size // video_length]
            made: dict[str, Any] = {}

            def work(chosen: list[ListedVideo] = chosen, made: dict[str, Any] = made) -> None:
                made.update(convert_vid(folder, chosen, categories, train=True))

            cost[size] = min(cpu_seconds(work) for _ in range(runs)) / size
            correct &= len(made["images"]) == size and len(made["annotations"]) == 2 * size
            correct &= made["annotations"][-1]["instance_id"] == 2 * len(chosen)
    growth = cost[sizes[1]] / cost[sizes[0]]
    return [
        Bar(
            "converter, time a frame, 8,000 against 1,000 frames", growth, "x", 1.3, False, correct
        ),
        Bar("converter, a frame", 1e6 * cost[sizes[1]], "us"),
    ]


PARTS: dict[str, Callable[[int], list[Bar]]] = {
    "evaluator": evaluator,
    "converter": converter,
    "mamba": mamba,
    "stpn": stpn,
    "selsa": selsa,
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(run_parts(PARTS, __doc__))
