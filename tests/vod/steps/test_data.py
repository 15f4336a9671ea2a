"""``1_data``: files that are given are checked, files that are not are converted."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


def break_images(root: Path) -> tuple[Path, Path, Path]:
    """A truncated image, a missing one and one of another size, of the training videos."""
    files = sorted((root / "ILSVRC" / "Data" / "VID" / "train").rglob("*.JPEG"))
    cut, missing, turned = files[0], files[2], files[3]
    cut.write_bytes(cut.read_bytes()[:-200])
    missing.unlink()
    Image.new("RGB", (40, 30)).save(turned, "JPEG")
    return cut, missing, turned


def test_images_that_cannot_be_read_are_all_listed(root, tmp_path):
    made = step("1_data", root, tmp_path)
    assert not any(file.images.notes() for file in data.prepare(made, workers=1).files.values())
    cut, missing, turned = break_images(root)
    prepared = data.prepare(made, workers=1)
    report = prepared.files["train_vid"].images
    assert [len(own) for own in (report.broken, report.missing, report.other_size)] == [1, 1, 1]
    assert "40x30, the annotation says 64x48" in str(report.other_size.reasons)
    assert turned.name in next(iter(report.other_size.reasons))
    assert "1 of " in data.table(prepared).loc["train_vid", "notes"]
    with pytest.raises(EgolibError, match="train_vid: images that cannot be read: 2 ") as found:
        data.check(made, prepared)
    assert cut.name in str(found.value) and missing.name in str(found.value)


def test_a_part_without_any_image_is_noted_alone(root, tmp_path):
    shutil.rmtree(root / "ILSVRC" / "Data" / "DET")
    made = step("1_data", root, tmp_path)
    prepared = data.prepare(made, workers=1)
    assert "images are missing" in data.table(prepared).loc["train_det", "notes"]
    data.check(made, prepared)


def test_what_stands_behind_an_image_does_not_matter(root, tmp_path):
    file = next((root / "ILSVRC" / "Data" / "VID" / "val").rglob("*.JPEG"))
    file.write_bytes(file.read_bytes() + bytes(10_000))
    made = step("1_data", root, tmp_path)
    data.check(made, data.prepare(made, workers=1))
