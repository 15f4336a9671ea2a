"""Speed of vq2d, as ratios in one run with a check that outputs are equal.

    OMP_NUM_THREADS=1 python -m benchmarks.vq2d [--runs 3] [--only step1,evaluator,kys]

Times are CPU seconds of this process. The slow side is our own code in the official order of
work, on the same kernels: step 1 query by query, with the reference encoded for every frame;
KYS with separate norms, one batch of first crops, convolutions, a cost volume by displacement,
and whole maps for the IoU net. Ends with 1 when a bar is missed or outputs differ.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EGOLIB_PROGRESS", "off")

import cv2
import numpy as np
import torch
from torch import nn

from benchmarks.bars import Bar, run_parts, timed
from egolib.metrics.visual_query import AP_THRESHOLDS
from egolib.nn.config import ProposalConfig
from egolib.vq2d.config import DetectConfig, DetectorConfig, KysConfig, TrackConfig
from egolib.vq2d.data.annotations import Query, from_content
from egolib.vq2d.data.crop import reference_crop
from egolib.vq2d.evaluation import evaluate_content
from egolib.vq2d.formats.submission import build_submission
from egolib.vq2d.localization.detect import Detector, detect_clip
from egolib.vq2d.localization.tracks import Track
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.tracking.kys.network import KysNetwork
from egolib.vq2d.tracking.kys.tracker import KysTracker

QUERIES_OF_A_CLIP = 5
FRAMES_OF_A_CLIP = 6
QUERIES = 4500
TRACKED_FRAMES = 50


def compared(slow: Callable[[], Any], fast: Callable[[], Any], runs: int) -> tuple[float, Any, Any]:
    """Median ratio of the times of interleaved runs, and the last results."""
    ratios = []
    for _ in range(runs):
        slow_sec, expected = timed(slow)
        fast_sec, found = timed(fast)
        print(f"    official order {slow_sec:.2f} s, ours {fast_sec:.2f} s", flush=True)
        ratios.append(slow_sec / fast_sec)
    return statistics.median(ratios), expected, found


def settle(network: nn.Module, run: Callable[[], Any]) -> None:
    """Sets norms with running statistics so that random weights give useful activations."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        run()
    network.eval()


# -------------------------------------------------------------------------- step 1


class Clip:
    """Frames in memory."""

    def __init__(self, count: int, height: int, width: int):
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 255, (count, height // 8, width // 8, 3), dtype=np.uint8)
        self.frames = [cv2.resize(image, (width, height)) for image in coarse]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, frame: int) -> np.ndarray:
        return self.frames[frame]

    def batch(self, frames: Iterable[int]) -> np.ndarray:
        return np.stack([self.frames[frame] for frame in frames])


def clip_queries(clip: Clip) -> list[Query]:
    height, width = clip[0].shape[:2]
    box = {"width": 60.0, "height": 50.0, "original_width": width, "original_height": height}
    return [
        Query(
            {},
            {"clip_uid": "clip"},
            "annotation",
            str(number),
            {
                "query_frame": len(clip) - 1,
                "visual_crop": box | {"frame_number": number, "x": 20.0 * number, "y": 30.0},
            },
        )
        for number in range(QUERIES_OF_A_CLIP)
    ]


def official_order(clip: Clip, queries: list[Query], detector: Detector) -> dict[str, list]:
    """Each query on its own: the whole network for every frame, the reference every time."""
    found = {}
    for query in queries:
        crop = reference_crop(clip[query.crop.frame], query.crop.xyxy, query.crop.frame_size)
        numbers = list(range(query.query_frame))
        frames = detector.regions(list(clip.batch(numbers)))
        references = detector.encode([crop] * len(numbers))
        found[query.key] = [
            detector.compare(frame, references[i : i + 1])[0] for i, frame in enumerate(frames)
        ]
    return found


def step1(runs: int) -> list[Bar]:
    """The published network with fewer proposals on small frames, five queries."""
    torch.manual_seed(0)
    settings = DetectConfig(
        proposals=ProposalConfig(200, 40, 0.7, "logit"),
        short_side=192,
        long_side=320,
        intermediate_height=192,
    )
    detector = Detector(SiameseRcnn(DetectorConfig()), settings)
    clip = Clip(FRAMES_OF_A_CLIP + 1, 240, 320)
    queries = clip_queries(clip)
    ratio, expected, found = compared(
        lambda: official_order(clip, queries, detector),
        lambda: detect_clip(clip, queries, detector),
        runs,
    )
    equal = all(
        np.abs(found[key].frame(number)[0] - boxes).max(initial=0) <= 1
        and np.allclose(found[key].frame(number)[1], scores, atol=1e-4)
        for key, frames in expected.items()
        for number, (boxes, scores) in enumerate(frames)
    )
    return [Bar("step 1, clip with 5 queries", ratio, "x", 4.0, True, equal)]


# ----------------------------------------------------------------------- evaluator


def made_up_queries(count: int) -> tuple[dict, dict[str, Track]]:
    """Annotations in the official form, and predictions of which about half are right."""
    rng = np.random.default_rng(0)
    annotations, tracks = [], {}
    for number in range(count):
        uid, length = f"annotation{number}", int(rng.integers(3, 40))
        start = int(rng.integers(0, 800))
        low = rng.uniform(0, 900, 2)
        sizes = rng.uniform(40, 300, 2)
        corners = np.tile(np.concatenate([low, sizes]), (length, 1))
        corners[:, :2] += rng.normal(0, 3, (length, 2))
        box = {"rotation": 0, "original_width": 1440, "original_height": 1080}
        response = [
            box | {"frame_number": start + i, "x": x, "y": y, "width": w, "height": h}
            for i, (x, y, w, h) in enumerate(corners.tolist())
        ]
        query = {
            "is_valid": True,
            "query_frame": start + length + 50,
            "visual_crop": response[0] | {"frame_number": start + length + 60},
            "response_track": response,
        }
        annotations.append({"annotation_uid": uid, "query_sets": {"1": query}})
        rows = np.column_stack([np.arange(length), corners[:, :2], corners[:, :2] + sizes])
        rows[:, 0] += start + rng.integers(-10, 10) + (300 if rng.random() < 0.4 else 0)
        tracks[f"{uid}_1"] = Track.from_rows(rows + rng.normal(0, 5) * np.array([0, 1, 1, 1, 1]))
    clip = {
        "clip_uid": "clip",
        "video_start_sec": 0,
        "video_end_sec": 480,
        "clip_fps": 5.0,
        "annotations": annotations,
    }
    video = {"video_uid": "video", "split": "val", "clips": [clip]}
    return {"version": "1.0.5", "videos": [video]}, tracks


def plain_ap(content: dict, submission: dict) -> np.ndarray:
    """Spatio-temporal AP in file order, query by query and frame by frame."""
    ious = []
    clip, predicted = (
        content["videos"][0]["clips"][0],
        submission["results"]["videos"][0]["clips"][0],
    )
    for annotation, prediction in zip(clip["annotations"], predicted["predictions"], strict=True):
        truth = annotation["query_sets"]["1"]["response_track"]
        boxes = {
            b["frame_number"]: (b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"])
            for b in truth
        }
        volume = sum((b[2] - b[0]) * (b[3] - b[1]) for b in boxes.values())
        shared = 0.0
        for box in prediction["query_sets"]["1"]["bboxes"]:
            volume += (box["x2"] - box["x1"]) * (box["y2"] - box["y1"])
            if box["fno"] in boxes:
                x1, y1, x2, y2 = boxes[box["fno"]]
                across = min(x2, box["x2"]) - max(x1, box["x1"])
                down = min(y2, box["y2"]) - max(y1, box["y1"])
                shared += max(across, 0) * max(down, 0)
        ious.append(shared / (volume - shared))
    values = []
    for threshold in AP_THRESHOLDS:
        hits = [iou >= threshold for iou in ious]
        precision = [sum(hits[: i + 1]) / (i + 1) for i in range(len(hits))]
        best, area = 0.0, 0.0
        for hit, value in zip(reversed(hits), reversed(precision), strict=True):
            best = max(best, value)
            area += best * hit
        values.append(area / len(hits))
    return np.array(values)


def evaluator(runs: int) -> list[Bar]:
    """Validation and all metrics of 4,500 queries, from parsed JSON; best of five."""
    content, tracks = made_up_queries(QUERIES)
    submission = build_submission(from_content(content), tracks)
    times = []
    for _ in range(5):
        spent, scores = timed(
            lambda: evaluate_content(from_content(content), submission, ap_ties="file")
        )
        times.append(spent)
    spent, expected = timed(lambda: plain_ap(content, submission))
    print(f"    plain loops, one of the metrics: {spent:.2f} s", flush=True)
    equal = np.allclose(scores.spatio_temporal.values, expected, rtol=0, atol=1e-12)
    return [Bar("evaluator, 4,500 queries", min(times), "CPU s", 0.5, False, bool(equal))]


# ----------------------------------------------------------------------------- KYS


def track(tracker: KysTracker, frames: list[np.ndarray]) -> np.ndarray:
    """Boxes (50, 4) after a start on the first frame."""
    box = np.array([200.0, 150.0, 80.0, 60.0])
    target = tracker.start(frames[0], box, torch.Generator().manual_seed(0))
    return np.array([tracker.step(target, frame).box_xywh for frame in frames[1:]])


def kys(runs: int) -> list[Bar]:
    """The published network with random weights: start and 50 frames of a moving picture."""
    torch.manual_seed(0)
    network = KysNetwork(KysConfig())
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8), (640, 480))
    frames = [np.roll(picture, (i, 2 * i), (0, 1)) for i in range(TRACKED_FRAMES + 1)]
    crops = torch.from_numpy(picture[:288, :288]).permute(2, 0, 1)[None].float()
    settle(network, lambda: network.iou_net.features(*network.maps(crops.repeat(2, 1, 1, 1))))
    settings = TrackConfig(lost_threshold=-1.0)
    official = KysTracker(network, replace(settings, path="official"))
    fast = KysTracker(network, settings)
    ratio, expected, found = compared(
        lambda: track(official, frames), lambda: track(fast, frames), runs
    )
    difference = np.abs(found - expected).max()
    print(f"    largest difference of a box {difference:.2g} px, path {np.ptp(expected, 0)}")
    return [Bar("KYS, start and 50 frames", ratio, "x", 2.0, True, bool(difference <= 0.01))]


PARTS: dict[str, Callable[[int], list[Bar]]] = {
    "step1": step1,
    "evaluator": evaluator,
    "kys": kys,
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(run_parts(PARTS, __doc__))
