from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.video_files import KINDS, make


@dataclass(frozen=True)
class Sample:
    """A video file, the numbers that its frames carry, and a decode from start to end."""

    kind: str
    path: Path
    numbers: list[int]
    images: np.ndarray


@pytest.fixture(scope="session", params=list(KINDS))
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """One file of every kind; the reference pictures come from a plain sequential decode."""
    path, numbers = make(request.param, tmp_path_factory.mktemp("video"))
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = [f.to_ndarray(format="rgb24").copy() for f in container.decode(video=0)]
    return Sample(request.param, path, numbers, np.stack(frames))
