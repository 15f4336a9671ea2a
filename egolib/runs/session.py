"""From a notebook's parameters to its step, with the steps before it where they are missing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.io.records import make_folder
from egolib.runs import inputs as known_inputs
from egolib.runs.local import run_local
from egolib.runs.places import Places, default_data_root, default_inputs
from egolib.runs.plan import Request, plan
from egolib.runs.step import Step

Config = TypeVar("Config")


def start(
    schema: type[Config],
    task: str,
    name: str,
    *,
    variant: str,
    preset: str,
    data_root: str = "",
    out: str = "",
    inputs: Mapping[str, str] | None = None,
    **sections: Any,
) -> Step[Config]:
    """The step that a notebook's parameters describe.

    Empty parameters mean the default: the variant's and preset's own values, the
    preset's data, ``runs/<preset>/...``. Where earlier steps are missing, which
    happens when a notebook is opened by hand, they are run first.

    Args:
        schema: the task's ``Config`` dataclass.
        task: its name.
        name: of the step, for instance ``3_infer``.
        variant: configuration, ``params/<task>/<variant>.yaml``.
        preset: data and sizes, ``params/presets/<preset>.yaml``.
        data_root: folder of the data sets.
        out: folder of the step.
        inputs: what the step takes in, in place of the default of that name: folders of
            earlier steps, checkpoint files, official files or folders, Hub ids.
        sections: configuration sections (or single fields like ``seed``) that the step
            depends on; mappings change the variant's values.

    Raises:
        EgolibError: unknown variant, preset, parameter or input.
    """
    tree = configs.resolve(schema, task, variant, preset)
    given = {k: v for k, v in sections.items() if v is not None}
    config = configs.build(schema, configs.merge(tree, given))
    places = Places(name=preset)
    usual = default_inputs(places, task, variant, name)
    chosen = {k: _place(v, task) for k, v in (inputs or {}).items()}
    step: Step[Config] = Step(
        task=task,
        name=name,
        variant=variant,
        preset=preset,
        config=config,
        sections=tuple(sections),
        data_root=_absolute(data_root) if data_root else default_data_root(preset),
        out=_absolute(out) if out else places.step(task, variant, name),
        inputs=usual | chosen,
    )
    make_folder(step.out)
    _run_missing(schema, step, usual)
    return step


def _run_missing(schema: type, step: Step[Any], usual: Mapping[str, Path]) -> None:
    """Runs the usual steps before this one that have not been run."""
    missing = {k: p for k, p in step.inputs.items() if not _is_there(p, usual.get(k))}
    if not missing:
        return
    replaced = {k: p for k, p in step.inputs.items() if p != usual.get(k)}
    request = Request(step.task, step.name, step.variant, step.preset, inputs=replaced)
    nodes = plan(request, lambda task: schema if task == step.task else schema_of(task))[:-1]
    made = {node.out.resolve() for node in nodes}
    for name, path in missing.items():
        if path.resolve() not in made:
            remedy = f"egolib run {step.task} --variant {step.variant} --preset {step.preset}"
            raise EgolibError(f"the input {name!r} is missing", file=path, remedy=remedy)
    failed = run_local(nodes).failed
    if failed:
        raise EgolibError(f"an earlier step failed: {failed[0]}")


def schema_of(task: str) -> type[Any]:
    """The configuration dataclass of a task, found by its name."""
    found: type[Any] = import_module(f"egolib.{task}.config").Config
    return found


def _is_there(path: Path, usual: Path | None) -> bool:
    """A usual input is a finished step; one that was chosen needs only to exist."""
    return known_inputs.is_step(path) if path == usual else path.exists()


def _place(text: str, task: str) -> Path:
    """An input as a path; what is no path is looked up among the runs and on the Hub."""
    path = _absolute(text)
    return path if path.exists() else known_inputs.locate(text, task)


def _absolute(path: str) -> Path:
    """Relative paths in parameters are relative to the checkout, wherever the notebook runs."""
    return configs.project_root() / Path(path).expanduser()
