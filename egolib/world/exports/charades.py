"""Charades-Ego: clips of 15 s with several of 24 actions each."""

from __future__ import annotations

import csv
import io
from typing import Any

from egolib.io.records import write_text
from egolib.world.encode import cut
from egolib.world.language import charades_classes
from egolib.world.library import Video, World, clips, spread
from egolib.world.script import NONE

COLUMNS = (
    "id",
    "subject",
    "scene",
    "quality",
    "relevance",
    "verified",
    "script",
    "objects",
    "descriptions",
    "actions",
    "length",
    "egocentric",
    "charades_video",
)
Action = tuple[int, float, float]


def export(world: World) -> None:
    """Writes videos, tables, class list and derived metadata; test holds val and test videos."""
    classes = charades_classes()[: world.settings.charades_classes]
    lines = [f"c{i:03d} {text}" for i, (_, _, text) in enumerate(classes)]
    write_text(_path(world, "Charades_v1_classes.txt"), "\n".join([*lines, ""]))
    rows = {}
    for part, (name, splits) in enumerate((("train", ("train",)), ("test", ("val", "test")))):
        videos = world.of(*splits)
        counts = spread(world.settings.charades_clips[part], len(videos))
        rows[name] = [
            row
            for video, count in zip(videos, counts, strict=True)
            for row in _video_rows(world, video, count)
        ]
        write_text(_path(world, f"CharadesEgo_v1_{name}_only1st.csv"), _table(rows[name]))
    for name, source in (("train", "train"), ("val", "test"), ("test", "test")):
        write_text(_path(world, f"metadata_{name}.csv"), _metadata(rows[source]))


def _path(world: World, name: str) -> Any:
    return world.path("CharadesEgo", "CharadesEgo", name)


def _video_rows(world: World, video: Video, count: int) -> list[dict[str, Any]]:
    """Cuts some clips with at least one action out of a video."""
    settings = world.settings
    length = min(settings.charades_sec, settings.video_sec)
    options = []
    for first, last in clips(settings, length):
        found = actions_between(video, first, last)
        if found:
            options.append((first // settings.fps, found))
    rng = video.rng("charades")
    chosen = sorted(rng.permutation(len(options))[:count])
    rows = []
    for place in chosen:
        start_sec, found = options[place]
        name = f"{video.split[:2].upper()}{video.index:03d}{start_sec:03d}EGO"
        target = world.path("CharadesEgo", "CharadesEgo_v1_480", f"{name}.mp4")
        if not target.is_file():
            cut(video.file, target, start_sec, length, settings.fps)
        rows.append(_row(video, name, length, found))
    return rows


def actions_between(video: Video, first: int, last: int) -> list[Action]:
    """Class, start and end in seconds of the actions whose middle lies in a clip.

    Args:
        video: with its script.
        first: first frame of the clip.
        last: last frame of the clip.
    """
    classes = charades_classes()[: video.settings.charades_classes]
    found: list[Action] = []
    for event in video.episode.events:
        if event.obj == NONE or not first <= event.middle < last:
            continue
        kind = video.episode.room.instances[event.obj].silhouette
        for index, (verbs, silhouette, _) in enumerate(classes):
            if event.verb in verbs and silhouette == kind:
                start = (max(event.start, first) - first) / video.settings.fps
                end = (min(event.end, last) - first) / video.settings.fps
                found.append((index, start, end))
    return found


def _row(video: Video, name: str, length: int, found: list[Action]) -> dict[str, Any]:
    kinds = sorted({charades_classes()[index][1] for index, _, _ in found})
    texts = [charades_classes()[index][2] for index, _, _ in found]
    return {
        "id": name,
        "subject": f"W{video.index:03d}",
        "scene": "Kitchen",
        "quality": 7,
        "relevance": 7,
        "verified": "Yes",
        "script": f"Somebody {', '.join(texts)}.",
        "objects": ";".join(kinds),
        "descriptions": "",
        "actions": ";".join(f"c{i:03d} {start:.2f} {end:.2f}" for i, start, end in found),
        "length": f"{length:.2f}",
        "egocentric": "Yes",
        "charades_video": name.removesuffix("EGO"),
    }


def _table(rows: list[dict[str, Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _metadata(rows: list[dict[str, Any]]) -> str:
    """One line an action, as the official conversion writes it."""
    lines = ["id\tcls\tt_start\tt_end\tnarration"]
    classes = charades_classes()
    for row in rows:
        for entry in row["actions"].split(";"):
            name, start, end = entry.split(" ")
            index = int(name[1:])
            lines.append(f"{row['id']}\t{index}\t{float(start)}\t{float(end)}\t{classes[index][2]}")
    return "\n".join([*lines, ""])
