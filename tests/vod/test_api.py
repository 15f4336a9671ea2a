"""Detection in videos: files, data sets, causal use, loading and saving."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egolib import vod
from egolib.errors import EgolibError
from egolib.runs.result_cache import ResultCache
from egolib.video import write_video
from egolib.vod.api import Detector, VideoFile, save
from egolib.vod.config import DataConfig, InferConfig, ModelConfig
from egolib.vod.config.data import BY_METHOD
from egolib.vod.data.dataset import make_source, test_videos
from egolib.vod.formats.checkpoint import layout
from egolib.vod.formats.submission import validate
from tests.vod.small import CLASSES, make, settings

FRAMES = 9
NAMES = tuple((f"class{i}", f"n{i:08d}") for i in range(CLASSES))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    rng = np.random.default_rng(0)
    base = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    pictures = (np.roll(base, 4 * i, axis=1) for i in range(FRAMES))
    write_video(path, pictures, fps=10)
    return path


def small_data(method: str) -> DataConfig:
    """Published preparation and references, on small images and few references."""
    data = BY_METHOD[method]()
    pipeline = replace(data.pipeline, long_side=96, short_side=64, divisor=32)
    return replace(data, pipeline=pipeline, classes=NAMES)


def few(config: ModelConfig, **changes: Any) -> InferConfig:
    """Settings of testing with few references."""
    made = settings(config)
    if made.references.method != "none":
        made = replace(made, references=replace(made.references, window=(-1, 2)))
    return replace(made, **changes)


def detector(name: str, **changes: Any) -> Detector:
    model, config = make(name)
    return Detector(model, config, small_data(config.method), few(config, **changes))


METHODS = ("single", "selsa", "mamba", "mega", "stpn", "tdvit", "eovod", "dff", "fgfa")


@pytest.mark.parametrize("name", METHODS)
def test_a_video_file_is_streamed(name: str, video: Path):
    found = list(detector(name).detect(video))
    assert [f.frame for f in found] == list(range(FRAMES))
    assert found[3].time_sec == pytest.approx(0.3)
    assert sum(len(f.scores) for f in found) > 0
    for frame in found:
        assert (np.diff(frame.scores) <= 0).all()
        assert frame.boxes_xyxy[:, [0, 2]].max(initial=0) <= 64 + 1
        assert ((frame.labels >= 0) & (frame.labels < CLASSES)).all()


def test_settings_are_passed_when_a_video_starts(video: Path):
    """The published settings hold where none are given; a network keeps none of them."""
    model, config = make("single")
    data = small_data("single")
    all_of_them = list(Detector(model, config, data).detect(video))
    assert min(f.scores.min() for f in all_of_them) < 0.2
    limits = replace(few(config).detections, score_threshold=0.2)
    high = list(Detector(model, config, data, few(config, detections=limits)).detect(video))
    assert min(f.scores.min() for f in high if len(f.scores)) > 0.2
    again = list(Detector(model, config, data).detect(video))
    assert sum(len(f.scores) for f in again) == sum(len(f.scores) for f in all_of_them)
    assert sum(len(f.scores) for f in high) < sum(len(f.scores) for f in again)


def test_settings_of_a_checkpoint_may_be_changed(tmp_path: Path):
    made = detector("selsa")
    path = save(tmp_path / "m.safetensors", made.model, made.config, made.data, made.settings)
    loaded = vod.load(path, infer={"detections": {"score_threshold": 0.9}})
    assert loaded.settings.detections.score_threshold == 0.9
    assert loaded.settings.references == made.settings.references
    with pytest.raises(EgolibError, match="did you mean score_threshold"):
        vod.load(path, infer={"detections": {"score_treshold": 0.9}})
    with pytest.raises(EgolibError, match="no sliding window"):
        Detector(
            *_single(),
            few(made.config, references=replace(made.settings.references, method="fixed_stride")),
        )


def _single():
    model, config = make("single")
    return model, config, small_data("single")


def test_fewer_frames_a_second_and_a_least_score(video: Path):
    single = detector("single")
    found = list(single.detect(video, fps=5))
    assert [f.frame for f in found] == [0, 2, 4, 6, 8]
    high = list(single.detect(video, fps=5, min_score=0.3))
    assert all((f.scores >= 0.3).all() for f in high)
    assert [f.frame for f in single.detect(video, fps=1000)] == list(range(FRAMES))


@pytest.mark.parametrize("name", METHODS)
def test_causal_detection_reads_no_later_frame(name: str, video: Path, monkeypatch):
    read: list[int] = []
    original = VideoFile.input

    def spy(self, place):
        read.append(place)
        return original(self, place)

    monkeypatch.setattr(VideoFile, "input", spy)
    for i, _ in enumerate(detector(name, causal=True).detect(video)):
        assert max(read) <= i


@pytest.mark.parametrize("name", ["mamba", "mega", "eovod"])
def test_a_video_gives_the_same_detections_again(name: str, video: Path):
    made = detector(name)
    first, second = list(made.detect(video)), list(made.detect(video))
    for one, two in zip(first, second, strict=False):
        np.testing.assert_array_equal(one.boxes_xyxy, two.boxes_xyxy)


def test_a_data_set(made: DataConfig):
    model, config = make("mamba", change=lambda c: replace(c, classes=2))
    data = replace(small_data("mamba"), classes=made.classes)
    source = make_source(made.evaluation, made.images_vid, data, train=False)
    predictor = Detector(model, config, data, few(config))
    assert predictor.class_names == ("mug", "jar")
    detections = predictor.predict(test_videos(source, data, predictor.settings))
    validate(detections, source.index.image_id, ("mug", "jar"))
    assert detections.image_id[0] == 1 and sorted(detections.image_id) == list(range(1, 9))
    assert detections.image_id.tolist() != list(range(1, 9))  # shuffled, as published
    again = predictor.predict(test_videos(source, data, predictor.settings))
    np.testing.assert_array_equal(detections.boxes.box, again.boxes.box)


def test_two_processes_detect_what_one_does(made: DataConfig, tmp_path: Path):
    model, config = make("mamba", change=lambda c: replace(c, classes=2))
    data = replace(small_data("mamba"), classes=made.classes)
    source = make_source(made.evaluation, made.images_vid, data, train=False)
    predictor = Detector(model, config, data, few(config, device="cpu"))
    videos = test_videos(source, data, predictor.settings)
    assert len(videos) > 1
    one = predictor.predict(videos)
    cache = ResultCache(tmp_path, {"of": "this test"})
    two = predictor.predict(videos, cache, ["cpu", "cpu"])
    for name, values in vars(one.boxes).items():
        assert values.tobytes() == vars(two.boxes)[name].tobytes()
    np.testing.assert_array_equal(one.image_id, two.image_id)
    assert all(cache.get(video.name) is not None for video in videos)


def test_a_video_that_fails_lets_the_others_finish(made: DataConfig, tmp_path: Path):
    model, config = make("single", change=lambda c: replace(c, classes=2))
    data = replace(small_data("single"), classes=made.classes)
    source = make_source(made.evaluation, made.images_vid, data, train=False)
    predictor = Detector(model, config, data, few(config, device="cpu"))
    first, second = test_videos(source, data, predictor.settings)[:2]
    cache = ResultCache(tmp_path, {"of": "this test"})

    def fail(place):
        raise EgolibError("cannot be decoded", file=Path("a.jpg"))

    first.input = fail
    with pytest.raises(EgolibError, match="1 of 2 videos failed.*cannot be decoded"):
        predictor.predict([first, second], cache)
    assert cache.get(first.name) is None and cache.get(second.name) is not None


def test_snippets_of_one_source_share_eovods_banks(made: DataConfig):
    model, config = make("eovod", change=lambda c: replace(c, classes=2))
    data = replace(small_data("eovod"), classes=made.classes)
    source = make_source(made.evaluation, made.images_vid, data, train=False)
    predictor = Detector(model, config, data, few(config))
    videos = test_videos(source, data, predictor.settings)
    both = predictor.predict(videos)
    second = predictor.predict(videos[1:])
    after = both.boxes.frame >= 5
    assert not np.array_equal(both.boxes.score[after], second.boxes.score)
    location = replace(predictor.settings.location, bank_reset="every_video")
    apart = replace(predictor.settings, location=location)
    own = Detector(model, config, data, apart).predict(videos)
    np.testing.assert_array_equal(own.boxes.score[own.boxes.frame >= 5], second.boxes.score)


def test_save_and_load(tmp_path: Path, video: Path):
    made = detector("selsa")
    about = (made.model, made.config, made.data, made.settings)
    path = save(tmp_path / "model.safetensors", *about, step=3)
    loaded = vod.load(path, device="cpu")
    assert loaded.class_names == made.class_names and loaded.config == made.config
    assert loaded.settings == replace(made.settings, device="cpu")
    for one, two in zip(made.detect(video), loaded.detect(video), strict=False):
        np.testing.assert_array_equal(one.boxes_xyxy, two.boxes_xyxy)
    folder = vod.load(tmp_path)
    assert folder.config == made.config


def test_official_files_need_a_name_where_several_fit(tmp_path: Path, monkeypatch):
    made = detector("mamba")
    small = dict.fromkeys(("selsa_r101_dc5", "mamba_r101_dc5"), lambda: made.config)
    path = tmp_path / "epoch_6_model.pth"
    torch.save({"state_dict": layout(made.config).to_official(made.model.state_dict())}, path)
    with pytest.raises(EgolibError, match="no published network"):
        vod.load(path)
    monkeypatch.setattr("egolib.vod.api.ModelConfig.builders", small)
    loaded = vod.load(path, model="vod/mamba_r101_dc5", classes=NAMES)
    assert loaded.settings.shuffle_frames and loaded.class_names == tuple(n for n, _ in NAMES)
    with pytest.raises(EgolibError, match="mamba_r101_dc5"):
        vod.load(path, model="mamba")


def test_files_of_other_tasks_are_refused(tmp_path: Path):
    from egolib.io import checkpoint

    path = checkpoint.save(
        tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {"model": "nlq/x", "config": {}}
    )
    with pytest.raises(EgolibError, match="not of vod"):
        vod.load(path)
    with pytest.raises(EgolibError, match="must hold one file"):
        vod.load(Path(tmp_path / "..").resolve() / tmp_path.name / "..")
