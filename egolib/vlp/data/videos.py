"""The pictures of clips of each data set, whatever they are stored as. No torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from egolib.errors import EgolibError
from egolib.video.timing import check_chunks
from egolib.vlp.config import DataConfig
from egolib.vlp.data import charades, epic
from egolib.vlp.data.egoclip import CHUNKS
from egolib.vlp.data.epic import EpicClips
from egolib.vlp.data.readers import (
    OpenVideos,
    Video,
    charades_frames,
    chunk_numbers,
    egoclip_images,
    egoclip_images_by_index,
    epic_frames,
    frames_on_screen,
)
from egolib.vlp.data.sampling import Draw


class Source(Protocol):
    """Gives the video of a file: ``readers.OpenVideos`` or ``cache.FrameCache``."""

    def get(self, path: str | Path) -> Video: ...


class EgoClipVideos:
    """Reads clips of Ego4D videos that were cut into chunks.

    Args:
        data_root: folder with ``ego4d/Ego4D_Chunked``, or the chunks themselves.
        config: frame rate, chunk length and how frames are sampled.
        source: where decoded frames come from; the files themselves if None.
    """

    def __init__(self, data_root: str | Path, config: DataConfig, source: Source | None = None):
        folder = Path(data_root) / CHUNKS
        self.folder = folder if folder.is_dir() else Path(data_root)
        self.config, self.videos = config, source or OpenVideos(backend=config.backend)

    def images(
        self, uid: str, start_sec: float, end_sec: float, frames: int, draw: Draw | None = None
    ) -> np.ndarray:
        """Pictures (frames, H, W, 3) uint8 of a stretch.

        Args:
            uid: of the video.
            start_sec: of the stretch, in the whole video.
            end_sec: of the stretch, in the whole video.
            frames: n.
            draw: takes random frames; None middle ones.

        Raises:
            EgolibError: a chunk is missing or damaged, the stretch is too short or stops before
                it starts, or, by the index, it starts after its video ends.
        """
        config = self.config
        if end_sec < start_sec:
            raise EgolibError(
                f"the clip stops at {end_sec:g} s, before it starts at {start_sec:g} s",
                file=self.folder / uid,
            )
        if config.frame_times == "index":
            return egoclip_images_by_index(
                lambda number: self._chunk(uid, number),
                (start_sec, end_sec),
                frames,
                draw,
                chunk_sec=config.chunk_sec,
            )
        numbers = chunk_numbers(start_sec, end_sec, config.chunk_sec)
        first, second = (self._chunk(uid, number) for number in numbers)
        return egoclip_images(
            (first, second),
            start_sec,
            end_sec,
            frames,
            draw=draw,
            jitter=config.frame_jitter,
            seek=config.frame_seek,
            chunk_sec=config.chunk_sec,
            assumed_fps=config.assumed_fps,
        )

    def _chunk(self, uid: str, number: int) -> Video:
        """A file of a video, of the length that the configuration states.

        Raises:
            EgolibError: it is longer, or shorter though another one follows.
        """
        video = self.videos.get(self.folder / uid / f"{number}.mp4")
        last = not (self.folder / uid / f"{number + 1}.mp4").is_file()
        lengths = [video.duration_sec] if last else [video.duration_sec, 0.0]
        check_chunks(lengths, self.config.chunk_sec, first=number, file=self.folder / uid)
        return video


class EpicVideos:
    """Reads clips of EPIC-KITCHENS videos.

    Args:
        data_root: folder with ``EK100/video_ht256px``, or the participants' folders.
        config: how frames are found; the published way if None.
        source: where decoded frames come from; the files themselves if None.
    """

    def __init__(
        self,
        data_root: str | Path,
        config: DataConfig | None = None,
        source: Source | None = None,
    ):
        folder = Path(data_root) / epic.VIDEOS
        self.folder = folder if folder.is_dir() else Path(data_root)
        self.config = config or DataConfig()
        self.videos = source or OpenVideos(backend=self.config.backend)

    def images(
        self, clips: EpicClips, row: int, frames: int, draw: Draw | None = None
    ) -> np.ndarray:
        """Pictures (frames, H, W, 3) uint8 of a clip.

        Args:
            clips: of a split.
            row: which of them.
            frames: n.
            draw: takes random frames; None middle ones.

        Raises:
            EgolibError: the video is missing or damaged.
            IndexError: the clip ends after its video, matching the official code.
        """
        video = self.videos.get(self.folder / clips.video(row))
        start, stop = float(clips.start_sec[row]), float(clips.stop_sec[row])
        if self.config.frame_times == "index":
            return video.batch(frames_on_screen(video, start, stop, frames, draw))
        return video.batch(epic_frames(start, stop, video.fps, frames, draw))


class CharadesVideos:
    """Reads Charades-Ego videos.

    Args:
        data_root: folder with ``CharadesEgo/CharadesEgo_v1_480``, or the videos' folder.
        config: how frames are sampled.
    """

    def __init__(self, data_root: str | Path, config: DataConfig):
        folder = Path(data_root) / charades.VIDEOS
        self.folder = folder if folder.is_dir() else Path(data_root)
        self.config, self.videos = config, OpenVideos(backend=config.backend)

    def images(
        self,
        name: str,
        frames: int,
        start_sec: float | None = None,
        end_sec: float | None = None,
        draw: Draw | None = None,
    ) -> np.ndarray:
        """Up to ``frames`` pictures (n, H, W, 3) uint8 of a video or a stretch of it.

        Args:
            name: of the video.
            frames: n.
            start_sec: of the stretch; with ``end_sec`` None or 0 for the whole video.
            end_sec: of the stretch.
            draw: takes random frames; None middle ones.
        """
        video = self.videos.get(self.folder / f"{name}.mp4")
        if self.config.frame_times == "index":
            end_sec = end_sec or video.duration_sec
            return video.batch(frames_on_screen(video, start_sec or 0.0, end_sec, frames, draw))
        wanted = charades_frames(
            len(video),
            video.fps,
            frames,
            start_sec,
            end_sec,
            draw=draw,
            jitter=self.config.frame_jitter,
            seek=self.config.frame_seek,
        )
        return video.batch(wanted)
