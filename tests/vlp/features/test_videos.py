from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.io.features import open_store, require_provenance
from egolib.video import VideoReader
from egolib.vlp.api import VideoLanguage
from egolib.vlp.data.moments import MomentClip
from egolib.vlp.data.sampling import moment_frames
from egolib.vlp.features.videos import extract_moments, extract_videos, moment_features, provenance
from tests.vlp.small import numbered_video, small_model

CLIPS = [
    MomentClip("a", "v", 0.0, 3.0),
    MomentClip("b", "v", 1.0, 2.5),
    MomentClip("c", "missing", 0.0, 3.0),
    MomentClip("d", "v", 0.0, 0.1),
]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    numbered_video(folder / "v.mp4", 40)
    return folder


@pytest.fixture(scope="module")
def model() -> VideoLanguage:
    return VideoLanguage(small_model(), batch_size=3)


def test_features_of_a_stretch_are_those_of_its_windows(model: VideoLanguage, videos: Path) -> None:
    video = VideoReader(videos / "v.mp4")
    found = moment_features(model, video, CLIPS[1], fps=10)
    frames = moment_frames(1.0, 2.5, 40, 2, fps=10)
    assert found.shape == (len(frames) // 2, 16)
    view = model.view.test(video.batch(frames[2:4]))[None]
    with torch.no_grad():
        expected = model.model.encode_video(view)
    np.testing.assert_allclose(found[1:2], expected, atol=1e-5)


def test_the_official_layout(model: VideoLanguage, videos: Path, tmp_path: Path) -> None:
    skipped = extract_moments(model, CLIPS, videos, tmp_path, fps=10)
    assert set(skipped.reasons) == {"c", "d"}
    tensor = torch.load(tmp_path / "a.pt")
    assert tensor.dtype == torch.float32
    assert tensor.shape == (int(3 * 1.87 * 2 + 1) // 2, 16)
    stamp = (tmp_path / "a.pt").stat().st_mtime_ns
    extract_moments(model, CLIPS, videos, tmp_path, fps=10)
    assert (tmp_path / "a.pt").stat().st_mtime_ns == stamp


def test_a_store_with_provenance(model: VideoLanguage, videos: Path, tmp_path: Path) -> None:
    about = provenance(model, "small", "0123", fps=10)
    extract_moments(model, CLIPS, videos, tmp_path / "moments", about=about, fps=10)
    store = open_store(tmp_path / "moments")
    assert store.uids() == ["a", "b"]
    require_provenance(store, width=16, stride_frames=10 / 1.87)
    with pytest.raises(EgolibError, match="width"):
        require_provenance(store, width=4096)
    with pytest.raises(EgolibError, match="other model_hash"):
        other = provenance(model, "small", "4567", fps=10)
        extract_moments(model, CLIPS, videos, tmp_path / "moments", about=other)


def test_any_videos(model: VideoLanguage, videos: Path, tmp_path: Path) -> None:
    files = {"v": videos / "v.mp4", "gone": videos / "gone.mp4"}
    about = provenance(model, "small", "0123", fps=10)
    skipped = extract_videos(model, files, tmp_path, about)
    assert list(skipped.reasons) == ["gone"]
    assert open_store(tmp_path).get("v").shape == (int(4 * 1.87 * 2 + 1) // 2, 16)
    assert len(extract_videos(model, {"v": files["v"]}, tmp_path, about)) == 0
