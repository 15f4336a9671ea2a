from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from egolib import viz
from egolib.errors import EgolibError
from egolib.report.results import (
    Detections,
    FrameDetections,
    Moments,
    ResponseTrack,
    Result,
    Similarity,
)
from egolib.video import VideoReader, read_image
from egolib.viz.pictures import spread
from egolib.viz.style import PALETTE, PREDICTED, TRUE
from tests.helpers.video_files import encode, numbers

FRAMES = 90  # of the test video, at 30 per second


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("viz") / "video.mp4"
    encode(path, range(FRAMES))
    return path


def _track(first: int = 40, last: int = 60) -> ResponseTrack:
    frames = np.arange(first, last)
    boxes = np.tile([30.0, 40.0, 90.0, 100.0], (len(frames), 1))
    curve = np.exp(-(((np.arange(80) - 50) / 8) ** 2))
    return ResponseTrack(frames, boxes, 0.8, curve, np.arange(80), 50, 30.0)


NOT_FOUND = ResponseTrack(
    np.zeros(0, int), np.zeros((0, 4)), 0.0, np.zeros(80), np.arange(80), None, 30.0
)
EMPTY = ResponseTrack(np.zeros(0, int), np.zeros((0, 4)), 0.0, np.zeros(0), np.zeros(0, int))
DETECTIONS = Detections(
    [
        FrameDetections(
            frame,
            frame / 30,
            np.array([[20.0, 40.0, 80.0, 110.0], [90.0, 50.0, 150.0, 100.0]]),
            np.array([0, 1]),
            np.array([0.9, 0.2]),
        )
        for frame in range(0, FRAMES, 10)
    ],
    ("mug", "pan"),
)
MOMENTS = Moments(
    "Where is the $5 mug?",
    np.array([[1.0, 1.5], [2.0, 2.5], [0.2, 0.4]]),
    np.array([0.7, 0.2, 0.1]),
    3.0,
    np.array([[0.9, 1.4]]),
)
CURVE = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.1]])
SIMILARITY = Similarity(("takes", "puts"), CURVE.mean(0), CURVE, np.array([0.5, 1.5, 2.5]))
RESULTS: dict[str, Result] = {
    "track": _track(),
    "not found": NOT_FOUND,
    "empty": EMPTY,
    "detections": DETECTIONS,
    "frame": DETECTIONS.frames[3],
    "nothing detected": Detections(
        [FrameDetections(3, 0.1, np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))], ()
    ),
    "moments": MOMENTS,
    "no moments": Moments("where?", np.zeros((0, 2)), np.zeros(0)),
    "similarity": SIMILARITY,
    "bars": Similarity(("takes", "puts"), np.array([0.2, 0.4])),
    "one text": Similarity(("takes",), np.array([0.2]), CURVE[:, :1], np.array([0.5, 1.5, 2.5])),
}


def _texts(figure: viz.Drawing) -> list[str]:
    found = [text.get_text() for text in figure.findobj(matplotlib.text.Text)]
    return [text for text in found if text]


# ------------------------------------------------------------------- any result


@pytest.mark.parametrize("name", list(RESULTS))
def test_every_result_becomes_a_figure(name: str, video: Path, tmp_path: Path) -> None:
    figure = viz.draw(video, RESULTS[name])
    assert isinstance(figure, viz.Drawing)
    assert figure._repr_png_().startswith(b"\x89PNG")
    out = viz.draw(video, RESULTS[name], tmp_path / "a.png")
    image = read_image(out)  # type: ignore[arg-type]
    assert image.shape[1] == 864
    assert image.std() > 5, "something was drawn"


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_files_are_whole_and_repeatable(suffix: str, video: Path, tmp_path: Path) -> None:
    paths = [viz.draw(video, _track(), tmp_path / f"{name}{suffix}") for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()  # type: ignore[union-attr]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]


def test_a_reader_serves_as_well_as_a_path(video: Path, tmp_path: Path) -> None:
    a = viz.draw(video, DETECTIONS, tmp_path / "a.png")
    b = viz.draw(VideoReader(video), DETECTIONS, tmp_path / "b.png")
    np.testing.assert_array_equal(read_image(a), read_image(b))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "out", "message"),
    [
        (MOMENTS, "a.mp4", "Moments cannot be drawn into a video"),
        (SIMILARITY, "a.mp4", "Similarity cannot be drawn into a video"),
        (_track(), "a.gif", "unknown format"),
        (_track(), "a", "unknown format"),
        ("text", "a.png", "no result"),
    ],
)
def test_what_cannot_be_drawn(
    result: Result, out: str, message: str, video: Path, tmp_path: Path
) -> None:
    with pytest.raises(EgolibError, match=message):
        viz.draw(video, result, tmp_path / out)


@pytest.mark.parametrize("out", [None, "a.mp4"])
def test_boxes_need_a_video(out: str | None, tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match="drawn on frames"):
        viz.draw(None, _track(), out and tmp_path / out)


def test_no_global_settings_and_no_torch() -> None:
    code = (
        "import sys, matplotlib as m; before = m.rcParams.copy()\n"
        "from egolib import viz; viz.curves({'a': ([0, 1], [1, 0])})._repr_png_()\n"
        "assert m.rcParams.copy() == before\n"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------- figures


@pytest.mark.parametrize(
    ("numbers", "count", "expected"),
    [
        ([], 5, []),
        ([7], 5, [7]),
        ([1, 2, 3], 5, [1, 2, 3]),
        (range(10, 31), 5, [10, 15, 20, 25, 30]),
    ],
)
def test_spread(numbers: list[int], count: int, expected: list[int]) -> None:
    assert spread(numbers, count).tolist() == expected


def test_the_strip_shows_query_frames_and_both_tracks(video: Path) -> None:
    track = _track()
    true = np.arange(45, 70), np.tile([10.0, 10.0, 50.0, 50.0], (25, 1))
    query = VideoReader(video)[80][20:80, 30:90]
    figure = viz.track_figure(video, track, query=query, truth=true, count=4)
    *strip, curve = figure.axes
    assert [axes.get_title() for axes in strip] == ["query", "1.3 s", "1.5 s", "1.8 s", "2.0 s"]
    shown = [axes.images[0].get_array() for axes in strip[1:]]
    assert numbers(np.asarray(image) for image in shown) == [40, 46, 53, 59]
    lines = {line.get_color(): line for line in strip[2].lines if line.get_color() != "white"}
    assert set(lines) == {PREDICTED, TRUE}
    assert set(lines[PREDICTED].get_xdata()) == {30.0, 90.0}
    assert set(lines[TRUE].get_ydata()) == {10.0, 50.0}
    assert lines[TRUE].is_dashed()
    assert TRUE not in [line.get_color() for line in strip[1].lines], "not true there"
    peak = next(line for line in curve.lines if line.get_marker() == "v")
    assert (peak.get_xdata()[0], peak.get_ydata()[0]) == (50, 1.0)
    labels = [text.get_text() for text in curve.get_legend().get_texts()]
    assert labels == ["found, score 0.80", "true", "peak"]


def test_nothing_found_is_said(video: Path) -> None:
    assert "nothing was found" in _texts(viz.draw(video, NOT_FOUND))  # type: ignore[arg-type]


def test_detections_name_class_and_score(video: Path) -> None:
    figure = viz.detection_figure(video, DETECTIONS, frames=[0, 20, 50], threshold=0.1)
    assert len(figure.axes) == 3
    texts = _texts(figure)
    assert texts.count("mug 0.90") == texts.count("pan 0.20") == 3
    assert numbers(np.asarray(axes.images[0].get_array()) for axes in figure.axes) == [0, 20, 50]
    drawn = {line.get_color() for line in figure.axes[0].lines} - {"white"}
    assert drawn == {PALETTE[0], PALETTE[1]}


def test_weak_detections_are_left_out_and_true_boxes_dashed(video: Path) -> None:
    truth = {0: (np.array([[5.0, 5.0, 25.0, 25.0]]), np.array([1]))}
    figure = viz.detection_figure(video, DETECTIONS, truth=truth, count=2)
    assert not [text for text in _texts(figure) if text.startswith("pan")]
    dashed = [line for line in figure.axes[0].lines if line.is_dashed()]
    assert [line.get_color() for line in dashed] == [PALETTE[1]]
    assert not [line for line in figure.axes[1].lines if line.is_dashed()]


def test_classes_without_a_name(video: Path) -> None:
    assert "class 0 0.90" in _texts(viz.detection_figure(video, DETECTIONS.frames[0]))


def test_moments_stand_at_their_times(video: Path) -> None:
    figure = viz.moment_figure(MOMENTS, video)
    *images, axes = figure.axes
    assert numbers(np.asarray(a.images[0].get_array()) for a in images) == [37, 67, 9]
    bars = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
    assert bars == [pytest.approx(s) for s in [(0.9, 1.4), (1, 1.5), (2, 2.5), (0.2, 0.4)]]
    assert axes.get_xlim() == (0, 3.0)
    assert "Where is the $5 mug?" in _texts(figure)
    heights = [patch.get_y() for patch in axes.patches]
    assert heights == sorted(heights, reverse=True), "the truth above, then by rank"


def test_several_questions_share_a_time_axis() -> None:
    figure = viz.moment_figure([MOMENTS, MOMENTS], count=2)
    assert len(figure.axes) == 1
    assert len(figure.axes[0].patches) == 2 * 3
    with pytest.raises(EgolibError, match="no answers"):
        viz.moment_figure([])


def test_similarity_peaks_and_their_frames(video: Path) -> None:
    *images, axes = viz.similarity_figure(SIMILARITY, video).axes
    assert numbers(np.asarray(a.images[0].get_array()) for a in images) == [45, 15]
    assert [a.get_title() for a in images] == ["1.5 s", "0.5 s"]
    peaks = [line.get_xydata()[0].tolist() for line in axes.lines if line.get_marker() == "v"]
    assert peaks == [[1.5, 0.8], [0.5, 0.9]]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["0.40  takes", "0.40  puts"]


def test_similarity_without_a_curve_is_bars() -> None:
    (axes,) = viz.similarity_figure(Similarity(("a", "b", "c"), np.array([0.1, 0.5, 0.3]))).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "c", "b"]
    assert [patch.get_width() for patch in axes.patches] == [0.1, 0.3, 0.5]


def test_the_retrieval_grid_marks_what_is_right(video: Path) -> None:
    images = VideoReader(video).batch(range(6)).reshape(2, 3, 120, 160, 3)
    right = [[True, False, False], [False, False, True]]
    scores = np.arange(6).reshape(2, 3) / 10
    figure = viz.retrieval_grid(["takes", "puts"], images, scores, right)
    titles = [axes.get_title() for part in figure.subfigs for axes in part.axes]
    assert titles == ["✓ 0.00", "✗ 0.10", "✗ 0.20", "✗ 0.30", "✗ 0.40", "✓ 0.50"]
    assert [part.get_suptitle() for part in figure.subfigs] == ["takes", "puts"]
    plain = viz.retrieval_grid(["takes"], images[:1], scores[:1])
    assert [axes.get_title() for axes in plain.subfigs[0].axes] == ["0.00", "0.10", "0.20"]
    with pytest.raises(EgolibError, match="nothing retrieved"):
        viz.retrieval_grid([], [], [])


def test_picture_rows(video: Path) -> None:
    figure = viz.picture_row(list(VideoReader(video).frames(0, 8)), [f"{i}" for i in range(8)])
    assert len(figure.axes) == 8
    assert numbers(np.asarray(a.images[0].get_array()) for a in figure.axes) == list(range(8))
    with pytest.raises(EgolibError, match="no pictures"):
        viz.picture_row([])


def test_curves_are_named_at_their_ends() -> None:
    (axes,) = viz.curves({"loss": ([0, 1], [3, 2]), "none yet": ([], [])}, "update").axes
    (name,) = axes.texts
    assert (name.get_text(), name.xy) == ("loss", (1.0, 2.0))
    assert axes.get_xlabel() == "update"


# ------------------------------------------------------------------- movies


def _near(image: np.ndarray, x: float, y: float, colour: str) -> float:
    """Mean distance, in grey levels, of the pixels around a place from a colour."""
    patch = image[round(y) : round(y) + 2, round(x) : round(x) + 2].reshape(-1, 3)
    return float(np.abs(patch.mean(0) - np.array(to_rgb(colour)) * 255).mean())


def test_the_track_is_drawn_into_the_video(video: Path, tmp_path: Path) -> None:
    reader = VideoReader(viz.draw(video, _track(70, 75), tmp_path / "a.mp4"))  # type: ignore[arg-type]
    assert (reader.size, reader.fps) == ((480, 408), 30)
    first = 70 - 60  # two seconds before
    assert numbers(image[:360] for image in reader) == list(range(first, FRAMES))
    with_box, without = reader[72 - first], reader[66 - first]
    for x, y in ((3 * 60, 3 * 40), (3 * 30, 3 * 70), (3 * 60, 3 * 100 - 2)):
        assert _near(with_box, x, y, PREDICTED) < 40 < _near(without, x, y, PREDICTED)
    changed = np.abs(with_box[360:].astype(int) - without[360:]).max((0, 2)) > 60
    assert changed.any() and changed.mean() < 0.1, "only the cursor moves below"


def test_nothing_found_shows_what_was_searched(video: Path, tmp_path: Path) -> None:
    reader = VideoReader(viz.draw(video, NOT_FOUND, tmp_path / "a.mp4"))  # type: ignore[arg-type]
    assert numbers(image[:360] for image in reader) == list(range(80))
    reader = VideoReader(viz.draw(video, EMPTY, tmp_path / "b.mp4"))  # type: ignore[arg-type]
    assert len(reader) == FRAMES


def test_detections_are_drawn_into_the_frames_looked_at(video: Path, tmp_path: Path) -> None:
    path = viz.draw(video, DETECTIONS, tmp_path / "a.mp4", threshold=0.15)
    reader = VideoReader(path)  # type: ignore[arg-type]
    assert (len(reader), reader.fps, reader.size) == (9, 3, (480, 360))
    for image in reader:
        assert _near(image, 3 * 20, 3 * 80, PALETTE[0]) < 40
        assert _near(image, 3 * 90, 3 * 80, PALETTE[1]) < 40


def test_an_answer_of_one_frame_stays_for_a_second(video: Path, tmp_path: Path) -> None:
    reader = VideoReader(viz.draw(video, _track(40, 41), tmp_path / "a.mp4"))  # type: ignore[arg-type]
    shown = numbers(image[:360] for image in reader)
    assert shown == [*range(40), *[40] * 30, *range(41, FRAMES)]
    one = Detections(DETECTIONS.frames[3:4], DETECTIONS.class_names)
    reader = VideoReader(viz.draw(video, one, tmp_path / "b.mp4"))  # type: ignore[arg-type]
    assert reader.duration_sec == pytest.approx(1.0)
    assert numbers(reader) == [30] * 30


def test_boxes_have_names_and_thresholds(video: Path, tmp_path: Path) -> None:
    def drawn(**options: object) -> np.ndarray:
        path = viz.draw(video, _track(70, 75), tmp_path / "a.mp4", **options)
        return VideoReader(path)[62]  # type: ignore[arg-type]

    plain, named, weak = drawn(), drawn(name="mug"), drawn(threshold=0.9)
    label = np.s_[3 * 40 - 18 : 3 * 40 - 4, 3 * 30 : 3 * 30 + 60]
    assert np.abs(plain[label].astype(int) - named[label]).mean() > 5, "another name"
    assert _near(plain, 3 * 30 + 1, 3 * 40 - 6, PREDICTED) < 60, "a label with a ground"
    assert _near(weak, 3 * 60, 3 * 40, PREDICTED) > 40, "below the threshold: no box"


def test_movies_at_a_chosen_rate(video: Path, tmp_path: Path) -> None:
    path = viz.draw(video, _track(70, 75), tmp_path / "a.mp4", rate=5)
    reader = VideoReader(path)  # type: ignore[arg-type]
    assert (reader.fps, numbers(i[:360] for i in reader)) == (5, list(range(10, FRAMES, 6)))
    path = viz.draw(video, DETECTIONS, tmp_path / "b.mp4", rate=1.5)
    reader = VideoReader(path)  # type: ignore[arg-type]
    assert (reader.fps, numbers(reader)) == (1.5, [0, 20, 40, 60, 80])
    path = viz.detection_stream(video, DETECTIONS.frames, tmp_path / "c.mp4")
    assert VideoReader(path).duration_sec == pytest.approx(81 / 30, abs=0.02), "at its own pace"


def test_movies_of_variable_rate_keep_their_times(tmp_path: Path) -> None:
    encode(tmp_path / "in.mp4", [*range(10), *range(10, 60, 10)], 10)
    path = viz.draw(tmp_path / "in.mp4", EMPTY, tmp_path / "a.mp4", rate=10)
    shown = numbers(VideoReader(path))  # type: ignore[arg-type]
    assert shown == [*range(10), *np.repeat(range(10, 14), 10), 14]


@pytest.mark.parametrize("result", [_track(), DETECTIONS])
@pytest.mark.parametrize("name", ["a.mp4", "a.png"])
def test_unwritable_targets(name: str, result: Result, video: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / name).mkdir()
    nowhere = [tmp_path / "file" / name, Path("/proc/egolib") / name]
    for target in nowhere:
        with pytest.raises(EgolibError, match="cannot be written"):
            viz.draw(video, result, target)
    with pytest.raises(EgolibError, match="this is a folder"):
        viz.draw(video, result, tmp_path / name)


def test_odd_sizes(tmp_path: Path) -> None:
    encode(tmp_path / "a.mkv", range(20), size=(638, 482))
    detections = Detections(DETECTIONS.frames[:2], DETECTIONS.class_names)
    path = viz.draw(tmp_path / "a.mkv", detections, tmp_path / "a.mp4")
    assert VideoReader(path).size == (638, 482)  # type: ignore[arg-type]


def test_no_frames_at_all(video: Path, tmp_path: Path) -> None:
    for out in (None, tmp_path / "a.mp4"):
        with pytest.raises(EgolibError, match="no frames"):
            viz.draw(video, Detections([], ()), out)
