"""The VID metric by speed, COCO's AP, and motion tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.metrics.coco import COCO_NAMES, evaluate_coco
from egolib.metrics.detection import evaluate_vid, predictions_from_lists, truths
from egolib.metrics.motion_speed import read_motion, table_from_rows
from egolib.vod.data.index import VideoIndex, make_index
from egolib.vod.data.references import test_order
from tests.parity.recordings import auxiliary, read

EXACT, TIES = 1e-9, 0.02  # this folder's README


def in_order(index: VideoIndex, order: np.ndarray):
    """True boxes of the frames in the order of testing, and their annotation rows."""
    rows = np.concatenate([index.annotations(i) for i in order])
    number = np.zeros(len(index), np.int64)
    number[order] = np.arange(len(order))
    xywh = index.box_xywh[rows]
    corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    return truths(number[index.owner[rows]], index.category[rows] - 1, corners), rows


@pytest.mark.recordings("evaluation")
def test_metrics(recording: Path):
    compared = 0
    for name, case, expected in cases(read(recording)):
        index = make_index(case["annotations"])
        order = np.searchsorted(index.image_id, expected["img_ids"])
        truth, rows = in_order(index, order)
        predicted = predictions_from_lists(case["predictions"])
        motion = table_from_rows([case["motion_iou"][index.image_id[i] - 1] for i in order])
        result = evaluate_vid(truth, predicted, motion, index.class_names())
        accepted = TIES if "ties" in name else EXACT
        compared += check_vid(result, expected, accepted)
        sizes = list(zip(index.height[order].tolist(), index.width[order].tolist()))
        boxes, areas = index.box_xywh[rows], index.area[rows]
        found = evaluate_coco(truth, predicted, sizes, index.class_names(), boxes, areas)
        coco = expected.get("coco", {})
        compared += len(coco)
        if coco and "ties" not in name:
            assert {n: round(found[n], 3) for n in COCO_NAMES} == {n: coco[n] for n in COCO_NAMES}
            copied = " ".join(f"{found[n]:.3f}" for n in COCO_NAMES)
            assert copied == coco["bbox_mAP_copypaste"]
        assert all(abs(found[n] - coco[n]) <= TIES for n in COCO_NAMES if n in coco)
    assert compared


def cases(content: dict) -> list[tuple[str, dict, dict]]:
    """(name, case, expected) of a recording: by name, or as lists whose entries may say theirs."""
    made, expected = content["cases"], content.get("expected", {})
    if isinstance(made, dict):
        return [(name, case, expected[name]) for name, case in made.items()]
    found = []
    for i, case in enumerate(made):
        name = str(case.get("name", case.get("tag", i)))
        of_list = expected[i] if isinstance(expected, list) else expected.get(name)
        found.append((name, case, case.get("expected", of_list)))
    return found


def check_vid(result, expected: dict, accepted: float) -> int:
    """Compares what is recorded of the VID metric; how many numbers that were."""
    found = result.as_dict()
    for key, value in expected.get("vid", {}).items():
        assert (found[key] is None) == (value is None), key
        if value is not None:
            assert abs(found[key] - value) <= accepted, key
    recorded = expected.get("per_class_ap_by_bucket_all_fast_medium_slow")
    if recorded is None:
        return len(expected.get("vid", {}))
    table = np.array([[np.nan if v is None else v for v in row] for row in recorded], float)
    assert np.isnan(table[:, 0]).all()  # the background
    classes = table.shape[1] - 1
    np.testing.assert_allclose(result.ap[:, :classes], table[:, 1:], rtol=0, atol=accepted)
    assert np.isnan(result.ap[:, classes:]).all()
    return table.size + len(expected.get("vid", {}))


@pytest.mark.recordings("evaluation")
def test_order_of_shuffled_frames(recording: Path):
    for _, case, expected in cases(read(recording)):
        index = make_index(case["annotations"])
        seed = None if expected["img_ids"] == sorted(expected["img_ids"]) else 10
        order = test_order(index, shuffle_seed=seed)
        assert index.image_id[order].tolist() == expected["img_ids"]


@pytest.mark.recordings("motion")
def test_motion_tables(recording: Path):
    case = recording.stem.removeprefix("motion_")
    found = read_motion(recording)
    beside = sorted(recording.parent.glob("evaluation*.json"))
    files = beside or [auxiliary(recording, "evaluation.json")]
    known = {name: c["motion_iou"] for file in files for name, c, _ in cases(read(file))}
    if case not in known:
        pytest.skip(f"no evaluation file holds the case {case!r} of this table")
    rows = known[case]
    assert [row.tolist() for row in found.rows()] == rows
    assert len(found.entries()) == sum(max(len(row), 1) for row in rows)
