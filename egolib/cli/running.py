"""Commands that run notebooks, or say what would run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from egolib import config as configs
from egolib.cli.app import (
    Checkpoint,
    DataRoot,
    Json,
    Name,
    Overrides,
    ParamsFile,
    Preset,
    RunsDir,
    Variant,
    app,
    schema,
    wrong_use,
)
from egolib.errors import EgolibError, nearest

if TYPE_CHECKING:
    from egolib.runs.node import Node
    from egolib.runs.plan import Request


@app.command(epilog="Example: egolib init DIR")
def init(
    folder: Annotated[Path, typer.Argument(help="A new folder, or one to complete.")],
) -> None:
    """Make a workspace: notebooks, parameters to edit, pages, folders for data and runs."""
    from egolib.cli import workspace

    print("\n".join(workspace.init(folder)))


@app.command(epilog="Example: egolib run nlq --preset tiny")
def run(
    target: Annotated[str, typer.Argument(help="<task>, <task>/<step>, or all.")],
    variant: Variant = None,
    preset: Preset = "mini",
    name: Name = None,
    param: Overrides = None,
    params: ParamsFile = None,
    grid: Annotated[
        list[str] | None, typer.Option(help="key=a,b,c: run every value; repeatable.")
    ] = None,
    data_root: DataRoot = None,
    runs_dir: RunsDir = None,
    checkpoint: Checkpoint = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--input", help="NAME=PATH: an input of the step, in place of the usual."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Run the steps that are named again, from the start.")
    ] = False,
    executor: Annotated[str, typer.Option(help="local or slurm.")] = "local",
    shards: Annotated[
        int, typer.Option(min=1, help="Slurm: divide 3_infer among so many jobs of an array.")
    ] = 1,
    jobs: Annotated[int | None, typer.Option(min=1, help="Notebooks side by side.")] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Print what would run, read, write, and is absent.")
    ] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List variants and the chain.")] = False,
    as_json: Json = False,
) -> None:
    """Run notebooks: a task's chain, one variant, or one step with what it needs."""
    from egolib.runs.plan import Request, plan, plan_grid

    if executor not in ("local", "slurm"):
        raise wrong_use(f"unknown executor {executor!r}: local or slurm")
    if shards > 1 and executor != "slurm":
        raise wrong_use("--shards divides work among jobs: it needs --executor slurm")
    task, step = split_target(target)
    if task == "all" and variant:
        raise wrong_use(f"--variant is of one task: egolib run TASK --variant {variant}")
    request = Request(
        task=task,
        step=step,
        variant=variant,
        preset=preset,
        name=name,
        overrides=tuple(param or ()),
        params_file=params,
        data_root=data_root,
        runs_dir=runs_dir,
        checkpoint=checkpoint,
        inputs=_inputs(given or (), step),
        force=force,
        shards=shards,
    )
    if show_list:
        _show_list(task, as_json)
        return
    points = None
    try:
        if grid:
            points = plan_grid(request, dict(grid_axis(text) for text in grid), schema)
            nodes = [node for point in points for node in point.nodes]
        else:
            nodes = plan(request, schema)
    except EgolibError as error:
        raise wrong_use(error) from error
    if dry_run:
        _show_plan(nodes, request, as_json)
        return
    _tell_absent(nodes, request)
    _run_nodes(nodes, executor, jobs, points, as_json)


def _tell_absent(nodes: list[Node], request: Request) -> None:
    """Says what is absent of the data before anything starts; no folder at all is refused."""
    from egolib.runs import needs
    from egolib.runs.places import default_data_root

    if request.makes_world:
        return
    root = request.data_root or default_data_root(request.preset)
    if not root.is_dir():
        raise wrong_use(f"the data root {root} is no folder\n  remedy: --data-root FOLDER")
    absent = [need for need in needs.needs(nodes, root, by_lists=False) if not need.is_there]
    if absent:
        print(
            f"below {root} {len(absent)} things are absent that this may read, first "
            f"{absent[0].path}; --dry-run lists them",
            file=sys.stderr,
        )


def _run_nodes(
    nodes: list[Node], executor: str, jobs: int | None, points: Any, as_json: bool
) -> None:
    from egolib.runs import grid, local
    from egolib.runs.display import next_steps

    def to_errors(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    say = to_errors if as_json else None
    if executor == "slurm":
        from egolib.runs import slurm

        outcome = slurm.run_slurm(nodes, say=say or print)
    else:
        outcome = local.run_local(nodes, jobs=jobs or local.default_jobs(), say=say)
    if points is not None:
        print(grid.write_table(points))
    if as_json:
        print(json.dumps({"states": outcome.states, "seconds": outcome.seconds}))
    if outcome.failed:
        raise typer.Exit(1)
    if not as_json and points is None:
        print("\n".join(next_steps(outcome.states, nodes)))


def split_target(target: str) -> tuple[str, str | None]:
    task, _, step = target.partition("/")
    return task, step or None


def _inputs(texts: Iterable[str], step: str | None) -> dict[str, str]:
    """``NAME=PATH`` as a mapping; only one step can be given inputs."""
    found = dict(text.partition("=")[::2] for text in texts)
    if found and not step:
        raise wrong_use("--input belongs to one step: egolib run <task>/<step> --input NAME=PATH")
    if not all(found.values()):
        raise wrong_use("--input is of the form NAME=PATH")
    return found


def grid_axis(text: str) -> tuple[str, list[Any]]:
    key, equals, values = text.partition("=")
    if not equals:
        raise EgolibError(f"--grid {text!r} is not of the form key=a,b,c")
    return key, [_value(value, text) for value in values.split(",")]


def _value(value: str, text: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise EgolibError(
            f"--grid {text!r}: {value!r} is no YAML value", remedy="for instance seed=0,1,2"
        ) from error


def _show_list(task: str, as_json: bool) -> None:
    tasks = configs.TASKS if task == "all" else [task]
    found: dict[str, Any] = {}
    for one in tasks:
        if one not in configs.TASKS:
            raise wrong_use(f"unknown task {one!r}: {nearest(one, configs.TASKS)}")
        chain = configs.read_chain(one)
        about = {v: configs.read_variant(one, v) for v in configs.variants(one)}
        found[one] = {
            "default": chain.default,
            "chain": [f"{v}/{s}" for v in chain.variants for s in about[v].steps],
            "variants": {v: x.about.get("title", "") for v, x in about.items()},
        }
    if as_json:
        print(json.dumps(found))
        return
    for one, content in found.items():
        print(f"{one} (default variant: {content['default']})\n  chain:")
        print("\n".join(f"    {entry}" for entry in content["chain"]))
        print("  variants:")
        print("\n".join(f"    {v:<28} {t}" for v, t in content["variants"].items()))


def _show_plan(nodes: list[Node], request: Request, as_json: bool) -> None:
    from egolib.runs import needs
    from egolib.runs.places import default_data_root
    from egolib.runs.stamps import reasons

    rerun: list[str] = []
    rows = []
    for node in nodes:
        why = reasons(node, rerun)
        if why:
            rerun.append(node.key)
        rows.append(
            {
                "step": node.label,
                "state": "would run" if why else "current",
                "because": why,
                "reads": [str(p) for p in node.upstream.values()]
                + ([node.parameters["data_root"]] if "data_root" in node.parameters else []),
                "writes": str(node.out),
            }
        )
    root = request.data_root or default_data_root(request.preset)
    needed = [] if request.makes_world else needs.needs(nodes, root)
    if as_json:
        print(json.dumps({"steps": rows, "needs": [need.to_json() for need in needed]}))
        return
    for row in rows:
        print(f"{row['step']}: {row['state']}")
        for name in ("because", "reads"):
            if row[name]:
                print(f"  {name}: {'; '.join(row[name])}")
        print(f"  writes: {row['writes']}")
    if needed:
        print(f"needs, below {root}:\n{needs.as_text(needed)}")


@app.command(epilog="Example: egolib params nlq/2_train > p.yaml")
def params(
    target: Annotated[str, typer.Argument(help="<task>/<step>.")],
    variant: Variant = None,
    preset: Preset = "mini",
    name: Name = None,
    param: Overrides = None,
    params_file: ParamsFile = None,
    data_root: DataRoot = None,
    runs_dir: RunsDir = None,
    checkpoint: Checkpoint = None,
) -> None:
    """Print the parameters of one step as YAML, for plain papermill: `-f FILE`."""
    from egolib.runs.plan import Request, plan

    task, step = split_target(target)
    if step is None:
        raise wrong_use("name a step: <task>/<step>")
    request = Request(
        task, step, variant, preset, name, tuple(param or ()), params_file, data_root, runs_dir,
        checkpoint,
    )  # fmt: skip
    try:
        node = plan(request, schema)[-1]
    except EgolibError as error:
        raise wrong_use(error) from error
    print(yaml.safe_dump(node.parameters, sort_keys=False, allow_unicode=True), end="")
