from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.features import Provenance, open_store
from egolib.vlp.api import VideoLanguage
from egolib.vlp.data.moments import MomentClip
from egolib.vlp.data.readers import OpenVideos
from egolib.vlp.features.annotated_clips import rows_of, write_clips
from tests.vlp.small import numbered_video, small_model

ABOUT = Provenance("video", 16, fps=30.0, stride_frames=15.0, window_frames=60.0, model="vlp/a")
CLIPS = [MomentClip("a", "v", 0.0, 3.0), MomentClip("b", "v", 1.0, 4.0), MomentClip("c", "w", 0, 3)]


@pytest.fixture(scope="module")
def model() -> VideoLanguage:
    return VideoLanguage(small_model(), batch_size=4)


def test_rows_stand_for_the_middles_of_strides() -> None:
    assert rows_of(MomentClip("a", "v", 10.0, 11.2), ABOUT) == [(9.25, 11.25), (9.75, 11.75)]
    assert rows_of(MomentClip("a", "v", 0.0, 0.6), ABOUT) == [(0.0, 1.25)]
    assert rows_of(MomentClip("a", "v", 0.0, 0.4), ABOUT) == []


def test_clips_of_one_video_agree_where_they_overlap(model: VideoLanguage, tmp_path: Path) -> None:
    numbered_video(tmp_path / "v.mp4", 40)
    skipped = write_clips(model, CLIPS, tmp_path, tmp_path / "store", ABOUT, OpenVideos())
    assert list(skipped.reasons) == ["c"]
    store = open_store(tmp_path / "store")
    assert store.get("a").shape == store.get("b").shape == (6, 16)
    np.testing.assert_allclose(store.get("a")[2:], store.get("b")[:4], atol=1e-5)
    with pytest.raises(EgolibError, match="model"):
        other = replace(ABOUT, model="other")
        write_clips(model, CLIPS, tmp_path, tmp_path / "store", other, OpenVideos())
