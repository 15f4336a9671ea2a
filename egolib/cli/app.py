"""The command line's application, and what its commands share."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from egolib import __version__
from egolib import config as configs
from egolib.errors import nearest

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


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="The version."),
    ] = False,
) -> None:
    """What stands before a command."""


def schema(task: str) -> type:
    """The configuration dataclass of a task; loads no torch."""
    result: type = import_module(f"egolib.{task}.config").Config
    return result


def name_of(command: Any) -> str:
    """The name of a registered command."""
    return str(command.name or command.callback.__name__)


def task_module(task: str, module: str) -> Any:
    """A module of a task's package; exit code 2 where there is no such task or module."""
    if task not in configs.TASKS:
        raise wrong_use(f"unknown task {task!r}: {nearest(task, configs.TASKS)}")
    try:
        return import_module(f"egolib.{task}.{module}")
    except ModuleNotFoundError as error:
        if not f"egolib.{task}.{module}.".startswith(f"{error.name}."):
            raise
        raise wrong_use(f"{task} has no {module}") from error


def wrong_use(error: object) -> typer.Exit:
    """Prints what was wrong; raise what this returns."""
    print(error, file=sys.stderr)
    return typer.Exit(2)
