"""Videos with boxes drawn into them, and a time line that shows where one is.

Small videos are enlarged so that labels can be read. Only the frames that matter
are written: those around a response track, or those with detections.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from egolib.errors import EgolibError
from egolib.io.records import check_target
from egolib.report.results import Detections, FrameDetections, ResponseTrack
from egolib.video import Encoding, VideoReader, VideoWriter
from egolib.video.timing import Rate
from egolib.viz.detections import caption, strongest, tint
from egolib.viz.pictures import Video, as_reader, seconds_of
from egolib.viz.style import PREDICTED

HOLD_SEC = 1.0  # an answer of one frame stays on screen
MARGIN_SEC = 2.0  # shown before and after a response track
LONGEST_SEC = 20.0  # shown where nothing was found
_LEAST_HEIGHT = 360
LINE_HEIGHT = 48
_TOLERANCE = 1e-4  # seconds that forgive the rounding of times
_QUALITY = Encoding(crf=20)


def track_movie(
    video: Video,
    track: ResponseTrack,
    out: str | Path,
    *,
    name: str = "found",
    threshold: float = 0.0,
    rate: Rate | None = None,
) -> Path:
    """The track's stretch of the video with its boxes, over the score curve with a cursor.

    Between two frames of a track at a lower rate the box goes straight from one to the other.
    A track of one frame stays on screen for a second. Where nothing was found, the last
    seconds that were searched are shown.

    Args:
        video: a path or an open reader.
        track: what was found.
        out: the file to write.
        name: of the object, written at its box with the track's score.
        threshold: a track of a lower score is not drawn.
        rate: frames a second of the drawing; the video's average rate by default.
    """
    reader = as_reader(video)
    canvas = Canvas(reader, LINE_HEIGHT if len(track.curve) else 0)
    boxed = track.frames if track.score >= threshold else track.frames[:0]
    with VideoWriter(check_target(out), rate or reader.rate, _QUALITY) as writer:
        film = _Film(reader, writer)
        for number in film.frames(_around(track, reader), boxed):
            page = canvas.page(reader[number], seconds_of(reader, number))
            if len(boxed) and boxed[0] <= number <= boxed[-1]:
                canvas.box(page, box_at(track, number), PREDICTED, f"{name} {track.score:.2f}")
            canvas.time_line(page, track, number)
            film.show(number, page)
            if len(boxed) == 1 and number == boxed[0]:
                film.hold(HOLD_SEC)
    return Path(out)


def detection_movie(
    video: Video,
    detections: Detections,
    out: str | Path,
    threshold: float = 0.3,
    rate: Rate | None = None,
) -> Path:
    """The frames that were looked at, with boxes, class names and scores.

    Args:
        video: a path or an open reader.
        detections: what was found.
        out: the file to write.
        threshold: lowest score that is drawn.
        rate: frames a second of the drawing; by default that of the frames looked at.
    """
    if not detections.frames:
        raise EgolibError("there are no frames with detections to draw", file=out)
    reader = as_reader(video)
    rate = rate or _rate(detections, reader)
    return detection_stream(
        reader, detections.frames, out, detections.class_names, rate=rate, threshold=threshold
    )


def detection_stream(
    video: Video,
    found: Iterable[FrameDetections],
    out: str | Path,
    class_names: Sequence[str] = (),
    *,
    rate: Rate | None = None,
    threshold: float = 0.3,
) -> Path:
    """The same for detections that are still being computed: each is drawn as it comes and
    forgotten, so that memory does not grow with the video.

    Each frame stays on screen until the next one that was looked at; a single one stays for
    a second.

    Args:
        video: a path or an open reader.
        found: frame by frame, as ``vod.load(...).detect(video)`` yields them.
        out: the file to write.
        class_names: of the labels.
        rate: frames a second of the drawing; the video's own by default.
        threshold: lowest score that is drawn.
    """
    reader = as_reader(video)
    canvas = Canvas(reader)
    with VideoWriter(check_target(out), rate or reader.rate, _QUALITY) as writer:
        film = _Film(reader, writer)
        for frame in found:
            if not film.wants(frame.frame):
                continue
            page = canvas.page(reader[frame.frame], seconds_of(reader, frame.frame))
            for box, label, score in strongest(frame, threshold):
                canvas.box(page, box, tint(label), caption(class_names, label, score))
            film.show(frame.frame, page)
        if film.first is None:
            raise EgolibError("there are no frames with detections to draw", file=out)
        if film.count == 1:
            film.hold(HOLD_SEC)
    return Path(out)


class _Film:
    """Lays frames of a video, each at its own time, onto a film of constant rate.

    Attributes:
        first: time of the first frame shown, in seconds; None before.
        count: how many pictures were written.
    """

    def __init__(self, reader: VideoReader, writer: VideoWriter):
        self.reader, self.writer = reader, writer
        self.first: float | None = None
        self.count, self._page = 0, np.zeros(0, np.uint8)

    def frames(self, stretch: range, needed: Sequence[int] | NDArray[np.integer]) -> list[int]:
        """The frames of a stretch that are on screen when the film's pictures are, and the
        one of an answer that has a single frame."""
        start = self.reader.timestamp(stretch[0]) - self.reader.start_sec
        last = self.reader.timestamp(stretch[-1]) - self.reader.start_sec
        count = int((last - start + _TOLERANCE) * self.writer.rate) + 1
        times = [start + float(k / self.writer.rate) for k in range(count)]
        chosen = {self.reader.frame_at(time) for time in times}
        return sorted(chosen | {int(number) for number in needed if len(needed) == 1})

    def wants(self, frame: int) -> bool:
        """Whether a frame has a place of its own on the film."""
        return self.first is None or self._place(frame) >= self.count

    def show(self, frame: int, page: Image.Image) -> None:
        """Shows a frame, and the one before it until then."""
        if self.first is None:
            self.first = self.reader.timestamp(frame)
        self._repeat(self._place(frame) - self.count)
        self._page = np.asarray(page)
        self._repeat(1)

    def hold(self, sec: float) -> None:
        """Lets the last picture stay on screen for so long; what follows comes later."""
        more = max(round(sec * self.writer.rate) - 1, 0)
        self._repeat(more)
        self.first = (self.first or 0.0) - float(more / self.writer.rate)

    def _place(self, frame: int) -> int:
        assert self.first is not None
        since = self.reader.timestamp(frame) - self.first
        return int((since + _TOLERANCE) * self.writer.rate)

    def _repeat(self, times: int) -> None:
        for _ in range(times):
            self.writer.write(self._page)
            self.count += 1


def _around(track: ResponseTrack, reader: VideoReader) -> range:
    """The frames of a track's stretch and its margins, by their own times."""
    if len(track.frames):
        first, last, before, after = track.frames[0], track.frames[-1], MARGIN_SEC, MARGIN_SEC
    else:
        last = track.curve_frames[-1] if len(track.curve_frames) else len(reader) - 1
        first, before, after = last, LONGEST_SEC, 0.0
    zero = reader.start_sec
    start = reader.frame_at(reader.timestamp(int(first)) - zero - before)
    return range(start, reader.frame_at(reader.timestamp(int(last)) - zero + after) + 1)


def box_at(track: ResponseTrack, frame: int) -> list[float]:
    """The box (xyxy) of a track at a video frame of its stretch, between those it has."""
    corners = np.asarray(track.boxes_xyxy, float).T
    return [float(np.interp(frame, track.frames, side)) for side in corners]


def _rate(detections: Detections, reader: VideoReader) -> Fraction:
    """Frames per second at which the detections' frames take as long as in the video."""
    steps = np.diff([found.frame for found in detections.frames])
    return reader.rate / max(int(np.median(steps)) if len(steps) else 1, 1)


class Canvas:
    """Draws on enlarged copies of a video's frames, with room for a time line below.

    Args:
        reader: of the video.
        line_height: pixels of the time line; 0 for none.
    """

    def __init__(self, reader: VideoReader, line_height: int = 0):
        width, height = reader.size
        self.scale = max(1, -(-_LEAST_HEIGHT // height))
        self.width, self.height = width * self.scale, height * self.scale
        self.line_height = line_height
        self.size = tuple(side + side % 2 for side in (self.width, self.height + line_height))
        text_height = max(11, self.height // 30)
        self.font = ImageFont.load_default(text_height)
        self.thickness = max(3, self.height // 130)

    def page(self, image: NDArray[np.uint8], caption: str) -> Image.Image:
        """The enlarged picture with a caption in its corner."""
        page = Image.new("RGB", self.size, "white")  # type: ignore[arg-type]
        enlarged = Image.fromarray(image).resize(
            (self.width, self.height), Image.Resampling.BICUBIC
        )
        page.paste(enlarged)
        self._label(page, (0, 0), caption, "#222222")
        return page

    def box(
        self,
        page: Image.Image,
        box_xyxy: Sequence[float] | NDArray[Any],
        colour: str,
        text: str = "",
    ) -> None:
        """A box in the video's pixels, and a label above it (below its upper edge at the top).

        Args:
            page: what is drawn on.
            box_xyxy: in pixels of the video.
            colour: of the lines.
            text: of the label; empty for none.
        """
        left, top, right, bottom = (float(value) * self.scale for value in box_xyxy)
        if right <= left or bottom <= top:
            return
        ImageDraw.Draw(page).rectangle(
            (left, top, right, bottom), outline=colour, width=self.thickness
        )
        if text:
            height = self.font.getbbox(text)[3] + 4
            self._label(page, (left, top - height if top >= height else top), text, colour)

    def time_line(self, page: Image.Image, track: ResponseTrack, number: int) -> None:
        """The score curve, the track's span, and a cursor at a frame.

        Args:
            page: what is drawn on.
            track: its curve and span.
            number: the frame of the cursor.
        """
        if not self.line_height:
            return
        draw, frames = ImageDraw.Draw(page), np.asarray(track.curve_frames, float)
        start = min(frames[0], number)
        span = max(frames[-1], number) - start or 1.0

        def across(values: NDArray[Any] | float) -> NDArray[Any]:
            result: NDArray[Any] = 4 + (np.asarray(values) - start) / span * (self.width - 8)
            return result

        low, high = float(np.min(track.curve)), float(np.max(track.curve))
        bottom, room = self.height + self.line_height - 5, self.line_height - 10
        if len(track.frames):
            ends = across(np.array([track.frames[0] - 0.5, track.frames[-1] + 0.5]))
            draw.rectangle((ends[0], self.height + 2, ends[1], bottom + 3), fill="#F6D2B8")
        heights = bottom - (np.asarray(track.curve) - low) / (high - low or 1.0) * room
        draw.line(
            list(zip(across(frames).tolist(), heights.tolist(), strict=True)),
            fill="#333333",
            width=1,
        )
        cursor = float(across(float(number)))
        draw.line(
            (cursor, self.height, cursor, self.height + self.line_height), fill=PREDICTED, width=2
        )

    def _label(
        self, page: Image.Image, corner: tuple[float, float], text: str, colour: str
    ) -> None:
        draw = ImageDraw.Draw(page)
        _, _, right, bottom = draw.textbbox((0, 0), text, font=self.font)
        left = min(corner[0], max(self.width - right - 6, 0))
        draw.rectangle((left, corner[1], left + right + 6, corner[1] + bottom + 4), fill=colour)
        draw.text((left + 3, corner[1] + 1), text, fill="white", font=self.font)
