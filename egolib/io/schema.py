"""Foreign records against declared schemas: types, finiteness, ranges, in one place.

A schema is a ``TypedDict`` of plain and annotated types, checked by pydantic; unknown fields
are left alone. What does not fit is an error that names the file, the record by its path
(``annotations[3].bbox``), what was found and what is wanted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import (
    AfterValidator,
    ConfigDict,
    Strict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.types import AllowInfNan

from egolib.errors import EgolibError
from egolib.io.records import read_jsonl, read_text

#: Unknown fields stay; numbers are not read from text.
OPEN = ConfigDict(extra="allow", strict=True)

Finite = Annotated[float, AllowInfNan(False)]
Time = Annotated[float, AllowInfNan(False), Ge(0)]
Count = Annotated[int, Strict(), Ge(0), Lt(2**31)]
Positive = Annotated[int, Strict(), Gt(0), Lt(2**31)]
#: Whole numbers that fit into 64 bits.
Whole = Annotated[int, Strict(), Ge(-(2**63)), Lt(2**63)]
#: More than white space.
Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]
#: A text that names something: no control characters, which no name of a file has.
Uid = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s][^\x00-\x1f\x7f]*$"),
]
#: Seconds of a video; four months are more than any has.
Seconds = Annotated[float, AllowInfNan(False), Ge(-1e7), Le(1e7)]
#: A place in a picture.
Pixels = Annotated[float, AllowInfNan(False), Ge(-1e6), Le(1e6)]
#: Width or height of a box.
Side = Annotated[float, AllowInfNan(False), Ge(0), Le(1e6)]
#: Four corners.
Box = Annotated[list[Pixels], Len(4, 4)]


def _sized(box: list[float]) -> list[float]:
    if box[2] < 0 or box[3] < 0:
        raise ValueError("x, y, width and height are wanted, the last two not negative")
    return box


#: x, y, width and height.
SizedBox = Annotated[Box, AfterValidator(_sized)]


def validated(schema: Any, value: Any, *, file: str | Path | None = None, path: str = "") -> Any:
    """A value that follows a schema.

    Args:
        schema: a TypedDict, or a list of them.
        value: what was read.
        file: where from.
        path: of the value inside the file, put before that of the field.

    Raises:
        EgolibError: it does not; the first field that does not fit is named.
    """
    try:
        return _adapter(schema).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _refusal(error, file, _path(path, first["loc"])) from None


def read_lines(schema: Any, path: str | Path) -> list[Any]:
    """The records of a JSON-lines file, as they are written, each of which follows a schema.

    Args:
        schema: a TypedDict.
        path: the file.

    Raises:
        EgolibError: a line does not follow it; line and field are named.
    """
    records = read_jsonl(path)
    if not records:
        raise EgolibError("the file holds no record", file=path)
    try:
        _adapter(list[schema]).validate_python(records)
    except ValidationError as error:
        number, *inside = error.errors(include_url=False)[0]["loc"]
        lines = [n for n, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
        raise _refusal(error, path, _path(f"line {lines[int(number)]}", tuple(inside))) from None
    return records


def require_unique(values: Sequence[Any], what: str, *, file: str | Path | None = None) -> None:
    """Raises EgolibError where a value stands twice.

    Args:
        values: hashable identities.
        what: what they identify, in the message.
        file: where they are from.
    """
    seen: set[Any] = set()
    for place, value in enumerate(values):
        if value in seen:
            raise EgolibError(f"{what} {value!r} stands twice", file=file, record=f"number {place}")
        seen.add(value)


def require_known(
    values: Iterable[Any], known: Iterable[Any], path: str, *, file: str | Path | None = None
) -> None:
    """Raises EgolibError where a value refers to something that is not there.

    Args:
        values: references, in file order.
        known: identities that exist.
        path: of a reference, with ``[]`` for its number: ``annotations[].image_id``.
        file: where they are from.
    """
    there = set(known)
    for place, value in enumerate(values):
        if value not in there:
            raise EgolibError(
                f"{value!r} is not among the {len(there)} that the file declares",
                file=file,
                record=path.replace("[]", f"[{place}]"),
            )


def require_interval(
    start: float, end: float, record: str, *, file: str | Path | None = None
) -> tuple[float, float]:
    """Start and end of a stretch of time, in that order.

    Args:
        start: in any unit.
        end: in the same.
        record: that they belong to, for the message.
        file: where they are from.

    Raises:
        EgolibError: the end is not after the start.
    """
    if not end > start:
        raise EgolibError(
            f"it ends at {end:g}, not after its start at {start:g}",
            file=file,
            record=record,
            remedy="mend its times",
        )
    return float(start), float(end)


def _refusal(error: ValidationError, file: str | Path | None, record: str) -> EgolibError:
    first = error.errors(include_url=False)[0]
    return EgolibError(
        f"{_wanted(first)}, found {_found(first)}",
        file=file,
        record=record or "top level",
        remedy=_remedy(error.error_count()),
    )


def is_finite(value: float) -> bool:
    """Whether a number is no NaN, no infinity, and no whole number beyond all floats."""
    return -sys.float_info.max <= value <= sys.float_info.max


@cache
def _adapter(schema: Any) -> TypeAdapter[Any]:
    return TypeAdapter(schema)


def _path(before: str, location: tuple[int | str, ...]) -> str:
    """``("annotations", 3, "bbox")`` as ``annotations[3].bbox``."""
    text = before
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _wanted(error: Any) -> str:
    if error["type"] == "missing":
        return "the field is missing"
    if error["type"] == "finite_number":
        return "a finite number is wanted (no NaN, no infinity)"
    return str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "wanted:")


def _found(error: Any) -> str:
    if error["type"] == "missing":
        return "other fields"
    text = repr(error["input"])
    return text if len(text) <= 60 else f"{text[:57]}..."


def _remedy(count: int) -> str:
    return "mend the record" if count == 1 else f"mend the record; {count - 1} more do not fit"
