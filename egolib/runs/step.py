"""One step of a run, as a notebook holds it: its configuration, its folders, its result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from egolib import config as configs
from egolib.engine.config import RESOURCES
from egolib.errors import EgolibError, nearest
from egolib.report import results

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Config = TypeVar("Config")


@dataclass(frozen=True)
class Step(Generic[Config]):
    """What a step works with.

    Args:
        task: its name.
        name: of the step, for instance ``3_infer``.
        variant: configuration.
        preset: data and sizes.
        config: the task's typed configuration.
        sections: its sections that this step depends on.
        data_root: folder of the data sets, laid out as the data page says.
        out: the step's own folder.
        inputs: what it takes in, by name: folders of earlier steps, or files and folders of
            weights (see ``egolib.runs.inputs``).
    """

    task: str
    name: str
    variant: str
    preset: str
    config: Config
    sections: tuple[str, ...]
    data_root: Path
    out: Path
    inputs: dict[str, Path]
    begin: float = field(default_factory=time.time)

    @property
    def fingerprint(self) -> str:
        """Identifies everything that a training of this step computes, but for the code.

        What it runs on (processes, devices, micro-batches) does not count.
        """
        tree = configs.to_tree(self.config)
        used = {k: tree[k] for k in self.sections}
        if "fit" in used:
            used["fit"] = {k: v for k, v in used["fit"].items() if k not in RESOURCES}
        inputs = {k: results.identity(v) for k, v in sorted(self.inputs.items())}
        return configs.tree_hash([used, inputs])

    @property
    def config_hash(self) -> str:
        """Identifies the whole configuration."""
        return configs.tree_hash(configs.to_tree(self.config))

    def table(self) -> pd.DataFrame:
        """The parameters that this step depends on, one a row."""
        import pandas as pd

        tree = configs.to_tree(self.config)
        flat = configs.flatten({k: tree[k] for k in self.sections})
        rows = {"variant": self.variant, "preset": self.preset, **flat}
        return pd.DataFrame({"value": {k: str(v) for k, v in rows.items()}})

    def input(self, name: str) -> Path:
        """The folder of an earlier step, or the file or folder that was given in its place.

        Raises:
            EgolibError: this step has no such input, or it is not there.
        """
        if name not in self.inputs:
            raise EgolibError(f"step has no input {name!r}", remedy=nearest(name, self.inputs))
        if not self.inputs[name].exists():
            raise EgolibError(
                f"the input {name!r} is missing",
                file=self.inputs[name],
                remedy=f"egolib run {self.task} --variant {self.variant} --preset {self.preset}",
            )
        return self.inputs[name]

    def figure(self, figure: Figure, name: str) -> Figure:
        """Keeps a figure in the step's folder as PNG and returns it for display."""
        folder = self.out / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"{name}.png", dpi=120, bbox_inches="tight")
        return figure

    def finish(
        self,
        metrics: Mapping[str, Any],
        *,
        data: Mapping[str, Any],
        work: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Writes ``result.json`` and returns its content.

        Args:
            metrics: names to numbers; NaN is refused.
            data: version and counts of the data used.
            work: counts of what this time was made or found there, which do not identify
                the result: a repetition with equal outputs keeps what rests on it.
            more: further plain values worth keeping.
        """
        about = {"task": self.task, "step": self.name, "variant": self.variant}
        seeds = {k: getattr(self.config, k, None) for k in ("seed", "world_seed")}
        path = results.write_result(
            self.out / "result.json",
            metrics=metrics,
            config=configs.to_tree(self.config),
            config_hash=self.config_hash,
            data=data,
            wall_sec=time.time() - self.begin,
            extra={
                **about,
                "preset": self.preset,
                **seeds,
                **more,
                **({"work": work} if work else {}),
            },
        )
        return results.read_result(path)

    def to_json(self) -> dict[str, Any]:
        """Plain values that ``from_json`` makes the same step of, in another process."""
        schema = type(self.config)
        return {
            "schema": f"{schema.__module__}:{schema.__qualname__}",
            "config": configs.to_tree(self.config),
            "task": self.task,
            "name": self.name,
            "variant": self.variant,
            "preset": self.preset,
            "sections": list(self.sections),
            "data_root": str(self.data_root),
            "out": str(self.out),
            "inputs": {k: str(v) for k, v in self.inputs.items()},
            "begin": self.begin,
        }


def from_json(values: Mapping[str, Any]) -> Step[Any]:
    """The inverse of ``Step.to_json``."""
    values = dict(values)
    module, _, name = values.pop("schema").partition(":")
    schema = getattr(import_module(module), name)
    return Step(
        **{
            **values,
            "config": configs.build(schema, values["config"]),
            "sections": tuple(values["sections"]),
            "data_root": Path(values["data_root"]),
            "out": Path(values["out"]),
            "inputs": {k: Path(v) for k, v in values["inputs"].items()},
        }
    )
