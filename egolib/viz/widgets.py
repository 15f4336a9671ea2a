"""Pictures that follow a slider in JupyterLab, computed from what a model found, without it.

``scrub`` goes through a video with boxes, a track and moments; ``vary`` moves a threshold under an
answer; ``compare`` shows two runs' answers to one query. Where nobody can move a slider (a notebook
that a run executes, the published book, a viewer without widgets) each shows its first picture.
"""

from __future__ import annotations

import base64
import io
import os
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from egolib.errors import EgolibError
from egolib.report.results import Detections, Moments, ResponseTrack, Result
from egolib.viz.detections import caption, strongest, tint
from egolib.viz.moments import moment_figure
from egolib.viz.movies import LINE_HEIGHT, Canvas, box_at
from egolib.viz.pictures import Video, as_reader, seconds_of
from egolib.viz.style import PREDICTED, Drawing
from egolib.viz.tracks import track_figure

Render = Callable[..., bytes]  # from values by name to a PNG


@dataclass(frozen=True)
class Slider:
    """A value that a reader moves.

    Args:
        start: the first value.
        low: the least one.
        high: the greatest one.
        step: between two; whole numbers make a slider of whole numbers.
    """

    start: float
    low: float
    high: float
    step: float = 0.05

    def control(self, name: str) -> Any:
        """The ipywidgets slider, which acts while it is moved."""
        import ipywidgets

        whole = isinstance(self.step, int)
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        layout = ipywidgets.Layout(width="95%")
        return kind(
            self.start, min=self.low, max=self.high, step=self.step, description=name, layout=layout
        )


@dataclass(frozen=True)
class Choice:
    """One of several names."""

    names: tuple[str, ...]

    @property
    def start(self) -> str:
        """The first one."""
        return self.names[0]

    def control(self, name: str) -> Any:
        """The ipywidgets list."""
        import ipywidgets

        return ipywidgets.Dropdown(options=self.names, description=name)


@dataclass
class Interactive:
    """A picture with the controls that it follows; notebooks show it by itself.

    Args:
        render: from a value for each control to a PNG.
        controls: by the names of ``render``'s arguments.
    """

    render: Render
    controls: Mapping[str, Slider | Choice]
    _widget: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._cached = lru_cache(maxsize=64)(self._png)

    def picture(self, **values: Any) -> bytes:
        """The PNG for some values; the others stand where they start."""
        known = {name: control.start for name, control in self.controls.items()}
        return self._cached(tuple({**known, **values}.items()))

    def _png(self, values: tuple[tuple[str, Any], ...]) -> bytes:
        return self.render(**dict(values))

    @property
    def widget(self) -> Any:
        """The ipywidgets box: an image, and below it the controls."""
        if self._widget is None:
            import ipywidgets

            image = ipywidgets.Image(value=self.picture(), format="png")
            moved = {name: control.control(name) for name, control in self.controls.items()}

            def follow(_: Any) -> None:
                image.value = self.picture(**{name: one.value for name, one in moved.items()})

            for one in moved.values():
                one.observe(follow, names="value")
            self._widget = ipywidgets.VBox([image, *moved.values()])
        return self._widget

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The still picture, and the widget where somebody may move it."""
        still = {
            "image/png": base64.b64encode(self.picture()).decode(),
            "text/plain": f"a picture that follows {', '.join(self.controls)} in JupyterLab",
        }
        if os.environ.get("EGOLIB_HEADLESS"):
            return still
        try:
            return still | dict(self.widget._repr_mimebundle_())
        except ImportError:
            return still


# ------------------------------------------------------------------------------ ready ones


def scrub(
    video: Video,
    detections: Detections | None = None,
    track: ResponseTrack | None = None,
    moments: Moments | None = None,
    *,
    threshold: float = 0.3,
    step: int = 1,
) -> Interactive:
    """Any frame of a video with what was found in it.

    Args:
        video: a path or an open reader.
        detections: boxes that reach the threshold are drawn, those of the last frame that
            was looked at.
        track: its box is drawn in its stretch.
        moments: their segments lie on a line below, those that reach the threshold.
        threshold: where its slider starts.
        step: frames between two places of the frame slider.
    """
    reader = as_reader(video)
    canvas = Canvas(reader, LINE_HEIGHT if moments is not None else 0)
    looked = [] if detections is None else [found.frame for found in detections.frames]

    def render(frame: int, threshold: float) -> bytes:
        page = canvas.page(reader[frame], seconds_of(reader, frame))
        if (place := bisect_right(looked, frame)) and detections is not None:
            for box, label, score in strongest(detections.frames[place - 1], threshold):
                canvas.box(page, box, tint(label), caption(detections.class_names, label, score))
        if track is not None and _within(track, frame):
            canvas.box(page, box_at(track, frame), PREDICTED, f"found {track.score:.2f}")
        if moments is not None:
            _segments(page, canvas, moments, threshold, reader.timestamp(frame) - reader.start_sec)
        return _png(page)

    controls = {"frame": Slider(0, 0, len(reader) - 1, step)}
    return Interactive(render, controls | {"threshold": Slider(threshold, 0.0, 1.0)})


def vary(
    video: Video | None,
    answer: Callable[[float], Result],
    *,
    threshold: float = 0.5,
    low: float = 0.0,
    high: float = 1.0,
) -> Interactive:
    """An answer at a threshold that a reader moves, drawn as ``draw`` draws it.

    Each threshold is answered once. For vq2d, ``vq2d.load().search(...).answer`` takes a
    threshold of the similarity's peak and needs no detector; ``moments_above`` is for nlq.

    Args:
        video: a path or an open reader.
        answer: from a threshold to what is drawn.
        threshold: where the slider starts.
        low: its least value.
        high: its greatest value.
    """

    def render(threshold: float) -> bytes:
        return _figure_png(video, answer(threshold))

    return Interactive(render, {"threshold": Slider(threshold, low, high)})


def moments_above(moments: Moments) -> Callable[[float], Moments]:
    """For ``vary``: the segments of an answer whose scores reach a threshold."""

    def answer(threshold: float) -> Moments:
        kept = np.asarray(moments.scores) >= threshold
        segments = np.asarray(moments.segments_sec)[kept]
        return Moments(
            moments.question,
            segments,
            np.asarray(moments.scores)[kept],
            moments.duration_sec,
            moments.truth_sec,
        )

    return answer


def compare(
    video: Video | None,
    first: Mapping[str, Result],
    second: Mapping[str, Result],
    names: Sequence[str] = ("first run", "second run"),
) -> Interactive:
    """The answers of two runs to one query, one below the other; the query is chosen.

    Args:
        video: a path or an open reader; None where answers are drawn without one.
        first: answers of one run by query.
        second: those of another.
        names: of the two runs.

    Raises:
        EgolibError: the runs have no query in common.
    """
    shared = tuple(query for query in first if query in second)
    if not shared:
        raise EgolibError("the two runs answer no query in common")

    def render(query: str) -> bytes:
        pages = [Image.open(io.BytesIO(_figure_png(video, run[query]))) for run in (first, second)]
        return _png(_stack(pages, names))

    return Interactive(render, {"query": Choice(shared)})


# ------------------------------------------------------------------------------- drawing


def _within(track: ResponseTrack, frame: int) -> bool:
    return len(track.frames) > 0 and track.frames[0] <= frame <= track.frames[-1]


def _segments(
    page: Image.Image, canvas: Canvas, moments: Moments, threshold: float, now_sec: float
) -> None:
    """Segments that reach a threshold on a line below the picture, and a cursor."""
    draw, end = ImageDraw.Draw(page), max(moments.duration_sec or 0.0, now_sec, 1e-6)
    top = canvas.height + 6
    for (start, stop), score in zip(moments.segments_sec, moments.scores, strict=True):
        if score >= threshold:
            left, right = (4 + float(t) / end * (canvas.width - 8) for t in (start, stop))
            draw.rectangle((left, top, max(right, left + 2), top + 22), outline=PREDICTED, width=3)
            draw.text((left + 5, top + 4), f"{score:.2f}", fill="#222222", font=canvas.font)
    cursor = 4 + now_sec / end * (canvas.width - 8)
    draw.line((cursor, canvas.height, cursor, page.height), fill="#222222", width=2)


def _figure_png(video: Video | None, result: Result) -> bytes:
    if isinstance(result, Moments):  # without frames: an answer may have lost all segments
        return moment_figure(result)._repr_png_()
    if isinstance(result, ResponseTrack) and video is not None:
        return track_figure(video, result)._repr_png_()
    from egolib.viz import draw

    figure = draw(video, result)
    assert isinstance(figure, Drawing)
    return figure._repr_png_()


def _stack(pages: Sequence[Image.Image], names: Sequence[str]) -> Image.Image:
    room = 24
    width = max(page.width for page in pages)
    whole = Image.new("RGB", (width, sum(page.height + room for page in pages)), "white")
    top = 0
    for page, name in zip(pages, names, strict=True):
        ImageDraw.Draw(whole).text((6, top + 5), name, fill="#222222")
        whole.paste(page.convert("RGB"), (0, top + room))
        top += page.height + room
    return whole


def _png(page: Image.Image) -> bytes:
    buffer = io.BytesIO()
    page.save(buffer, format="PNG")
    return buffer.getvalue()
