"""Where runs and their data lie."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from egolib import config as configs


@dataclass(frozen=True)
class Places:
    """Where the steps of a run lie: ``<runs_dir>/<name>/<task>/<variant>/<step>/``."""

    name: str
    runs_dir: Path = field(default_factory=lambda: configs.project_root() / "runs")

    def step(self, task: str, variant: str, step: str) -> Path:
        """The folder of one step of a task.

        Args:
            task: its name.
            variant: its name.
            step: for instance ``2_train``.
        """
        return self.runs_dir / self.name / task / variant / step

    def page(self, notebook: str) -> Path:
        """The folder of a notebook that belongs to no task."""
        return self.runs_dir / self.name / notebook


def default_data_root(preset: str) -> Path:
    """``EGOLIB_DATA``, else the preset's world, else ``data``; always absolute."""
    if os.environ.get("EGOLIB_DATA"):
        return Path(os.environ["EGOLIB_DATA"]).absolute()
    content = configs.read_preset(preset)
    root = configs.project_root() / "data"
    if "world" not in content:
        return root
    seed = content.get("world_seed", 0)
    return root / "world" / (preset if not seed else f"{preset}-seed{seed}")


def default_inputs(places: Places, task: str, variant: str, step: str) -> dict[str, Path]:
    """Folders of the steps that a step takes its inputs from.

    Args:
        places: folders of the run.
        task: its name.
        variant: its name.
        step: for instance ``3_infer``.
    """
    steps = configs.read_variant(task, variant).steps
    return {
        name: places.step(task, *variant_and_step(reference, variant))
        for name, reference in steps.get(step, {}).items()
    }


def variant_and_step(reference: str, variant: str) -> tuple[str, str]:
    """An input's reference, ``step`` or ``variant/step``, as a pair."""
    other, slash, step = reference.rpartition("/")
    return (other if slash else variant), step
