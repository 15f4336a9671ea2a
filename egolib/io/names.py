"""Names from files that become names of files: checked here, in one place."""

from __future__ import annotations

from pathlib import Path

from egolib.errors import EgolibError

_LONGEST = 200  # bytes; file systems take 255, and suffixes are added


def file_name(name: str, *, file: str | Path | None = None) -> str:
    """The name itself, where it is safe as the name of one file in a folder.

    >>> file_name("2b7d9a2e-11f0")
    '2b7d9a2e-11f0'

    Args:
        name: a uid that some file states.
        file: that file, for messages.

    Raises:
        EgolibError: it is empty or too long, starts with a dot, or holds a separator or a
            control character, so that it could name a file elsewhere.
    """
    whole = isinstance(name, str) and name.isprintable() and not {"/", "\\"} & set(name)
    if not whole or not name.strip() or name.startswith(".") or len(name.encode()) > _LONGEST:
        raise EgolibError(
            "the name cannot be the name of a file",
            file=file,
            record=repr(name)[:80],
            remedy="names have no separators, control characters or leading dots",
        )
    return name
