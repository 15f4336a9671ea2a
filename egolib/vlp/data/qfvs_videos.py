"""The videos of QFVS with everything that is known of them. No torch.

Legend: n shots, C columns of the tag matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from egolib.errors import EgolibError
from egolib.vlp.config.benchmarks import SummaryConfig
from egolib.vlp.data import qfvs
from egolib.vlp.data.qfvs import Query


@dataclass(frozen=True)
class QueriedVideo:
    """One video.

    Args:
        number: 1 to 4.
        shots: n, the files of the frames of each.
        queries: with their reference summaries.
        dense: concepts of every shot, for training.
        tags: (n, C) uint8, for scoring.
    """

    number: int
    shots: list[list[Path]]
    queries: list[Query]
    dense: list[tuple[str, ...]]
    tags: np.ndarray

    @property
    def prompts(self) -> list[str]:
        """The different prompts of its queries."""
        return list(dict.fromkeys(p for query in self.queries for p in query.prompts))


def read_video(
    data_root: str | Path, number: int, config: SummaryConfig, places: int
) -> QueriedVideo:
    """Frames, queries and tags of a video, checked against each other.

    Args:
        data_root: folder of the data sets.
        number: of the video.
        config: order of frames, length of shots.
        places: places of all segments, padding included.

    Raises:
        EgolibError: something is missing or malformed, or a video has another number of
            shots than its tags.
    """
    root = Path(data_root)
    folder = qfvs.frame_folder(root, number)
    shots = qfvs.shots_of(qfvs.frame_files(folder, config.frame_order), config.shot_frames)
    origin, matrices = root / qfvs.ORIGIN, qfvs.read_tags(root / qfvs.TAGS)
    if number > len(matrices):
        raise EgolibError(f"no tags of video {number}", file=root / qfvs.TAGS)
    tags = matrices[number - 1]
    if len(tags) != len(shots):
        raise EgolibError(
            f"{len(tags)} shots of video {number}, its frames make {len(shots)}",
            file=root / qfvs.TAGS,
            remedy="a frame a second, five of them a shot: see data.summaries.shot_frames",
        )
    queries = qfvs.read_queries(origin, number, len(shots), places, config.numbers)
    return QueriedVideo(number, shots, queries, qfvs.read_dense_tags(origin, number), tags)


def read_videos(
    data_root: str | Path, config: SummaryConfig, places: int, numbers: Sequence[int]
) -> list[QueriedVideo]:
    """Some videos, see ``read_video``.

    Args:
        data_root: folder of the data sets.
        config: order of frames, length of shots.
        places: places of all segments, padding included.
        numbers: of the videos.
    """
    return [read_video(data_root, number, config, places) for number in numbers]


def warnings_of(data_root: str | Path, video: QueriedVideo) -> list[str]:
    """What is passed over in the annotations of a video, a line each."""
    origin = Path(data_root) / qfvs.ORIGIN
    return qfvs.warnings(origin, video.number, len(video.shots), video.queries, video.tags)
