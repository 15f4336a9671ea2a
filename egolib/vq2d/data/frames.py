"""Lengths and times of clips.

Which video frame is which clip frame: ``egolib.video.timing``; sizes: ``egolib.video.resize``.
Clips run at 5 frames a second. Only clips cut by ``frame_step`` and ``clip_frames`` have the
frame numbers of the annotations; the canonical 30 fps clips do not.
"""

from __future__ import annotations


def clip_frame_sec(clip_frame: int, start_sec: float, clip_fps: float = 5.0) -> float:
    """Seconds in the video of a clip frame.

    Args:
        clip_frame: from 0.
        start_sec: of the clip in the video.
        clip_fps: frames per second of the clip.

    >>> clip_frame_sec(10, 60.0)
    62.0
    """
    return start_sec + clip_frame / clip_fps


def right_duration(n_frames: int, fps: float, start_sec: float, end_sec: float) -> bool:
    """True where a clip file is as long as its annotation says, to less than a second.

    Args:
        n_frames: of the clip file.
        fps: of the clip file.
        start_sec: of the annotation.
        end_sec: of the annotation.
    """
    return fps > 0 and abs(n_frames / fps - (end_sec - start_sec)) < 1.0
