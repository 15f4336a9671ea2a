"""vq2d on a GPU: step 1 and KYS, the official order of work beside ours in one run.

``PARTS`` holds the parts of ``benchmarks.gpu``; each also runs alone:

    python -m benchmarks.gpu_vq2d [--tiny] [--device cuda|cpu] [--only step1,kys]

Step 1 reads frames of a compressed clip of 1440 x 1080 and asks five queries of it; the
official order resizes on the host, encodes the reference for every frame and goes query by
query. Weights are drawn: scores are nearly tied, so that deviations are harder than real ones.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.bars import Bar
from benchmarks.gpu_common import (
    PRECISIONS,
    Measured,
    Setting,
    device_seconds,
    launches_and_synchronisations,
    peak_memory_gb,
    precision,
    seconds,
)
from benchmarks.vq2d import clip_queries, official_order, settle
from egolib.nn.config import ProposalConfig, PyramidConfig
from egolib.nn.resnet import FixedBatchNorm
from egolib.video import Encoding, VideoReader, write_video
from egolib.vq2d.config import DetectConfig, DetectorConfig, HeadConfig, KysConfig, TrackConfig
from egolib.vq2d.data.annotations import Query
from egolib.vq2d.formats.detections import Detections
from egolib.vq2d.localization.detect import Detector, detect_clip
from egolib.vq2d.localization.tracks import Followed
from egolib.vq2d.models import whole_batch
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.tracking.kys.bidirectional import Following, track_many
from egolib.vq2d.tracking.kys.network import KysNetwork
from egolib.vq2d.tracking.kys.target import Target
from egolib.vq2d.tracking.kys.tracker import KysTracker

QUERIES = 5
NEAR_PX = 2
AUTOCAST = {"fp32": "float32", "tf32": "float32", "bf16": "bfloat16"}


# -------------------------------------------------------------------------- step 1


def step1(setting: Setting) -> dict[str, Any]:
    """Detections of a clip's frames for five queries, in query-frames a second.

    Args:
        setting: where, and how large.
    """
    torch.manual_seed(0)
    model = calibrated(SiameseRcnn(_network(setting)).to(setting.device).eval(), setting)
    with tempfile.TemporaryDirectory() as folder:
        return _step1(setting, model, _clip(Path(folder), setting)).record(setting)


def _network(setting: Setting) -> DetectorConfig:
    """As published; the same kind with few channels on a CPU."""
    if not setting.tiny:
        return DetectorConfig()
    backbone = replace(DetectorConfig().backbone, blocks=(1, 1, 1, 1), stem_channels=8, width=8)
    return DetectorConfig(
        backbone=backbone,
        pyramid=PyramidConfig(channels=8),
        region_cells=4,
        head=HeadConfig(residual_layers=1, hidden=16),
        reference_side=32,
    )


@torch.no_grad()
def calibrated(model: SiameseRcnn, setting: Setting) -> SiameseRcnn:
    """Drawn weights with the statistics of activations in the norms, and with logits of a few
    units, so that scores are neither all 0 nor all 1.

    Args:
        model: on its device.
        setting: sizes of its frames.
    """

    def keep_statistics(norm: Any, inputs: Any) -> None:
        norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        norm.running_var.copy_(inputs[0].var((0, 2, 3)))

    hooks = [
        module.register_forward_pre_hook(keep_statistics)
        for module in model.modules()
        if isinstance(module, FixedBatchNorm)
    ]
    rng = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (2, 3, 12, 16), generator=rng).float()
    side = (64, 96) if setting.tiny else (800, 1066)
    frames = torch.nn.functional.interpolate(coarse, side, mode="bilinear").to(setting.device)
    maps = model.maps(model.batch(list(frames)).images)
    for hook in hooks:
        hook.remove()
    boxes = [b.boxes for b in model.propose(maps, [side] * 2, ProposalConfig(50, 50, 0.7, "logit"))]
    vectors = torch.cat(model.vectors(maps, boxes))
    references = model.encode(frames[:, :, :32, :32])
    logits = model.head.compare(vectors[None], references).regions
    model.head.bilinear.weight.mul_(2 / logits.std())
    logits = model.head.compare(vectors[None], references).regions
    model.head.bilinear.bias.sub_(logits.mean())
    return model


def _settings(setting: Setting, name: str) -> DetectConfig:
    """Step 1 as published; less of it on a CPU."""
    settings = DetectConfig(precision=AUTOCAST[name])
    if not setting.tiny:
        return settings
    small = {"short_side": 64, "long_side": 96, "intermediate_height": 56, "batch_size": 2}
    return replace(settings, proposals=ProposalConfig(50, 10, 0.7, "logit"), **small)


def _clip(folder: Path, setting: Setting) -> Path:
    """A moving picture as an H.264 file."""
    height, width, count = (72, 96, 5) if setting.tiny else (1080, 1440, 81)
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (36, 48, 3), dtype=np.uint8), (width, height))
    frames = (np.roll(picture, (3 * i, 5 * i), (0, 1)) for i in range(count))
    return write_video(folder / "clip.mp4", frames, 5, Encoding(preset="veryfast"))


class Part:
    """The first frames of a video, as a clip of its own."""

    def __init__(self, path: Path, count: int, threads: int):
        self.reader, self.count = VideoReader(path, threads=threads), count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, frame: int) -> np.ndarray:
        return self.reader[frame]

    def batch(self, frames: Any) -> np.ndarray:
        """Several frames."""
        return self.reader.batch(list(frames))


def _step1(setting: Setting, model: SiameseRcnn, path: Path) -> Measured:
    few, some, many = (2, 2, 4) if setting.tiny else (4, 20, 80)
    row = Measured("query-frames/s", note=_NOTE)
    short = Part(path, few + 1, 1)
    queries = _queries(short)
    with precision("fp32", setting.device):
        eager = Detector(model, _settings(setting, "fp32"), "frames")
        plain = detect_clip(short, queries, eager)
    rates: dict[str, float] = {}
    for name in PRECISIONS:
        count = some if name == "fp32" else many
        with precision("fp32" if name == "fp32" else "tf32", setting.device):
            detector = Detector(model, _settings(setting, name), "batches")
            row.deviation[name] = differences(detect_clip(short, queries, detector), plain)
            rates[name] = _our_step1(row, setting, detector, name, Part(path, count + 1, 8))
            row.more[f"device_ms_a_frame_{name}"] = _profile(setting, detector)
    row.more["frames_a_second"] = rates
    _official_step1(row, setting, model, path, few)
    assert row.official is not None
    equal = row.deviation["fp32"]["boxes_with_partner"] >= 0.99
    near = row.deviation["tf32"]["boxes_with_partner"] >= 0.9
    ratio = row.ours["tf32"] / row.official
    row.bars = [
        Bar("step 1, TF32 over the official order", ratio, "x", 15, True, equal and near),
        Bar("step 1, TF32", rates["tf32"], "frames/s", 100),
    ]
    return row


def _our_step1(row: Measured, setting: Setting, detector: Detector, name: str, clip: Part) -> float:
    """Fills in one precision; frames a second."""
    queries, count = _queries(clip), len(clip) - 1

    def work() -> dict[str, Detections]:
        return detect_clip(clip, queries, detector)

    taken = seconds(work, setting, repeats=1, warm_up=1)
    row.ours[name] = count * QUERIES / taken
    if memory := peak_memory_gb(work, setting):
        row.peak_memory_gb[name] = memory
    if name == "tf32":
        counts = launches_and_synchronisations(work, setting)
        row.launches = counts.launches / count
        row.synchronisations = counts.synchronisations / count
        row.busy, row.more["synchronisation_kinds"] = counts.busy, counts.kinds
    return count / taken


def _queries(clip: Any) -> list[Query]:
    return clip_queries(clip)[:QUERIES]


def _official_step1(
    row: Measured, setting: Setting, model: SiameseRcnn, path: Path, count: int
) -> None:
    """The official order, in float32 and, for comparison, with TensorFloat-32."""
    detector = Detector(model, _settings(setting, "fp32"), "frames")
    clip = Part(path, count + 1, 1)
    queries = _queries(clip)

    def work() -> Any:
        return official_order(clip, queries, detector)

    with precision("fp32", setting.device):
        taken = seconds(work, setting, repeats=1, warm_up=1)
        row.official = count * QUERIES / taken
        if memory := peak_memory_gb(work, setting):
            row.peak_memory_gb["official"] = memory
        if not setting.tiny:
            counts = launches_and_synchronisations(work, setting)
            row.official_launches = counts.launches / count
            row.official_synchronisations = counts.synchronisations / count
    with precision("tf32", setting.device):
        taken = seconds(work, setting, repeats=1, warm_up=0)
        row.more["official_with_tf32"] = count * QUERIES / taken


def _profile(setting: Setting, detector: Detector) -> dict[str, float]:
    """Milliseconds a frame on the device, by what is computed there."""
    scanner, size = detector.scanner, ((72, 96) if setting.tiny else (1080, 1440))
    assert scanner is not None
    batch, settings = detector.settings.batch_size, detector.settings
    frames = torch.randint(0, 256, (batch, *size, 3), dtype=torch.uint8, device=setting.device)
    pixels = scanner.pixels_of(size)
    model = scanner.model
    references = torch.randn(QUERIES, model.config.head.hidden, device=setting.device)

    def timed(work: Callable[[], Any]) -> float:
        with torch.no_grad(), detector.cast():
            return device_seconds(work, setting, repeats=1, warm_up=1) * 1000 / batch

    with torch.no_grad(), detector.cast():
        images = pixels(frames)
        inputs = whole_batch.normalised(model, images)
        maps = model.maps(inputs)
        shape = (images.shape[2], images.shape[3])
        boxes, _, _ = whole_batch.batch_proposals(model.proposals, maps, shape, settings.proposals)
        regions = whole_batch.batch_regions(model, images, settings.proposals)
        level = maps[model.config.level][:1]
        pooled = model.pool([level], [boxes[0]])
    with torch.autocast(torch.device(setting.device).type, enabled=False):
        detect = timed(
            lambda: whole_batch.batch_detect(
                model, regions, references, (pixels.output, pixels.small), settings
            )
        )
    return {
        "pixels": timed(lambda: pixels(frames)),
        "maps": timed(lambda: model.maps(inputs)),
        "proposals": timed(
            lambda: whole_batch.batch_proposals(model.proposals, maps, shape, settings.proposals)
        ),
        "pooling": timed(lambda: model.pool([level], [boxes[0]])) * batch,
        "projection": timed(lambda: model.head.projectors.region(pooled)) * batch,
        "detections": detect,
        "settled": float(regions.settled),
    }


def differences(found: dict[str, Detections], plain: dict[str, Detections]) -> dict[str, float]:
    """How far detections are from those of the plain path: the fraction of boxes with a
    partner within 2 px on every side, the largest difference of partners' scores and of
    frames' best scores.

    Args:
        found: by query.
        plain: by query, of the same frames.
    """
    partners, total, score, best = 0, 0, 0.0, 0.0
    for key, theirs in plain.items():
        ours = found[key]
        best = max(best, float(np.abs(ours.best - theirs.best).max(initial=0)))
        for number in range(len(theirs)):
            (boxes, scores), (others, own) = theirs.frame(number), ours.frame(number)
            total += len(boxes)
            if not len(boxes) or not len(others):
                continue
            apart = np.abs(boxes[:, None] - others[None]).max(-1)
            nearest = apart.argmin(1)
            near = apart.min(1) <= NEAR_PX
            partners += int(near.sum())
            score = max(score, float(np.abs(scores - own[nearest])[near].max(initial=0)))
    return {
        "boxes_with_partner": partners / max(total, 1),
        "score_of_partners": score,
        "best_score": best,
        "boxes": total,
    }


# ----------------------------------------------------------------------------- KYS


def kys(setting: Setting) -> dict[str, Any]:
    """Five queries of a clip followed both ways, in tracked frames a second.

    Args:
        setting: where, and how large.
    """
    torch.manual_seed(0)
    network, (height, width) = KysNetwork(_kys_network(setting)), _kys_frame(setting)
    network.to(setting.device)
    reach = 3 if setting.tiny else 25
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8), (width, height))
    frames = [np.roll(picture, (i, 2 * i), (0, 1)) for i in range(2 * reach + 1)]
    side = network.config.image_side
    crops = torch.from_numpy(picture[:side, :side]).permute(2, 0, 1)[None].float()
    settle(
        network,
        lambda: network.iou_net.features(
            *network.maps(crops.repeat(2, 1, 1, 1).to(setting.device))
        ),
    )
    row = Measured("frames/s", note=_KYS_NOTE)
    todo = _followings(frames, reach, 2 if setting.tiny else QUERIES)
    followed = _our_kys(row, setting, network, todo, reach)
    _official_kys(row, setting, network, todo[0], reach, followed["fp32"][0])
    equal = row.deviation["official"]["box_px_mean"] <= 2
    bars = [("fp32", 10.0, 120.0), ("tf32", None, None)]
    for name, ratio, rate in bars:
        if name in row.ours and row.official:
            over = row.ours[name] / row.official
            row.bars += [
                Bar(f"KYS, {name} over the official order", over, "x", ratio, True, equal),
                Bar(f"KYS, {name}", row.ours[name], "frames/s", rate),
            ]
    return row.record(setting)


def _kys_network(setting: Setting) -> KysConfig:
    if not setting.tiny:
        return KysConfig()
    backbone = replace(KysConfig().backbone, blocks=(1, 1, 1, 1), stem_channels=8, width=8)
    return KysConfig(
        backbone=backbone,
        image_side=96,
        classifier_channels=16,
        iou_reference=8,
        iou_channels=16,
    )


def _kys_frame(setting: Setting) -> tuple[int, int]:
    return (120, 160) if setting.tiny else (1080, 1440)


def _followings(frames: list[np.ndarray], reach: int, count: int) -> list[Following]:
    """Boxes in the middle frame; both directions have ``reach`` frames."""
    height, width = frames[0].shape[:2]
    boxes = [
        [int(value) for value in (x, y, x + width / 9, y + height / 9)]
        for x, y in ((width * (2 + i) / 9, height * (2 + i) / 9) for i in range(count))
    ]
    return [
        Following(frames.__getitem__, reach, 2 * reach + 1, box, seed)
        for seed, box in enumerate(boxes)
    ]


def _our_kys(
    row: Measured, setting: Setting, network: KysNetwork, todo: list[Following], reach: int
) -> dict[str, list[Followed]]:
    """All queries in lock step."""
    tracker = KysTracker(network, TrackConfig(lost_threshold=-1.0))
    found: dict[str, list[Followed]] = {}
    units = 2 * reach * len(todo)
    for name in ("fp32", "tf32", "bf16"):
        try:
            with precision(name, setting.device):
                found[name] = track_many(tracker, todo)
                taken = seconds(lambda: track_many(tracker, todo), setting, repeats=1, warm_up=0)
                row.ours[name] = units / taken
                if name == "fp32":
                    _count_kys(row, setting, tracker, todo)
                    if memory := peak_memory_gb(lambda: _start_all(tracker, todo), setting):
                        row.peak_memory_gb[name] = memory
        except Exception as error:  # the other precisions are measured all the same
            row.errors[name] = f"{type(error).__name__}: {error}"[:500]
    for name in set(found) - {"fp32"}:
        row.deviation[name] = box_distances(found[name], found["fp32"])
    return found


def _start_all(tracker: KysTracker, todo: list[Following]) -> list[Target]:
    return [
        tracker.start(
            one.frames(one.start_frame),
            np.array([one.box[0], one.box[1], one.box[2] - one.box[0], one.box[3] - one.box[1]]),
            torch.Generator().manual_seed(one.seed),
        )
        for one in todo
    ]


def _count_kys(row: Measured, setting: Setting, tracker: KysTracker, todo: list[Following]) -> None:
    """Launches and waits of later steps, and where a step's time goes."""
    begin = time.perf_counter()
    targets = _start_all(tracker, todo)
    row.more["start_ms"] = (time.perf_counter() - begin) * 1000 / len(targets)
    frames = [todo[0].frames(todo[0].start_frame + 1)] * len(targets)
    tracker.step_all(targets, frames)
    counts = launches_and_synchronisations(lambda: tracker.step_all(targets, frames), setting)
    row.launches = counts.launches / len(targets)
    row.synchronisations = counts.synchronisations / len(targets)
    row.busy, row.more["synchronisation_kinds"] = counts.busy, counts.kinds
    patches = tracker.crops(targets, frames)
    inputs = tracker.inputs(targets, patches)
    shallow, deep, *_ = tracker.look(*inputs)
    vectors = [torch.cat([target.modulation[i] for target in targets]) for i in range(2)]
    boxes = torch.tensor([100.0, 100, 60, 60], device=shallow.device).repeat(len(targets), 10, 1)
    parts = {
        "step": lambda: tracker.step_all(targets, frames),
        "crops": lambda: tracker.crops(targets, frames),
        "inputs": lambda: tracker.inputs(targets, patches),
        "look": lambda: tracker.look(*inputs),
        "ascent": lambda: tracker.ascend(shallow, deep, *vectors, boxes),
    }
    with torch.no_grad():
        row.more["ms_a_step"] = {
            name: seconds(work, setting, repeats=3, warm_up=2) * 1000
            for name, work in parts.items()
        }


def _official_kys(
    row: Measured,
    setting: Setting,
    network: KysNetwork,
    one: Following,
    reach: int,
    ours: Followed,
) -> None:
    """One query, in the official order of work."""
    tracker = KysTracker(network, TrackConfig(lost_threshold=-1.0, path="official"))
    targets = _start_all(tracker, [one])
    frame = one.frames(one.start_frame + 1)
    with precision("fp32", setting.device):
        counts = launches_and_synchronisations(lambda: tracker.step(targets[0], frame), setting)
        row.official_launches = counts.launches
        row.official_synchronisations = counts.synchronisations
        begin = time.perf_counter()
        theirs = track_many(tracker, [one])
        row.official = 2 * reach / (time.perf_counter() - begin)
    row.deviation["official"] = box_distances([ours], theirs)


def box_distances(found: list[Followed], expected: list[Followed]) -> dict[str, float]:
    """Largest and mean distance of the tracks' corners, in pixels of the frame; boxes are
    whole numbers.

    Args:
        found: tracks.
        expected: tracks of the same targets over the same frames.
    """
    apart = [
        np.abs(one.rows[:, 1:] - other.rows[:, 1:])
        for one, other in zip(found, expected, strict=True)
    ]
    every = np.concatenate(apart)
    return {"box_px_max": float(every.max()), "box_px_mean": float(every.mean())}


_KYS_NOTE = (
    "5 queries of a clip of 1440 x 1080 frames in memory, both directions of 25 frames each with "
    "their starts, in lock step; the official order follows one of them; drawn weights"
)
_NOTE = (
    "1440 x 1080 H.264 clip, 5 queries; the official order reads, resizes and computes on one "
    "thread; deviations from our frame-by-frame float32 path, with drawn weights"
)

PARTS: dict[str, Callable[[Setting], dict[str, Any]]] = {"step1": step1, "kys": kys}


def main() -> None:
    """Runs the named parts and prints their records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    for name in options.only.split(","):
        begin = time.perf_counter()
        record = PARTS[name](Setting(options.device, options.tiny))
        print(json.dumps({name: record, "seconds": time.perf_counter() - begin}, indent=1))


if __name__ == "__main__":
    main()
