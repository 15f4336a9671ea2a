"""The one exception that users see: what was wrong, where, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class EgolibError(Exception):
    """A problem with an input or a setting that the user can mend.

    Args:
        what: what was wrong, in one sentence.
        file: the file that it was found in.
        record: the record inside the file (a line number, a uid, a key).
        remedy: what to do next.
    """

    def __init__(
        self,
        what: str,
        *,
        file: str | Path | None = None,
        record: object = None,
        remedy: str | None = None,
    ):
        self.what, self.file, self.record, self.remedy = what, file, record, remedy
        place = ", ".join(
            part
            for part in (
                str(file) if file is not None else "",
                f"record {record}" if record is not None else "",
            )
            if part
        )
        text = f"{place}: {what}" if place else what
        super().__init__(f"{text}\n  remedy: {remedy}" if remedy else text)


def nearest(name: str, known: Iterable[str]) -> str:
    """A half sentence that points from an unknown name to the closest known ones.

    >>> nearest("epoch", ["epochs", "seed"])
    'did you mean epochs?'
    """
    known = sorted({str(k) for k in known})
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f", … ({len(known)})" if len(known) > 12 else ""
    return f"known: {', '.join(known[:12])}{more}"


class UsageError(EgolibError):
    """The command or call itself was wrong, not the data: the command line ends with 2."""
