"""One bad file among a hundred costs itself alone, in every step whose page promises so."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.features import open_store
from egolib.video import VideoWarning, extract
from egolib.vlp.api import VideoLanguage
from egolib.vlp.config import DataConfig as DataOfClips
from egolib.vlp.data.cache import write_cache
from egolib.vlp.data.chunks import chunk_videos, resize_videos, verify_chunks
from egolib.vlp.data.moments import MomentClip
from egolib.vlp.data.videos import EgoClipVideos
from egolib.vlp.features.videos import extract_moments, extract_videos, provenance
from egolib.vq2d.config.data import DataConfig
from egolib.vq2d.data.annotations import from_content
from egolib.vq2d.data.prepare import check_clips, plans
from tests.fuzz import samples
from tests.helpers.video_files import encode, number_of
from tests.vlp.small import small_model

COUNT, BAD = 100, 37
UIDS = [f"v{number:03d}" for number in range(COUNT)]
GOOD = {uid for uid in UIDS if uid != UIDS[BAD]}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred videos of two seconds; one lost its end."""
    folder = tmp_path_factory.mktemp("videos")
    encode(folder / "whole", range(10), 5, size=(64, 48), form="mp4")
    for uid in UIDS:
        os.link(folder / "whole", folder / f"{uid}.mp4")
    whole = (folder / "whole").read_bytes()
    (folder / f"{UIDS[BAD]}.mp4").unlink()
    (folder / f"{UIDS[BAD]}.mp4").write_bytes(whole[: len(whole) // 2])
    return folder


def test_resizing(videos: Path, tmp_path: Path) -> None:
    found = resize_videos(
        {videos / f"{uid}.mp4": tmp_path / f"{uid}.mp4" for uid in UIDS}, height=32
    )
    assert {path.stem for path in found.written} == GOOD
    assert any(UIDS[BAD] in record for record in found.skipped.reasons)


def test_chunks(videos: Path, tmp_path: Path) -> None:
    found = chunk_videos(videos, tmp_path, UIDS, chunk_sec=600)
    assert {path.parent.name for path in found.written} == GOOD
    assert any(UIDS[BAD] in record for record in found.skipped.reasons)
    report = verify_chunks(videos, tmp_path, UIDS)
    assert len(report.readable) == COUNT - 1 and set(report.read_errors.reasons) == {UIDS[BAD]}


def test_decoded_frames(videos: Path, tmp_path: Path) -> None:
    skipped = write_cache(videos, [videos / f"{uid}.mp4" for uid in UIDS], tmp_path, 24)
    assert set(skipped.reasons) == {f"{UIDS[BAD]}.mp4"}


def test_features(videos: Path, tmp_path: Path) -> None:
    model = VideoLanguage(small_model(), batch_size=8)
    about = provenance(model, "small", "x", 5.0)
    files = {uid: videos / f"{uid}.mp4" for uid in UIDS}
    assert set(extract_videos(model, files, tmp_path / "a", about).reasons) == {UIDS[BAD]}
    assert set(open_store(tmp_path / "a").uids()) == GOOD
    clips = [MomentClip(f"c{uid}", uid, 0.0, 2.0) for uid in UIDS]
    clips.append(MomentClip("late", UIDS[0], 30.0, 40.0))
    skipped = extract_moments(model, clips, videos, tmp_path / "b", about=about, fps=5.0)
    assert set(skipped.reasons) == {f"c{UIDS[BAD]}", "late"}
    assert "outside the video" in skipped.reasons["late"]


def test_clips_of_visual_queries(videos: Path, tmp_path: Path) -> None:
    one = samples.vq()["videos"][0]
    times = {"video_start_sec": 0.0, "video_end_sec": 2.0, "video_start_frame": 0}
    content = {"version": "1", "videos": [
        one | {"video_uid": uid, "clips": [one["clips"][0] | times | {
            "clip_uid": f"c{uid}", "video_end_frame": 9}]} for uid in UIDS]}  # fmt: skip
    content["videos"][5]["clips"][0] |= {"video_start_frame": 500, "video_end_frame": 600}
    annotations = from_content(content)
    todo, skipped = plans(annotations, videos, tmp_path, None, DataConfig())
    found = extract(todo)
    listed = {*skipped.reasons, *found.skipped.reasons}
    assert {path.stem[1:] for path in found.written} == GOOD - {UIDS[5]}
    assert any(UIDS[BAD] in record for record in listed)
    assert any(UIDS[5] in record for record in listed)
    problems = check_clips(annotations, tmp_path).reasons
    assert {f"c{UIDS[BAD]}", f"c{UIDS[5]}"} <= set(problems)


@pytest.mark.parametrize("rate", [25, 60])
def test_features_of_videos_of_other_rates_stand_for_the_same_times(
    rate: int, tmp_path: Path
) -> None:
    model = VideoLanguage(small_model(), batch_size=8)
    about = provenance(model, "small", "x", 30.0)
    for name, fps in (("other", rate), ("usual", 30)):
        encode(tmp_path / f"{name}.mp4", range(4 * fps), fps, size=(64, 48))
    files = {name: tmp_path / f"{name}.mp4" for name in ("other", "usual")}
    extract_videos(model, files, tmp_path / "store", about)
    store = open_store(tmp_path / "store")
    assert abs(len(store.get("other")) - len(store.get("usual"))) <= 1
    clips = [MomentClip("c", "other", 0.0, 4.0)]
    with pytest.warns(VideoWarning, match=f"runs at {rate} frames a second, 30 are assumed"):
        extract_moments(model, clips, tmp_path, tmp_path / "official")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extract_moments(model, clips, tmp_path, tmp_path / "index", fps=None)
    assert np.isfinite(store.get("other")).all()


@pytest.mark.parametrize("rate", [25, 60])
@pytest.mark.parametrize("chunk_sec", [5, 12])
def test_chunks_of_other_lengths_and_rates(rate: int, chunk_sec: int, tmp_path: Path) -> None:
    """Frames stand for their times; what no video shows is an error, which steps list."""
    (tmp_path / "videos").mkdir()
    encode(tmp_path / "videos" / "u.mp4", range(12 * rate), rate)
    assert chunk_videos(tmp_path / "videos", tmp_path, ["u"], chunk_sec=chunk_sec).written
    config = DataOfClips(chunk_sec=chunk_sec, frame_times="index")
    videos = EgoClipVideos(tmp_path, config)
    seen = [number_of(image) / rate for image in videos.images("u", 4.0, 6.0, 4)]
    np.testing.assert_allclose(seen, [4.25, 4.75, 5.25, 5.75], atol=1 / rate)
    for start, end, what in ((6.0, 4.0, "before it starts"), (12.5, 13.5, "ends|not exist")):
        with pytest.raises(EgolibError, match=what):
            videos.images("u", start, end, 4)
    other = EgoClipVideos(tmp_path, DataOfClips(chunk_sec=4, frame_times="index"))
    with pytest.raises(EgolibError, match="chunks of 4 s are expected"):
        other.images("u", 1.0, 2.0, 4)
