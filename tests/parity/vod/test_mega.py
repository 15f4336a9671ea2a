"""MEGA and its single-frame model.

MEGA's relations depend on 100 * log of the distance between proposals, relative to their
size. That turns rounding in the proposals (1e-4 pixels here) into differences of a few
per cent in the features. A change of the input images by one unit in the last place
(1e-7) moves our proposals as far as the recorded ones are from ours. So the comparison
takes the recorded proposals where there are some (the best 75 of frames 0 to 4). Rows
whose whole geometry is recorded must agree as all features must; for the other rows and
for detections the bound is what that smallest change of the input does to ours.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.nn.anchors import cell_anchors
from egolib.nn.rpn import Proposals
from egolib.ops.boxes import nms
from egolib.vod.config import InferConfig
from egolib.vod.config.data import c4
from egolib.vod.config.infer import published_infer
from egolib.vod.data.dataset import mega_test_places
from egolib.vod.data.pipeline import prepare
from egolib.vod.models.frames import Frames
from tests.parity import inputs
from tests.parity.recordings import read
from tests.parity.vod.networks import (
    FEATURES,
    HEAD,
    Case,
    check,
    check_detections,
    check_proposals,
    published,
    read_case,
    settings,
    unmatched,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vod_mega")]


@pytest.fixture(autouse=True)
def no_gradient():
    with torch.no_grad():
        yield


# ------------------------------------------------------------------------------ MEGA


def shortened(case: Case, model) -> InferConfig:
    """Settings of testing with the windows of a recording."""
    names = {"window": "all_frame_interval", "position": "key_frame_location"}
    names["global_size"] = "global_size"
    return settings(model, mega={ours: case.info[name] for ours, name in names.items()})


def use_recorded_proposals(model, recorded: list[torch.Tensor]) -> None:
    """Replaces the best proposals of every frame whose recording they agree with."""
    propose = model.detector.propose

    def replaced(maps, sizes, limits=None):
        return [exchange(p) for p in propose(maps, sizes, limits)]

    def exchange(found: Proposals) -> Proposals:
        for boxes in recorded:
            count = len(boxes)
            if len(found.boxes) >= count and (found.boxes[:count] - boxes).abs().max() < 0.02:
                return Proposals(torch.cat([boxes, found.boxes[count:]]), found.scores)
        return found

    model.detector.propose = replaced


def run(case: Case, model) -> list[dict]:
    """Features, logits, offsets, detections and memories of every recorded frame."""
    steps, seen = [], {}
    rules = shortened(case, model)
    state = model.start_video(rules)
    mega, order = rules.mega, case.info["global_order"]
    hook = model.head.predict.register_forward_hook(
        lambda _m, given, made: seen.update(features=given[0], output=made)
    )
    for t in sorted(int(n[5:-5]) for n in case.arrays if n.endswith("/dets")):
        near, far = mega_test_places(t, order, mega.window, mega.position, mega.global_size)
        found = model.step(case.frames([t]), state, case.frames(near), case.frames(far))
        memory = [sum(len(rows) for rows in kept) for kept in state.memory]
        distant = sum(len(x) for x in state.distant)
        steps.append({**seen, "found": found, "memory": memory, "distant": distant, "frame": t})
    hook.remove()
    return steps


def error_of_rows(case: Case, name: str, values: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Differences from a recorded subset in parts of its largest value, and their rows."""
    values = values.flatten(1).cpu().numpy()
    assert list(values.shape) == case.arrays[f"{name}/shape"].tolist()
    expected = case.arrays[f"{name}/subset"]
    place = inputs.subset(np.arange(values.size))
    error = np.abs(values.ravel()[place] - expected) / np.abs(expected).max()
    return error, place // values.shape[1]


@pytest.mark.recordings("mega")
def test_mega(recording: Path, device: str):
    case = read_case(recording, device)
    model = published(recording, "mega", case.info["weight_seed"], device)
    first = case.frames([0])
    check(case, "frame0/backbone_first", model.detector.maps(first.images)[0])
    count = sum(name.endswith("/local_proposals") for name in case.arrays)
    recorded = [case.tensor(f"frame{t}/local_proposals") for t in range(count)]
    for t, boxes in enumerate(recorded):
        frame = case.frames([t])
        own = model.detector.propose(model.detector.maps(frame.images), frame.sizes)[0].boxes
        torch.testing.assert_close(own[: len(boxes)], boxes, rtol=1e-3, atol=1e-3)
    use_recorded_proposals(model, recorded)
    ours = run(case, model)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(case.images.shape, generator=generator).to(device)
    moved = run(replace(case, images=case.images * (1 + 1e-7 * noise)), model)
    known_frames, mega = len(recorded) - 1, shortened(case, model).mega
    for step, other in zip(ours, moved, strict=True):
        t = step["frame"]
        assert step["memory"] == case.arrays[f"frame{t}/memory_len"].tolist()
        assert step["distant"] == int(case.arrays[f"frame{t}/global_len"])
        whole = t + mega.window - mega.position - 1 <= known_frames
        check_step(case, step, other, known_rows=len(recorded[t]) if whole and t < count else 0)


def check_step(case: Case, step: dict, other: dict, known_rows: int) -> None:
    """One frame against the recording; ``other`` is the run on slightly moved images."""
    t, output, moved = step["frame"], step["output"], other["output"]
    parts = {
        "features": (step["features"], other["features"]),
        "class_logits": (output.logits, moved.logits),
        "box_regression": (output.offsets.flatten(1), moved.offsets.flatten(1)),
    }
    for name, (values, changed) in parts.items():
        error, rows = error_of_rows(case, f"frame{t}/{name}", values)
        assert (error[rows < known_rows] < FEATURES).all(), (t, name)
        largest = np.abs(case.arrays[f"frame{t}/{name}/subset"]).max()
        own = ((values - changed).abs().cpu().numpy() / largest).ravel()
        assert error.mean() < 3 * own.mean() + FEATURES, (t, name)
        assert np.quantile(error, 0.95) < 3 * np.quantile(own, 0.95) + FEATURES, (t, name)
    expected, labels = case.arrays[f"frame{t}/dets"], case.arrays[f"frame{t}/labels"] - 1
    assert len(step["found"].boxes) == len(expected)
    own_boxes, own_labels, own_scores = (x.cpu().numpy() for x in other["found"])
    own_rows = np.column_stack([own_boxes, own_scores])
    by_itself = unmatched(own_rows, own_labels, step["found"])
    missing = unmatched(expected, labels, step["found"])
    assert missing <= 0.02 * len(expected) + 2 * by_itself, (t, missing, by_itself)


# ------------------------------------------------------------------ single-frame model


@pytest.mark.recordings("mega_base")
def test_base_frames(recording: Path, device: str):
    case = read_case(recording, device)
    model = published(recording, "mega_base", case.info["weight_seed"], device)
    detector = model.detector
    for t in range(case.video):
        frame, name = case.frames([t], scale=1.0), f"frame{t}"
        maps = detector.backbone(frame.images)
        check(case, f"{name}/stem", detector.backbone.stem(frame.images))
        check(case, f"{name}/layer1", maps[0])
        check(case, f"{name}/layer2", maps[1])
        check(case, f"{name}/c4", maps[2])
        output = detector.rpn(maps[-1:])
        check(case, f"{name}/rpn_logits", output.logits[0])
        check(case, f"{name}/rpn_deltas", output.offsets[0])
        found = detector.propose(maps[-1:], frame.sizes)[0]
        check_proposals(case, f"{name}/proposals", *found, pixels=0.02)
        boxes = case.tensor(f"{name}/proposals")[:, :4]
        check_head(case, name, detector, maps[-1], boxes)
        check_detections(
            case, name, model.step(frame, model.start_video(settings(model))), first_label=1
        )
        check_rescaled(case, name, model, t)


def check_rescaled(case: Case, name: str, model, t: int) -> None:
    """Boxes are mapped to the original size after suppression."""
    width, height = case.arrays[f"{name}/original_size"].tolist()
    rows, columns = case.images.shape[-2:]
    frame = case.frames([t])
    factors = [columns / width, rows / height] * 2
    frame = replace(frame, scales=torch.tensor([factors], device=frame.images.device))
    original = np.column_stack(
        [case.arrays[f"{name}/dets_original"], case.arrays[f"{name}/dets"][:, 4]]
    )
    arrays = {f"{name}/dets": original, f"{name}/labels": case.arrays[f"{name}/labels"]}
    found = model.step(frame, model.start_video(settings(model)))
    check_detections(replace(case, arrays=arrays), name, found, first_label=1)


def check_head(case: Case, name: str, detector, c4_map: torch.Tensor, boxes: torch.Tensor) -> None:
    """The head on given regions of one frame."""
    head = detector.head
    if f"{name}/res5/shape" in case.arrays:
        check(case, f"{name}/res5", head.whole_map(c4_map))
    pooled = head.pool([c4_map], [boxes])
    if f"{name}/roi_features/shape" in case.arrays:
        size = head.config.roi.size
        check(case, f"{name}/roi_features", pooled.unflatten(1, (-1, size, size)))
    fc6 = torch.relu(head.layers[0](pooled))
    if f"{name}/fc6/shape" in case.arrays:
        check(case, f"{name}/fc6", fc6, HEAD)
    fc7 = torch.relu(head.layers[1](fc6))
    check(case, f"{name}/fc7", fc7, HEAD)
    output = head.predict(fc7)
    check(case, f"{name}/class_logits", output.logits, HEAD)
    check(case, f"{name}/box_regression", output.offsets.flatten(1), HEAD)
    size = (case.info["height"], case.info["width"])
    if name == "large":
        size = tuple(case.info["large_size"])
    limits = published_infer(detector.config).detections
    found = head.detect(fc7, boxes, size, torch.ones(4, device=boxes.device), limits)
    check_detections(case, name, found, first_label=1)


@pytest.mark.recordings("mega_base")
def test_base_on_recorded_regions(recording: Path, device: str):
    case = read_case(recording, device)
    model = published(recording, "mega_base", case.info["weight_seed"], device)
    c4_map = model.detector.maps(case.frames([0]).images)[0]
    for name in sorted(n.removesuffix("/rois") for n in case.arrays if n.endswith("/rois")):
        check_head(case, name, model.detector, c4_map, case.tensor(f"{name}/rois"))


@pytest.mark.recordings("mega_base")
def test_base_on_a_large_frame(recording: Path, device: str):
    case = read_case(recording, device)
    model = published(recording, "mega_base", case.info["weight_seed"], device)
    size = tuple(case.info["large_size"])
    images = torch.from_numpy(inputs.frames(case.info["large_frame"], 1, *size)).to(device)
    detector = model.detector
    c4_map = detector.maps(images)[0]
    check(case, "large/c4", c4_map)
    output = detector.rpn([c4_map])
    check(case, "large/rpn_logits", output.logits[0])
    check(case, "large/rpn_deltas", output.offsets[0])
    found = detector.rpn.propose(output, [size])[0]
    assert output.logits[0].numel() > 6000
    check_proposals(case, "large/proposals", *found, pixels=0.02)
    check_head(case, "large", detector, c4_map, case.tensor("large/proposals")[:, :4])


@pytest.mark.recordings("mega_base")
def test_base_on_a_batch(recording: Path, device: str):
    case = read_case(recording, device)
    model = published(recording, "mega_base", case.info["weight_seed"], device)
    height, width = case.info["batch_second_size"]
    images = case.images[:2].clone()
    images[1, :, height:], images[1, :, :, width:] = 0, 0
    sizes = [tuple(images.shape[-2:]), (height, width)]
    frames = Frames(images, sizes, images.new_ones(2, 4), [0, 1])
    maps = model.detector.maps(images)
    for i, found in enumerate(model.detector.propose(maps, sizes)):
        check_proposals(case, f"batch/proposals{i}", *found, pixels=0.02)
    for i, found in enumerate(model.detect(frames, settings(model))):
        check_detections(case, f"batch/{i}", found, first_label=1)


@pytest.mark.recordings("mega_base")
def test_base_anchors_suppression_and_preparation(recording: Path):
    case = read(recording)
    config = published_anchors()
    np.testing.assert_array_equal(cell_anchors(config), case["anchors/cell"])
    boxes, scores = torch.from_numpy(case["nms/boxes"]), torch.from_numpy(case["nms/scores"])
    for name in [n for n in case if n.startswith("nms/keep_")]:
        kept = nms(boxes, scores, float(name.removeprefix("nms/keep_")), extent=1)
        assert sorted(kept.tolist()) == case[name].tolist()
    for name in sorted(n for n in case if n.endswith("/image")):
        root = name.removesuffix("/image")
        short, long = case[f"{root}/min_max"].tolist()
        pipeline = replace(c4().pipeline, short_side=short, long_side=long)
        found = prepare(np.ascontiguousarray(case[name][..., ::-1]), pipeline).pixels
        assert list(found.shape) == case[f"{root}/tensor/shape"].tolist()
        expected = case[f"{root}/tensor/subset"]
        np.testing.assert_allclose(inputs.subset(found, 3000), expected, rtol=0, atol=1e-4)


def published_anchors():
    from egolib.vod.config.networks import frcnn_r101_c4

    return frcnn_r101_c4().rpn.anchors
