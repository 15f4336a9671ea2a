"""Commands that look at runs: status, logs, notebooks, comparisons, the book, this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from egolib import config as configs
from egolib.cli.app import (
    Json,
    RunsDir,
    app,
    schema,
    wrong_use,
)


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


@app.command(epilog="Example: egolib logs tiny/nlq/scratch/2_train")
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


@app.command(epilog="Example: egolib compare tiny/nlq/scratch --published")
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
        raise wrong_use("name a second run, or say --published")
    runs = runs_dir or configs.project_root() / "runs"
    first = comparison.find_result(run, runs)
    if other is not None:
        found = comparison.compare_runs(first, comparison.find_result(other, runs))
    else:
        found = comparison.compare_published(first, schema)
    print(json.dumps(found.to_json()) if as_json else comparison.as_text(found))


@app.command()
def book(
    name: Annotated[str, typer.Option(help="The run whose notebooks are shown.")] = "mini",
    runs_dir: RunsDir = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show it at a local address until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port of that address.")] = 8000,
) -> None:
    """Copy a run's executed notebooks into the book and build its HTML."""
    from egolib.runs import inventory

    runs = runs_dir or configs.project_root() / "runs"
    inventory.require_run(runs, name)
    from egolib.cli.book import build_book, serve_book

    index = build_book(name, runs)
    print(index)
    if serve:
        serve_book(Path(index).parent, port)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Print versions, devices, decoders, bridges, and what is missing, with remedies."""
    from egolib.cli import doctor as checks

    report = checks.examine()
    print(json.dumps(report) if as_json else checks.as_text(report))
