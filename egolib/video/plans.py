"""What is to be cut out of videos, and whether a former run already did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from egolib.errors import EgolibError, nearest
from egolib.video.encode import Encoding, is_whole, note_of
from egolib.video.images import SUFFIXES, image_note, read_image
from egolib.video.resize import Resize
from egolib.video.timing import Rate, exact_rate


@dataclass(frozen=True)
class ClipPlan:
    """A clip to be cut.

    Attributes:
        path: the mp4 file to write.
        frames: source frame numbers in ascending order (a ``range`` for a steady
            step, repeats allowed); None takes every frame.
        fps: frames per second of the clip; None keeps each frame's time in the source.
        resize: size of the pictures; odd sides are enlarged by one pixel.
        encoding: quality and key frames.
        audio: ``copy`` keeps the sound of the stretch (needs ``fps=None``).
    """

    path: Path
    frames: Sequence[int] | None = None
    fps: Rate | None = None
    resize: Resize = field(default_factory=Resize)
    encoding: Encoding = field(default_factory=Encoding)
    audio: Literal["drop", "copy"] = "drop"


@dataclass(frozen=True)
class ImagePlan:
    """An image to be saved.

    Attributes:
        path: ``.jpg``, ``.jpeg`` or ``.png``: the suffix chooses the format.
        frame: source frame number.
        resize: size of the picture.
        quality: of JPEG, 1 to 95.
    """

    path: Path
    frame: int
    resize: Resize = field(default_factory=Resize)
    quality: int = 95


@dataclass(frozen=True)
class VideoPlan:
    """Everything to be made from one source video.

    Attributes:
        source: the video file.
        clips, images: what is made.
        stream: which of the file's video streams; None is the default one.
        backend: what decodes; see ``egolib.video.VideoReader``.
    """

    source: Path
    clips: Sequence[ClipPlan] = ()
    images: Sequence[ImagePlan] = ()
    stream: int | None = None
    backend: str = "av"

    @property
    def targets(self) -> list[ClipPlan | ImagePlan]:
        """Clips, then images."""
        return [*self.clips, *self.images]


def check_plans(plans: Iterable[VideoPlan]) -> None:
    """Raises an error for plans that contradict themselves or share a target."""
    seen: set[Path] = set()
    for plan in plans:
        for target in plan.targets:
            problem = _problem(target)
            if target.path in seen:
                problem = "two plans write this file"
            if problem:
                raise EgolibError(problem, file=target.path, remedy="mend the plan")
            seen.add(target.path)


def only(plans: Sequence[VideoPlan], uids: Iterable[str]) -> list[VideoPlan]:
    """The plans restricted to some videos or clips.

    Args:
        plans: one per source video.
        uids: names without suffix of source videos, of targets, or of folders of targets
            (a clip's images lie in a folder of its name).

    Raises:
        EgolibError: a name that no plan has.
    """
    wanted, known = set(uids), set()
    chosen = []
    for plan in plans:
        names = {target.path: {plan.source.stem, target.path.stem, target.path.parent.name}
                 for target in plan.targets}  # fmt: skip
        known |= {plan.source.stem}.union(*names.values())
        clips = [clip for clip in plan.clips if names[clip.path] & wanted]
        images = [image for image in plan.images if names[image.path] & wanted]
        if len(clips) + len(images) == len(names):
            chosen += [plan] * bool(names)
        elif clips or images:
            chosen.append(replace(plan, clips=clips, images=images))
    for uid in sorted(wanted - known):
        raise EgolibError("no plan makes anything of this name", record=uid,
                          remedy=nearest(uid, known))  # fmt: skip
    return chosen


def _problem(plan: ClipPlan | ImagePlan) -> str | None:
    if isinstance(plan, ImagePlan):
        return None if plan.path.suffix.lower() in SUFFIXES else "images are .jpg, .jpeg or .png"
    if plan.path.suffix.lower() != ".mp4":
        return "clips are .mp4"
    if plan.audio == "copy" and plan.fps is not None:
        return "sound can only be copied where frames keep their times (fps=None)"
    frames = plan.frames
    if frames is not None and len(frames) and not isinstance(frames, range):
        return "frame numbers must ascend" if (np.diff(frames) < 0).any() else None
    return "frame numbers must ascend" if isinstance(frames, range) and frames.step < 0 else None


# ------------------------------------------------------------------ former runs


def note_for(
    plan: ClipPlan | ImagePlan, source: Path, stream: int | None = None, backend: str = "av"
) -> dict[str, Any]:
    """The facts that decide whether a file was made by this plan, as JSON values.

    Every prepared clip records its source, the exact source frame of each of its
    frames (as [start, stop, step] where the step is steady) and its rate.

    Args:
        plan: what is made.
        source: the video that it is made from.
        stream: which of its video streams; None is the default one.
        backend: what decodes it; named in the note unless it is PyAV.
    """
    note: dict[str, Any] = {"source": source.name, "resize": asdict(plan.resize)}
    if stream is not None:
        note["stream"] = stream
    if backend != "av":
        note["backend"] = backend
    if source.is_file():
        note["source_bytes"] = source.stat().st_size
    if isinstance(plan, ImagePlan):
        return note | {"frame": int(plan.frame), "quality": plan.quality}
    return note | {
        "frames": None if plan.frames is None else _compact(plan.frames),
        "fps": None if plan.fps is None else str(exact_rate(plan.fps)),
        "encoding": asdict(plan.encoding),
        "audio": plan.audio,
    }


def _compact(frames: Sequence[int]) -> dict[str, list[int]]:
    numbers = [int(frame) for frame in frames]
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    if numbers and step > 0 and numbers == list(range(numbers[0], numbers[-1] + 1, step)):
        return {"range": [numbers[0], numbers[-1] + 1, step]}
    return {"list": numbers}


def source_frames(path: str | Path) -> list[int]:
    """The source frame number of each frame of a clip written by ``extract``.

    Raises:
        EgolibError: the clip does not say.
    """
    note = note_of(path)
    if "count" not in note:
        raise EgolibError("the clip does not say what it was cut from", file=path)
    frames = note["frames"] or {"range": [0, note["count"], 1]}
    return list(range(*frames["range"])) if "range" in frames else frames["list"]


def is_made(
    plan: ClipPlan | ImagePlan,
    source: Path,
    recheck: str,
    stream: int | None = None,
    backend: str = "av",
) -> bool:
    """Whether the target is there, was made by the same plan, and is whole.

    Args:
        plan: what is made.
        source: the video that it is made from.
        recheck: ``decode`` decodes every frame of a clip, else only the last one.
        stream: which of the source's video streams; None is the default one.
        backend: what decodes the source.
    """
    if not plan.path.is_file():
        return False
    try:
        found = note_of(plan.path) if isinstance(plan, ClipPlan) else image_note(plan.path)
        named = {"stream": stream, "backend": None if backend == "av" else backend}
        expected = note_for(plan, source, stream, backend) | named
        if any(found.get(key) != value for key, value in expected.items()):
            return False
        if isinstance(plan, ClipPlan):
            return is_whole(plan.path, found["count"], decode=recheck == "decode")
        return read_image(plan.path).size > 0
    except (EgolibError, KeyError):
        return False
