"""What runs on real data need: files, weights and videos, what is absent, where it is from."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from egolib import config as configs
from egolib.config import Tree
from egolib.errors import EgolibError
from egolib.io import sources
from egolib.io.records import read_json
from egolib.io.sources import Listed, Source
from egolib.runs.inputs import OFFICIAL_SUFFIXES
from egolib.runs.node import Node

WEIGHT_SUFFIXES = (*OFFICIAL_SUFFIXES, ".safetensors")
#: Fields of configurations that name files or folders below the data root.
FILE_FIELDS = ("initial_weights", "vocabulary", "vit", "roberta", "motion", "lists")
#: Values of such fields that name no file, or weights of an earlier training.
OF_A_TRAINING = r"|none|model|best|ema|epoch_\d+"
#: Fields that list stores of features below the data root.
STORE_FIELDS = ("data.video_stores", "data.text_stores")
PLACES = ("variant", "preset", "data_root", "out", "inputs")  # parameters that are no settings


@dataclass(frozen=True)
class Need:
    """One thing that a run reads from the data root or from its inputs.

    Args:
        what: what it is.
        path: where it is looked for.
        found: how many files are there.
        wanted: how many are wanted; None where that is not known before.
        get: where it comes from.
        absent: names of some that are not there.
    """

    what: str
    path: str
    found: int
    wanted: int | None
    get: str
    absent: tuple[str, ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether nothing is absent, as far as can be seen."""
        return self.found > 0 if self.wanted is None else self.found >= self.wanted

    def to_json(self) -> Tree:
        """Plain values."""
        return {**asdict(self), "is_there": self.is_there}


def needs(nodes: Sequence[Node], data_root: Path, *, by_lists: bool = True) -> list[Need]:
    """What steps read, but for the results of earlier ones.

    Args:
        nodes: the planned steps, of one variant or more.
        data_root: folder of the data sets.
        by_lists: names the videos that annotation files list, which takes time; without, one
            video is enough.
    """
    found: dict[tuple[str, str], Need] = {}
    fed = {n.key.rpartition("/")[0] for n in nodes if "features" in n.parameters.get("inputs", {})}
    for node in nodes:
        task, _, rest = node.key.partition("/")
        if task not in configs.TASKS:
            continue
        variant = rest.partition("/")[0]
        needed = [s for s in sources.data_sets() if s.is_needed(task, variant)]
        wanted = [n for source in needed for n in _of_source(source, task, data_root, by_lists)]
        wanted += _named_in(node.parameters, data_root)
        if node.key.rpartition("/")[0] not in fed:
            wanted += _stores(node.parameters, data_root)
        wanted += _given(node)
        found |= {(need.what, need.path): need for need in wanted if need.path}
    return list(found.values())


def as_text(found: Iterable[Need]) -> str:
    """One line each, what is absent with where it comes from."""
    lines = []
    for need in found:
        count = f"{need.found}" if need.wanted is None else f"{need.found} of {need.wanted}"
        lines.append(f"{'there ' if need.is_there else 'ABSENT'} {need.path} ({count})")
        if not need.is_there:
            lines.append(f"       {need.what}: {need.get}")
        if need.absent:
            lines.append(f"       not there: {', '.join(need.absent)} ...")
    return "\n".join(lines)


# ------------------------------------------------------------------------ data sets


def _of_source(source: Source, task: str, root: Path, by_lists: bool) -> list[Need]:
    if source.listed is not None and by_lists:
        names = listed_names(source.listed, root)
        if names:
            return [_of_listed(source, source.listed, names, root)]
    return [
        Need(source.name, pattern, _count(root, pattern), None, source.get)
        for pattern in source.patterns(task)
    ]


def _of_listed(source: Source, listed: Listed, names: set[str], root: Path) -> Need:
    pattern = listed.path.format("*")
    there = {file.name.partition(".")[0] for file in root.glob(pattern)}
    absent = sorted(names - there)
    path = listed.path.format("<name>")
    found = len(names) - len(absent)
    return Need(source.name, path, found, len(names), source.get, tuple(absent[:3]))


def listed_names(listed: Listed, root: Path) -> set[str]:
    """The names that the files below a data root list; empty where there is no such file.

    Args:
        listed: which files, and under which key.
        root: the data root.

    Raises:
        EgolibError: a file that lists them is damaged.
    """
    names: set[str] = set()
    for pattern in listed.files:
        for file in sorted(root.glob(pattern)):
            names |= _names_in(file, listed.key)
    return names


def _names_in(file: Path, key: str) -> set[str]:
    if file.suffix == ".json":
        return set(_values_of(read_json(file), key))
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            return {row[key] for row in csv.DictReader(stream) if row.get(key)}
    except (OSError, UnicodeError, csv.Error) as error:
        raise EgolibError(f"not a readable table: {error}", file=file) from error


def _values_of(content: Any, key: str) -> Iterable[str]:
    """Every text under a key, anywhere in nested values."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get(key), str):
                yield value[key]
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _count(root: Path, pattern: str) -> int:
    return sum(1 for _ in root.glob(pattern))


# ------------------------------------------------------------------ settings, inputs


def _named_in(parameters: Mapping[str, Any], root: Path) -> list[Need]:
    """Files that the configuration names."""
    settings = {k: v for k, v in parameters.items() if k not in PLACES}
    found = []
    for name, value in configs.flatten(settings).items():
        field = name.rpartition(".")[2]
        is_file = isinstance(value, str) and (
            field in FILE_FIELDS or Path(value).suffix in WEIGHT_SUFFIXES
        )
        if not is_file or re.fullmatch(OF_A_TRAINING, value):
            continue
        path = root / value
        known = sources.weights_named(value)
        get = known.get if known else "the variant's file says where it is from (about.checkpoint)"
        what = f"{name}: {known.name}" if known else name
        found.append(Need(what, value, int(path.exists()), 1, get))
    return found


def _stores(parameters: Mapping[str, Any], root: Path) -> list[Need]:
    """Stores of features that a configuration names and the run does not make itself."""
    flat = configs.flatten({k: v for k, v in parameters.items() if k not in PLACES})
    made = flat.get("data.made") or ()
    return [
        Need(name, value, int((root / value).exists()), 1, _store_from(value))
        for name in STORE_FIELDS
        for value in flat.get(name) or ()
        if value not in made
    ]


def _store_from(path: str) -> str:
    """How a store is got: with a data set, or by extraction."""
    known = {p: s.get for s in sources.data_sets() for p in s.patterns("all")}
    return known.get(path, "made from your videos: see the page on own data of the task")


def _given(node: Node) -> list[Need]:
    """Inputs that are no results of planned steps."""
    planned = {str(path) for path in node.upstream.values()}
    given = {k: v for k, v in node.parameters.get("inputs", {}).items() if v not in planned}
    return [
        Need(f"input {name} of {node.key}", path, int(Path(path).exists()), 1, "given")
        for name, path in given.items()
    ]
