"""Features and tokens from stores and from the published files."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.vslnet.sources import PublishedFolder, StoreSource
from tests.nlq.small import Memory

ASKED = [Query("what?", f"a_{i}", 10.0, "c") for i in range(2)]


def stores(**masks):
    video = Memory("video", {"c": np.ones((5, 3)), "a_1": np.zeros((4, 3))}, 3)
    tokens = Memory("text", {"a_0": np.ones((2, 6)), "a_1": np.ones((3, 6))}, 6)
    return StoreSource(video, tokens, Memory("text", masks, 1) if masks else None)


def test_features_of_a_question_win_over_those_of_its_clip():
    source = stores()
    assert [len(source.get(q).video) for q in ASKED] == [5, 4]
    assert [source.length(q) for q in ASKED] == [5, 4]
    assert source.widths == (3, 6)


def test_without_a_mask_every_row_is_a_token():
    assert stores().get(ASKED[1]).mask.tolist() == [True] * 3


def test_with_a_mask():
    source = stores(a_0=np.array([[1], [0]]), a_1=np.ones((2, 1)))
    assert source.get(ASKED[0]).mask.tolist() == [True, False]
    with pytest.raises(EgolibError, match="3 token states and a mask of 2"):
        source.get(ASKED[1])


def test_what_a_store_holds():
    unknown = Query("what?", "b_0", 10.0, "c")
    assert ASKED[0] in stores() and unknown not in stores()
    assert ASKED[1] not in stores(a_0=np.ones((2, 1)))


def published(folder, place, query, **changes):
    content = {
        "fused_video_features": torch.full((5, 3), float(place)),
        "dual_text_features": torch.ones(1, 4, 6),
        "text_token": {"attention_mask": torch.tensor([[1, 1, 0, 0]])},
        "annotation_uid": query.annotation_uid,
        "query_idx": torch.tensor(query.index),
    }
    torch.save({k: v for k, v in (content | changes).items() if v is not None},
               folder / f"feat_{place}.pt")  # fmt: skip


def test_the_published_files(tmp_path):
    for place, query in enumerate(ASKED):
        published(tmp_path, place, query)
    source = PublishedFolder(tmp_path, ASKED)
    found = source.get(ASKED[1])
    assert found.video.dtype == np.float32 and (found.video == 1).all()
    assert found.tokens.shape == (4, 6) and found.mask.tolist() == [True, True, False, False]
    assert ASKED[0] in source and source.length(ASKED[0]) is None and source.widths is None


def test_published_files_of_other_questions(tmp_path):
    published(tmp_path, 0, ASKED[1])
    source = PublishedFolder(tmp_path, ASKED)
    with pytest.raises(EgolibError, match="of question a_1, a_0 was expected"):
        source.get(ASKED[0])
    with pytest.raises(EgolibError, match="does not exist"):
        source.get(ASKED[1])
    with pytest.raises(EgolibError, match="no published features"):
        source.get(Query("what?", "b_0", 10.0, "c"))
    published(tmp_path, 1, ASKED[1], text_token=None)
    with pytest.raises(EgolibError, match="'text_token' is missing"):
        source.get(ASKED[1])
