"""Reading, cutting and writing videos, exact to the frame."""

from egolib.video.backends import Disagreement, available_backends, compare_backends
from egolib.video.encode import Encoding, VideoWriter, note_of, write_video
from egolib.video.extract import Extraction, extract
from egolib.video.images import read_image, save_image
from egolib.video.plans import ClipPlan, ImagePlan, VideoPlan, source_frames
from egolib.video.reader import VideoReader, check_frames
from egolib.video.resize import Resize
from egolib.video.source import VideoWarning
from egolib.video.timing import (
    chunks,
    clip_frames,
    clip_to_video,
    exact_rate,
    frame_step,
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
    "check_frames",
    "chunks",
    "clip_frames",
    "clip_to_video",
    "compare_backends",
    "exact_rate",
    "extract",
    "frame_step",
    "note_of",
    "read_image",
    "save_image",
    "source_frames",
    "to_frame",
    "to_seconds",
    "video_to_clip",
    "write_video",
]
