"""Stamps: what a node's result rests on, and why it is no longer current.

A stamp is the hash of the notebook's cells, its parameters, its data, the code
that it uses (the shared sources and the task's package, not the commit) and the
stamps of the nodes that it depends on.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from egolib import config as configs
from egolib.config import Tree
from egolib.errors import EgolibError
from egolib.io.records import read_json
from egolib.report.results import plain
from egolib.runs.node import Node

PACKAGE = Path(__file__).parents[1]
# Code that decides how and when a step is run or shown, not what it computes.
ORCHESTRATION = {"cli", "runs", "report", "__init__", "__main__"}
DATA_FILES = {".json", ".jsonl", ".csv", ".tsv", ".txt", ".mat", ".gz"}


def stamp_of(node: Node) -> Tree:
    """The stamp that a node would get now, from the stamps its upstream nodes have."""
    upstream = {key: read_stamp(out).get("stamp", "") for key, out in node.upstream.items()}
    content = plain({"parts": node.parts, "upstream": upstream})
    return {"stamp": configs.tree_hash(content), **content}


def reasons(node: Node, rerun: Iterable[str] = ()) -> list[str]:
    """Why a node must run; empty when its result is current.

    Args:
        node: the step.
        rerun: keys of nodes that will run before it.
    """
    if node.force:
        return ["--force"]
    again = [key for key in node.upstream if key in set(rerun)]
    old = read_stamp(node.out)
    if not old or not (node.out / "result.json").is_file():
        return ["not finished yet" if node.executed.is_file() else "not run yet"]
    new = stamp_of(node)
    changed = [k for k, v in new["upstream"].items() if old["upstream"].get(k) != v]
    found = _differences(old["parts"], new["parts"])
    return found + [f"{key} ran again" for key in dict.fromkeys(again + changed)]


def read_stamp(out: Path) -> Tree:
    """A node's stamp; empty where it has not finished."""
    file = out / "stamp.json"
    if not file.is_file():
        return {}
    content: Tree = read_json(file, dict)
    for name in ("parts", "upstream"):
        if not isinstance(content.get(name, {}), dict):
            raise EgolibError("an object is wanted", file=file, record=name, remedy="remove it")
    return {"parts": {}, "upstream": {}, **content}


def _differences(old: Tree, new: Tree) -> list[str]:
    before, after = old.get("parameters", {}), new.get("parameters", {})
    found = [
        f"{name}: {before.get(name)} -> {after.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    others = sorted((old.keys() | new.keys()) - {"parameters"})
    return found + [f"{part} changed" for part in others if old.get(part) != new.get(part)]


# ------------------------------------------------------------------------- hashes


def parameter_names(notebook: Path) -> list[str]:
    """The names that a notebook's parameters cell assigns.

    Raises:
        EgolibError: no notebook, or no cell tagged ``parameters``.
    """
    for cell in read_json(notebook, dict)["cells"]:
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            body = ast.parse("".join(cell["source"])).body
            targets = [t for a in body if isinstance(a, ast.Assign) for t in a.targets]
            return [t.id for t in targets if isinstance(t, ast.Name)]
    raise EgolibError("no cell is tagged 'parameters'", file=notebook)


def notebook_hash(notebook: Path) -> str:
    """The hash of a notebook's cells, whatever their metadata and outputs."""
    cells = read_json(notebook, dict)["cells"]
    return configs.tree_hash([[c["cell_type"], "".join(c["source"])] for c in cells])


@cache
def code_hash(package: str) -> str:
    """The hash of the shared sources and of one package (a task, ``world`` or none)."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        elsewhere = parts[0] in (*configs.TASKS, "world", "interop") and parts[0] != package
        if not elsewhere and parts[0] not in ORCHESTRATION:
            digest.update(str(parts).encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def data_identity(root: Path, depth: int = 5) -> str:
    """Identifies a folder of real data by names, sizes and times of its annotation files."""
    found = []
    for folder, folders, names in os.walk(root):
        if len(Path(folder).relative_to(root).parts) >= depth:
            folders.clear()
        for name in names:
            if Path(name).suffix in DATA_FILES:
                found.append(file_identity(Path(folder) / name))
    return configs.tree_hash([str(root), sorted(found)])


def file_identity(path: Path) -> str:
    """Identifies a file or folder by path, size and time.

    Raises:
        EgolibError: it does not exist.
    """
    if not path.exists():
        raise EgolibError("the file does not exist", file=path)
    status = path.stat()
    return f"{path}:{status.st_size}:{status.st_mtime_ns}"


def texts_hash(folder: Path, pattern: str) -> str:
    """The hash of the names and texts of some files."""
    return configs.tree_hash([[f.name, f.read_text()] for f in sorted(folder.glob(pattern))])
