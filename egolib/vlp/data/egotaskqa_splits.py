"""How the raw questions of EgoTaskQA become splits, parts and numbered answers. No torch.

Jia et al. (arXiv 2210.03929). The raw file ``qas.json`` holds the questions of both splits.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from egolib.io.records import read_records, write_json, write_text
from egolib.io.schema import validated
from egolib.vlp.data.egotaskqa import ANSWERS, PARTS, TYPES, Row, Split, part_file
from egolib.vlp.data.schema import RawQuestion

#: ``official`` looks answers of val and test up as written, ``lower`` in lower case.
AnswerCase = Literal["official", "lower"]

UNKNOWN = ("<UNK0>", "<UNK1>")
UNKNOWN_INDEX = 1
MOST_ANSWERS = 4000

#: How programs of questions about one action begin, which ``indirect`` trains on.
ACTION_PROGRAM = "query([hoi], iterate_until("

RAW_FIELDS = (
    "interval",
    "question",
    "answer",
    "type",
    "category",
    "semantic",
    "structural",
    "reference",
    "program",
)
WRITTEN_FIELDS = (
    "question_id",
    "video_id",
    "interval",
    "question",
    "answer",
    "answer_encode",
    "reasoning_type",
    "type",
    "category",
    "semantic",
)


@dataclass(frozen=True)
class Prepared:
    """One split, as its files hold it.

    Args:
        rows: the rows of each part, in order.
        answers: the answers; a row's ``answer_encode`` is a place in this list.
        types: all reasoning types, by first appearance.
    """

    rows: dict[str, list[Row]]
    answers: list[str]
    types: list[str]


def read_raw(path: str | Path) -> list[Row]:
    """The rows of ``qas.json``, all questions of both splits.

    Raises:
        EgolibError: the file is missing or malformed, or a row lacks a field.
    """
    rows: list[Row] = validated(list[RawQuestion], read_records(path), file=path)
    return rows


def prepare(
    rows: Sequence[Row], split: Split, seed: int = 0, answer_case: AnswerCase = "official"
) -> Prepared:
    """Divides raw questions into the parts of a split and numbers their answers.

    Official behaviour: no generator is seeded, so that the published files are one draw
    of many; and val and test answers with a capital letter count as unknown, which makes
    these questions wrong whatever is answered.

    Args:
        rows: all raw questions, in file order.
        split: which split is made.
        seed: of Python's generator, seeded anew for the split.
        answer_case: ``lower`` finds val and test answers in lower case too.
    """
    parts = divide(tag(rows), split, random.Random(seed))
    answers = answer_set(row["answer"] for row in parts["train"])
    index = {answer: place for place, answer in enumerate(answers)}
    encoded = {
        part: [_encoded(row, index, part == "train" or answer_case == "lower") for row in found]
        for part, found in parts.items()
    }
    types = [row["reasoning_type"].split("$") for part in PARTS for row in encoded[part]]
    return Prepared(
        encoded, answers, list(dict.fromkeys(name for names in types for name in names))
    )


def tag(rows: Sequence[Row]) -> list[Row]:
    """Rows with ``question_id`` (place), ``video_id`` (order of intervals), ``reasoning_type``."""
    videos: dict[str, int] = {}
    return [
        row
        | {
            "question_id": place,
            "video_id": videos.setdefault(row["interval"], len(videos)),
            "reasoning_type": "$".join(
                [*row["type"], *row["category"], *(row[k] for k in RAW_FIELDS[5:8])]
            ),
        }
        for place, row in enumerate(rows)
    ]


def divide(rows: Sequence[Row], split: Split, rng: random.Random) -> dict[str, list[Row]]:
    """The parts of a split: ``direct`` divides all questions 3 : 1 : 1 (train, test, val).

    ``indirect`` trains on all direct references, and on the indirect ones about single
    actions; the other indirect ones are divided evenly into test and val.

    Args:
        rows: questions with ``answer``, ``reference`` and ``program``.
        split: ``direct`` or ``indirect``.
        rng: shuffles and draws.
    """
    if split == "direct":
        return divide_by_answer(_shuffled(rows, rng), {"train": 3, "test": 1, "val": 1}, rng)
    train = [row for row in rows if row["reference"] == "direct"]
    indirect = _shuffled([row for row in rows if row["reference"] != "direct"], rng)
    train += [row for row in indirect if row["program"].startswith(ACTION_PROGRAM)]
    rest = [row for row in indirect if not row["program"].startswith(ACTION_PROGRAM)]
    return {"train": train, **divide_by_answer(rest, {"test": 1, "val": 1}, rng)}


def divide_by_answer(
    rows: Sequence[Row], ratios: Mapping[str, int], rng: random.Random
) -> dict[str, list[Row]]:
    """Divides the questions of each answer by given ratios.

    An answer with fewer questions than the ratios add up to gives each part equally many,
    or, with fewer questions than parts, one each to parts drawn at random. What rounding
    leaves over goes to the part that is last in reverse alphabetical order.

    Args:
        rows: questions, in the order in which their answers take turns.
        ratios: size of each part, in the order that parts are drawn in.
        rng: shuffles the questions of an answer, and draws parts.
    """
    parts: dict[str, list[Row]] = {name: [] for name in ratios}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["answer"], []).append(row)
    for group in groups.values():
        rng.shuffle(group)
        if len(group) < len(ratios):
            for name, row in zip(rng.sample(list(ratios), len(group)), group, strict=True):
                parts[name].append(row)
            continue
        even = len(group) < sum(ratios.values())
        _deal(group, dict.fromkeys(ratios, 1) if even else ratios, parts)
    return parts


def _deal(group: list[Row], ratios: Mapping[str, int], parts: dict[str, list[Row]]) -> None:
    start, total, names = 0, sum(ratios.values()), sorted(ratios, reverse=True)
    for name in names:
        end = len(group) if name == names[-1] else start + len(group) * ratios[name] // total
        parts[name] += group[start:end]
        start = end


def _shuffled(rows: Sequence[Row], rng: random.Random) -> list[Row]:
    shuffled = list(rows)
    rng.shuffle(shuffled)
    return shuffled


def answer_set(answers: Iterable[str]) -> list[str]:
    """The closed set: two unknowns, then training answers by frequency, in lower case.

    Equally frequent answers keep their order of appearance. Answers that differ in case
    only are one, at the place of the most frequent of them.

    >>> answer_set(["no", "Cup", "no", "yes", "cup"])
    ['<UNK0>', '<UNK1>', 'no', 'cup', 'yes']
    """
    counts = Counter(answers).most_common(MOST_ANSWERS)
    return list(dict.fromkeys([*UNKNOWN, *(answer.lower() for answer, _ in counts)]))


def _encoded(row: Row, index: Mapping[str, int], lower: bool) -> Row:
    answer = row["answer"].lower() if lower else row["answer"]
    encoded = row | {"answer_encode": index.get(answer, UNKNOWN_INDEX)}
    return {field: encoded[field] for field in WRITTEN_FIELDS}


def write_prepared(folder: str | Path, prepared: Prepared) -> None:
    """Writes the files of one split as the official scripts name them."""
    folder = Path(folder)
    for part, rows in prepared.rows.items():
        write_json(part_file(folder, part), rows)
    write_text(folder / ANSWERS, "".join(f"{answer}\n" for answer in prepared.answers))
    write_text(folder / TYPES, "".join(f"{name}\n" for name in prepared.types))
