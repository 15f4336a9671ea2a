"""Strict readers and atomic writers for records: JSON, JSON lines, XML.

Every reader names the file and the record that it could not read. Every writer
writes beside the target and renames, so that a reader never sees half a file.
Files whose name ends in ``.gz`` are compressed.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from egolib.errors import EgolibError, nearest

# ----------------------------------------------------------------------- writing


#: How the hidden folders begin that files are written in before they get their place.
TEMPORARY = ".tmp-"


NO_ROOM = 64 * 2**10  #: bytes of a disk on which nothing can be written


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block succeeds.

    The temporary file has the same name, so that libraries which choose a format by name
    work, in a hidden folder, so that nobody takes it for data. On failure (a full disk, an
    interrupt) nothing is left behind and an existing file stays as it was.

    Args:
        path: the file to write; its folder is made where it is missing.

    Raises:
        EgolibError: the disk is full, or the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{os.getpid()}-", dir=path.parent))
    except OSError as error:
        raise unwritable(path, error) from error
    temporary = folder / path.name
    try:
        temporary.touch()
        yield temporary
        temporary.chmod(0o644)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except Exception as error:
        if _is_full(path, error):
            raise unwritable(path, error) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_full(path: Path, error: Exception) -> bool:
    """Whether a disk was full. Libraries say so in their own words, or only fail: then what
    they wrote so far has left no room."""
    if isinstance(error, EgolibError):
        return False
    known = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    said = "No space left" in str(error)
    writes = isinstance(error, OSError | RuntimeError)
    return known or said or (writes and shutil.disk_usage(path.parent).free < NO_ROOM)


def unwritable(path: Path, error: Exception) -> EgolibError:
    """What to say of a file that could not be written, because the disk is full or otherwise.

    Args:
        path: the file.
        error: that writing it ended with.
    """
    if _is_full(_existing(path.parent) / path.name, error):
        free = shutil.disk_usage(_existing(path.parent)).free
        return EgolibError(
            f"the disk is full: {free / 2**20:.0f} MiB are free",
            file=path,
            remedy="free some space, or choose another folder (--runs-dir, --data-root)",
        )
    reason = getattr(error, "strerror", None) or error
    return EgolibError(
        f"this cannot be written: {reason}",
        file=path,
        remedy="choose a folder that you may write to (--runs-dir, --data-root, -o)",
    )


def make_folder(folder: str | Path) -> Path:
    """Makes a folder and those above it; returns it.

    Raises:
        EgolibError: it cannot be made, for instance in a read-only checkout.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(Path(folder), error) from error
    return Path(folder)


def check_target(out: str | Path) -> Path:
    """The path of a file that can be written, found out before anything is drawn.

    Raises:
        EgolibError: it is a folder, or lies in one that cannot be made or written.
    """
    out = Path(out)
    if out.is_dir():
        raise EgolibError("a file is to be written, this is a folder", file=out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise EgolibError(
            f"the file cannot be written: {error.strerror or error}",
            file=out,
            remedy="choose a folder that you may write to",
        ) from error
    return out


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)


def remove_temporaries(folder: Path) -> list[Path]:
    """Removes what processes that were killed left half written below a folder; returns it.

    Files of processes that still run on this machine stay.
    """
    removed = []
    for temporary in sorted(folder.rglob(f"{TEMPORARY}*")):
        pid = temporary.name.removeprefix(TEMPORARY).partition("-")[0]
        if not (pid.isdigit() and Path(f"/proc/{pid}").exists()):
            shutil.rmtree(temporary, ignore_errors=True)
            removed.append(temporary)
    return removed


def write_text(path: str | Path, text: str) -> Path:
    """Writes UTF-8 text atomically; returns the path."""
    data = text.encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(data, mtime=0) if _is_gzip(path) else data)
    return Path(path)


def write_json(path: str | Path, value: Any, indent: int | None = None) -> Path:
    """Writes one JSON value; NaN and infinity are refused (they are not JSON).

    Args:
        path: the file.
        value: plain values.
        indent: spaces a level; None for one line.
    """
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise EgolibError(f"the value is not JSON: {error}", file=path) from error
    return write_text(path, text)


def write_jsonl(path: str | Path, records: Iterable[Any]) -> Path:
    """Writes one JSON value a line, without a line break after the last one."""
    lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records]
    return write_text(path, "\n".join(lines))


# ----------------------------------------------------------------------- reading


def read_text(path: str | Path) -> str:
    """UTF-8 text of a file.

    Raises:
        EgolibError: the file is missing, is a folder, is truncated or not UTF-8.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if _is_gzip(path) else data).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise EgolibError("the file does not exist", file=path, remedy=_siblings(path)) from error
    except IsADirectoryError as error:
        raise EgolibError("a file was expected, this is a folder", file=path) from error
    except UnicodeDecodeError as error:
        raise EgolibError(f"not UTF-8 text ({error.reason})", file=path) from error
    except (gzip.BadGzipFile, zlib.error, EOFError, OSError) as error:
        raise EgolibError(f"cannot be read: {error}", file=path) from error


def file_sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def suffix_of(path: str | Path) -> str:
    """The suffix of a file's name that says what it holds: ``.json`` of ``a.json.gz``."""
    return Path(str(path).removesuffix(".gz")).suffix


def read_json(path: str | Path, expect: type | None = None) -> Any:
    """One JSON value. The lines of a ``.jsonl`` are the entries of a list, or the parts of an
    object, as ``expect`` says.

    Args:
        path: the file.
        expect: ``dict`` or ``list``, where the caller needs that.

    Raises:
        EgolibError: malformed JSON (line and column named), a key that stands twice in one
            object, or another type.
    """
    if suffix_of(path) == ".jsonl":
        return _together(read_jsonl(path), expect, path)
    try:
        value = json.loads(read_text(path), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise EgolibError(
            f"malformed JSON at line {error.lineno}, column {error.colno}: {error.msg}",
            file=path,
            remedy="the file may be truncated: copy it again and compare its size",
        ) from error
    except (RecursionError, ValueError) as error:  # nested without end, or an endless number
        raise EgolibError(f"no usable JSON: {error}", file=path) from error
    if expect is not None and not isinstance(value, expect):
        raise EgolibError(f"expected a {expect.__name__}, found {type(value).__name__}", file=path)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, each of whose keys must stand once."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _together(lines: list[Any], expect: type | None, path: str | Path) -> Any:
    """The lines of a file as one value."""
    if expect is not dict:
        return lines
    found: dict[str, Any] = {}
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, dict):
            kind = type(line).__name__
            raise EgolibError(f"expected a dict, found {kind}", file=path, record=f"line {number}")
        if twice := found.keys() & line.keys():
            what = f"the key {min(twice)!r} stands in an earlier line"
            raise EgolibError(what, file=path, record=f"line {number}")
        found |= line
    return found


def read_jsonl(path: str | Path) -> list[Any]:
    """One JSON value a line; blank lines are skipped. Errors name the line (from 1)."""
    records = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line, object_pairs_hook=_object))
        except json.JSONDecodeError as error:
            raise EgolibError(
                f"malformed JSON at column {error.colno}: {error.msg}",
                file=path,
                record=f"line {number}",
                remedy="mend or remove that line",
            ) from error
        except (RecursionError, ValueError) as error:
            raise EgolibError(
                f"no usable JSON: {error}", file=path, record=f"line {number}"
            ) from error
    return records


def read_records(path: str | Path) -> list[Any]:
    """The records of a JSON list, or of a JSON-lines file (``.jsonl``, also with ``.gz``).

    Raises:
        EgolibError: malformed, or no list.
    """
    records: list[Any] = read_json(path, list)
    return records


def read_xml(path: str | Path) -> ElementTree.Element:
    """The root element of an XML file."""
    try:
        return ElementTree.fromstring(read_text(path))
    except ElementTree.ParseError as error:
        raise EgolibError(f"malformed XML: {error}", file=path) from error


def require(
    record: Mapping[str, Any], keys: Iterable[str], *, file: str | Path, name: object
) -> None:
    """Checks that a record has the keys; the error names file, record and nearest key.

    Args:
        record: a mapping that was read.
        keys: what it must hold.
        file: where it was read, for the error.
        name: of the record, for the error.
    """
    for key in keys:
        if key not in record:
            raise EgolibError(
                f"field {key!r} is missing", file=file, record=name, remedy=nearest(key, record)
            )


# ----------------------------------------------------------------------- skipping


@dataclass
class Skipped:
    """Records that a step passed over, with reasons: counted, listed, never silent."""

    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, record: object, reason: object) -> None:
        """Notes one record; a later reason for the same record is ignored."""
        self.reasons.setdefault(str(record), str(reason).split("\n")[0])

    def __len__(self) -> int:
        return len(self.reasons)

    def summary(self, limit: int = 10) -> str:
        """A count, then at most ``limit`` lines."""
        if not self.reasons:
            return "nothing was skipped"
        lines = [f"{len(self)} skipped"]
        lines += [f"  {record}: {why}" for record, why in list(self.reasons.items())[:limit]]
        if len(self) > limit:
            lines.append(f"  and {len(self) - limit} more")
        return "\n".join(lines)


def first_of(lines: list[str], limit: int = 20) -> list[str]:
    """The first lines of a list, and how many more there are."""
    more = len(lines) - limit
    return lines if more <= 0 else [*lines[:limit], f"and {more} more"]


# ----------------------------------------------------------------------- details


def _is_gzip(path: str | Path) -> bool:
    return str(path).endswith(".gz")


def _siblings(path: Path) -> str:
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist either"
    names = [entry.name for entry in path.parent.iterdir()]
    return f"in that folder: {nearest(path.name, names)}" if names else "that folder is empty"
