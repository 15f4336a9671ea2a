"""Converters and checks of CocoVID files."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from egolib.errors import EgolibError
from egolib.io.records import read_json, write_text
from egolib.vod.config.data import DataConfig
from egolib.vod.data.classes import make_categories
from egolib.vod.data.cocovid import check_cocovid, convert_vid, read_annotation
from egolib.vod.data.lists import read_images, read_videos
from tests.vod.made import CLASSES, XML, xml_object


def videos_of(root: Path, name: str = "VID_train_15frames"):
    return read_videos(root / "ImageSets" / f"{name}.txt")


@pytest.mark.parametrize(
    ("rule", "first", "trained"),
    [
        ("official", [-1, 0, 1, 2], [True, True, True, False]),
        ("zero_based", [0, 1, 2, 3], [True] * 4),
    ],
)
def test_frame_offset(made_root: Path, rule: str, first: list[int], trained: list[bool]):
    """The lists count from 0; the official converter trains on the frame before."""
    content = convert_vid(
        made_root / "Annotations/VID",
        videos_of(made_root),
        make_categories(CLASSES),
        train=True,
        frame_offset=rule,
    )
    assert content["videos"][0]["vid_train_frames"] == first
    images = [i for i in content["images"] if i["video_id"] == 1]
    assert [i["is_vid_train_frame"] for i in images] == trained


def test_instances_are_numbered_over_the_whole_file(made: DataConfig):
    content = read_json(made.train_vid)
    pairs = {(a["video_id"], a["instance_id"]) for a in content["annotations"]}
    assert pairs == {(1, 1), (1, 2), (2, 3), (2, 4)}


def test_unknown_classes_take_no_instance(tmp_path: Path, made_root: Path):
    folder = tmp_path / "a"
    other = xml_object("n00000000", (1, 1, 5, 5), 0)
    mug = xml_object(CLASSES[0][1], (1, 1, 5, 5), 7)
    write_text(folder / "000000.xml", XML.format(10, 10, other + mug))
    videos = read_videos(write_text(tmp_path / "list.txt", "a 1 0 1\n"))
    content = convert_vid(tmp_path, videos, make_categories(CLASSES), train=False)
    assert [a["instance_id"] for a in content["annotations"]] == [1]


def test_det_lists_first_then_the_rest(made: DataConfig):
    content = read_json(made.train_det)
    assert [i["is_vid_train_frame"] for i in content["images"]] == [True, True, False]
    assert content["categories"][-1] == {"id": 3, "name": "other_categeries", "encode_name": None}
    assert "video_id" not in content["images"][0]


def test_wrong_xml_is_named(tmp_path: Path):
    with pytest.raises(EgolibError, match=r"x\.xml.*does not exist"):
        read_annotation(tmp_path / "x.xml")
    path = write_text(tmp_path / "y.xml", "<annotation><size><width>3</width></size></annotation>")
    with pytest.raises(EgolibError, match="height"):
        read_annotation(path)


def test_checks_pass_and_name_what_is_wrong(made: DataConfig, made_root: Path):
    content = read_json(made.evaluation)
    videos = videos_of(made_root, "VID_val_videos")
    assert check_cocovid(content, "x", videos=videos) == []
    assert "another order" in check_cocovid(content, "x", videos=videos[::-1])[0]
    assert "missing, unknown" in check_cocovid(content, "x", videos=videos[:1])[0]
    wrong = copy.deepcopy(content)
    wrong["images"][0]["id"] = 99
    found = " ".join(check_cocovid(wrong, "x"))
    assert "1, 2, ..." in found and "belong to no image" in found
    wrong = copy.deepcopy(content)
    for image in wrong["images"]:
        image["frame_id"] += 1
    assert "frame_id does not run 0, 1" in check_cocovid(wrong, "x")[0]


def test_missing_fields_are_errors_with_a_remedy(made: DataConfig):
    content = read_json(made.evaluation)
    del content["images"][2]["is_vid_train_frame"]
    with pytest.raises(EgolibError, match=r"(?s)images\[2\].*is_vid_train_frame"):
        check_cocovid(content, "own.json")


def test_det_images_are_compared_with_the_list(made: DataConfig, made_root: Path):
    content = read_json(made.train_det)
    listed = read_images(made_root / "ImageSets/DET_train_30classes.txt")
    assert check_cocovid(content, "x", images=listed) == []
    assert check_cocovid(content, "x", images=listed[:1])
