"""Shots of a video in segments of equally many places.

Legend: n shots, S segments, M places of a segment.
"""

from __future__ import annotations

import numpy as np

from egolib.errors import EgolibError


def segment_lengths(points: np.ndarray, shots: int, segments: int, places: int) -> np.ndarray:
    """(S,) int32 shots of every segment, in order; 0 for unused segments.

    Args:
        points: first shot of every segment but the first.
        shots: n.
        segments: S.
        places: M.

    Raises:
        EgolibError: more segments than S, or longer ones than M.
    """
    found = np.diff(np.concatenate([[0], points, [shots]]))
    if len(found) > segments or found.max() > places or found.min() < 1:
        raise EgolibError(
            f"segments of {found.tolist()} shots do not fit into {segments} of {places} places"
        )
    lengths = np.zeros(segments, np.int32)
    lengths[: len(found)] = found
    return lengths


def shot_places(lengths: np.ndarray, places: int) -> np.ndarray:
    """(n,) int64: the place of each shot among all S M places, ascending."""
    used = np.arange(places) < np.asarray(lengths)[:, None]  # (S, M)
    return np.flatnonzero(used)


def pack(rows: np.ndarray, lengths: np.ndarray, places: int, filling: np.ndarray) -> np.ndarray:
    """(S, M, ...) rows of shots at their places, and what stands at the others.

    Args:
        rows: (n, ...) one row a shot.
        lengths: (S,), adding up to n.
        places: M.
        filling: (...), the row of an empty place.
    """
    if int(np.sum(lengths)) != len(rows):
        raise EgolibError(f"{len(rows)} shots for segments of {np.asarray(lengths).tolist()}")
    packed = np.empty((len(lengths) * places, *rows.shape[1:]), rows.dtype)
    packed[:] = filling
    packed[shot_places(lengths, places)] = rows
    return packed.reshape(len(lengths), places, *rows.shape[1:])
