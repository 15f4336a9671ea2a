"""Columns of a CocoVID file and their cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json
from egolib.vod.config.data import DataConfig
from egolib.vod.data.index import make_index, read_index


def test_empty_file():
    index = make_index({"categories": [], "images": [], "annotations": [], "videos": []})
    assert len(index) == 0 and index.box_xywh.shape == (0, 4)


def test_rows_of_videos_and_images(made: DataConfig):
    index = read_index(made.evaluation)
    assert index.frames(0).tolist() == [0, 1, 2, 3, 4] and index.frames(1).tolist() == [5, 6, 7]
    assert index.annotations(6).tolist() == [12, 13]
    assert index.path(5).endswith("val_00000001/000000.JPEG")
    assert index.class_names() == ("mug", "jar")
    assert index.generated.all() and not index.occluded.any()
    stills = read_index(made.train_det)
    assert stills.is_still(0) and stills.frame[0] == -1 and stills.instance[0] == -1


def test_order_of_annotations_in_the_file_is_kept():
    content = {
        "categories": [{"id": 4, "name": "x"}],
        "images": [{"id": i, "file_name": "f", "height": 1, "width": 1} for i in (7, 3)],
        "annotations": [
            {"id": i, "image_id": owner, "category_id": 4, "bbox": [i, 0, 1, 1]}
            for i, owner in enumerate([3, 7, 3])
        ],
    }
    index = make_index(content)
    assert index.annotations(1).tolist() == [0, 2] and index.annotations(0).tolist() == [1]


def test_cache_is_used_and_renewed(tmp_path: Path, made: DataConfig):
    path = tmp_path / "x.json"
    write_json(path, read_json(made.evaluation))
    first = read_index(path)
    cache = path.with_name("x.json.index.npz")
    stamp = cache.stat().st_mtime_ns
    again = read_index(path)
    assert cache.stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(first.box_xywh, again.box_xywh)
    assert again.path(0) == first.path(0)
    content = read_json(path)
    content["images"], content["annotations"] = content["images"][:1], content["annotations"][:2]
    write_json(path, content)
    assert len(read_index(path)) == 1


def test_a_damaged_cache_is_ignored(tmp_path: Path, made: DataConfig):
    path = tmp_path / "x.json"
    write_json(path, read_json(made.evaluation))
    path.with_name("x.json.index.npz").write_bytes(b"nonsense")
    assert len(read_index(path)) == 8


def test_not_a_cocovid_file(tmp_path: Path):
    path = write_json(tmp_path / "x.json", {"images": []})
    with pytest.raises(EgolibError, match="categories: the field is missing"):
        read_index(path)
