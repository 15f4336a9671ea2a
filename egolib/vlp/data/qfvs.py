"""QFVS: queries, their reference summaries, and the concepts that shots show.

Sharghi et al., Query-Focused Video Summarization (CVPR 2017), on the four videos of
UT Egocentric. A video is cut into shots; a query is a pair of concepts; a reference
summary is a list of shots, and the names of its files are the list of queries. No torch.

Legend: n shots, V videos, C columns of the tag matrix.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from egolib.errors import EgolibError
from egolib.io.mat_files import load_mat
from egolib.io.records import read_text

FRAMES = Path("Datasets/QFVS/data/video_frames")
ORIGIN = Path("Datasets/QFVS/data/origin_data")
ORACLES = Path("Query-Focused_Summaries/Oracle_Summaries")
DENSE = Path("Dense_per_shot_tags")
TAGS = "Tags.mat"
ORACLE_END = "_oracle.txt"

#: What concepts are called in prompts; labels keep the files' names.
PROMPT_NAMES = {"Cupglass": "Glass", "Musicalinstrument": "Instrument", "Petsanimal": "Animal"}

#: ``official`` takes shot 0 as the last place of the video, and numbers beyond its shots as
#: places of padding, which are scored; ``strict`` refuses both, and empty lists.
OracleNumbers = Literal["official", "strict"]

#: ``same`` refuses folders where sorting by text and by number differ.
FrameOrder = Literal["same", "official", "natural"]


@dataclass(frozen=True)
class Query:
    """A query with its reference summary.

    Args:
        video: 1 to 4.
        concepts: the two concepts, as the file's name has them.
        oracle: the reference shots, from 0, ascending, each once.
        file: where they are from.
    """

    video: int
    concepts: tuple[str, str]
    oracle: tuple[int, ...]
    file: Path

    @property
    def name(self) -> str:
        """For instance ``Book_Hands_1``."""
        return f"{self.concepts[0]}_{self.concepts[1]}_{self.video}"

    @property
    def prompts(self) -> tuple[str, str, str]:
        """The first concept, the second, and both, as the network is asked."""
        return prompts(*self.concepts)


def prompts(first: str, second: str) -> tuple[str, str, str]:
    """Three prompts of two concepts; case is kept, articles and plurals know no rule.

    >>> prompts("Cupglass", "Hands")[2]
    'There is a Glass and a Hands'
    """
    a, b = (PROMPT_NAMES.get(concept, concept) for concept in (first, second))
    return f"There is a {a}", f"There is a {b}", f"There is a {a} and a {b}"


# --------------------------------------------------------------------------- queries


def read_queries(
    origin: str | Path, video: int, shots: int, places: int, numbers: OracleNumbers = "official"
) -> list[Query]:
    """All queries of one video, sorted by name.

    Official behaviour: they come in the order of the folder's entries, which nothing but
    the shuffling of training depends on.

    Args:
        origin: folder with ``Query-Focused_Summaries``.
        video: its number.
        shots: n, shots of the video.
        places: places of all segments, padding included; shot numbers end there.
        numbers: how numbers outside the video are taken.

    Raises:
        EgolibError: no queries, a file name that is no query, or a malformed list.
    """
    folder = Path(origin) / ORACLES / f"P{video:02d}"
    files = sorted(file for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else []
    if not files:
        raise EgolibError("no reference summaries", file=folder)
    return [_query(file, video, shots, places, numbers) for file in files]


def _query(file: Path, video: int, shots: int, places: int, numbers: OracleNumbers) -> Query:
    concepts = file.name.removesuffix(ORACLE_END).split("_")
    if not file.name.endswith(ORACLE_END) or len(concepts) != 2 or not all(concepts):
        raise EgolibError(
            "not the name of a query", file=file, remedy=f"<Concept1>_<Concept2>{ORACLE_END}"
        )
    oracle = read_oracle(file, shots, places, numbers)
    return Query(video, (concepts[0], concepts[1]), oracle, file)


def read_oracle(
    path: str | Path, shots: int, places: int, numbers: OracleNumbers = "official"
) -> tuple[int, ...]:
    """The shots of a reference summary, from 0, ascending, each once; one number (from 1) a line.

    Args:
        path: the file.
        shots: n, shots of the video.
        places: where numbers end in any case.
        numbers: how numbers outside the video are taken.

    Raises:
        EgolibError: a line is no number (blank ones included), or one outside the places
            or, with ``strict``, the shots.
    """
    lines = read_text(path).splitlines()
    low, high = (1, shots) if numbers == "strict" else (1 - places, places)
    found = set()
    for number, line in enumerate(lines, start=1):
        if not re.fullmatch(r"\s*[+-]?\d+\s*", line):
            raise EgolibError(f"{line!r} is no shot", file=path, record=f"line {number}")
        shot = int(line)
        if not low <= shot <= high:
            raise EgolibError(
                f"shot {shot} of a video with shots 1 to {shots}",
                file=path,
                record=f"line {number}",
            )
        found.add((shot - 1) % places)
    if numbers == "strict" and not found:
        raise EgolibError("the reference summary is empty", file=path)
    return tuple(sorted(found))


# ------------------------------------------------------------------------ dense tags


def read_dense_tags(origin: str | Path, video: int) -> list[tuple[str, ...]]:
    """The concepts of every shot of a video, one line a shot, as written.

    A shot without a concept has some other word, or nothing.

    Args:
        origin: folder with ``Dense_per_shot_tags``.
        video: its number.
    """
    text = read_text(dense_file(origin, video))
    return [tuple(line.strip().split(",")) for line in text.splitlines()]


def dense_file(origin: str | Path, video: int) -> Path:
    """Where the tags of a video's shots lie."""
    return Path(origin) / DENSE / f"P{video:02d}" / f"P{video:02d}.txt"


def concept_labels(tags: Sequence[tuple[str, ...]], concept: str, shots: int) -> np.ndarray:
    """(n,) float32, 1 where a shot shows a concept; shots that the tags lack are 0.

    Official behaviour: names are compared as text, and one that no shot has gives zeros.

    Args:
        tags: see ``read_dense_tags``.
        concept: its name.
        shots: n.
    """
    labels = np.zeros(shots, np.float32)
    places = [i for i, names in enumerate(tags[:shots]) if concept in names]
    labels[places] = 1
    return labels


# ---------------------------------------------------------------------------- Tags.mat


def read_tags(path: str | Path) -> list[np.ndarray]:
    """The (n, C) uint8 tag matrices of all videos in ``Tags.mat``, for scoring only.

    Raises:
        EgolibError: not a MATLAB 5 file, other fields, or vectors that are not 0 and 1 of
            one length.
    """
    path = Path(path)
    tags = load_mat(path, "Tags")
    if tags.dtype.names is None or "Bin_Vecs" not in tags.dtype.names:
        raise EgolibError("a struct array Tags with the field Bin_Vecs was expected", file=path)
    return [
        _tag_matrix(cells, path, f"video {number}")
        for number, cells in enumerate(tags["Bin_Vecs"].ravel(), start=1)
    ]


def _tag_matrix(cells: Any, path: Path, record: str) -> np.ndarray:
    if not isinstance(cells, np.ndarray) or cells.dtype != object or not cells.size:
        raise EgolibError(
            "a cell array with one vector a shot was expected", file=path, record=record
        )
    rows = [np.asarray(row).ravel() for row in cells.ravel()]
    for shot, row in enumerate(rows, start=1):
        place = f"{record}, shot {shot}"
        if row.dtype.kind not in "biuf" or row.shape != rows[0].shape or not row.size:
            raise EgolibError("tags of another length or kind", file=path, record=place)
        if not np.isin(row, (0, 1)).all():
            raise EgolibError("tags are 0 or 1", file=path, record=place)
    return np.stack(rows).astype(np.uint8)


# ----------------------------------------------------------------------------- frames


def frame_files(folder: str | Path, order: FrameOrder = "same") -> list[Path]:
    """The frames of a video, in order.

    Official behaviour: sorted as text, so that ``10.jpg`` precedes ``2.jpg``.

    Args:
        folder: holds ``*.jpg``.
        order: ``natural`` sorts by numbers; ``same`` refuses names where that differs.

    Raises:
        EgolibError: no frames, or the two orders differ.
    """
    files = sorted(Path(folder).glob("*.jpg"), key=str)
    if not files:
        raise EgolibError("no frames (*.jpg)", file=folder)
    natural = sorted(files, key=lambda file: _natural(file.name))
    if order == "same" and files != natural:
        place = next(i for i, (a, b) in enumerate(zip(files, natural, strict=True)) if a != b)
        raise EgolibError(
            f"frames sorted as text differ from those sorted by number at {files[place].name}",
            file=folder,
            remedy="frame_order: natural is what is meant, official what was published",
        )
    return natural if order == "natural" else files


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def shots_of(files: Sequence[Path], frames: int = 5) -> list[list[Path]]:
    """Consecutive frames as shots; an incomplete last one is dropped."""
    count = len(files) // frames
    return [list(files[i * frames : (i + 1) * frames]) for i in range(count)]


def frame_folder(data_root: str | Path, video: int) -> Path:
    """Where the frames of a video lie."""
    return Path(data_root) / FRAMES / f"P{video:02d}-moviepy"


# ----------------------------------------------------------------------------- checks


def warnings(
    origin: str | Path, video: int, shots: int, queries: Iterable[Query], tags: np.ndarray
) -> list[str]:
    """What the official code passes over in the annotations of one video, a line each.

    Args:
        origin: folder of the annotations.
        video: its number.
        shots: n, shots of its frames.
        queries: its queries.
        tags: (rows, C), its matrix of ``Tags.mat``.
    """
    dense = read_dense_tags(origin, video)
    lines = []
    for name, count in ((dense_file(origin, video).name, len(dense)), (TAGS, len(tags))):
        if count != shots:
            lines.append(f"{name}: {count} shots, the frames have {shots}")
    shown = {concept for names in dense for concept in names}
    for query in queries:
        beyond = [shot + 1 for shot in query.oracle if shot >= shots]
        if beyond:
            lines.append(f"{query.name}: reference shots {beyond} are beyond the video")
        listed = len(read_text(query.file).split())
        if listed != len(query.oracle):
            lines.append(f"{query.name}: {listed - len(query.oracle)} shots are repeated")
        lines += [f"{query.name}: no shot shows {c}" for c in query.concepts if c not in shown]
    return lines


def tag_columns_agree(
    dense: Sequence[Sequence[tuple[str, ...]]], tags: Sequence[np.ndarray]
) -> bool:
    """Whether both kinds of tags can be the same: equal counts of shots, concept by column.

    ``Tags.mat`` names no concept; a concept and its column must occur in equally many
    shots of every video.

    Args:
        dense: see ``read_dense_tags``, for each of V videos.
        tags: (n, C) of the same videos.
    """
    columns = Counter(map(tuple, np.stack([matrix.sum(0) for matrix in tags], 1).tolist()))
    counts = [Counter(concept for names in video for concept in set(names)) for video in dense]
    concepts = {concept for video in counts for concept in video}
    patterns = Counter(tuple(video[concept] for video in counts) for concept in concepts)
    wanted = {pattern: number for pattern, number in columns.items() if any(pattern)}
    return all(patterns[pattern] >= number for pattern, number in wanted.items())
