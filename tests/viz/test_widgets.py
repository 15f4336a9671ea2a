"""Pictures that follow sliders, moved here as JupyterLab moves them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from egolib.errors import EgolibError
from egolib.report.results import Detections, FrameDetections, Moments, ResponseTrack
from egolib.video import write_video
from egolib.viz import widgets


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    frames = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), np.uint8)
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4", frames, fps=10)


def detections() -> Detections:
    box = np.array([[10.0, 10, 30, 30]])
    frames = [FrameDetections(n, n / 10, box, np.zeros(1, int), np.array([0.5])) for n in (0, 10)]
    return Detections(frames, ("mug",))


def moments() -> Moments:
    return Moments("where?", np.array([[0.2, 0.8], [1.0, 1.4]]), np.array([0.9, 0.4]), 2.0)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_a_moved_slider_changes_the_picture(video):
    shown = widgets.scrub(video, detections(), moments=moments())
    image, frame, threshold = shown.widget.children
    first = image.value
    frame.value = 12
    later = image.value
    assert later != first
    threshold.value = 0.6  # above the boxes' scores and below one of the moments
    assert image.value != later and pixels(image.value).shape == pixels(first).shape
    threshold.value = 0.3
    assert image.value == later


def test_a_track_is_drawn_in_its_stretch(video):
    nothing = np.zeros(0)
    boxes = np.array([[5.0, 5, 20, 20]] * 3)
    track = ResponseTrack(np.array([4, 5, 6]), boxes, 0.7, nothing, nothing.astype(int))
    with_track, without = widgets.scrub(video, track=track), widgets.scrub(video)
    assert with_track.picture(frame=2) == without.picture(frame=2)
    assert with_track.picture(frame=5) != without.picture(frame=5)


def test_windows_above_a_threshold(video):
    above = widgets.moments_above(moments())
    assert above(0.5).scores.tolist() == [0.9] and not len(above(0.95).scores)
    shown = widgets.vary(None, above, threshold=0.3)
    assert len({shown.picture(threshold=value) for value in (0.3, 0.5, 0.95)}) == 3


def test_each_threshold_is_answered_once(video):
    asked = []

    def answer(threshold: float) -> Moments:
        asked.append(threshold)
        return moments()

    shown = widgets.vary(None, answer)
    for value in (0.5, 0.2, 0.5, 0.2):
        shown.picture(threshold=value)
    assert asked == [0.5, 0.2]


def test_two_runs_on_one_query():
    first = {"where?": moments(), "when?": moments()}
    second = {"where?": widgets.moments_above(moments())(0.5), "who?": moments()}
    shown = widgets.compare(None, first, second)
    assert shown.controls["query"].names == ("where?",)
    assert pixels(shown.picture()).std() > 5
    with pytest.raises(EgolibError, match="no query in common"):
        widgets.compare(None, first, {"who?": moments()})


def test_a_still_where_nobody_can_move(video, monkeypatch):
    shown = widgets.scrub(video, detections())
    both = shown._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(both)
    monkeypatch.setenv("EGOLIB_HEADLESS", "1")
    assert set(shown._repr_mimebundle_()) == {"image/png", "text/plain"}
