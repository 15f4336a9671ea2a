"""``egolib demo`` on small networks with random weights, and on the real video."""

from __future__ import annotations

import shutil
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from egolib import config as configs
from egolib import viz, vod
from egolib.cli import answers, demos, main
from egolib.errors import EgolibError, UsageError
from egolib.report.results import FrameDetections, ResponseTrack
from egolib.video import VideoReader, write_video
from egolib.viz.style import PREDICTED
from egolib.vod import api
from egolib.vod.config.data import BY_METHOD
from egolib.vq2d.api import save
from egolib.vq2d.models.model import SiameseRcnn
from tests.vlp.small import save_small
from tests.vod.small import CLASSES, make
from tests.vq2d import made

FRAMES, FPS = 20, 10
NAMES = tuple((f"thing{i}", "") for i in range(CLASSES))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "kitchen.mp4"
    rng = np.random.default_rng(0)
    base = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    write_video(path, (np.roll(base, 3 * i, axis=1) for i in range(FRAMES)), fps=FPS)
    return path


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, config = make("single")
    data = BY_METHOD["single"]()
    data = replace(
        data, pipeline=replace(data.pipeline, long_side=96, short_side=64), classes=NAMES
    )
    return api.save(tmp_path_factory.mktemp("vod") / "model.safetensors", model, config, data)


@pytest.fixture(scope="module")
def locator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vq2d")
    save(folder / "model.safetensors", SiameseRcnn(made.tiny_detector()))
    return folder


def run(task: str, video: Path, model: Path, **options) -> list[str]:
    arguments = {"texts": [], "query_frame": None, "box": None, "fps": None, "out": None}
    return demos.run(task, video, model=str(model), **(arguments | options))


# ------------------------------------------------------------------------------- vod


@pytest.mark.parametrize(("fps", "frames"), [(None, 20), (5, 10)])
def test_detections_are_drawn_into_the_video(
    fps: float | None, frames: int, video: Path, detector: Path, tmp_path: Path
):
    lines = run("vod", video, detector, fps=fps, out=tmp_path / "a.mp4")
    found = list(vod.load(detector).detect(video, fps=fps, min_score=demos.LEAST_SCORE))
    boxes = sum(len(frame.scores) for frame in found)
    assert boxes > 0
    assert lines[0] == f"model: vod/single; what it was trained on is not recorded ({detector})"
    assert lines[1].startswith("it knows: thing0, thing1")
    assert lines[2:] == [
        f"{boxes} boxes of score 0.3 and more in {frames} frames",
        f"drawn: {tmp_path / 'a.mp4'}",
    ]
    drawn = VideoReader(tmp_path / "a.mp4")
    assert (len(drawn), drawn.fps) == (frames, fps or FPS)
    assert drawn.duration_sec == pytest.approx(FRAMES / FPS)


def test_a_figure_of_detections(video: Path, detector: Path, tmp_path: Path):
    lines = run("vod", video, detector, out=tmp_path / "a.png")
    assert lines[-1].endswith("a.png") and (tmp_path / "a.png").stat().st_size > 1000


def test_drawing_keeps_no_frame(video: Path, tmp_path: Path):
    alive: list[weakref.ref] = []

    def found():
        for number in range(FRAMES):
            assert sum(ref() is not None for ref in alive) <= 1
            boxes = np.array([[10.0, 10, 50, 60]])
            frame = FrameDetections(number, number / FPS, boxes, np.zeros(1, int), np.ones(1))
            alive.append(weakref.ref(frame))
            yield frame
            del frame

    viz.detection_stream(video, found(), tmp_path / "a.mp4", ["mug"])
    assert len(alive) == FRAMES


def test_nothing_to_draw(video: Path, tmp_path: Path):
    with pytest.raises(EgolibError, match="no frames with detections"):
        viz.detection_stream(video, iter(()), tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


# ------------------------------------------------------------------------------ vq2d


def test_an_object_is_located_and_drawn(video: Path, locator: Path, tmp_path: Path):
    lines = run(
        "vq2d", video, locator, query_frame=15, box="20,20,30,30", out=tmp_path / "track.mp4"
    )
    assert lines[0].startswith("model: vq2d/") and lines[1].startswith(
        "looked at 5 frames a second"
    )
    assert lines[2].startswith("frames ") and lines[-1].endswith("track.mp4")
    assert len(VideoReader(tmp_path / "track.mp4")) > 0


def test_a_thinned_track_moves_between_its_frames(video: Path, tmp_path: Path):
    """Half way between two frames the box stands half way."""
    boxes = np.array([[10.0, 20, 40, 60], [50.0, 20, 80, 60]])
    nothing = np.zeros(0)
    track = ResponseTrack(np.array([4, 10]), boxes, 1.0, nothing, nothing.astype(int))
    drawn = VideoReader(viz.draw(video, track, tmp_path / "a.mp4"))
    scale = drawn.size[1] // 96
    colour = np.array(to_rgb(PREDICTED)) * 255
    near = {}
    for number in (2, 4, 7, 10, 12):
        row = drawn[number][40 * scale].astype(float)  # all frames: two seconds are shown before
        hits = np.flatnonzero(np.abs(row - colour).max(1) < 60) / scale
        near[number] = sorted({round(float(x) / 10) * 10 for x in hits})
    assert {10, 40} <= set(near[4]) and {30, 60} <= set(near[7]) and {50, 80} <= set(near[10])
    assert near[2] == near[12] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs --query-frame"),
        ({"query_frame": 3, "box": "1,2,3"}, "not x,y,w,h"),
        ({"query_frame": 3, "box": "500,500,10,10"}, "outside the 128x96 picture"),
        ({"query_frame": 99, "box": "1,2,30,30"}, "20 frames"),
        ({"query_frame": -1, "box": "1,2,30,30"}, "20 frames"),
    ],
)
def test_wrong_use_of_vq2d(options: dict, message: str, video: Path, locator: Path):
    with pytest.raises(UsageError, match=message):
        run("vq2d", video, locator, **options)


# ------------------------------------------------------------------------------- vlp


def test_a_short_video_gets_a_curve_too(video: Path, tmp_path: Path):
    save_small(tmp_path)
    texts = ["#C C takes the mug", "#C C opens the box"]
    told, found = demos._similarity(demos._Question(video, texts, str(tmp_path)))
    assert told[0].startswith("model: vlp/")
    assert found.curve.shape == (7, 2)
    np.testing.assert_allclose(found.times_sec, np.arange(1, 8) / 4)
    lines = run("vlp", video, tmp_path, texts=["the zebra"], out=tmp_path / "a.png")
    assert lines[1] == "words that it does not know: zebra" and len(lines) == 4


# --------------------------------------------------------------------------- in general


def test_an_answer_without_a_peak_says_so():
    nothing = np.zeros(0)
    track = ResponseTrack(np.arange(3), np.zeros((3, 4)), 1.0, nothing, nothing.astype(int))
    (line,) = answers.describe(track)
    assert "no peak" in line and "1.000" not in line


def test_wrong_arguments_load_no_torch(video: Path):
    """They are refused before anything heavy is imported."""
    commands = (
        ["demo", "tracking", str(video)],
        ["demo", "vq2d", str(video), "--query-frame", "99", "--box", "1,2,3,4"],
        ["demo", "vod", str(video), "--fps", "0"],
        ["demo", "nlq", str(video)],
        ["demo", "vlp", str(video)],
        ["demo", "vlp", str(video), "a text", "--fps", "2"],
        ["demo", "vod", str(video), "a text"],
        ["demo", "vod", str(video), "-o", "boxes.txt"],
        ["demo", "mq", str(video), "-o", "moments.mp4"],
        ["demo", "vod", str(video), "--model", "vod/no_such_variant"],
        ["demo", "mq", str(video), "--query-frame", "3"],
        ["demo", "vq2d", str(video.parent)],
        ["demo", "vq2d", str(video), "--query-frame", "9", "--box", "900,0,4,4"],
        ["run", "nlq", "--jobs", "0"],
        ["run", "nlq", "--preset", "paper", "--data-root", "/no/such/folder"],
        ["status", "no_such_run"],
        ["book", "--name", "no_such_run"],
        ["run", "nlq", "-p", "fit.epoch=3"],
        ["run", "nlq", "--grid", "seed=["],
        ["run", "all", "--variant", "scratch"],
        ["ensemble", "vod", str(video), str(video), "-o", str(video)],
        ["world", "make", "--preset", "no_such_preset"],
        ["world", "figure", "--preset", "no_such_preset"],
        ["convert", str(video), str(video.with_suffix(".pth")), "--model", "vod/frcnn"],
        ["convert", str(video), str(video.with_suffix(".pth")), "--dtype", "float31"],
        ["convert", str(video), str(video.with_suffix(".pth")), "--weights", "ema"],
    )
    code = f"""
import sys
from egolib.cli import main
for words in {commands!r}:
    sys.argv = ["egolib", *words]
    try:
        main()
    except SystemExit as end:
        print("torch" in sys.modules, end.code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["False 2"] * len(commands), done.stderr


def test_wrong_use(video: Path, detector: Path):
    with pytest.raises(EgolibError, match="does not exist"):
        run("vod", video.parent / "no.mp4", detector)
    with pytest.raises(UsageError, match="unknown task"):
        run("tracking", video, detector)
    with pytest.raises(UsageError, match="one or more texts"):
        run("vlp", video, detector)


def test_where_nothing_was_trained_a_small_model_is_trained_first(
    video: Path, detector: Path, tmp_path: Path, monkeypatch, capsys
):
    shutil.copytree(configs.project_root() / "params", tmp_path / "params")
    monkeypatch.setenv("EGOLIB_ROOT", str(tmp_path))
    folder = tmp_path / "runs" / "tiny" / "vod" / "some" / "2_train"

    def train(task: str, preset: str, variant: str | None = None) -> None:
        assert (task, preset, variant) == ("vod", "tiny", None)
        folder.mkdir(parents=True)
        for suffix in (".safetensors", ".json"):
            shutil.copy(detector.with_suffix(suffix), folder / f"model{suffix}")

    monkeypatch.setattr(demos, "_train", train)
    lines = demos.run("vod", video, [], None, None, None, None, tmp_path / "a.mp4")
    assert str(folder) in lines[0] and (tmp_path / "a.mp4").is_file()
    assert "a small one is trained first" in capsys.readouterr().out


def test_a_named_model_that_is_not_there_is_no_reason_to_train(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(demos, "_train", None)
    monkeypatch.setenv("EGOLIB_ROOT", str(tmp_path))
    (tmp_path / "runs" / "mine" / "vod" / "some" / "2_train").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "vod" / "some" / "2_train" / "model.safetensors").touch()
    for name, what in ((None, "name one of your own runs: mine/vod/some"), ("vod/x", "vod/x")):
        with pytest.raises(UsageError, match=what):
            demos._weights("vod", name)


def test_without_a_trained_model_the_command_ends_with_2(
    video: Path, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setenv("EGOLIB_ROOT", str(tmp_path))
    for task, options in (("vod", []), ("vq2d", ["--query-frame", "9", "--box", "1,2,30,30"])):
        options += ["--model", f"{task}/some"]
        monkeypatch.setattr("sys.argv", ["egolib", "demo", task, str(video), *options])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        assert "egolib run" in capsys.readouterr().err


def test_on_the_real_video(detector: Path, locator: Path, real_dir: Path, tmp_path: Path):
    real = real_dir / "video" / "flipping_a_pancake.mkv"
    if not real.is_file():
        pytest.skip(f"no real video at {real}")
    lines = run("vod", real, detector, fps=2, out=tmp_path / "vod.mp4")
    assert lines[2].endswith("in 21 frames")
    lines = run(
        "vq2d", real, locator, query_frame=200, box="150,80,60,50", out=tmp_path / "vq2d.mp4"
    )
    assert lines[2].startswith("frames ")
    assert len(VideoReader(tmp_path / "vq2d.mp4")) > 0
