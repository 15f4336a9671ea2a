"""``data.backend`` reaches every reader of a video in the tasks that decode any, and the other
tasks say that they decode none. A recording stand-in for torchcodec counts who asks."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from egolib import config as configs
from egolib.cli import schema
from egolib.errors import EgolibError
from egolib.runs.plan import Request, plan
from egolib.video import (
    ClipPlan,
    ImagePlan,
    VideoPlan,
    VideoReader,
    backends,
    extract,
    source_frames,
)
from egolib.video.images import read_image
from egolib.video.pyav import PyAVFrames
from egolib.vlp.api import VideoLanguage
from egolib.vlp.config import DataConfig
from egolib.vlp.data.cache import write_cache
from egolib.vlp.data.moments import MomentClip
from egolib.vlp.data.videos import CharadesVideos, EgoClipVideos, EpicVideos
from egolib.vlp.features.videos import extract_moments, extract_videos, provenance
from egolib.vq2d.config import DataConfig as VisualData
from egolib.vq2d.config import LocalizeConfig
from egolib.vq2d.data.annotations import from_content
from egolib.vq2d.data.prepare import check_clips, plans
from egolib.vq2d.localization.answers import Work, answer_all, query_jobs
from tests.helpers.video_files import encode, number_of
from tests.vlp.small import small_model
from tests.vq2d import made

needs_decord = pytest.mark.skipif(not find_spec("decord"), reason="decord is not installed")
NONE = {"vod": "images", "nlq": "features", "mq": "features"}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that the stand-in opened."""
    names: list[str] = []

    class Recorded(PyAVFrames):
        def __init__(self, path: str | Path, threads: int = 1):
            names.append(Path(path).name)
            super().__init__(path, threads=threads)

    found = backends.find_spec
    monkeypatch.setattr(backends, "find_spec", lambda name: name == "torchcodec" or found(name))
    monkeypatch.setitem(backends.BACKENDS, "torchcodec", Recorded)
    return names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One video of four seconds under the names that three data sets have."""
    (tmp_path / "uid").mkdir()
    (tmp_path / "P01").mkdir()
    encode(tmp_path / "a.mp4", range(120), 30, size=(64, 48))
    for name in ("uid/0.mp4", "P01/P01_01.MP4"):
        (tmp_path / name).hardlink_to(tmp_path / "a.mp4")
    return tmp_path


def test_clips_of_video_language(folder: Path, opened: list[str]) -> None:
    config = DataConfig(backend="torchcodec")
    EgoClipVideos(folder, config).images("uid", 1.0, 2.0, 4)
    CharadesVideos(folder, config).images("a", 4, 1.0, 2.0)
    assert EpicVideos(folder, config).videos.backend == "torchcodec"  # type: ignore[attr-defined]
    assert opened == ["0.mp4", "a.mp4"]


def test_kept_frames_and_features(folder: Path, opened: list[str], tmp_path: Path) -> None:
    files = [folder / "a.mp4"]
    write_cache(folder, files, tmp_path / "frames", 24)
    assert not opened
    for _ in range(2):  # frames of another decoder are made anew, once
        write_cache(folder, files, tmp_path / "frames", 24, backend="torchcodec")
    assert opened == ["a.mp4"]
    model = VideoLanguage(small_model(), batch_size=8)
    about = provenance(model, "small", "x", 30.0)
    clips = [MomentClip("c", "a", 0.0, 2.0)]
    extract_moments(model, clips, folder, tmp_path / "m", backend="torchcodec")
    extract_videos(model, {"a": files[0]}, tmp_path / "v", about, backend="torchcodec")
    assert opened == ["a.mp4"] * 3


def test_clips_and_answers_of_visual_queries(opened: list[str], tmp_path: Path) -> None:
    config = VisualData(backend="torchcodec")
    encode(tmp_path / "video.mp4", range(180), 30)
    content = from_content(made.content(made.clip("clip", made.two_queries()["videos"][0][
        "clips"][0]["annotations"])))  # fmt: skip
    places = (tmp_path, tmp_path / "clips", tmp_path / "images", config)
    todo, skipped = plans(content, *places)
    assert not skipped and not extract(todo).skipped
    assert opened == ["video.mp4"] * 2 and [plan.backend for plan in todo] == ["torchcodec"]
    clip = VideoReader(tmp_path / "clips" / "clip.mp4")
    numbers = source_frames(tmp_path / "clips" / "clip.mp4")
    assert [number_of(image) for image in clip] == numbers == list(range(0, 180, 6))
    assert extract(todo).kept and opened == ["video.mp4"] * 2
    again, _ = plans(content, tmp_path, tmp_path / "clips", tmp_path / "images", VisualData())
    assert len(extract(again).written) == len(again[0].targets), "another decoder, another clip"
    assert not check_clips(content, tmp_path / "clips", "torchcodec")
    assert opened[2:] == ["clip.mp4"]


def test_answers_read_clips_by_it(opened: list[str], tmp_path: Path) -> None:
    for name in ("clip", "other"):
        made.write_clip(tmp_path / "clips", name)
    (tmp_path / "cache").mkdir()
    annotations = made.four_queries()
    made.write_scores(tmp_path / "cache", annotations)
    jobs = query_jobs(annotations.by_clip(), tmp_path / "clips", "torchcodec")
    work = Work(LocalizeConfig(tracker="none"), tmp_path / "cache")
    assert len(answer_all(jobs, work, lambda device: None).found) == 4
    assert set(opened) == {"clip.mp4", "other.mp4"}


@needs_decord
def test_decord_cuts_the_same_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    encode(path, range(60), 30)
    chosen = range(3, 60, 6)
    plan = VideoPlan(
        path,
        [ClipPlan(tmp_path / "c.mp4", chosen, 5), ClipPlan(tmp_path / "d.mp4", chosen)],
        [ImagePlan(tmp_path / "i.png", 30)],
        backend="decord",
    )
    assert not extract([plan]).skipped
    for name in ("c.mp4", "d.mp4"):
        reader = VideoReader(tmp_path / name)
        assert [number_of(image) for image in reader] == list(chosen)
        assert np.isclose(reader.timestamp(4) - reader.timestamp(0), 0.8, atol=1e-3)
    assert number_of(read_image(tmp_path / "i.png")) == 30
    refused = extract([VideoPlan(path, plan.clips, stream=0, backend="decord")], force=True)
    assert "stream can only be chosen with backend='av'" in str(refused.skipped.reasons)


@pytest.mark.parametrize("task", ["vlp", "vq2d"])
def test_a_decoder_that_is_not_there_is_refused_by_the_plan(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = backends.find_spec
    monkeypatch.setattr(backends, "find_spec", lambda name: name == "av" and found(name))
    for name in ("torchcodec", "decord"):
        request = Request(task, preset="tiny", overrides=(f"data.backend={name}",))
        with pytest.raises(EgolibError, match=f"{name} is not installed") as error:
            plan(request, schema)
        assert f"pip install 'egolib[{name}]'" in str(error.value)
    assert plan(Request(task, preset="tiny", overrides=("data.backend=av",)), schema)


@pytest.mark.parametrize("task", NONE)
def test_tasks_that_decode_nothing_say_so(task: str) -> None:
    request = Request(task, preset="tiny", overrides=("data.backend=decord",))
    with pytest.raises(EgolibError, match=f"{NONE[task]}.*no video") as error:
        plan(request, schema)
    assert error.value.remedy


def test_all_tasks_at_once(opened: list[str]) -> None:
    request = Request("all", preset="tiny", overrides=("data.backend=torchcodec",))
    chosen = {
        node.key.split("/")[0]: node.parameters["data"].get("backend")
        for node in plan(request, schema)
        if node.key.split("/")[0] in configs.TASKS and "data" in node.parameters
    }
    assert chosen == {"vlp": "torchcodec", "vq2d": "torchcodec"} | dict.fromkeys(NONE)
