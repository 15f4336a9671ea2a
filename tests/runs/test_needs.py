"""What a run on real data needs, and what of it is absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from egolib.errors import EgolibError
from egolib.io.sources import Listed
from egolib.runs.needs import as_text, listed_names, needs
from egolib.runs.node import Node

ANNOTATIONS = "ego4d/v2/annotations/vq_val.json"
LISTED = Listed((ANNOTATIONS,), "video_uid", "ego4d/v1/full_scale/{}.mp4")


def write(root: Path, name: str, text: str = "") -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def node(variant: str = "baseline_2gpu", task: str = "vq2d", **parameters) -> Node:
    key = f"{task}/{variant}/2_train"
    return Node(key, Path("2_train.ipynb"), Path("out"), parameters, {}, {})


def by_path(found):
    return {need.path: need for need in found}


def test_nothing_there(tmp_path):
    found = by_path(needs([node()], tmp_path))
    assert not found["ego4d/v2/annotations/vq_*.json"].is_there
    assert "ego4d.dev" in as_text(found.values())


def test_videos_that_the_annotations_list(tmp_path):
    clips = [{"video_uid": name, "clips": [{"video_uid": name}]} for name in "abc"]
    write(tmp_path, ANNOTATIONS, json.dumps({"videos": clips}))
    write(tmp_path, "ego4d/v1/full_scale/b.mp4")
    found = by_path(needs([node()], tmp_path))
    videos = found["ego4d/v*/full_scale/<name>.mp4"]
    assert (videos.found, videos.wanted, videos.absent) == (1, 3, ("a", "c"))
    assert found["ego4d/v2/annotations/vq_*.json"].is_there
    text = as_text([videos])
    assert "ABSENT" in text and "1 of 3" in text and "not there: a, c" in text


def test_names_in_tables(tmp_path):
    write(tmp_path, "a.csv", "\ufeffid,video_id\n1,P01\n2,P02\n3,\n")
    assert listed_names(Listed(("a.csv",), "video_id", "{}"), tmp_path) == {"P01", "P02"}


def test_damaged_annotations(tmp_path):
    write(tmp_path, ANNOTATIONS, "{")
    with pytest.raises(EgolibError, match="vq_val.json"):
        listed_names(LISTED, tmp_path)


def test_weights_that_the_configuration_names(tmp_path):
    write(tmp_path, "there.pth")
    settings = {
        "optim": {"initial_weights": "weights/coco_mask_rcnn_r50_fpn_3x.pkl", "rate": 1},
        "other": {"weights": "there.pth"},
        "model": {"initial_weights": "epoch_005"},
        "out": "x.pth",
    }
    found = by_path(needs([node(**settings)], tmp_path))
    start = found["weights/coco_mask_rcnn_r50_fpn_3x.pkl"]
    assert not start.is_there and "detectron2" in start.get
    assert found["there.pth"].is_there
    assert not {"epoch_005", "x.pth"} & found.keys()


def test_inputs_that_are_given(tmp_path):
    given = write(tmp_path, "model.pth")
    found = needs([node(inputs={"model": str(given)})], tmp_path)
    assert by_path(found)[str(given)].is_there


def test_each_thing_once(tmp_path):
    found = needs([node(), node(), node("improved")], tmp_path)
    assert len(found) == len({(n.what, n.path) for n in found})


def test_pages_need_nothing(tmp_path):
    page = Node("9_scoreboard", Path("9_scoreboard.ipynb"), Path("out"), {}, {}, {})
    assert needs([page], tmp_path) == []


def test_stores_that_a_configuration_names(tmp_path):
    """Made ones are left out, and all where an input gives the features."""
    data = {"video_stores": ["nlq/video_features", "own"], "text_stores": ["made"]}
    own = {"data": {**data, "made": ["made"]}}
    found = by_path(needs([node("scratch", "nlq", **own)], tmp_path))
    assert "drive.google.com" in found["nlq/video_features"].get
    assert "own data" in found["own"].get and "made" not in found
    fed = node("scratch", "nlq", **own, inputs={"features": "somewhere"})
    assert "own" not in by_path(needs([fed], tmp_path))


@pytest.mark.parametrize(
    ("task", "variant", "path"),
    [
        ("mq", "actionformer_egovlp", "mq/egovlp/*.npy"),
        ("mq", "actionformer_internvideo", "mq/internvideo/*.npy"),
        ("mq", "vsgn_ego4d", "ego4d/v2/slowfast8x8_r101_k400/*.pt"),
        ("vlp", "egotaskqa_direct", "EgoTaskQA/qa_videos/*.mp4"),
        ("vlp", "qfvs_published", "Datasets/QFVS/data/video_frames/*/*.jpg"),
    ],
)
def test_files_of_a_variant(tmp_path, task, variant, path):
    assert path in by_path(needs([node(variant, task)], tmp_path))
