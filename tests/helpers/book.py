"""The pages of a built book."""

from __future__ import annotations

from pathlib import Path


def pages(html: Path) -> list[str]:
    """The book's own pages below the folder of its HTML, in order."""
    return sorted(str(p.relative_to(html)) for p in (html / "book").rglob("*.html"))
