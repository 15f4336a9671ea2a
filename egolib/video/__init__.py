"""Reading, cutting and writing videos, exact to the frame."""

from egolib.video.backends import (
    Disagreement,
    available_backends,
    check_backend,
    compare_backends,
)
from egolib.video.encode import Encoding, VideoWriter, note_of, write_video
from egolib.video.extract import Extraction, extract
from egolib.video.images import image_size, read_image, save_image
from egolib.video.plans import ClipPlan, ImagePlan, VideoPlan, source_frames
from egolib.video.reader import VideoReader, check_frames
from egolib.video.resize import Resize
from egolib.video.source import VideoWarning
from egolib.video.timing import (
    check_chunks,
    chunks,
    clip_frames,
    clip_to_video,
    cut_interval,
    exact_rate,
    frame_step,
    in_chunk,
    same_time,
    stretch_frames,
    to_frame,
    to_seconds,
    video_to_clip,
)

__all__ = [
    "ClipPlan",
    "Disagreement",
    "Encoding",
    "Extraction",
    "ImagePlan",
    "Resize",
    "VideoPlan",
    "VideoReader",
    "VideoWarning",
    "VideoWriter",
    "available_backends",
    "check_backend",
    "check_chunks",
    "check_frames",
    "chunks",
    "clip_frames",
    "clip_to_video",
    "compare_backends",
    "cut_interval",
    "exact_rate",
    "extract",
    "frame_step",
    "image_size",
    "in_chunk",
    "note_of",
    "read_image",
    "same_time",
    "save_image",
    "source_frames",
    "stretch_frames",
    "to_frame",
    "to_seconds",
    "video_to_clip",
    "write_video",
]
