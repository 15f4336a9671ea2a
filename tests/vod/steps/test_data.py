"""``1_data``: files that are given are checked, files that are not are converted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json
from egolib.vod.steps import data
from tests.vod.project import make_root, step


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path)


def annotations(root: Path) -> Path:
    return root / "ILSVRC" / "annotations"


def test_given_files_are_checked_against_the_lists(root, tmp_path):
    made = step("1_data", root, tmp_path)
    prepared = data.prepare(made, workers=1)
    files = prepared.files
    assert list(files) == ["train_vid", "train_det", "evaluation"]
    assert not any(file.converted or file.problems for file in files.values())
    data.check(made, prepared)
    assert data.agrees_with_xml(made) is True
    assert data.counts(prepared)["evaluation"] == {
        "videos": 2,
        "images": 8,
        "trained on": 0,
        "objects": 16,
        "instances": 4,
    }


def test_absent_files_are_converted_from_xml(root, tmp_path):
    given = {file.name: read_json(file) for file in annotations(root).glob("*.json")}
    for file in annotations(root).glob("*.json"):
        file.unlink()
    made = step("1_data", root, tmp_path)
    files = data.prepare(made, workers=1).files
    assert all(file.converted for file in files.values())
    for file in files.values():
        assert file.path.parent == made.out and read_json(file.path) == given[file.path.name]
    assert data.agrees_with_xml(made) is None
    later = step("2_train", root, tmp_path)
    assert data.annotation_file(later, "train_vid").parent == made.out


def test_a_file_that_contradicts_its_list_is_refused(root, tmp_path):
    file = annotations(root) / "imagenet_vid_val.json"
    content = read_json(file)
    content["images"] = content["images"][:-1]
    content["annotations"] = [
        a for a in content["annotations"] if a["image_id"] <= len(content["images"])
    ]
    write_json(file, content)
    made = step("1_data", root, tmp_path)
    assert data.agrees_with_xml(made) is False
    with pytest.raises(EgolibError, match="another length"):
        data.check(made, data.prepare(made, workers=1))


def test_without_lists_only_the_format_is_checked(root, tmp_path):
    for file in (root / "ILSVRC" / "ImageSets").glob("*.txt"):
        file.unlink()
    made = step("1_data", root, tmp_path)
    prepared = data.prepare(made, workers=1)
    assert all("not compared" in file.problems[0] for file in prepared.files.values())
    data.check(made, prepared)


def test_nothing_to_convert_from(tmp_path):
    with pytest.raises(EgolibError, match="not found"):
        data.prepare(step("1_data", tmp_path / "nowhere", tmp_path), workers=1)


def test_still_images_may_be_left_out(root, tmp_path):
    changes = {"data": {"train_det": ""}}
    files = data.convert(step("1_data", root, tmp_path, changes), workers=1)
    assert list(files) == ["train_vid", "evaluation"]
    assert len(data.training_sources(step("2_train", root, tmp_path, changes))) == 1


@pytest.mark.parametrize(("part", "images"), [("both", 9), ("videos", 7), ("stills", 2)])
def test_what_is_trained_on(root, tmp_path, part, images):
    made = step("2_train", root, tmp_path, {"data": {"train_on": part}})
    assert sum(len(source.rows) for source in data.training_sources(made)) == images


def test_tables(root, tmp_path):
    made = step("1_data", root, tmp_path)
    prepared = data.prepare(made, workers=1)
    assert data.table(prepared).loc["train_det", "images"] == 3
    classes = data.class_table(made, prepared)
    assert classes.loc["mug"].tolist() == [7, 2, 8] and classes.index.tolist() == ["mug", "jar"]


def test_speed_counts():
    from egolib.metrics.motion_speed import MotionTable

    table = MotionTable(np.array([0.1, 0.7, 0.8, 0.95]), np.array([4]))
    assert data.speed_counts(table) == {"fast": 2, "medium": 2, "slow": 1}
