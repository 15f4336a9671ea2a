"""Draws one video: frames, file, images, truth. The truth file is written last and means done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2

from egolib.io.records import atomic_path
from egolib.world.checksums import FrameChecksum
from egolib.world.encode import Encoder
from egolib.world.episode import make_episode, video_uid
from egolib.world.exports.ilsvrc import ImageWriter, write_xml
from egolib.world.exports.snippets import make_plan
from egolib.world.library import truth_path, video_path
from egolib.world.render import Renderer
from egolib.world.settings import WorldSettings
from egolib.world.visibility import TruthBuilder, log_sha256, read_facts, write_truth


def draw_video(
    settings: WorldSettings, split: str, index: int, out: Path, stamp: str
) -> dict[str, Any]:
    """Draws a video unless it is there with the same stamp.

    Args:
        settings: of the world.
        split: ``train``, ``val`` or ``test``.
        index: of the video in its split.
        out: folder of the world.
        stamp: what the video rests on.

    Returns:
        Its line of the manifest.
    """
    uid = video_uid(settings, split, index)
    facts = read_facts(truth_path(out, uid))
    if facts.get("stamp") == stamp and video_path(out, uid).is_file():
        return _row(settings, split, index, uid, facts)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        facts = _draw(settings, split, index, out, stamp)
    finally:
        cv2.setNumThreads(threads)
    return _row(settings, split, index, uid, facts)


def _draw(settings: WorldSettings, split: str, index: int, out: Path, stamp: str) -> dict[str, str]:
    episode = make_episode(settings, split, index)
    plan = make_plan(episode)
    images = ImageWriter(plan, out, settings.jpeg_quality)
    builder, checksum = TruthBuilder(episode), FrameChecksum()
    with (
        atomic_path(video_path(out, episode.uid)) as temporary,
        Encoder(temporary, settings) as encoder,
    ):
        for number, frame in enumerate(Renderer(episode).frames()):
            encoder.write(frame.image)
            builder.add(number, frame)
            images.add(number, frame.image)
            checksum.add(number, frame.image)
    truth = builder.build()
    write_xml(plan, episode, truth, out)
    facts = {
        "stamp": stamp,
        "log_sha256": log_sha256(truth.log),
        "frames_sha256": checksum.value(),
        "actions": str(len(episode.events)),
    }
    write_truth(truth_path(out, episode.uid), truth, **facts)
    return facts


def _row(
    settings: WorldSettings, split: str, index: int, uid: str, facts: dict[str, str]
) -> dict[str, str | int]:
    return {
        "uid": uid,
        "split": split,
        "index": index,
        "file": f"videos/{uid}.mp4",
        "frames": settings.frames,
        "fps": settings.fps,
        "width": settings.view_width,
        "height": settings.view_height,
        "seconds": settings.video_sec,
        "actions": int(facts["actions"]),
        "log_sha256": facts["log_sha256"],
        "frames_sha256": facts["frames_sha256"],
    }
