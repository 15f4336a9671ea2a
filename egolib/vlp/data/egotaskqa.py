"""EgoTaskQA: questions about short intervals of video, with a closed set of answers.

Jia et al. (arXiv 2210.03929). There are two *splits* of all questions, ``direct`` and
``indirect``; each has the *parts* train, val and test. ``read_questions`` reads what the
official scripts, or ours in ``egotaskqa_splits``, made of the raw questions. No torch here.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from egolib.errors import EgolibError, nearest
from egolib.io.records import read_records, read_text
from egolib.io.schema import validated
from egolib.vlp.data.sampling import Draw, intervals, middle_frames, random_frames, whole_video
from egolib.vlp.data.schema import TaskQuestion

Row = dict[str, Any]
Split = Literal["direct", "indirect"]
Part = Literal["train", "val", "test"]

#: ``official`` refuses videos too short for the random draw, ``repeat`` repeats frames.
ShortVideos = Literal["official", "repeat"]

#: ``official`` keeps the indices of the files, ``lower`` finds answers with capital letters.
AnswerCase = Literal["official", "lower"]

SPLITS: tuple[Split, ...] = ("direct", "indirect")
PARTS: tuple[Part, ...] = ("train", "val", "test")

ANNOTATIONS = Path("EgoTaskQA/Data/qa")
VIDEOS = Path("EgoTaskQA/qa_videos")
ANSWERS, TYPES, INDEX = "answer_set.txt", "all_reasoning_types.txt", "reasoning_unique_cat.pth"

UNKNOWN = (0, 1)  #: the indices of answers that the set lacks


def part_file(folder: str | Path, part: str) -> Path:
    """``formatted_{part}_qas_encode.json`` of a split's folder."""
    return Path(folder) / f"formatted_{part}_qas_encode.json"


# ---------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Question:
    """One question about one interval.

    Args:
        interval: name of the interval, of which ``<interval>.mp4`` is the video.
        text: the question as written.
        answer: the right answer as written.
        answer_index: its line in the answer set; 1 where the set lacks it.
        reasoning: its reasoning types, repetitions kept.
        name: what errors call it.
    """

    interval: str
    text: str
    answer: str
    answer_index: int
    reasoning: tuple[str, ...]
    name: str


def read_answers(folder: str | Path) -> list[str]:
    """The answers of a split; a line's number is its answer's index.

    Raises:
        EgolibError: no file, or one without lines.
    """
    path = Path(folder) / ANSWERS
    answers = read_text(path).removesuffix("\n").split("\n")
    if answers == [""]:
        raise EgolibError("the answer set is empty", file=path)
    return answers


def read_reasoning_index(folder: str | Path) -> dict[str, int]:
    """Reasoning type -> number, from ``reasoning_unique_cat.pth`` or both splits' lists.

    Args:
        folder: holds the file, or the folders of the splits.

    Raises:
        EgolibError: neither is there, or the file holds something else.
    """
    path = Path(folder) / INDEX
    if not path.is_file():
        lists = [Path(folder) / split / TYPES for split in SPLITS]
        present = [file for file in lists if file.is_file()]
        return reasoning_index([_lines(file) for file in present or lists[:1]])
    from egolib.io.checkpoint import read_foreign

    index = read_foreign(path)
    numbers = [value if type(value) is int else -1 for value in index.values()]
    if sorted(numbers) != [*range(len(index))] or not all(isinstance(k, str) for k in index):
        raise EgolibError("reasoning types are not numbered from 0", file=path)
    return index


def _lines(path: Path) -> list[str]:
    return read_text(path).split()


def reasoning_index(splits: Iterable[Sequence[str]]) -> dict[str, int]:
    """The number of every reasoning type that any split has, in sorted order."""
    names = sorted({name for types in splits for name in types})
    return {name: place for place, name in enumerate(names)}


def read_questions(
    folder: str | Path, part: Part, known_types: Iterable[str] | None = None
) -> list[Question]:
    """The questions of one part of a split, checked as a whole before anything is computed.

    Args:
        folder: of the split.
        part: ``train``, ``val`` or ``test``.
        known_types: the reasoning types that there are; None takes the split's list.

    Raises:
        EgolibError: a missing file or field, or a list of rows whose answer has no line,
            whose question is empty or whose reasoning type is unknown.
    """
    return read_question_file(part_file(folder, part), known_types)


def read_question_file(
    path: str | Path, known_types: Iterable[str] | None = None
) -> list[Question]:
    """The questions of one file, whose answer set lies beside it; see ``read_questions``.

    Args:
        path: ``formatted_{part}_qas_encode.json``.
        known_types: the reasoning types that there are; None takes the list beside it.

    Raises:
        EgolibError: see ``read_questions``.
    """
    folder = Path(path).parent
    known = read_answers(folder)
    answers = len(known)
    types = set(_lines(Path(folder) / TYPES) if known_types is None else known_types)
    problems, questions = [], []
    for place, row in enumerate(validated(list[TaskQuestion], read_records(path), file=path)):
        name = str(row.get("question_id", place))
        found = _row_problem(row, answers, types)
        if found:
            problems.append(f"question {name}: {found}")
        questions.append(
            Question(
                row["interval"],
                str(row["question"]),
                str(row["answer"]),
                row["answer_encode"],
                tuple(str(row["reasoning_type"]).split("$")),
                name,
            )
        )
    refuse(problems, path)
    _tell_other_answers(questions, known, path)
    return questions


def _tell_other_answers(
    questions: Sequence[Question], answers: Sequence[str], path: str | Path
) -> None:
    """Warns where an answer's text is not that of its line; the line counts, as officially.

    An answer that the list does not hold, letter by letter, is unknown, and that is well.
    """
    known = set(answers)
    other = [
        f"question {question.name}: {question.answer!r} against {answers[question.answer_index]!r}"
        for question in questions
        if answers[question.answer_index].strip().lower() != question.answer.strip().lower()
        and (question.answer_index not in UNKNOWN or question.answer in known)
    ]
    if other:
        warnings.warn(
            f"{path}: {len(other)} answers have another text than their line, first {other[0]}",
            stacklevel=4,
        )


@dataclass(frozen=True)
class QuestionSplit:
    """All questions of a split.

    Args:
        answers: A; a line's number is its answer's index.
        parts: questions of ``train``, ``val`` and ``test``.
    """

    answers: list[str]
    parts: dict[Part, list[Question]]


def read_split(data_root: str | Path, split: Split, answer_case: AnswerCase) -> QuestionSplit:
    """The questions of one split of a data root.

    Args:
        data_root: folder of the data sets.
        split: ``direct`` or ``indirect``.
        answer_case: ``lower`` looks answers that the set lacks up in lower case, too.

    Raises:
        EgolibError: see ``read_questions``.
    """
    root = Path(data_root) / ANNOTATIONS
    folder, types = root / split, read_reasoning_index(root)
    answers = read_answers(folder)
    parts = {part: read_questions(folder, part, types) for part in PARTS}
    if answer_case == "lower":
        parts = {part: _in_lower_case(found, answers) for part, found in parts.items()}
    return QuestionSplit(answers, parts)


def _in_lower_case(questions: Sequence[Question], answers: Sequence[str]) -> list[Question]:
    places = {answer: place for place, answer in enumerate(answers)}
    unknown = [q.answer_index in UNKNOWN and q.answer.lower() in places for q in questions]
    return [
        replace(q, answer_index=places[q.answer.lower()]) if again else q
        for q, again in zip(questions, unknown, strict=True)
    ]


def _row_problem(row: Row, answers: int, types: set[str]) -> str:
    """What is wrong with a row, or nothing."""
    index = row["answer_encode"]
    if type(index) is not int or not 0 <= index < answers:
        return f"answer_encode {json.dumps(index)} is none of the {answers} answers"
    if not str(row["question"]).strip():
        return "the question is empty"
    unknown = [name for name in str(row["reasoning_type"]).split("$") if name not in types]
    return f"unknown reasoning type {unknown[0]!r}; {nearest(unknown[0], types)}" if unknown else ""


def refuse(problems: Sequence[str], file: str | Path, shown: int = 10) -> None:
    """Raises an error that lists problems, if there are any.

    Args:
        problems: one line each.
        file: where they were found.
        shown: how many lines the error holds at most.
    """
    if problems:
        more = [f"and {len(problems) - shown} more"] if len(problems) > shown else []
        listed = "\n  ".join([*problems[:shown], *more])
        raise EgolibError(f"{len(problems)} records cannot be used:\n  {listed}", file=file)


def video_file(folder: str | Path, interval: str) -> Path:
    """The video of an interval."""
    return Path(folder) / f"{interval}.mp4"


def check_videos(questions: Iterable[Question], folder: str | Path) -> None:
    """Refuses questions whose interval has no video, with a list of these intervals.

    Raises:
        EgolibError: some are missing.
    """
    intervals = sorted({question.interval for question in questions})
    missing = [name for name in intervals if not video_file(folder, name).is_file()]
    refuse([f"no video of interval {name}" for name in missing], folder)


# --------------------------------------------------------------------------- sampling


def interval_frames(
    length: int, frames: int, draw: Draw | None = None, short: ShortVideos = "official"
) -> list[int]:
    """The frames that stand for an interval's video.

    Official behaviour: the random draw needs two frames for each one that is wanted; with
    fewer the training ends. The middle frames of a video shorter than ``frames`` are fewer.

    Args:
        length: frames of the video.
        frames: how many are wanted.
        draw: draws random frames; None takes middle ones.
        short: ``repeat`` gives ``frames`` numbers for every video that has a frame.

    Raises:
        EgolibError: no frame, or too few for the official draw.
    """
    if length < 1:
        raise EgolibError("the video has no frame")
    if short == "official":
        parts = whole_video(frames, length)
        return random_frames(parts, draw) if draw else middle_frames(parts)
    parts = intervals(frames, 0, length)
    if draw:
        return random_frames(parts, draw, "inclusive")
    return [max(frame, 0) for frame in middle_frames(parts)]
