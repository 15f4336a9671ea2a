"""Annotations of small videos, features, and a reduced shot encoder that tests share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.io import savemat

from egolib.vlp.data import qfvs
from egolib.vlp.summarization.encoder import ShotEncoder
from egolib.vlp.summarization.features import VideoFeatures
from egolib.vlp.summarization.packing import segment_lengths
from tests.vlp.small import CONFIG, small_model

SHOTS, PLACES, SEGMENTS = 24, 9, 4
CONCEPTS = ("Book", "Hands", "Car", "Cupglass")
QUERIES = (("Book", "Hands"), ("Car", "Cupglass"))


def tag_matrix(seed: int = 0, shots: int = SHOTS) -> np.ndarray:
    """(shots, 5): four concepts and a column that no shot has."""
    tags = (np.random.default_rng(seed).random((shots, 5)) < 0.4).astype(np.uint8)
    tags[:, 4] = 0
    return tags


def write_annotations(folder: Path, video: int = 1, seed: int = 0) -> np.ndarray:
    """Dense tags and reference summaries of one video; gives its tag matrix."""
    tags = tag_matrix(seed)
    lines = [",".join(np.array(CONCEPTS)[row[:4] > 0]) or "None" for row in tags]
    dense = qfvs.dense_file(folder, video)
    dense.parent.mkdir(parents=True, exist_ok=True)
    dense.write_text("\n".join(lines) + "\n")
    for first, second in QUERIES:
        file = folder / qfvs.ORACLES / f"P{video:02d}" / f"{first}_{second}{qfvs.ORACLE_END}"
        file.parent.mkdir(parents=True, exist_ok=True)
        columns = [CONCEPTS.index(first), CONCEPTS.index(second)]
        chosen = np.flatnonzero(tags[:, columns].any(1))[:5]
        file.write_text("".join(f"{shot + 1}\n" for shot in chosen))
    return tags


def write_tags(path: Path, *matrices: np.ndarray) -> Path:
    """``Tags.mat`` as published."""
    tags = np.empty((1, len(matrices)), [("Bin_Vecs", object)])
    for video, matrix in enumerate(matrices):
        cells = np.empty((len(matrix), 1), object)
        for shot, row in enumerate(matrix):
            cells[shot, 0] = row[None]
        tags[0, video]["Bin_Vecs"] = cells
    savemat(path, {"Tags": tags})
    return path


def features(prompts: list[str], width: int = 12, seed: int = 0) -> VideoFeatures:
    """Random features of a video for each prompt."""
    rng = np.random.default_rng(seed)
    lengths = segment_lengths(np.array([5, 12, 20]), SHOTS, SEGMENTS, PLACES)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    return VideoFeatures(
        lengths,
        draw(SHOTS, width),
        {prompt: draw(SHOTS, width) for prompt in prompts},
        {prompt: draw(width) for prompt in prompts},
    )


def shot_encoder(layers_read: int | None = None, seed: int = 0) -> ShotEncoder:
    """A reduced encoder of five frames in evaluation mode whose layers all act."""
    model = ShotEncoder(replace(CONFIG, frames=5), layers_read)
    source = small_model(seed, frames=5).state_dict()
    kept = {k: v for k, v in source.items() if not k.startswith(("video_proj", "text_proj"))}
    model.load_state_dict(kept)
    return model.eval()
