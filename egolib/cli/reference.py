"""The book's reference: commands, parameters and functions, written from the code itself."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import click
import typer

from egolib import config as configs
from egolib.cli.app import schema
from egolib.io.records import write_text
from egolib.report import gpu
from egolib.report.banner import about_task
from egolib.report.outputs import as_text

TASK_MODULES = (
    "",
    "api",
    "config",
    "evaluation",
    "formats.submission",
    "formats.detections",
    "optim",
    "data.annotations",
    "data.readers",
    "data.dataset",
    "data.text",
    "models.model",
    "models.network",
    "models.vsgn",
    "models.actionformer",
)
SHARED_MODULES = (
    "errors",
    "config",
    "engine.config",
    "nn.config",
    "ops.boxes",
    "ops.segments",
    "metrics.box_tracks",
    "metrics.coco",
    "metrics.detection",
    "metrics.moment_detection",
    "metrics.moments",
    "metrics.motion_speed",
    "metrics.multiple_choice",
    "metrics.retrieval",
    "metrics.summarization",
    "metrics.visual_query",
    "text.tokens",
    "video.reader",
    "viz",
    "viz.style",
    "io.checkpoint",
    "io.features",
    "io.load_report",
    "io.provenance",
    "report.results",
    "report.evidence",
    "runs.session",
    "runs.step",
    "interop.detectron2",
    "interop.mmdet",
)
_ARGUMENT = re.compile(r"^ {4}(\w+): (.*)$")


def write_reference(folder: Path) -> None:
    """Writes all pages of the reference; pages that stay the same are not touched.

    Args:
        folder: ``book/live/reference``.
    """
    pages = {"commands": commands_page(), "parameters": _index_page("parameters", PARAMETERS)}
    pages["api"] = _index_page("api", FUNCTIONS)
    for task in configs.TASKS:
        pages[f"parameters_{task}"] = parameters_page(task)
        modules = [f"egolib.{task}.{m}".rstrip(".") for m in TASK_MODULES]
        pages[f"api_{task}"] = api_page(task, modules)
    pages["api_shared"] = api_page("shared parts", [f"egolib.{m}" for m in SHARED_MODULES])
    pages["gpu"] = gpu.page()
    for name, text in pages.items():
        file = folder / f"{name}.md"
        if not file.is_file() or file.read_text() != text:
            write_text(file, text)


PARAMETERS = (
    "Parameters",
    "Everything that a variant, a preset, a file given with `--params` or `-p name=value`\n"
    "can set, a page a task: name, type, default and meaning. Defaults are the published\n"
    "values; `egolib params nlq/2_train` prints those of a variant and preset.",
)
FUNCTIONS = (
    "Functions",
    "What can be imported: of each task its verb, configuration, evaluation and submission\n"
    "format, and the parts that all tasks share. Written from the docstrings.",
)


def _index_page(prefix: str, text: tuple[str, str]) -> str:
    title, about = text
    names = [*configs.TASKS, *(["shared"] if prefix == "api" else [])]
    links = "\n".join(f"- [{_named(name)}]({prefix}_{name}.md)" for name in names)
    return f"# {title}\n\n{about}\n\n{links}\n"


def _named(name: str) -> str:
    title = about_task(name).get("title") if name in configs.TASKS else None
    return f"{name}: {title}" if title else name


# ------------------------------------------------------------------------ commands


def commands_page() -> str:
    """Every command of the command line with its arguments and options."""
    from egolib.cli import app

    group = typer.main.get_command(app)
    lines = ["# Commands", "", "What `egolib --help` says, in one page.", ""]
    for name, command in _commands(group):
        lines += [f"## egolib {name}", "", (command.help or "").strip(), ""]
        rows = [row for p in command.params if (row := _option(p))]
        if rows:
            lines += ["| option | meaning | default |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in sorted(group.commands.items()):
        if getattr(command, "commands", None):
            yield from _commands(command, f"{before}{name} ")
        elif not command.hidden:
            yield f"{before}{name}", command


def _option(parameter: click.Parameter) -> str | None:
    if getattr(parameter, "hidden", False):
        return None
    is_option = parameter.param_type_name == "option"
    name = ", ".join(parameter.opts) if is_option else str(parameter.name).upper()
    help_text = _cell(str(getattr(parameter, "help", None) or ""))
    default = parameter.default
    shown = "" if default in (None, False, ()) or callable(default) else f"`{default}`"
    return f"| `{name}` | {help_text} | {shown} |"


def _cell(text: str) -> str:
    """A text inside a Markdown table."""
    joined = " ".join(text.split()).replace("``", "`").replace("|", "\\|")
    return joined.replace("<", "&lt;").replace("$", "\\$")


# ---------------------------------------------------------------------- parameters


def parameters_page(task: str) -> str:
    """Every parameter of a task: dotted name, type, default and meaning.

    Args:
        task: its name.
    """
    lines = [f"# Parameters of {task}", ""]
    config = schema(task)()
    own = [f for f in dataclasses.fields(config) if not _is_section(getattr(config, f.name))]
    lines += _table([_row(config, f, "") for f in own])
    for field in dataclasses.fields(config):
        section = getattr(config, field.name)
        if _is_section(section):
            summary = inspect.getdoc(type(section)) or ""
            lines += [f"## {field.name}", "", _cell(summary.split("\n\n")[0]), ""]
            lines += _table(list(_rows(section, f"{field.name}.")))
    return "\n".join(lines) + "\n"


def _table(rows: list[str]) -> list[str]:
    return ["| parameter | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""]


def _is_section(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _rows(section: Any, before: str) -> Iterator[str]:
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if _is_section(value):
            yield from _rows(value, f"{before}{field.name}.")
        else:
            yield _row(section, field, before)


def _row(section: Any, field: Any, before: str) -> str:
    hint = typing.get_type_hints(type(section))[field.name]
    meaning = meanings(type(section)).get(field.name, "")
    value = getattr(section, field.name)
    plain = configs.to_tree(section).get(field.name, value)
    default = as_text(plain) if plain != "" else '""'
    return (
        f"| `{before}{field.name}` | {_cell(_type(hint))} | {_cell(default)} | {_cell(meaning)} |"
    )


def _type(hint: Any) -> str:
    """A type in few words: choices are listed."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("none" if i is type(None) else _type(i) for i in inner)
    if origin in (list, tuple):
        kinds = dict.fromkeys(_type(i) for i in inner if i is not Ellipsis)
        return f"list of {' and '.join(kinds)}"
    if origin in (dict, Mapping):
        return "mapping"
    return str(getattr(hint, "__name__", hint))


def meanings(cls: type) -> dict[str, str]:
    """What a docstring's ``Args`` say of each field.

    Args:
        cls: a dataclass.
    """
    found: dict[str, str] = {}
    name = ""
    for line in (inspect.getdoc(cls) or "").splitlines():
        match = _ARGUMENT.match(line)
        if match:
            name = match[1]
            found[name] = match[2]
        elif name and line.startswith(" " * 6) and line.strip():
            found[name] += f" {line.strip()}"
        else:
            name = ""
    return found


# ----------------------------------------------------------------------- functions


def api_page(title: str, modules: list[str]) -> str:
    """A page of functions and classes, which autodoc fills from their docstrings.

    Each is documented once, in the module that defines it; of a package of settings also
    those of its modules.

    Args:
        title: whose they are.
        modules: dotted names; those that do not exist are left out.
    """
    lines = [f"# Functions of {title}", ""]
    for module in [part for name in modules for part in _with_parts(name)]:
        lines += [f"## {module}", "", "```{eval-rst}", f".. automodule:: {module}"]
        lines += ["   :members:", "   :member-order: bysource", "   :ignore-module-all:"]
        lines += ["   :exclude-members: set", "```", ""]
    return "\n".join(lines)


def _with_parts(module: str) -> list[str]:
    found = find_spec(module)
    if found is None:
        return []
    folders = found.submodule_search_locations if module.endswith(".config") else None
    return [module, *(f"{module}.{part.name}" for part in iter_modules(folders or []))]
