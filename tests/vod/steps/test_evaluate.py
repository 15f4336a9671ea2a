"""``4_evaluate``: numbers of one run, of groups of frames, and against another run."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.records import write_json
from egolib.metrics.detection import Boxes
from egolib.vod.formats.submission import DetectionSet, write, write_coco
from egolib.vod.steps import evaluate, figures, infer
from tests.vod.project import changed, make_root, step


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_root(tmp_path_factory.mktemp("root"))


@pytest.fixture
def test_set(root, tmp_path):
    return evaluate.read_truth(step("4_evaluate", root, tmp_path))


def perfect(test, shift: float = 0.0, labels=lambda x: x) -> DetectionSet:
    """Detections that are the truth, moved to the right."""
    source = test.source
    rows = np.flatnonzero(source.objects)
    boxes = Boxes(
        source.index.owner[rows],
        labels(source.label[rows]),
        (source.boxes[rows] + shift * np.array([1, 0, 1, 0])).astype(np.float32),
        np.linspace(0.9, 0.8, len(rows)).astype(np.float32),
    )
    return DetectionSet(boxes, source.index.image_id, ("mug", "jar"))


def with_flags(test, flags):
    """The test set with other ``generated`` flags."""
    object.__setattr__(test.source.index, "generated", np.asarray(flags, bool))
    return test


def test_the_truth_scores_100(test_set):
    numbers = evaluate.score(test_set, perfect(test_set))
    assert numbers["AP50"] == pytest.approx(100) and numbers["coco"]["bbox_mAP"] == pytest.approx(
        100
    )
    assert evaluate.score(test_set, perfect(test_set, 50.0))["AP50"] == 0


def test_degraded_and_sharp_frames(test_set):
    """Flags stand at annotations; a frame is degraded when one of its objects is flagged."""
    test = with_flags(test_set, test_set.source.index.owner < 3)
    assert test.degraded.tolist() == [0, 1, 2] and test.sharp.tolist() == [3, 4, 5, 6, 7]
    found = perfect(test)
    found.boxes.label[found.boxes.frame < 3] ^= 1
    numbers = evaluate.score(test, found)
    assert numbers["degraded"]["AP50"] == 0 and numbers["sharp"]["AP50"] == pytest.approx(100)
    assert 0 < numbers["AP50"] < 100


def test_outcomes(test_set):
    test = with_flags(test_set, test_set.source.index.owner < 2)
    assert evaluate.outcomes(test, perfect(test))["all"].tolist() == [16, 0, 0]
    swapped = evaluate.outcomes(test, perfect(test, labels=lambda x: 1 - x))
    assert swapped["degraded"].tolist() == [0, 4, 0] and swapped["sharp"].tolist() == [0, 12, 0]
    assert evaluate.outcomes(test, perfect(test, 60.0))["all"].tolist() == [0, 0, 16]
    shares = evaluate.outcome_percentages(test, perfect(test))["degraded"]
    assert shares == {"right_class": 100, "wrong_class": 0, "not_found": 0}


def test_the_most_confident_overlapping_detection_counts(test_set):
    found = perfect(test_set)
    both = Boxes(
        *(np.concatenate([a, a]) for a in (found.boxes.frame, found.boxes.label, found.boxes.box)),
        np.concatenate([found.boxes.score, found.boxes.score + 0.05]),
    )
    both.label[16:] ^= 1
    order = np.argsort(both.frame, kind="stable")
    sorted_boxes = Boxes(*(a[order] for a in (both.frame, both.label, both.box, both.score)))
    counted = evaluate.outcomes(
        test_set, DetectionSet(sorted_boxes, found.image_id, found.class_names)
    )
    assert counted["all"].tolist() == [0, 16, 0]


def test_two_runs(root, tmp_path, test_set):
    made = step("4_evaluate", root, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    write(made.input("predictions") / "detections.npz", perfect(test_set))
    write(other / "detections.npz", perfect(test_set, 50.0))
    write_json(other / "result.json", {"variant": "worse", "metrics": {}})
    made = changed(made, inputs={**made.inputs, "other": other})
    runs = evaluate.read_predictions(made, test_set)
    scored = {name: evaluate.score(test_set, found) for name, found in runs.items()}
    numbers = evaluate.metrics(scored, test_set, runs)
    assert (
        numbers["over_other"]["AP50"] == pytest.approx(100)
        and "classes" not in numbers["over_other"]
    )
    assert evaluate.table(scored).loc["worse", "AP50"] == 0
    assert evaluate.class_table(scored).shape == (2, 2)
    assert evaluate.effects(test_set, runs).loc[("worse", "all frames"), "not found"] == 100
    figures.bars(evaluate.table(scored))
    figures.strips(test_set.source, runs, evaluate.frames_of_one_video(test_set, count=2))


def test_runs_on_other_frames_are_refused(root, tmp_path, test_set):
    made = step("4_evaluate", root, tmp_path)
    found = perfect(test_set)
    fewer = DetectionSet(
        Boxes(*(a[:0] for a in vars(found.boxes).values())), found.image_id[:4], found.class_names
    )
    other = tmp_path / "other"
    other.mkdir()
    write(made.input("predictions") / "detections.npz", found)
    write(other / "detections.npz", fewer)
    write_json(other / "result.json", {"variant": "fewer", "metrics": {}})
    with pytest.raises(EgolibError, match="no results|other frames"):
        evaluate.read_predictions(changed(made, inputs={**made.inputs, "other": other}), test_set)


def test_example_frames_follow_the_annotations(test_set):
    test = with_flags(test_set, np.isin(test_set.source.index.owner, [5, 6]))
    assert evaluate.frames_of_one_video(test, count=3) == [5, 6, 7]
    assert evaluate.counts(test) == {"videos": 2, "frames": 8, "degraded": 2, "objects": 16}


def test_confidence_table(test_set):
    assert infer.table(perfect(test_set)).iloc[0, 0] == 2


def test_either_metric_may_be_left_out(root, tmp_path, test_set):
    for name, absent in (("vid_style", "classes"), ("coco_style", "coco")):
        made = step("4_evaluate", root, tmp_path, {"evaluate": {name: False}})
        truth = evaluate.read_truth(made)
        scored = {"a": evaluate.score(truth, perfect(truth))}
        assert absent not in scored["a"]
        evaluate.check(scored)
        evaluate.class_table(scored)
        figures.bars(evaluate.table(scored))
    with pytest.raises(EgolibError, match="nothing is scored"):
        step("4_evaluate", root, tmp_path, {"evaluate": {"vid_style": False, "coco_style": False}})


def test_results_files_in_the_place_of_a_step(root, tmp_path, test_set):
    made = step("4_evaluate", root, tmp_path)
    found = perfect(test_set)
    write_coco(tmp_path / "x", found, (1, 2))
    for path in (write(tmp_path / "x.pkl", found), tmp_path / "x.bbox.json"):
        runs = evaluate.read_predictions(changed(made, inputs={"predictions": path}), test_set)
        assert evaluate.score(test_set, runs[made.variant])["AP50"] == pytest.approx(100)


def test_impossible_scores_are_refused():
    with pytest.raises(EgolibError, match="mean over its classes"):
        evaluate.check({"a": {"AP50": 50.0, "classes": {"mug": 10.0, "jar": 20.0}}})
    with pytest.raises(EgolibError, match="no percentage"):
        evaluate.check({"a": {"AP50": 150.0, "classes": {"mug": 150.0}}})
