"""Score files: arrays by name in one ``.npz``. No torch here.

Legend: Q questions, K choices, C clips, S sentences, N videos.

``dual`` and ``fusion`` (Q, K) for EgoMCQ; ``similarity`` (C, S), and ``by_text`` (C, S) where
re-ranking gave another matrix for that direction, for EPIC-KITCHENS-100 retrieval; ``scores``
(N, classes) for Charades-Ego; (N, 2) by way to show the frames for opposite actions;
``answers`` (Q, answers) for EgoTaskQA; ``shots`` (queries, shots of the video), and
``untrained``, for QFVS. Rows and columns are in the order of the annotation files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from egolib.errors import EgolibError, nearest
from egolib.io.records import atomic_path
from egolib.vlp.data import charades, epic
from egolib.vlp.data.egoclip import read_egomcq
from egolib.vlp.data.egotaskqa import read_answers, read_question_file

#: The arrays of each benchmark: those that must be there, and further ones.
ARRAYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "egomcq": (("dual",), ("fusion",)),
    "epic": (("similarity",), ("by_text",)),
    "epic_reranked": (("similarity",), ("by_text",)),
    "charades": (("scores",), ()),
    "egotaskqa": (("answers",), ()),
    "qfvs": (("shots",), ("untrained",)),
    "reversal": ((), ("ordered", "shuffled", "one_frame")),
}


def write(path: str | Path, arrays: Mapping[str, np.ndarray | None]) -> Path:
    """Writes arrays by name; None is passed over."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **{k: v for k, v in arrays.items() if v is not None})  # type: ignore[arg-type]
    return Path(path)


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a score file.

    Raises:
        EgolibError: the file is missing, damaged, or no archive of arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, BadZipFile, AttributeError, KeyError) as error:
        raise EgolibError(
            f"not a readable score file: {error}",
            file=path,
            remedy="an .npz with arrays by name, as numpy.savez writes it",
        ) from error


def check(
    arrays: Mapping[str, np.ndarray],
    benchmark: str,
    rows: int | None = None,
    columns: int | None = None,
    *,
    file: str | Path | None = None,
) -> None:
    """Raises where arrays are not the scores of a benchmark.

    Args:
        arrays: by name.
        benchmark: one of ``ARRAYS``.
        rows: records that there must be; None for any number.
        columns: choices, sentences or classes that there must be; None for any number.
        file: for errors.

    Raises:
        EgolibError: the first array that is missing, unknown, of another shape or type, or not
            finite; NaN would pass as the highest score.
    """
    needed, further = ARRAYS[benchmark]
    for name in needed:
        if name not in arrays:
            raise EgolibError(
                f"the score file has no {name!r}", file=file, remedy=nearest(name, arrays)
            )
    for name, array in arrays.items():
        if name not in (*needed, *further):
            raise EgolibError(
                f"{benchmark} has no array {name!r}",
                file=file,
                remedy=nearest(name, [*needed, *further]),
            )
        _check_array(name, array, rows, columns, file)
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = {name: array.shape for name, array in arrays.items()}
        raise EgolibError(f"arrays of different shapes: {shapes}", file=file)


def _check_array(
    name: str, array: np.ndarray, rows: int | None, columns: int | None, file: str | Path | None
) -> None:
    if array.ndim != 2 or array.dtype.kind != "f":
        raise EgolibError(
            f"an array {array.shape} of {array.dtype}, a matrix of floats was expected",
            file=file,
            record=name,
        )
    for count, wanted, what in zip(array.shape, (rows, columns), ("rows", "columns"), strict=True):
        if wanted is not None and count != wanted:
            raise EgolibError(
                f"{count} {what} of scores for {wanted} records", file=file, record=name
            )
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        row, column = bad[0].tolist()
        raise EgolibError(
            f"the score at row {row}, column {column} is {array[row, column]}",
            file=file,
            record=name,
        )


# ------------------------------------------------------------------------- whole files


def benchmark_of(truth: str | Path) -> str:
    """The benchmark that an annotation file belongs to, by its name.

    Raises:
        EgolibError: the name is not that of an official file.
    """
    prefixes = {"egomcq": "egomcq", "EPIC_100": "epic", "CharadesEgo": "charades"}
    prefixes |= {"formatted_": "egotaskqa", "Tags": "qfvs"}
    for prefix, kind in prefixes.items():
        if Path(truth).name.startswith(prefix):
            return kind
    raise EgolibError(
        "the benchmark cannot be told from the name",
        file=truth,
        remedy="give benchmark=egomcq; on the command line -o benchmark=egomcq",
    )


def shape_of(truth: str | Path, benchmark: str) -> tuple[int, int | None]:
    """Rows and columns that the scores of an annotation file have; None for any number.

    Raises:
        EgolibError: the annotations cannot be read.
    """
    if benchmark == "egomcq":
        questions = read_egomcq(truth)
        return len(questions), len(questions[0].choices) if questions else None
    if benchmark == "epic":
        split = epic.read_epic_table(truth)
        return len(split.clips), len(split.sentences.narrations)
    if benchmark == "egotaskqa":
        return len(read_question_file(truth)), len(read_answers(Path(truth).parent))
    return len(charades.read_videos(truth)), None


def validate_file(submission: str | Path, truth: str | Path | None = None) -> str:
    """What a score file holds, after checking it; with annotations also their shape.

    Args:
        submission: the score file.
        truth: ``egomcq.json``, an ``EPIC_100_retrieval_*.csv``, a
            ``CharadesEgo_v1_*_only1st.csv`` or a ``formatted_*_qas_encode.json``.

    Raises:
        EgolibError: the first array that is wrong, with what was found.
    """
    arrays = read(submission)
    if truth is None:
        kind = _told_by_arrays(arrays, submission)
        check(arrays, kind, file=submission)
    else:
        kind = benchmark_of(truth)
        check(arrays, kind, *shape_of(truth, kind), file=submission)
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    return f"{submission}: valid scores of {kind}: {shapes}"


def _told_by_arrays(arrays: Mapping[str, np.ndarray], file: str | Path) -> str:
    for kind, (needed, further) in ARRAYS.items():
        names = set(needed) | (set(further) if not needed else set())
        if names and names <= arrays.keys():
            return kind
    raise EgolibError(
        f"the arrays {list(arrays)} are no scores",
        file=file,
        remedy=f"expected one of {', '.join(n for names, _ in ARRAYS.values() for n in names)}",
    )
