"""Where real data and weights come from: the rows of ``book/data_and_weights.md``, by task."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from egolib.config import project_root
from egolib.errors import EgolibError
from egolib.io.records import read_text

if TYPE_CHECKING:
    import pandas as pd

PAGE = "book/data_and_weights.md"


def sources(task: str) -> pd.DataFrame:
    """The data sets and weights that a task reads, as the book's page lists them.

    Args:
        task: a row belongs to it when its last column names it.
    """
    import pandas as pd

    columns = ["what", "how to get it", "where it goes, or what it becomes"]
    rows = [
        [cells[0], cells[1], cells[-2] if len(cells) > 3 else cells[-1]]
        for cells in table_rows(read_text(project_root() / PAGE))
        if re.search(rf"\b{task}\b", cells[-1])
    ]
    if not rows:
        raise EgolibError(f"no row names {task!r}", file=project_root() / PAGE)
    return pd.DataFrame(rows, columns=columns).set_index("what")


def table_rows(text: str) -> list[list[str]]:
    """The cells of all table rows of a Markdown text, headings and rules left out."""
    lines = text.splitlines()
    rules = {i for i, line in enumerate(lines) if re.fullmatch(r"\|[-| :]+\|", line.strip())}
    return [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for i, line in enumerate(lines)
        if line.startswith("|") and i not in rules and i + 1 not in rules
    ]
