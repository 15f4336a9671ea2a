"""Items of the official data set, from the official stores."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from egolib.io.features import open_store
from egolib.nlq.config import DataConfig, ModelConfig
from egolib.nlq.data.annotations import read_queries
from egolib.nlq.data.dataset import NlqData, official_order
from tests.parity.recordings import read

SEED = 1234


@pytest.mark.recordings("dataset")
def test_items(recording: Path) -> None:
    folder = recording.parent
    video, text = (open_store(folder / f"{kind}_lmdb") for kind in ("video", "text"))
    model = ModelConfig(
        video_streams=(("video", video.provenance.width),),
        text_streams=(("query", text.provenance.width),),
    )
    for name, expected in read(recording).items():
        rng = random.Random(SEED)
        queries = official_order(read_queries(folder / "train.jsonl"), rng)
        jitter = "official" if name == "jitter" else "none"
        data = NlqData(queries, video, {"query": text}, model, DataConfig(), jitter=jitter)
        assert len(data) >= len(expected) > 0
        for index, theirs in enumerate(expected):
            check(data.sample(index, rng), theirs)


def check(item, theirs: dict) -> None:
    query, config = item.query, DataConfig()
    assert (query.clip_uid, query.query_id) == (theirs["video_id"], theirs["query_id"])
    assert (query.text, query.duration_sec) == (theirs["query"], theirs["duration"])
    assert (config.fps, item.stride_frames) == (theirs["fps"], theirs["feat_stride"])
    assert config.window_frames == theirs["feat_num_frames"]
    assert f"torch.{item.windows_feat.dtype}" == theirs["seg_dtype"]
    np.testing.assert_allclose(item.windows_feat, theirs["segments"], rtol=0, atol=1e-6)
    assert list(item.video.T.shape) == theirs["feats_shape"]
    assert list(item.tokens["query"].T.shape) == theirs["query_shape"]
    first = item.video.T[0][: len(theirs["feats_first_row"])]
    np.testing.assert_array_equal(first, np.float32(theirs["feats_first_row"]))
    assert item.video.sum(dtype=np.float64) == pytest.approx(theirs["feats_sum"], abs=1e-4)
    assert item.tokens["query"].sum() == pytest.approx(theirs["query_sum"], abs=1e-5)
    assert len(item.labels) == len(theirs["one_hot"])
