"""Scores of a set of detections on a data set on disk."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.metrics.detection import Boxes
from egolib.metrics.motion_speed import write_motion
from egolib.vod.config import EvaluateConfig
from egolib.vod.config.data import DataConfig
from egolib.vod.data.dataset import Source, make_source
from egolib.vod.data.references import test_order
from egolib.vod.evaluation import by_threshold, evaluate, evaluate_files, motion_table
from egolib.vod.formats.submission import DetectionSet, validate_file, write, write_coco


@pytest.fixture(scope="module")
def source(made: DataConfig) -> Source:
    return make_source(made.evaluation, made.images_vid, made, train=False)


def oracle(source: Source, order: list[int], shift: float = 0.0) -> DetectionSet:
    """The truth as detections, moved by some pixels."""
    rows = [source.index.annotations(i) for i in order]
    frame = np.repeat(np.arange(len(order)), [len(r) for r in rows])
    rows = np.concatenate(rows)
    scores = np.linspace(0.9, 0.5, len(rows)).astype(np.float32)
    boxes = Boxes(frame, source.label[rows], source.boxes[rows] + np.float32(shift), scores)
    return DetectionSet(boxes, source.index.image_id[order], ("mug", "jar"))


def test_the_truth_scores_one_in_any_order(source: Source):
    motion = motion_table(source)
    for seed in (None, 10):
        order = test_order(source.index, seed)
        found = evaluate(source, oracle(source, order), motion)
        assert found["AP50"] == pytest.approx(1, abs=1e-6)
        assert found["coco"]["bbox_mAP"] == pytest.approx(1, abs=1e-6)
        assert found["classes"] == {"mug": pytest.approx(1), "jar": pytest.approx(1)}
        speeds = [found[f"AP50_{s}"] for s in ("fast", "medium", "slow")]
        assert all(v is None or v == pytest.approx(1, abs=1e-6) for v in speeds)


def test_moved_boxes_score_less(source: Source):
    motion = motion_table(source)
    order = test_order(source.index)
    found = evaluate(source, oracle(source, order, shift=3.0), motion)
    assert found["AP50"] == pytest.approx(1) and found["coco"]["bbox_mAP"] < 0.9


def test_what_is_left_above_a_score(source: Source):
    """Half of the truth at high score, the other half misplaced at low score."""
    found = oracle(source, list(range(len(source.index))))
    boxes, place = found.boxes, np.arange(len(found.boxes.score))
    late = place % 2 == 1
    moved = boxes.box + np.where(late, 1000, 0)[:, None]
    score = np.where(late, 0.3, 0.9).astype(np.float32)
    found = replace(found, boxes=replace(boxes, box=moved, score=score))
    left = by_threshold(source, found, thresholds=(0.0, 0.5, 0.95))
    assert left["recall"].tolist() == pytest.approx([(~late).mean(), (~late).mean(), 0])
    assert left["precision"][:2].tolist() == pytest.approx([(~late).mean(), 1])
    assert np.isnan(left["precision"][2])


def test_motion_comes_from_tracks(source: Source):
    motion = motion_table(source)
    values = motion.rows()[0]
    assert values[1] == 1  # the jar stands still
    assert values[0] < 0.9  # the mug moves by 3 of 20 pixels a frame


def test_motion_tables_are_checked(source: Source, tmp_path: Path):
    motion = motion_table(source)
    path = write_motion(tmp_path / "motion.npz", motion)
    again = motion_table(source, path)
    np.testing.assert_array_equal(again.values, motion.values)
    short = replace(motion, values=motion.values[2:], counts=motion.counts[1:])
    write_motion(path, short)
    with pytest.raises(EgolibError, match="7 frames, the data set 8"):
        motion_table(source, path)
    counts = motion.counts.copy()
    counts[3] = 1
    write_motion(path, replace(motion, counts=counts))
    with pytest.raises(EgolibError, match="values"):
        motion_table(source, path)
    counts[4] += motion.counts[3] - 1
    write_motion(path, replace(motion, counts=counts))
    with pytest.raises(EgolibError, match=r"(?s)frame 4.*other boxes"):
        motion_table(source, path)


def test_some_frames_only(source: Source):
    motion, order = motion_table(source), test_order(source.index)
    detections = oracle(source, order)
    wrong = detections.boxes.box.copy()
    wrong[detections.boxes.frame >= 5] += 30  # the second video is all wrong
    spoilt = replace(detections, boxes=replace(detections.boxes, box=wrong))
    first = source.index.frames(0)
    assert evaluate(source, spoilt, motion, frames=first)["AP50"] == pytest.approx(1)
    assert evaluate(source, spoilt, motion)["AP50"] < 0.9


def test_styles_can_be_left_out(source: Source):
    detections = oracle(source, test_order(source.index))
    coco = evaluate(source, detections, None, EvaluateConfig(vid_style=False))
    assert coco.keys() == {"coco"}
    with pytest.raises(EgolibError, match="motion table"):
        evaluate(source, detections, None)


def test_results_for_other_images(source: Source):
    detections = oracle(source, test_order(source.index))
    strange = replace(detections, image_id=detections.image_id + 100)
    with pytest.raises(EgolibError, match="image 101"):
        evaluate(source, strange, motion_table(source))


@pytest.mark.parametrize("suffix", ["npz", "pkl"])
def test_files(source: Source, made: DataConfig, tmp_path: Path, suffix: str):
    order = test_order(source.index, 10)
    path = write(tmp_path / f"x.{suffix}", oracle(source, order))
    found = evaluate_files(made.evaluation, path, shuffle_seed=10, coco_style=False)
    assert found["AP50"] == pytest.approx(1) and "coco" not in found
    if suffix == "pkl":
        wrong = evaluate_files(made.evaluation, path, coco_style=False)
        assert wrong["AP50"] < 0.99  # a pickle does not say in which order its frames are
    assert "16 detections in 8 frames" in validate_file(path, made.evaluation)
    assert "2 classes" in validate_file(path)


def test_cocos_list_is_read_back(source: Source, made: DataConfig, tmp_path: Path):
    """What ``infer.format_only`` writes is what ``egolib evaluate`` reads."""
    order = test_order(source.index, 10)
    found = oracle(source, order, shift=2.0)
    few = found.boxes.frame > 0  # one frame has no detection
    parts = vars(found.boxes).items()
    found = replace(found, boxes=Boxes(**{k: v[few] for k, v in parts}))
    path = write_coco(tmp_path / "x", found, (1, 2))
    other = write(tmp_path / "x.npz", found)
    assert evaluate_files(made.evaluation, path) == evaluate_files(made.evaluation, other)
    assert "14 detections in 8 frames, 2 classes" in validate_file(path, made.evaluation)


def test_official_pickles_of_protocol_2(source: Source, made: DataConfig, tmp_path: Path):
    """mmcv writes protocol 2, in which an empty array holds ``__builtin__.bytes``."""
    found = oracle(source, test_order(source.index))
    lists = found.lists()
    lists[3] = [np.zeros((0, 5), np.float32)] * 2
    path = tmp_path / "results.pkl"
    path.write_bytes(pickle.dumps(lists, protocol=2))
    assert b"__builtin__" in path.read_bytes()
    numbers = evaluate_files(made.evaluation, path)
    assert 0.5 < numbers["AP50"] < 1
