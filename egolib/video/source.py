"""Opening a video file, and choosing which of its video streams is read."""

from __future__ import annotations

from pathlib import Path

import av
from av.video.stream import VideoStream

from egolib.errors import EgolibError
from egolib.video.container import truncation

_STILL = (
    av.stream.Disposition.attached_pic
    | av.stream.Disposition.still_image
    | av.stream.Disposition.timed_thumbnails
)


#: Codecs of pictures: beside a stream of another codec, such a stream holds thumbnails.
_PICTURES = {"mjpeg", "png", "bmp", "webp", "gif", "tiff"}


class VideoWarning(UserWarning):
    """Something about a video file that its reader should know; it can be read."""


def file_url(path: str | Path) -> str:
    """The path as FFmpeg takes it, also where it holds a colon (``a:b.mp4`` is no protocol)."""
    return f"file:{path}"


def check_file(path: str | Path) -> Path:
    """The path of a regular file.

    Raises:
        EgolibError: it is missing, a folder, or a pipe (in which no frame can be looked up).
    """
    path = Path(path)
    if path.is_file():
        return path
    if path.is_dir():
        raise EgolibError("a video file was expected, this is a folder", file=path)
    if path.exists():
        raise EgolibError(
            "not a regular file: frames of a pipe or a device cannot be looked up",
            file=path,
            remedy="write it to a file first: cat PIPE > FILE",
        )
    raise EgolibError("the file does not exist", file=path, remedy="check the path")


def open_container(path: str | Path) -> av.container.InputContainer:
    """The opened container.

    Raises:
        EgolibError: the file is missing, is no regular file or not a video that FFmpeg knows.
    """
    path = check_file(path)
    try:
        return av.open(file_url(path), metadata_errors="replace")  # titles in Latin-1
    except (av.error.FFmpegError, OSError) as error:
        cut = truncation(path)
        raise EgolibError(
            f"the video is truncated: {cut}" if cut else f"not a readable video ({reason(error)})",
            file=path,
            remedy="copy or download it again and compare its size",
        ) from error


def video_stream(
    container: av.container.InputContainer, path: str | Path, number: int | None = None
) -> VideoStream:
    """A video stream, decoded by one thread.

    Args:
        container: the opened file.
        path: for messages.
        number: counts the file's video streams from 0, cover pictures included; None is
            the one that players take: no cover picture or thumbnail, marked as default, of
            the largest picture; the first of equals.

    Raises:
        EgolibError: there is no (such) video stream.
    """
    streams = container.streams.video
    if number is None:
        moving = [stream for stream in streams if not stream.disposition & _STILL]
        if not moving:
            raise EgolibError("the file has no video stream", file=path)
        stream = max(moving, key=_preference)
    elif 0 <= number < len(streams):
        stream = streams[number]
    else:
        raise EgolibError(
            f"there is no video stream {number}",
            file=path,
            remedy=f"it has {len(streams)} video streams, counted from 0",
        )
    if stream.codec_context is None:
        raise EgolibError("its video codec is unknown", file=path)
    stream.codec_context.thread_count = 1
    return stream


def _preference(stream: VideoStream) -> tuple[bool, bool, int]:
    """Moving pictures first, then default streams, then large ones."""
    context = stream.codec_context
    if context is None:
        return False, False, 0
    moving = stream.frames != 1 and context.name not in _PICTURES
    default = bool(stream.disposition & av.stream.Disposition.default)
    return moving, default, context.width * context.height


def reason(error: BaseException) -> str:
    """FFmpeg's reason without its numbers and file names."""
    return str(error).split("]", 1)[-1].split(": ", 1)[0].strip() or type(error).__name__
