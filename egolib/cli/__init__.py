"""The command line. Every command has ``--help``; exit codes: 0 done, 1 failed, 2 wrong use.

Commands that train or evaluate execute the very notebooks of the book.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from egolib import config as configs
from egolib.errors import EgolibError, UsageError, nearest
from egolib.runs.node import Node
from egolib.runs.plan import Request, plan, plan_grid

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="egolib: five published video understanding systems, as notebooks over one package.",
)
world_app = typer.Typer(no_args_is_help=True, help="The built-in world.")
app.add_typer(world_app, name="world")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Preset = Annotated[str, typer.Option(help="Data and sizes: tiny, mini, small or paper.")]
Variant = Annotated[str | None, typer.Option(help="Configuration: params/<task>/<variant>.yaml.")]
Name = Annotated[str | None, typer.Option(help="Name of the run (default: the preset).")]
Overrides = Annotated[
    list[str] | None, typer.Option("-p", "--param", help="key=value or a.b=value; repeatable.")
]
ParamsFile = Annotated[Path | None, typer.Option("--params", help="YAML laid over the variant.")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder of the data sets.")]
RunsDir = Annotated[Path | None, typer.Option(help="Where runs lie (default: runs/).")]
Checkpoint = Annotated[
    str | None,
    typer.Option(help="Weights for 3_infer: a file, an official folder, a training, a Hub id."),
]


def schema(task: str) -> type:
    """The configuration dataclass of a task; loads no torch."""
    result: type = import_module(f"egolib.{task}.config").Config
    return result


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new folder, or one to complete.")],
) -> None:
    """Make a workspace: notebooks, parameters to edit, pages, folders for data and runs."""
    from egolib.cli import workspace

    print("\n".join(workspace.init(folder)))


# ---------------------------------------------------------------------------- run


@app.command()
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
    jobs: Annotated[int | None, typer.Option(help="Notebooks side by side.")] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Print what would run, read, write, and is absent.")
    ] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List variants and the chain.")] = False,
    as_json: Json = False,
) -> None:
    """Run notebooks: a task's chain, one variant, or one step with what it needs."""
    if executor not in ("local", "slurm"):
        raise _wrong_use(f"unknown executor {executor!r}: local or slurm")
    task, step = _target(target)
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
    )
    if show_list:
        _show_list(task, as_json)
        return
    points = None
    try:
        if grid:
            points = plan_grid(request, dict(_grid_axis(text) for text in grid), schema)
            nodes = [node for point in points for node in point.nodes]
        else:
            nodes = plan(request, schema)
    except EgolibError as error:
        raise _wrong_use(error) from error
    if dry_run:
        _show_plan(nodes, request, as_json)
        return
    _run_nodes(nodes, executor, jobs, points, as_json)


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
    if not as_json:
        print("\n".join(next_steps(outcome.states, nodes)))


def _target(target: str) -> tuple[str, str | None]:
    task, _, step = target.partition("/")
    return task, step or None


def _inputs(texts: Iterable[str], step: str | None) -> dict[str, str]:
    """``NAME=PATH`` as a mapping; only one step can be given inputs."""
    found = dict(text.partition("=")[::2] for text in texts)
    if found and not step:
        raise _wrong_use("--input belongs to one step: egolib run <task>/<step> --input NAME=PATH")
    if not all(found.values()):
        raise _wrong_use("--input is of the form NAME=PATH")
    return found


def _grid_axis(text: str) -> tuple[str, list[Any]]:
    key, equals, values = text.partition("=")
    if not equals:
        raise EgolibError(f"--grid {text!r} is not of the form key=a,b,c")
    return key, [yaml.safe_load(value) for value in values.split(",")]


def _show_list(task: str, as_json: bool) -> None:
    tasks = configs.TASKS if task == "all" else [task]
    found: dict[str, Any] = {}
    for one in tasks:
        if one not in configs.TASKS:
            raise _wrong_use(f"unknown task {one!r}: {nearest(one, configs.TASKS)}")
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


@app.command()
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
    task, step = _target(target)
    if step is None:
        raise _wrong_use("name a step: <task>/<step>")
    request = Request(
        task, step, variant, preset, name, tuple(param or ()), params_file, data_root, runs_dir,
        checkpoint,
    )  # fmt: skip
    try:
        node = plan(request, schema)[-1]
    except EgolibError as error:
        raise _wrong_use(error) from error
    print(yaml.safe_dump(node.parameters, sort_keys=False, allow_unicode=True), end="")


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="One run (default: all).")] = None,
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """List the steps of runs: finished or not, when, how long, with their first metrics."""
    from egolib.runs import inventory

    rows = inventory.steps(runs_dir or configs.project_root() / "runs", name)
    print(json.dumps(rows) if as_json else inventory.as_text(rows))


@app.command()
def logs(
    step: Annotated[Path, typer.Argument(help="Folder of a step, or RUN/TASK/VARIANT/STEP.")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until it ends.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Print the log of a step."""
    from egolib.runs import watch

    for line in watch.log_lines(_step_folder(step, runs_dir), follow=follow):
        print(line, flush=True)


@app.command("open")
def open_step(
    step: Annotated[Path, typer.Argument(help="Folder of a step, or RUN/TASK/VARIANT/STEP.")],
    runs_dir: RunsDir = None,
) -> None:
    """Open the executed notebook of a step in JupyterLab."""
    from egolib.runs import watch

    raise typer.Exit(watch.open_notebook(_step_folder(step, runs_dir)))


def _step_folder(step: Path, runs_dir: Path | None) -> Path:
    return step if step.is_dir() else (runs_dir or configs.project_root() / "runs") / step


@app.command()
def compare(
    run: Annotated[str, typer.Argument(help="A run: <name>/<task>/<variant>, or its folder.")],
    other: Annotated[str | None, typer.Argument(help="The run to compare it with.")] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Compare with the variant's published numbers.")
    ] = False,
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """Print two runs side by side, or one beside what was published: numbers and settings."""
    from egolib.report import comparison

    if published == (other is not None):
        raise _wrong_use("name a second run, or say --published")
    runs = runs_dir or configs.project_root() / "runs"
    first = comparison.find_result(run, runs)
    if other is not None:
        found = comparison.compare_runs(first, comparison.find_result(other, runs))
    else:
        found = comparison.compare_published(first, schema)
    print(json.dumps(found.to_json()) if as_json else comparison.as_text(found))


# -------------------------------------------------------------------------- world


@world_app.command("make")
def world_make(
    preset: Preset = "mini",
    out: Annotated[Path | None, typer.Option(help="Folder (default: data/world/<preset>).")] = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    seed: Annotated[int | None, typer.Option(help="World seed (default: the preset's).")] = None,
) -> None:
    """Draw the built-in world in the official formats of all data sets."""
    from egolib import world
    from egolib.runs.places import default_data_root

    folder = out or default_data_root(preset)
    manifest = world.make(preset, folder, workers=workers, seed=seed)
    print(f"{folder}: {len(manifest)} videos")


@world_app.command("figure")
def world_figure(
    preset: Preset = "mini",
    out: Annotated[Path, typer.Option("-o", help="PNG file.")] = Path("book/figures/world.png"),
) -> None:
    """Draw frames of a finished world with the boxes of its objects: the README's figure."""
    from egolib.cli.pictures import draw_world

    print(draw_world(preset, out))


# -------------------------------------------------------------- files and weights


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Official or egolib checkpoint.")],
    target: Annotated[Path, typer.Argument(help=".safetensors, or .pth for the official layout.")],
    model: Annotated[
        str | None, typer.Option(help="<task>/<model>, where keys and shapes are ambiguous.")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="official, or averaged where the file holds both.")
    ] = "official",
    dtype: Annotated[str, typer.Option(help="Type of the values written.")] = "float32",
    as_json: Json = False,
) -> None:
    """Convert a checkpoint between the official layout and ours, strictly, both ways."""
    from egolib.cli.conversion import convert_file

    report = convert_file(source, target, model, weights, dtype)  # type: ignore[arg-type]
    print(json.dumps(report) if as_json else "\n".join(f"{k}: {v}" for k, v in report.items()))


@app.command()
def evaluate(
    task: Annotated[str, typer.Argument(help="vq2d, vod, vlp or nlq.")],
    truth: Annotated[Path, typer.Option(help="Official annotations.")],
    predictions: Annotated[Path, typer.Option(help="Predictions in the submission format.")],
    option: Annotated[
        list[str] | None, typer.Option("-o", help="key=value for the metric; repeatable.")
    ] = None,
) -> None:
    """Score a prediction file; prints JSON."""
    from egolib.report.results import plain

    module = _task_module(task, "evaluation")
    options = {k: yaml.safe_load(v) for k, _, v in (t.partition("=") for t in option or ())}
    print(json.dumps(plain(module.evaluate_files(truth, predictions, **options)), indent=1))


@app.command()
def validate(
    task: Annotated[str, typer.Argument(help="vq2d, vod, vlp or nlq.")],
    submission: Annotated[Path, typer.Argument(help="The file to be submitted.")],
    truth: Annotated[
        Path | None, typer.Option(help="Annotations that it must answer (may lack truth).")
    ] = None,
) -> None:
    """Check a submission as the challenge server does; names the first wrong record."""
    print(_task_module(task, "formats.submission").validate_file(submission, truth))


@app.command()
def ensemble(
    task: Annotated[str, typer.Argument(help="nlq.")],
    predictions: Annotated[list[Path], typer.Argument(help="Prediction files.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Where the result goes.")],
    mode: Annotated[str, typer.Option(help="official, or a named correction.")] = "official",
) -> None:
    """Combine predictions of several models."""
    module = _task_module(task, "localization.ensemble")
    print(module.ensemble_files(predictions, out, mode))


@app.command()
def demo(
    task: Annotated[str, typer.Argument(help="vq2d, vod, vlp or nlq.")],
    video: Annotated[Path, typer.Argument(help="Any video file.")],
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts (vlp) or a question (nlq).")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Path, Hub id, or <task>/<variant> of the newest run."),
    ] = None,
    query_frame: Annotated[
        int | None, typer.Option(help="vq2d: frame that shows the object.")
    ] = None,
    box: Annotated[str | None, typer.Option(help="vq2d: x,y,w,h in that frame.")] = None,
    fps: Annotated[float | None, typer.Option(help="Read the video at this rate.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", help="Video or figure (default: beside the video's name)."),
    ] = None,
) -> None:
    """Run a trained model on one video and draw what it finds."""
    from egolib.cli import demos

    for line in demos.run(task, video, texts or [], model, query_frame, box, fps, out):
        print(line)


@app.command()
def book(
    name: Annotated[str, typer.Option(help="The run whose notebooks are shown.")] = "mini",
    runs_dir: RunsDir = None,
) -> None:
    """Copy a run's executed notebooks into the book and build its HTML."""
    from egolib.cli.book import build_book

    print(build_book(name, runs_dir or configs.project_root() / "runs"))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Print versions, devices, decoders, bridges, and what is missing, with remedies."""
    from egolib.cli import doctor as checks

    report = checks.examine()
    print(json.dumps(report) if as_json else checks.as_text(report))


# ------------------------------------------------------------------------ details


def _task_module(task: str, module: str) -> Any:
    if task not in configs.TASKS:
        raise _wrong_use(f"unknown task {task!r}: {nearest(task, configs.TASKS)}")
    try:
        return import_module(f"egolib.{task}.{module}")
    except ModuleNotFoundError as error:
        if error.name != f"egolib.{task}.{module}":
            raise
        raise _wrong_use(f"{task} has no {module}") from error


def _wrong_use(error: object) -> typer.Exit:
    print(error, file=sys.stderr)
    return typer.Exit(2)


def main() -> None:
    """The ``egolib`` command."""
    try:
        app()
    except EgolibError as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
