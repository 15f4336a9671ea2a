"""Stores that ``1_data`` makes itself."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.features import Provenance, open_store, write_packed
from egolib.nlq.data import cues
from egolib.nlq.steps import data
from egolib.world.language import encode
from tests.nlq.project import make_root, step

MADE = ["random_video", "object_tokens", "caption_tokens"]


@pytest.fixture
def stores(tmp_path):
    made = step("1_data", make_root(tmp_path / "root"), tmp_path, {"data": {"made": MADE}})
    paths = data.make_stores(made, data.convert(made))
    return {path.name: open_store(path) for path in paths}


def test_noise_has_the_right_lengths_and_says_nothing(stores):
    noise = stores["random_video"]
    assert noise.uids() == ["test0", "train0", "train1", "train2", "val0", "val1"]
    assert noise.get("train0").shape == (int(30 * 30 / 16.043), cues.RANDOM_WIDTH)
    assert abs(noise.get("train0").mean()) < 0.05
    assert not np.allclose(noise.get("train0")[:5], noise.get("train1")[:5])


def test_objects_are_those_of_the_visual_queries(stores):
    np.testing.assert_array_equal(stores["object_tokens"].get("val0"), encode("red mug", 16))
    assert "test0" in stores["object_tokens"]


def test_captions_are_labels_in_order_of_time(stores):
    captions = stores["caption_tokens"]
    np.testing.assert_array_equal(captions.get("train1"), encode("wash turn on", 16))
    assert "test0" not in captions  # test moments have no labels


def test_cues_need_the_words_of_the_world(tmp_path):
    root = make_root(tmp_path / "root")
    write_packed(root / "clip", Provenance("text", 16, model="clip"), {"a_0": np.ones((1, 16))})
    changes = {"data": {"made": ["object_tokens"], "text_stores": ["clip"]}}
    made = step("1_data", root, tmp_path, changes)
    with pytest.raises(EgolibError, match="built-in world's words"):
        data.make_stores(made, data.convert(made))
