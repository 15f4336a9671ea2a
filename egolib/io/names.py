"""Names from files that become names of files: checked here, in one place."""

from __future__ import annotations

from pathlib import Path

from egolib.errors import EgolibError

_LONGEST = 200  # bytes; file systems take 255, and suffixes are added


def file_name(name: str, *, file: str | Path | None = None, record: object = None) -> str:
    """The name itself, where it is safe as the name of one file in a folder.

    >>> file_name("2b7d9a2e-11f0")
    '2b7d9a2e-11f0'

    Args:
        name: a uid that some file states.
        file: that file, for messages.
        record: where it stands in that file; the name itself if None.

    Raises:
        EgolibError: it is empty or too long, starts with a dot, or holds a separator or a
            control character, so that it could name a file elsewhere.
    """
    whole = isinstance(name, str) and name.isprintable() and not {"/", "\\"} & set(name)
    if not whole or not name.strip() or name.startswith(".") or len(name.encode()) > _LONGEST:
        raise EgolibError(
            "the name cannot be the name of a file",
            file=file,
            record=repr(name)[:80] if record is None else f"{record} {name!r}"[:120],
            remedy="names have no separators, control characters or leading dots",
        )
    return name


def relative_path(name: str, *, file: str | Path | None = None, record: object = None) -> str:
    """A name that stands for a file below a folder, with ``/`` between its parts.

    >>> relative_path("train/a/000001")
    'train/a/000001'

    Args:
        name: a path that some file states.
        file: that file, for messages.
        record: where it stands in that file; the name itself if None.

    Raises:
        EgolibError: a part is not safe as the name of a file (see ``file_name``); ``..`` and
            absolute paths have such parts.
    """
    for part in name.split("/") if isinstance(name, str) else [name]:
        file_name(part, file=file, record=record)
    return name
