"""CSV and TSV tables of other people: every row is kept, or it is listed.

A row is a line. A quote means something only where it closes: a text that begins with a
quote and does not end with one would otherwise swallow the lines that follow.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.errors import EgolibError, nearest
from egolib.io.records import Skipped, read_text

if TYPE_CHECKING:
    import pandas as pd

LONGEST_SEC = 1e7  # four months; no video is longer
csv.field_size_limit(1 << 24)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def read_table(
    path: str | Path,
    columns: Sequence[str] | None = None,
    *,
    separator: str = ",",
    skip_malformed: bool = False,
    **options: Any,
) -> pd.DataFrame:
    """A CSV or TSV table.

    Args:
        path: the file; a byte order mark and any line ends are accepted.
        columns: the columns that must be there; only these are returned, in this order.
        separator: one character.
        skip_malformed: leave out lines with other numbers of fields than the header, as the
            official EgoClip reader does for longer ones; ``table.attrs["malformed"]`` says how
            many, ``table.attrs["skipped"]`` which.
        options: passed on to ``pandas.read_csv``.

    Raises:
        EgolibError: the file is missing or malformed, or lacks a column.
    """
    import pandas as pd

    path = Path(path)
    lines = _Lines(read_text(path), separator, path)
    skipped = lines.skipped
    if skipped and not skip_malformed:
        record, why = next(iter(skipped.reasons.items()))
        raise EgolibError(f"malformed table: {why}", file=path, record=record)
    for column in columns or ():
        if column not in lines.header:
            raise EgolibError(
                f"column {column!r} is missing", file=path, remedy=nearest(column, lines.header)
            )
    kept = {"usecols": list(columns)} if columns else {}
    try:
        table = pd.read_csv(io.StringIO(lines.text), sep=separator, **kept, **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OverflowError) as error:
        raise EgolibError(f"malformed table: {error}", file=path) from error
    if not len(table):
        raise EgolibError("the table has no rows", file=path)
    table = table[list(columns)] if columns else table
    table.attrs |= {"malformed": len(skipped), "skipped": dict(skipped.reasons)}
    table.attrs["lines"] = lines.numbers
    return table


def line_of(table: pd.DataFrame, row: int) -> str:
    """What errors call a row: ``line 7``, as an editor counts."""
    numbers = table.attrs["lines"]
    return f"line {row + 2 if numbers is None else numbers[row]}"


def require_numbers(
    table: pd.DataFrame,
    column: str,
    file: str | Path,
    *,
    low: float = -np.inf,
    whole: bool = False,
) -> np.ndarray:
    """A column as finite numbers: (n,) float64, or int64 where whole ones are wanted.

    Args:
        table: from ``read_table``, the column read as text or numbers.
        column: its name.
        file: for messages.
        low: the smallest number that is allowed.
        whole: refuse fractions.

    Raises:
        EgolibError: the first cell that does not fit, by its line.
    """
    values = _as_numbers(table[column])
    bad = ~np.isfinite(values) | (values < low) | (np.abs(values) > 2**53)
    bad |= (values != np.floor(values)) if whole else False
    if table[column].dtype == bool:
        bad = np.ones(len(values), bool)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        kind = "whole number" if whole else "number"
        least = f", at least {low:g}" if np.isfinite(low) else ""
        raise EgolibError(
            f"a {kind}{least} is wanted, found {str(table[column].iloc[row])[:60]!r}",
            file=file,
            record=f"{line_of(table, row)}, {column}",
        )
    numbers: np.ndarray = values.astype(np.int64) if whole else values
    return numbers


def _as_numbers(column: pd.Series[Any]) -> np.ndarray:
    """(n,) float64; NaN for what is no number, or one beyond all floats."""
    import pandas as pd

    try:
        return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(np.float64))
    except OverflowError:  # a whole number beyond all floats
        return np.array([_as_number(cell) for cell in column], np.float64)


def _as_number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def require_texts(table: pd.DataFrame, column: str, file: str | Path) -> list[str]:
    """A column of texts, none of them empty.

    Args:
        table: from ``read_table``, the column read as text.
        column: its name.
        file: for messages.

    Raises:
        EgolibError: the first empty cell, by its line.
    """
    values = [value if isinstance(value, str) else "" for value in table[column]]
    for row, value in enumerate(values):
        if not value.strip():
            raise EgolibError(
                "the cell is empty", file=file, record=f"{line_of(table, row)}, {column}"
            )
    return values


def usable_rows(
    table: pd.DataFrame,
    times: Sequence[str],
    skipped: Skipped,
    identity: str = "video_uid",
    text: str = "clip_text",
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns of times, and which rows have them, an identity and a text; the others are listed.

    Rows whose times no video has, or whose ``clip_end`` lies before ``clip_start``, are left out
    as well.

    Args:
        table: from ``read_table``.
        times: names of columns.
        skipped: gets the lines that are left out.
        identity: the column that says what a row belongs to.
        text: the column of what is said.

    Returns:
        The columns as (n,) float64, and (n,) bool.
    """
    columns = {name: _as_numbers(table[name]) for name in times}
    named = _filled(table[identity])
    good = named.copy()
    for values in columns.values():
        good &= np.isfinite(values)
    told = _filled(table[text])
    good &= told
    possible = np.ones(len(table), bool)
    with np.errstate(invalid="ignore"):
        for values in columns.values():
            possible &= np.abs(values) <= LONGEST_SEC
        if {"clip_start", "clip_end"} <= set(columns):
            possible &= columns["clip_end"] >= columns["clip_start"]
    for row in np.flatnonzero(~(good & possible)):
        missing = [name for name in times if not np.isfinite(columns[name][row])]
        if not named[row]:
            what = f"no {identity}"
        elif missing:
            what = f"{missing[0]} is no number"
        elif not told[row]:
            what = "no text"
        else:
            shown = ", ".join(f"{name} {columns[name][row]:g}" for name in times)
            what = f"impossible times: {shown}"
        skipped.add(line_of(table, int(row)), what)
    return columns, good & possible


def _filled(column: pd.Series[Any]) -> np.ndarray:
    """(n,) bool, true where a cell holds more than white space."""
    import pandas as pd

    codes, names = pd.factorize(column)
    blank = np.array([not str(name).strip() for name in names] + [True], bool)
    return np.asarray(~blank[codes])  # an empty cell has the code -1


@dataclass
class _Lines:
    """The lines of a table, in a form that every reader of CSV understands alike.

    Args:
        text: of the file; afterwards only whole rows.
        separator: one character.
        file: for messages.
        header: names of the columns.
        skipped: lines that are no rows.
        numbers: the line of each row, from 1; None where they follow on the header's.
    """

    text: str
    separator: str
    file: Path
    header: list[str] = field(default_factory=list)
    skipped: Skipped = field(default_factory=Skipped)
    numbers: np.ndarray | None = None

    def __post_init__(self) -> None:
        if "\0" in self.text:
            number = self.text[: self.text.index("\0")].count("\n") + 1
            raise EgolibError("a NUL byte, so no text", file=self.file, record=f"line {number}")
        self.text = self.text.replace("\r\n", "\n")
        if "\n" not in self.text:
            self.text = self.text.replace("\r", "\n")
        try:
            self.header = next(iter(self._fields([self.text.partition("\n")[0]])), [])
        except csv.Error as error:
            raise EgolibError(
                f"malformed table: {error}", file=self.file, record="line 1"
            ) from None
        if not any(self.header):
            raise EgolibError("malformed table: no header", file=self.file)
        twice = [name for name in self.header if self.header.count(name) > 1]
        if twice:
            raise EgolibError(f"column {twice[0]!r} stands twice", file=self.file, record="line 1")
        if not self._is_plain():
            self._mend()

    def _fields(self, lines: Iterable[str]) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self.separator, strict=True)

    def _is_plain(self) -> bool:
        """Whether every line is a row as it stands."""
        lines = 0
        try:
            for row in self._fields(io.StringIO(self.text, newline="")):
                lines += 1
                if len(row) != len(self.header):
                    return False
        except csv.Error:
            return False
        return lines == self.text.rstrip("\n").count("\n") + 1

    def _mend(self) -> None:
        """Keeps the rows, their quotes written so that they close; lists the other lines."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.separator, lineterminator="\n")
        writer.writerow(self.header)
        numbers = []
        for number, line in enumerate(self.text.split("\n")[1:], start=2):
            if not line:
                continue
            cells = _cells(line, self.separator, len(self.header))
            if len(cells) == len(self.header):
                writer.writerow(cells)
                numbers.append(number)
            else:
                fields = f"{len(cells)} fields, the header has {len(self.header)}"
                self.skipped.add(f"line {number}", fields)
        self.text, self.numbers = out.getvalue(), np.array(numbers, np.int64)


def _cells(line: str, separator: str, wanted: int) -> list[str]:
    """The cells of a line; a quote that does not close is a character."""
    try:
        found = next(csv.reader([line], delimiter=separator, strict=True), [])
        if len(found) == wanted:
            return found
    except csv.Error:
        pass
    parts = line.split(separator)
    if len(parts) != wanted:
        parts = _joined(parts, separator)
    return [_unquoted(part) for part in parts]


def _joined(parts: list[str], separator: str) -> list[str]:
    """Pieces of quoted cells that hold the separator, put together where the quote closes."""
    cells, place = [], 0
    while place < len(parts):
        end = place + 1
        if parts[place].startswith('"'):
            ends = range(place + 1, len(parts) + 1)
            closed = (e for e in ends if _QUOTED.fullmatch(separator.join(parts[place:e])))
            end = next(closed, end)
        cells.append(separator.join(parts[place:end]))
        place = end
    return cells


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if _QUOTED.fullmatch(cell) else cell
