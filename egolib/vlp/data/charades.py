"""Charades-Ego: classes, clips with actions, and the derived metadata tables.

Sigurdsson et al. (arXiv 1804.09626).
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from egolib.errors import EgolibError
from egolib.io.names import file_name
from egolib.io.records import read_text, write_text
from egolib.io.schema import require_unique
from egolib.io.tables import line_of, read_table, require_numbers, require_texts

FOLDER = Path("CharadesEgo/CharadesEgo")
VIDEOS = Path("CharadesEgo/CharadesEgo_v1_480")

#: ``official`` keeps what stands before the first comma of a class's line.
ClassText = Literal["official", "whole"]


@dataclass(frozen=True)
class Action:
    """A labelled stretch of a video."""

    video: str
    cls: int
    start_sec: float
    end_sec: float
    text: str


@dataclass(frozen=True)
class CharadesVideo:
    """A video and the classes of all its actions."""

    video: str
    classes: tuple[int, ...]


def read_classes(path: str | Path, text: ClassText = "official") -> list[str]:
    """Texts of the classes of ``Charades_v1_classes.txt``, without their code.

    Official behaviour: a class's text ends at its first comma.

    Raises:
        EgolibError: a line that does not begin with its number.
    """
    classes = []
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if not line.startswith(f"c{number:03d} "):
            raise EgolibError(f"expected class c{number:03d}", file=path, record=line)
        line = line.split(",")[0] if text == "official" else line
        if not line[5:].strip():
            raise EgolibError("a class without a text", file=path, record=line)
        classes.append(line[5:])
    if not classes:
        raise EgolibError("no class", file=path)
    return classes


def read_actions(path: str | Path) -> list[tuple[str, list[tuple[int, float, float]]]]:
    """Each video of a ``CharadesEgo_v1_*_only1st.csv`` with (class, start, end) of its actions.

    Raises:
        EgolibError: a missing column or a malformed action.
    """
    table = read_table(path, ("id", "actions"), dtype=str, keep_default_na=False)
    names = require_texts(table, "id", path)
    for row, name in enumerate(names):
        file_name(name, file=path, record=f"{line_of(table, row)}, id")
    require_unique(names, "video", file=path)
    return [
        (name, [_action(path, name, text) for text in actions.split(";") if text])
        for name, actions in zip(names, table["actions"], strict=True)
    ]


def _action(path: str | Path, name: str, text: str) -> tuple[int, float, float]:
    try:
        code, start, end = text.split(" ")
        if not re.fullmatch(r"c\d{3}", code, re.ASCII):
            raise ValueError(code)
        times = float(start), float(end)
        if not all(math.isfinite(time) and time >= 0 for time in times):
            raise ValueError(text)
        return int(code[1:]), *times
    except ValueError as error:
        raise EgolibError(f"{text!r} is no action", file=path, record=name) from error


def action_table(videos: str | Path, classes: str | Path, text: ClassText = "official") -> str:
    """The ``metadata_*.csv`` of a table of videos: one tab-separated line an action.

    Official behaviour: nothing is quoted; a quote or line break in a class's text
    would be preceded by a currency sign (no class has one).

    Args:
        videos: ``CharadesEgo_v1_*_only1st.csv``, see ``read_actions``.
        classes: ``Charades_v1_classes.txt``, see ``read_classes``.
        text: ``official`` cuts a class's text at its first comma, ``whole`` keeps all of it.
    """
    texts = read_classes(classes, text)
    lines = ["id\tcls\tt_start\tt_end\tnarration"]
    for name, actions in read_actions(videos):
        for cls, start, end in actions:
            lines.append(f"{name}\t{cls}\t{start}\t{end}\t{_escaped(texts[cls])}")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    for character in '"\n\r\t':
        text = text.replace(character, "¤" + character)
    return text


def write_action_table(
    videos: str | Path, classes: str | Path, out: str | Path, text: ClassText = "official"
) -> Path:
    """Writes ``action_table`` to a file.

    Args:
        videos: ``CharadesEgo_v1_*_only1st.csv``.
        classes: ``Charades_v1_classes.txt``.
        out: file that is written, and returned.
        text: see ``action_table``.
    """
    return write_text(out, action_table(videos, classes, text))


def read_action_table(path: str | Path) -> list[Action]:
    """The actions of a ``metadata_*.csv``.

    Raises:
        EgolibError: the file or a column is missing.
    """
    columns = ("id", "cls", "t_start", "t_end", "narration")
    table = read_table(path, columns, separator="\t", dtype=str, keep_default_na=False)
    names, texts = (require_texts(table, name, path) for name in ("id", "narration"))
    classes = require_numbers(table, "cls", path, low=0, whole=True).tolist()
    starts, ends = (
        require_numbers(table, name, path, low=0).tolist() for name in ("t_start", "t_end")
    )
    actions = [Action(*row) for row in zip(names, classes, starts, ends, texts, strict=True)]
    seen: set[Action] = set()
    odd: dict[str, list[int]] = {"end before they start": [], "stand there already": []}
    for row, action in enumerate(actions):
        if action.end_sec < action.start_sec:
            odd["end before they start"].append(row)
        if action in seen:
            odd["stand there already"].append(row)
        seen.add(action)
    for what, rows in odd.items():
        if rows:
            first = line_of(table, rows[0])
            warnings.warn(f"{path}: {len(rows)} actions {what}, first {first}", stacklevel=2)
    return actions


def read_videos(path: str | Path) -> list[CharadesVideo]:
    """All videos of a table with the classes that occur in them; some have none."""
    return [
        CharadesVideo(name, tuple(sorted({cls for cls, _, _ in actions})))
        for name, actions in read_actions(path)
    ]


def targets(videos: list[CharadesVideo], classes: int) -> np.ndarray:
    """(videos, classes) uint8, 1 where a class occurs in a video."""
    matrix = np.zeros((len(videos), classes), np.uint8)
    for row, video in enumerate(videos):
        matrix[row, list(video.classes)] = 1
    return matrix
