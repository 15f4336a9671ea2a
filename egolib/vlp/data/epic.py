"""EPIC-KITCHENS-100 multi-instance retrieval: clips, sentences, relevancy.

Legend: C clips, S sentences, V verb classes, W noun classes.

Damen et al. (arXiv 2006.13256). The relevancy of a sentence for a clip is the mean of
two intersections over union: of their verb classes and of their sets of noun classes.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from egolib.errors import EgolibError
from egolib.io.names import file_name
from egolib.io.pickles import read_pickle
from egolib.io.schema import require_interval, require_unique
from egolib.io.tables import line_of, read_table, require_numbers, require_texts

Entry = TypeVar("Entry")
_ROWS = 256  # rows of a matrix that are worked on at once

ANNOTATIONS = Path("EK100/epic-kitchens-100-annotations/retrieval_annotations")
VIDEOS = Path("EK100/video_ht256px")

CLIP_COLUMNS = (
    "narration_id",
    "participant_id",
    "video_id",
    "start_timestamp",
    "stop_timestamp",
    "narration",
    "verb_class",
    "noun_class",
    "all_noun_classes",
)


@dataclass(frozen=True)
class EpicClips:
    """The clips of one split, in the order of their file.

    Args:
        narration_ids: C texts.
        video_ids: C texts.
        participant_ids: C texts.
        narrations: C texts.
        start_sec: (C,) float.
        stop_sec: (C,) float.
        verbs: (C,) int, verb classes.
        nouns: (C,) int, first noun classes.
        noun_sets: C sorted tuples of all noun classes.
    """

    narration_ids: list[str]
    video_ids: list[str]
    participant_ids: list[str]
    narrations: list[str]
    start_sec: np.ndarray
    stop_sec: np.ndarray
    verbs: np.ndarray
    nouns: np.ndarray
    noun_sets: list[tuple[int, ...]]

    def __len__(self) -> int:
        return len(self.narration_ids)

    def video(self, row: int) -> Path:
        """A clip's video below the folder of videos."""
        return Path(self.participant_ids[row]) / f"{self.video_ids[row]}.MP4"


@dataclass(frozen=True)
class Sentences:
    """The sentences that clips are compared with.

    Args:
        narration_ids: of the clip that each sentence was written for.
        narrations: the texts.
        clip_rows: (S,) the row of that clip.
        unique: the first ``unique`` sentences are different texts; those behind them
            stand for classes of actions that no text before covers.
    """

    narration_ids: list[str]
    narrations: list[str]
    clip_rows: np.ndarray
    unique: int


def read_epic_clips(path: str | Path) -> EpicClips:
    """``EPIC_100_retrieval_{train,test}.csv``.

    Raises:
        EgolibError: a missing file or column, or a malformed list or time.
    """
    table = read_table(path, CLIP_COLUMNS, dtype=str, keep_default_na=False)
    texts = {name: require_texts(table, name, path) for name in CLIP_COLUMNS}
    for name in ("participant_id", "video_id"):
        for row, text in enumerate(texts[name]):
            file_name(text, file=path, record=f"{line_of(table, row)}, {name}")
    require_unique(texts["narration_id"], "narration_id", file=path)
    start, stop = (
        np.array(_parsed(timestamp_sec, table, f"{name}_timestamp", path))
        for name in ("start", "stop")
    )
    for bad in np.flatnonzero(stop <= start).tolist():
        require_interval(start[bad], stop[bad], line_of(table, bad), file=path)
    _tell_other_participants(texts, path)
    return EpicClips(
        texts["narration_id"],
        texts["video_id"],
        texts["participant_id"],
        texts["narration"],
        start,
        stop,
        require_numbers(table, "verb_class", path, low=0, whole=True),
        require_numbers(table, "noun_class", path, low=0, whole=True),
        _parsed(class_set, table, "all_noun_classes", path),
    )


def _tell_other_participants(texts: Mapping[str, list[str]], path: str | Path) -> None:
    """Warns about videos whose name does not begin with their participant, in whose folder they
    are looked for, and about narrations that do not begin with their video."""
    pairs = {"participant_id": "video_id", "video_id": "narration_id"}
    for first, second in pairs.items():
        rows = zip(texts["narration_id"], texts[first], texts[second], strict=True)
        other = [name for name, start, whole in rows if not whole.startswith(f"{start}_")]
        if other:
            warnings.warn(
                f"{path}: {len(other)} rows whose {second} does not begin with their {first}, "
                f"first {other[0]}",
                stacklevel=3,
            )


def _parsed(parse: Callable[[str], Any], table: Any, column: str, file: str | Path) -> list[Any]:
    """Every cell of a column, parsed; errors name its line."""
    found = []
    for row, text in enumerate(table[column]):
        try:
            found.append(parse(text))
        except ValueError as error:
            record = f"{line_of(table, row)}, {column}"
            raise EgolibError(f"malformed: {error}", file=file, record=record) from error
    return found


def timestamp_sec(text: str) -> float:
    """Seconds of ``HH:MM:SS.ff``.

    >>> timestamp_sec("00:01:10.25")
    70.25
    """
    if not re.fullmatch(r"\d{1,4}:[0-5]?\d:[0-5]?\d(\.\d*)?", text, re.ASCII):
        raise ValueError(f"{text!r} is no time HH:MM:SS.ff")
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def class_set(text: str) -> tuple[int, ...]:
    """The sorted classes of a list literal such as ``[3, 1, 3]``; nothing is evaluated.

    >>> class_set("[3, 1, 3]")
    (1, 3)
    """
    if not re.fullmatch(r"\s*\[\s*(\d{1,6}(\s*,\s*\d{1,6})*)?\s*\]\s*", text, re.ASCII):
        raise ValueError(f"{text!r} is no list of classes")
    return tuple(sorted({int(number) for number in re.findall(r"\d+", text)}))


# --------------------------------------------------------------------- sentences


def read_sentences(path: str | Path, clips: EpicClips) -> Sentences:
    """The shipped ``..._sentence.csv``, with every sentence's clip looked up.

    Raises:
        EgolibError: a narration id that is no clip's.
    """
    table = read_table(path, ("narration_id", "narration"), dtype=str, keep_default_na=False)
    ids, texts = (require_texts(table, name, path) for name in ("narration_id", "narration"))
    row_of = {name: row for row, name in reversed(list(enumerate(clips.narration_ids)))}
    for name in ids:
        if name not in row_of:
            raise EgolibError("no clip has this narration_id", file=path, record=name)
    if len(set(ids)) < len(ids):
        warnings.warn(f"{path}: {len(ids) - len(set(ids))} repeated narration_ids", stacklevel=2)
    rows = np.array([row_of[name] for name in ids], np.int64)
    return Sentences(ids, texts, rows, len(dict.fromkeys(texts)))


def make_sentences(clips: EpicClips) -> Sentences:
    """Sentences from the clips alone, where no sentence file is shipped.

    Unique narrations in order of first appearance, then one sentence for every class
    of actions that none of these carries, by its first clip. (The official script
    orders the last ones at random.)
    """
    first: dict[str, int] = {}
    for row, text in enumerate(clips.narrations):
        first.setdefault(text, row)
    rows = list(first.values())
    actions = list(zip(clips.verbs.tolist(), clips.nouns.tolist(), strict=True))
    covered = {actions[row] for row in rows}
    for row, action in enumerate(actions):
        if action not in covered:
            covered.add(action)
            rows.append(row)
    names = [clips.narration_ids[row] for row in rows]
    texts = [clips.narrations[row] for row in rows]
    return Sentences(names, texts, np.array(rows, np.int64), len(first))


# --------------------------------------------------------------------- relevancy


@dataclass(frozen=True)
class Relevancy:
    """Relevancies of all sentences for all clips, and the two parts that they are the mean of."""

    caption: np.ndarray
    verb: np.ndarray
    noun: np.ndarray


def relevancy_parts(clips: EpicClips, sentences: Sentences) -> Relevancy:
    """Verb, noun and caption relevancies, each (C, S) float64."""
    verb = (clips.verbs[:, None] == clips.verbs[sentences.clip_rows]).astype(np.float64)
    noun = noun_iou(clips.noun_sets, [clips.noun_sets[row] for row in sentences.clip_rows])
    return Relevancy((verb + noun) / 2, verb, noun)


def relevancy_matrix(clips: EpicClips, sentences: Sentences) -> np.ndarray:
    """Caption relevancies (C, S) float64: (verb IoU + noun IoU) / 2.

    Clips of equal classes have equal rows, which are computed once.
    """
    rows, row_of = _different(list(zip(clips.verbs.tolist(), clips.noun_sets, strict=True)))
    said = [clips.noun_sets[row] for row in sentences.clip_rows]
    matrix = noun_iou([nouns for _, nouns in rows], said)
    verbs = np.array([verb for verb, _ in rows])
    matrix += verbs[:, None] == clips.verbs[sentences.clip_rows]
    matrix /= 2
    relevancy: np.ndarray = matrix[row_of]
    return relevancy


def noun_iou(left: list[tuple[int, ...]], right: list[tuple[int, ...]]) -> np.ndarray:
    """(C, S) float64: shared classes over all classes of each pair of sets.

    An indicator product gives all intersections; equal sets on the right are compared
    once.
    """
    sets, column_of = _different(right)
    classes = 1 + max((max(s, default=0) for s in (*left, *sets)), default=0)
    a, b = _indicators(left, classes), _indicators(sets, classes)
    result = np.zeros((len(left), len(column_of)))
    for start in range(0, len(left), _ROWS):
        part = a[start : start + _ROWS]
        shared = part @ b.T
        union = np.maximum(part.sum(1)[:, None] + b.sum(1) - shared, 1)
        iou = np.divide(shared, union, dtype=np.float64)
        np.take(iou, column_of, 1, result[start : start + _ROWS])
    return result


def _different(entries: list[Entry]) -> tuple[list[Entry], np.ndarray]:
    """The different entries, and which of them each one is."""
    place: dict[Entry, int] = {}
    index = np.array([place.setdefault(e, len(place)) for e in entries], np.int64)
    return list(place), index


def _indicators(sets: list[tuple[int, ...]], classes: int) -> np.ndarray:
    matrix = np.zeros((len(sets), classes), np.float32)
    for row, members in enumerate(sets):
        matrix[row, list(members)] = 1
    return matrix


def read_relevancy(path: str | Path) -> np.ndarray:
    """A shipped relevancy pickle as (C, S) float64; nothing in it is executed.

    Raises:
        EgolibError: missing or damaged file, or content that is no matrix.
    """
    matrix = read_pickle(path)
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind not in "fiub":
        raise EgolibError("a relevancy matrix was expected", file=path)
    bad = np.argwhere(~((matrix >= 0) & (matrix <= 1 + 1e-6)))
    if len(bad):
        row, column = bad[0].tolist()
        raise EgolibError(
            f"relevancies from 0 to 1 are wanted, found {matrix[row, column]}",
            file=path,
            record=f"row {row}, column {column}",
        )
    return matrix.astype(np.float64, copy=False)


def describe_relevancy(matrix: np.ndarray) -> dict[str, object]:
    """What results record of a matrix: metrics depend strongly on which one was used."""
    return {
        "shape": list(matrix.shape),
        "sum": float(matrix.sum()),
        "ones": int((matrix == 1).sum()),
        "sha256": hashlib.sha256(matrix.astype(np.float64).tobytes()).hexdigest(),
    }


# ------------------------------------------------------------------------ a split


@dataclass(frozen=True)
class EpicSplit:
    """Clips, sentences and relevancy of one split; the relevancy's source is named."""

    clips: EpicClips
    sentences: Sentences
    relevancy: np.ndarray
    source: str


def read_epic_split(data_root: str | Path, split: str) -> EpicSplit:
    """One split below a data root (or its ``retrieval_annotations`` folder itself).

    Raises:
        EgolibError: no clips, or a pickle of another shape.
    """
    folder = Path(data_root) / ANNOTATIONS
    folder = folder if folder.is_dir() else Path(data_root)
    return read_epic_table(folder / f"EPIC_100_retrieval_{split}.csv")


def read_epic_table(path: str | Path) -> EpicSplit:
    """The split of one table of clips, and of what is shipped beside it.

    ``<stem>_sentence.csv`` and ``relevancy/caption_relevancy_<stem>.pkl`` in the table's
    folder are preferred; what is absent is computed.

    Raises:
        EgolibError: no clips, or a pickle of another shape.
    """
    path = Path(path)
    clips = read_epic_clips(path)
    shipped = path.with_name(f"{path.stem}_sentence.csv")
    sentences = read_sentences(shipped, clips) if shipped.is_file() else make_sentences(clips)
    pickled = path.parent / "relevancy" / f"caption_relevancy_{path.stem}.pkl"
    if not pickled.is_file():
        return EpicSplit(clips, sentences, relevancy_matrix(clips, sentences), "computed")
    matrix = read_relevancy(pickled)
    if matrix.shape != (len(clips), len(sentences.narrations)):
        raise EgolibError(
            f"a matrix {matrix.shape} for {len(clips)} clips and "
            f"{len(sentences.narrations)} sentences",
            file=pickled,
            remedy="use the pickle of the same release as the CSV files, or remove it",
        )
    return EpicSplit(clips, sentences, matrix, pickled.name)
