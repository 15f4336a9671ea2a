"""Where real data and weights come from: ``sources.yaml`` beside this module.

The tables of ``book/data_and_weights.md`` are made of it (``markdown``), those of the
notebooks ``1_data`` (``sources``), and what ``egolib run ... --dry-run`` says about files that
are absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from egolib import config as configs
from egolib.errors import EgolibError

if TYPE_CHECKING:
    import pandas as pd

FILE = Path(__file__).with_name("sources.yaml")


@dataclass(frozen=True)
class Listed:
    """Files that other files list, for instance videos in annotations.

    Args:
        files: patterns of the files that list them, below the data root.
        key: under which key (JSON) or in which column (CSV) their names stand.
        path: pattern of each one's place, ``{}`` for its name.
    """

    files: tuple[str, ...]
    key: str
    path: str


@dataclass(frozen=True)
class Source:
    """One data set or file of weights.

    Args:
        name: what it is.
        get: how it is got, or where it lies.
        tasks: which tasks read it.
        place: where a data set goes.
        becomes: what weights are for.
        size: of a data set, and its licence.
        read_by: in words, what reads a data set.
        files: patterns below the data root, by task or for all (key ``all``); of weights,
            patterns of the files' names.
        variants: by task, a regular expression of the variants that need it.
        listed: files of it that other files list.
        optional: whether nothing needs it.
    """

    name: str
    get: str
    tasks: tuple[str, ...] = ()
    place: str = ""
    becomes: str = ""
    size: str = ""
    read_by: str = ""
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    variants: dict[str, str] = field(default_factory=dict)
    listed: Listed | None = None
    optional: bool = False

    def is_needed(self, task: str, variant: str) -> bool:
        """Whether a variant of a task cannot run on real data without it."""
        pattern = self.variants.get(task, "")
        return task in self.tasks and not self.optional and bool(re.search(pattern, variant))

    def patterns(self, task: str) -> tuple[str, ...]:
        """Patterns of its files that a task reads."""
        return self.files.get(task, self.files.get("all", ()))


@cache
def data_sets() -> tuple[Source, ...]:
    """All data sets, in the order of the page."""
    return _read("data")


@cache
def weights() -> tuple[Source, ...]:
    """All published weights, in the order of the page."""
    return _read("weights")


def weights_named(file: str) -> Source | None:
    """The published weights that a file's name belongs to; None for none."""
    name = Path(file).name
    fitting = (s for s in weights() if any(fnmatch(name, p) for p in s.patterns("all")))
    return next(fitting, None)


def sources(task: str) -> pd.DataFrame:
    """The data sets and weights that a task reads, for its notebook ``1_data``.

    Raises:
        EgolibError: another task.
    """
    import pandas as pd

    columns = ["what", "how to get it", "where it goes, or what it becomes"]
    rows = [
        [source.name, source.get, source.place or source.becomes]
        for source in (*data_sets(), *weights())
        if task in source.tasks
    ]
    if not rows:
        raise EgolibError(f"no source names {task!r}", file=FILE)
    return pd.DataFrame(rows, columns=columns).set_index("what")


def markdown() -> tuple[str, str]:
    """The tables of the data page: data sets, weights."""
    heads = (
        ["data", "owner's way to get it", "size, licence", "where it goes", "read by"],
        ["weight", "address", "becomes"],
    )
    rows = (
        [[s.name, s.get, s.size, s.place, s.read_by] for s in data_sets()],
        [[s.name, s.get, s.becomes] for s in weights()],
    )
    return _table(heads[0], rows[0]), _table(heads[1], rows[1])


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells).replace("  ", " ") + " |" for cells in lines)


def _read(kind: str) -> tuple[Source, ...]:
    return tuple(_source(entry) for entry in configs.read_yaml(FILE)[kind])


def _source(entry: Mapping[str, object]) -> Source:
    values = dict(entry)
    files = values.get("files", ())
    values["files"] = files if isinstance(files, dict) else {"all": files}
    source: Source = configs.build(Source, values)
    return source
