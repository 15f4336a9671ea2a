"""One notebook of a run: where it lies, what it receives, what it rests on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict

from egolib.config import Tree
from egolib.io.records import read_json, write_json
from egolib.io.schema import Text, validated
from egolib.report.results import plain


class _NodeFile(TypedDict):
    """What ``Node.write`` writes."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]
    key: Text
    notebook: Text
    out: Text
    parameters: dict[str, Any]
    upstream: dict[str, Text]
    parts: dict[str, Any]
    resources: NotRequired[dict[str, Any]]
    force: NotRequired[bool]


@dataclass(frozen=True)
class Node:
    """One notebook to execute.

    Args:
        key: its name in the graph, for instance ``nlq/scratch/2_train``.
        parameters: what the notebook receives.
        upstream: folders of the nodes it depends on, by key.
        parts: what its stamp is made of, but for the upstream stamps.
        resources: what a batch system should give it.
        force: run it again, from the start, even if it is current.
    """

    key: str
    notebook: Path
    out: Path
    parameters: Tree
    upstream: dict[str, Path]
    parts: Tree
    resources: Tree = field(default_factory=dict)
    force: bool = False

    @property
    def executed(self) -> Path:
        """Where the executed copy of the notebook lies."""
        return self.out / self.notebook.name

    @property
    def label(self) -> str:
        """The key, with the grid point where there is one."""
        point = [part.partition("@")[2] for part in self.out.parts if "@" in part]
        return f"{self.key} [{point[-1]}]" if point else self.key

    def write(self) -> Path:
        """Stores the node beside its results, for the process that executes it."""
        return write_json(self.out / "node.json", plain(asdict(self)), indent=1)

    @classmethod
    def read(cls, path: Path) -> Node:
        """The inverse of ``write``."""
        values = dict(validated(_NodeFile, read_json(path, dict), file=path))
        values["notebook"], values["out"] = Path(values["notebook"]), Path(values["out"])
        values["upstream"] = {k: Path(v) for k, v in values["upstream"].items()}
        return cls(**values)
