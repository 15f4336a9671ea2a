"""EgoClip, the pre-training clips, and EgoMCQ, the questions about them.

Legend: M clips, S segments.

Lin et al. (arXiv 2206.01670). EgoClip has 3,847,723 clips: columns are kept as
arrays, and nothing is evaluated or parsed before it is needed.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import Skipped, read_json
from egolib.io.schema import validated
from egolib.io.tables import read_table, usable_rows
from egolib.vlp.data.schema import MultipleChoice

TABLE = Path("egoclip/egoclip.csv")
QUESTIONS = Path("egomcq/egomcq.json")
CHUNKS = Path("ego4d/Ego4D_Chunked")

#: Verb and noun classes of EgoClip's tags.
VERBS, NOUNS = 118, 582

TIMES = ("narration_time", "clip_start", "clip_end")
COLUMNS = ("video_uid", *TIMES, "clip_text", "tag_verb", "tag_noun")


def data_file(data_root: str | Path, below: Path) -> Path:
    """A file at its place below a data root, or directly in the root itself."""
    path = Path(data_root) / below
    return path if path.exists() else Path(data_root) / below.name


def class_vector(tags: str, classes: int) -> np.ndarray:
    """A multi-hot vector (classes,) float32 of a list literal such as ``[3, 17]``.

    Raises:
        EgolibError: the text is no list of classes.
    """
    if not re.fullmatch(r"\s*\[[\d,\s]*\]\s*", tags):
        raise EgolibError(f"{tags!r} is no list of classes")
    vector = np.zeros(classes, np.float32)
    for number in re.findall(r"\d+", tags):
        if int(number) >= classes:
            raise EgolibError(f"class {number} of {classes}")
        vector[int(number)] = 1
    return vector


def segment_id(video_uid: str, narration_time: float, segment_sec: float = 60.0) -> str:
    """The stretch of a video that a narration lies in, as the official code names it.

    Args:
        video_uid: of the video.
        narration_time: seconds from the start of the video.
        segment_sec: length of a stretch, in seconds.

    >>> segment_id("a", 125.5)
    'a_2.0'
    """
    return f"{video_uid}_{float(narration_time // segment_sec)}"


class SegmentIndex:
    """The clips of each stretch of each video, found without a scan.

    Args:
        video_uids: (M,) any values, or pandas categories' codes.
        narration_times: (M,) float, seconds.
        segment_sec: length of a stretch.
    """

    def __init__(
        self, video_uids: np.ndarray, narration_times: np.ndarray, segment_sec: float = 60.0
    ):
        videos = np.unique(np.asarray(video_uids), return_inverse=True)[1].astype(np.int64)
        stretches = np.nan_to_num(np.floor_divide(narration_times, segment_sec), nan=-1)
        stretches = stretches.astype(np.int64) - int(stretches.min(initial=0))
        keys = videos * (int(stretches.max(initial=0)) + 1) + stretches
        self._rows = np.argsort(keys, kind="stable").astype(np.int32)  # clips by segment
        _, self._segment_of, counts = np.unique(keys, return_inverse=True, return_counts=True)
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def rows(self, row: int) -> np.ndarray:
        """Rows of all clips in the stretch of a clip, itself included, ascending."""
        segment = self._segment_of[row]
        return self._rows[self._starts[segment] : self._starts[segment + 1]]

    def partner(self, row: int, rng: np.random.Generator, partner: str = "official") -> int:
        """A random clip of the same stretch.

        Official behaviour: it may be the clip itself. Every other value takes another
        one where there is one.

        Args:
            row: of the clip, among those that the index was built from.
            rng: draws the clip.
            partner: ``official``, or any other value to leave the clip itself out.
        """
        rows = self.rows(row)
        if partner != "official" and len(rows) > 1:
            rows = rows[rows != row]
        return int(rng.choice(rows))


@dataclass(frozen=True)
class EgoClip:
    """The clips of ``egoclip.csv``.

    Args:
        video_uids: (M,) codes into ``videos``.
        videos: uids.
        narration_time: (M,) float, seconds.
        start_sec: (M,) float.
        end_sec: (M,) float.
        texts: (M,) texts.
        verb_tags: (M,) list literals.
        noun_tags: (M,) list literals.
        file: where they are from, for error messages.
        skipped: lines of the file that gave no clip, with the reason.
    """

    video_uids: np.ndarray
    videos: list[str]
    narration_time: np.ndarray
    start_sec: np.ndarray
    end_sec: np.ndarray
    texts: np.ndarray
    verb_tags: np.ndarray
    noun_tags: np.ndarray
    file: Path
    skipped: Skipped = field(default_factory=Skipped)

    @property
    def lost_lines(self) -> int:
        """How many lines gave no clip."""
        return len(self.skipped)

    def __len__(self) -> int:
        return len(self.texts)

    def video(self, row: int) -> str:
        """The uid of a clip's video."""
        return str(self.videos[self.video_uids[row]])

    def verbs(self, row: int) -> np.ndarray:
        """Multi-hot verb classes (118,) float32."""
        return self._classes(self.verb_tags, row, VERBS)

    def nouns(self, row: int) -> np.ndarray:
        """Multi-hot noun classes (582,) float32."""
        return self._classes(self.noun_tags, row, NOUNS)

    def _classes(self, tags: np.ndarray, row: int, classes: int) -> np.ndarray:
        try:
            return class_vector(str(tags[row]), classes)
        except EgolibError as error:
            raise EgolibError(error.what, file=self.file, record=f"clip {row}") from error


def read_egoclip(path: str | Path) -> EgoClip:
    """The clips of an ``egoclip.csv``; lines with other numbers of fields are skipped, matching
    the official code, and so are those without a video, times or a text. All are listed.

    Raises:
        EgolibError: the file or a column is missing.
    """
    kinds = dict.fromkeys(("clip_text", "tag_verb", "tag_noun"), str) | {"video_uid": "category"}
    table = read_table(
        path,
        COLUMNS,
        separator="\t",
        skip_malformed=True,
        dtype=kinds,
        keep_default_na=False,
        na_values=[""],
        low_memory=False,
    )
    skipped = Skipped(dict(table.attrs["skipped"]))
    times, good = usable_rows(table, TIMES, skipped)
    uids = table["video_uid"].cat
    return EgoClip(
        uids.codes.to_numpy()[good],
        uids.categories.tolist(),
        times["narration_time"][good],
        times["clip_start"][good],
        times["clip_end"][good],
        table["clip_text"].fillna("").to_numpy(object)[good],
        table["tag_verb"].fillna("[]").to_numpy(object)[good],
        table["tag_noun"].fillna("[]").to_numpy(object)[good],
        Path(path),
        skipped,
    )


# ---------------------------------------------------------------------------- EgoMCQ


@dataclass(frozen=True)
class Choice:
    """A clip to choose."""

    video_uid: str
    start_sec: float
    end_sec: float
    text: str


@dataclass(frozen=True)
class Question:
    """A text and the clips of which one shows it.

    Args:
        number: the question's key in its file.
        text: what is looked for.
        choices: the clips.
        answer: which one is right.
        kind: 1 between videos, 2 inside one video.
    """

    number: str
    text: str
    choices: tuple[Choice, ...]
    answer: int
    kind: int


def read_egomcq(path: str | Path) -> list[Question]:
    """The questions of an ``egomcq.json``, in the order of their keys.

    Raises:
        EgolibError: a malformed file, or a question with a missing or wrong field.
    """
    content = validated(dict[str, MultipleChoice], read_json(path, dict), file=path)
    questions = [_question(path, key, content[key]) for key in sorted(content, key=_number)]
    counts = Counter(len(question.choices) for question in questions)
    for question in questions:
        if len(question.choices) != (usual := counts.most_common(1)[0][0]):
            raise EgolibError(
                f"{len(question.choices)} choices, the other questions have {usual}",
                file=path,
                record=f"{question.number}.choices",
            )
    return questions


def _number(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdecimal() and len(key) < 16 else (1 << 62, key)


def _question(path: str | Path, key: str, record: dict[str, Any]) -> Question:
    choices = [record["choices"][k] for k in sorted(record["choices"], key=_number)]
    answer, kind = record["answer"], record["types"]
    if answer >= len(choices):
        raise EgolibError(
            f"answer {answer} of {len(choices)} choices", file=path, record=f"{key}.answer"
        )
    return Question(
        key,
        record["query"]["clip_text"],
        tuple(
            Choice(
                c["video_uid"], float(c["clip_start"]), float(c["clip_end"]), str(c["clip_text"])
            )
            for c in choices
        ),
        answer,
        kind,
    )
