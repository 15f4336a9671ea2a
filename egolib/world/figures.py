"""Figures of a world: frames, action strips, metamers, distributions."""

from __future__ import annotations

import cv2
import numpy as np
from matplotlib.axes import Axes

from egolib.video import VideoReader
from egolib.viz.style import PREDICTED, QUIET, TRUE, Drawing, look, show_box, show_image
from egolib.world import statistics
from egolib.world.catalog import CLASSES, HUES, PARTNER, VERBS
from egolib.world.exports.snippets import SPEED_LIMITS
from egolib.world.library import Video, World
from egolib.world.room import Instance
from egolib.world.script import NONE, Event
from egolib.world.sprites import object_sprite

WIDTH = 10.0  # inches
SHARP, DEGRADED = TRUE, PREDICTED  # blue, orange


def frames(world: World, rows: int = 3, columns: int = 5) -> Drawing:
    """Frames of several videos with their annotated boxes; dashed orange: a degraded view.

    Args:
        world: folder of the world.
        rows: of pictures.
        columns: of pictures.
    """
    figure, axes = _pictures(rows, columns, world)
    videos = [world.videos[i] for i in np.linspace(0, len(world.videos) - 1, rows).astype(int)]
    for row, video in zip(axes, videos, strict=True):
        places = np.linspace(0.05, 0.95, columns) * (video.settings.frames - 1)
        for axis, frame in zip(row, places.astype(int), strict=True):
            _show_frame(axis, video, int(frame))
    figure.suptitle("One row a room. Boxes: annotated objects; dashed where the view is degraded.")
    return figure


def _show_frame(axis: Axes, video: Video, frame: int) -> None:
    """One frame with the boxes of its objects."""
    truth, count = video.truth, len(video.episode.room.instances)
    show_image(axis, VideoReader(video.file)[frame], f"{video.episode.sec(frame):.1f} s")
    weak = bool(truth.degraded[frame])
    for entity in np.flatnonzero(video.visible[frame, :count]):
        colour = DEGRADED if weak else SHARP
        show_box(axis, truth.boxes[frame, entity] - 0.5, colour, dashed=weak)


def reversal_pair(world: World, columns: int = 8) -> Drawing:
    """A take and a put of one video as strips: the same kind of frames in opposite order."""
    video, events = next((v, pair) for v in world.videos for pair in [_pair(v)] if pair is not None)
    figure, axes = _pictures(2, columns, world)
    reader = VideoReader(video.file)
    for row, event in zip(axes, events, strict=True):
        for axis, frame in zip(row, np.linspace(event.start, event.end - 1, columns), strict=True):
            show_image(axis, reader[round(frame)])
        row[0].set_ylabel(event.verb, fontsize=9)
    figure.suptitle("A reversal pair: only the order of the frames tells which is which")
    return figure


def _pair(video: Video) -> tuple[Event, ...] | None:
    """The clearest take and put of the video, out of no container; None without both."""
    best: dict[str, tuple[float, Event]] = {}
    for event in video.episode.events:
        span = slice(event.start, event.end)
        if event.container == NONE:
            clear = float(video.truth.sharp[span].mean() + video.truth.light[span, 1].min())
            best[event.verb] = max(best.get(event.verb, (0.0, event)), (clear, event), key=_first)
    names = ("take", PARTNER["take"])
    return tuple(best[n][1] for n in names) if all(n in best for n in names) else None


def _first(pair: tuple[float, Event]) -> float:
    return pair[0]


def metamers(world: World) -> Drawing:
    """The twelve classes, sharp above and degraded below: the blur leaves only six."""
    settings = world.settings
    period = settings.texture_period * settings.size_factor
    sigma = float(np.mean(settings.defocus_sigma)) * settings.size_factor
    with look():
        figure = Drawing(2.2, WIDTH)
        axes = figure.subplots(2, len(CLASSES))
        for i, kind in enumerate(CLASSES):
            instance = Instance(0, i, list(HUES)[i // 2 % len(HUES)], 7, 1.0)
            sharp = _on_wall(object_sprite(instance, 0.0, 1.0, period).rgba)
            show_image(axes[0, i], sharp, kind.name.replace("_", "\n"))
            soft = cv2.GaussianBlur(sharp, (0, 0), sigma).astype(np.uint8)
            show_image(axes[1, i], soft)
        return figure


def _on_wall(rgba: np.ndarray) -> np.ndarray:
    """A premultiplied picture on a grey ground with a border."""
    picture = rgba.astype(np.float32)
    flat = 150 * (1 - picture[..., 3:] / 255) + picture[..., :3]
    flat = np.pad(flat, ((8, 8), (8, 8), (0, 0)), constant_values=150)
    return np.clip(flat, 0, 255).astype(np.uint8)


def actions(world: World) -> Drawing:
    """How often each verb meets each noun."""
    table = statistics.verb_noun(world)
    with look():
        figure = Drawing(3.6, 6.0)
        axis = figure.subplots()
        axis.imshow(table, cmap="Blues", aspect="auto")
        axis.set_xticks(range(len(table.columns)), table.columns, rotation=45, ha="right")
        axis.set_yticks(range(len(VERBS)), VERBS)
        limit = 0.6 * table.to_numpy().max()
        for (row, column), value in np.ndenumerate(table.to_numpy()):
            colour = "white" if value > limit else "black"
            axis.text(column, row, value or "", ha="center", va="center", color=colour)
        axis.set_title("Actions by verb and noun")
        return figure


def distributions(world: World) -> Drawing:
    """Lengths, areas, speeds and places of the annotations."""
    assert world.root is not None
    asked = statistics.questions(world.root, "train")
    tracks = statistics.visual_queries(world.root, "train")
    found = statistics.boxes(world.root, "train")
    panels = (
        (asked["length"], "NLQ: answer length (s)", 20),
        (asked["place"], "NLQ: place of the answer in the video", 10),
        (tracks["length"] / world.settings.vq_fps, "VQ2D: answer length (s)", 20),
        (tracks["gap"] / world.settings.vq_fps, "VQ2D: gap to the query (s)", 20),
        (np.sqrt(found["area"]), "VID: box size, root of area (px)", 25),
        (found["motion IoU"], "VID: motion IoU; fast | medium | slow", 25),
    )
    with look():
        figure = Drawing(4.2, WIDTH)
        axes = figure.subplots(2, 3)
        for axis, (values, title, bins) in zip(axes.flat, panels, strict=True):
            axis.hist(values, bins=bins, color=SHARP)
            axis.set_title(title)
        for limit in SPEED_LIMITS:
            axes.flat[-1].axvline(limit, color=DEGRADED, lw=1)
        return figure


def timeline(world: World, number: int = 0, most_sec: int = 60) -> Drawing:
    """The beginning of a video: actions, people, where the camera looks, degraded frames.

    Args:
        world: folder of the world.
        number: of the video in the manifest.
        most_sec: how much of the video is shown.
    """
    video = world.videos[number]
    last = min(video.settings.video_sec, most_sec)
    seconds = np.arange(last * video.settings.fps) / video.settings.fps
    rows = slice(0, len(seconds))
    with look():
        figure = Drawing(3.4, WIDTH)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
        _action_bars(above, video, last)
        below.plot(seconds, video.truth.camera[rows, 0], color=SHARP, lw=1)
        weak = video.truth.degraded[rows]
        below.fill_between(seconds, 0, 1024, where=weak, color=QUIET, alpha=0.25, lw=0)
        stations = video.episode.room.station_x
        below.set_yticks(list(stations.values()), list(stations))
        below.set(xlabel="seconds", xlim=(0, last), ylim=(0, 1024))
        below.set_title("Gaze (line) and degraded frames (grey)")
        return figure


def _action_bars(axis: Axes, video: Video, last: int) -> None:
    for event in video.episode.events:
        start, end = video.episode.sec(event.start), video.episode.sec(event.end)
        if end <= last:
            axis.barh(0, end - start, left=start, color=SHARP, height=0.6)
            axis.text((start + end) / 2, 0.45, event.verb, rotation=45, va="bottom")
    for person in video.episode.people:
        start, end = video.episode.sec(person.start), video.episode.sec(person.end)
        if end <= last:
            axis.barh(-0.8, end - start, left=start, color=DEGRADED, height=0.35)
    axis.set_yticks([0, -0.8], ["actions", "people"])
    axis.set_ylim(-1.1, 1.9)


def _pictures(rows: int, columns: int, world: World) -> tuple[Drawing, np.ndarray]:
    """A grid of axes of the videos' shape."""
    ratio = world.settings.view_height / world.settings.view_width
    with look():
        figure = Drawing(WIDTH / columns * ratio * rows + 0.25 * rows + 0.3, WIDTH)
        return figure, figure.subplots(rows, columns, squeeze=False)
