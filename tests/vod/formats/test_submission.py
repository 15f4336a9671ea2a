"""Results files: ours, the official pickle, COCO's list."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.records import read_json
from egolib.metrics.detection import Boxes
from egolib.vod.formats.submission import (
    DetectionSet,
    read,
    validate,
    write,
    write_coco,
)

NAMES = ("mug", "jar")


def some() -> DetectionSet:
    boxes = Boxes(
        np.array([0, 0, 2]),
        np.array([1, 0, 1]),
        np.array([[0, 0, 5, 6], [1, 1, 3, 4], [2, 2, 9, 9]], np.float32),
        np.array([0.9, 0.5, 0.25], np.float32),
    )
    return DetectionSet(boxes, np.array([4, 5, 6]), NAMES)


def none() -> DetectionSet:
    empty = np.zeros(0, np.int64)
    return DetectionSet(
        Boxes(empty, empty, np.zeros((0, 4), np.float32), np.zeros(0, np.float32)),
        np.array([4, 5]),
        NAMES,
    )


def equal(first: DetectionSet, second: DetectionSet) -> bool:
    pairs = [
        (a, b)
        for x, y in zip(first.lists(), second.lists(), strict=True)
        for a, b in zip(x, y, strict=False)
    ]
    same = all(np.array_equal(a, b) for a, b in pairs)
    return same and first.class_names == second.class_names


@pytest.mark.parametrize("made", [some, none])
def test_own_file(tmp_path: Path, made):
    path = write(tmp_path / "x.npz", made())
    found = read(path)
    assert equal(found, made()) and found.image_id.tolist() == made().image_id.tolist()


@pytest.mark.parametrize("made", [some, none])
def test_official_pickle(tmp_path: Path, made):
    path = write(tmp_path / "x.pkl", made())
    content = pickle.loads(path.read_bytes())
    assert len(content) == len(made().image_id) and all(len(f) == 2 for f in content)
    assert all(a.dtype == np.float32 and a.shape[1] == 5 for f in content for a in f)
    assert equal(read(path, made().image_id, NAMES), made())


def test_mmtracking_wraps_the_list(tmp_path: Path):
    path = tmp_path / "x.pickle"
    path.write_bytes(pickle.dumps({"det_bboxes": some().lists()}))
    assert equal(read(path, some().image_id, NAMES), some())


class Harmful:
    def __reduce__(self):
        return (print, ("executed",))


def test_pickles_are_never_executed(tmp_path: Path, capsys: pytest.CaptureFixture):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([Harmful()]))
    with pytest.raises(EgolibError):
        read(path)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [({"other": 1}, "not a results pickle"), ([1, 2], "not a results pickle")],
)
def test_other_pickles(tmp_path: Path, content, message: str):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(EgolibError, match=message):
        read(path)


def test_counts_are_compared(tmp_path: Path):
    path = write(tmp_path / "x.pkl", some())
    with pytest.raises(EgolibError, match="3 frames, the data set has 2"):
        read(path, np.array([1, 2]))
    with pytest.raises(EgolibError, match="expected 3"):
        read(path, class_names=("a", "b", "c"))


def test_unknown_suffix_and_missing_file(tmp_path: Path):
    with pytest.raises(EgolibError, match="unknown kind"):
        write(tmp_path / "x.txt", some())
    with pytest.raises(EgolibError, match="does not exist"):
        read(tmp_path / "x.npz")


def test_coco_list(tmp_path: Path):
    path = write_coco(tmp_path / "out", some(), category_ids=(1, 2))
    assert path.name == "out.bbox.json"
    entries = read_json(path)
    assert entries[0] == {
        "image_id": 4,
        "bbox": [0, 0, 5, 6],
        "score": pytest.approx(0.9),
        "category_id": 2,
    }
    assert entries[2]["image_id"] == 6


def test_validation_names_what_is_wrong():
    validate(some(), np.array([4, 5, 6]), NAMES)
    with pytest.raises(EgolibError, match=r"(?s)image 7.*no results"):
        validate(some(), np.array([4, 5, 6, 7]), NAMES)
    with pytest.raises(EgolibError, match="classes"):
        validate(some(), np.array([4]), ("mug",))
    wrong = some()
    wrong.boxes.box[2, 2] = -30
    with pytest.raises(EgolibError, match=r"(?s)image 6.*impossible"):
        validate(wrong, np.array([4, 5, 6]), NAMES)


def test_a_box_thinner_than_a_pixel_may_end_before_it_starts(tmp_path: Path):
    """MEGA's ends are the last pixels inside; such boxes are among its detections."""
    thin, images = some(), np.array([4, 5, 6])
    thin.boxes.box[2, 2] = thin.boxes.box[2, 0] - 0.5
    validate(thin, images, NAMES)
    file = write_coco(tmp_path / "out", thin, category_ids=(1, 2))
    back = read(file, images, NAMES, category_ids=(1, 2))
    np.testing.assert_array_equal(back.boxes.box, thin.boxes.box)
