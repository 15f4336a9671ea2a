"""Every egolib command that README, CONTRIBUTING and the pages show can be understood and planned.

Options and arguments are parsed by the command line itself; what ``egolib run`` is asked for is
planned, with its variant, preset and parameters. Files that a reader brings are empty stand-ins.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
import typer

from egolib.cli import app, schema
from egolib.cli.running import grid_axis
from egolib.config import project_root
from egolib.runs.plan import Request, plan, plan_grid

ROOT = project_root()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "book").glob("*.md"))]
ROOT_OF_DATA = "--preset paper --data-root /data"


NAMES = {*typer.main.get_command(app).commands}  # type: ignore[attr-defined]


def shown(page: Path) -> list[str]:
    """The commands on lines of their own, continued lines joined, comments cut off."""
    found = []
    for line in page.read_text().replace("\\\n", " ").splitlines():
        words = line.strip().removeprefix("$ ").split()
        if words[:1] == ["egolib"] and words[1:2] and words[1] in NAMES:
            found.append(" ".join(words).replace("$R", ROOT_OF_DATA))
    return found


COMMANDS = [
    pytest.param(text, id=f"{page.stem}:{number}")
    for page in PAGES
    for number, text in enumerate(shown(page))
]


def parsed(text: str) -> tuple[str, dict]:
    """The subcommand and its parameters, as the command line reads them."""
    words = shlex.split(text, comments=True)[1:]
    command: click.Command = typer.main.get_command(app)
    name = ""
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"no command {name!r}"
        command = found
    return name, command.make_context(name, list(words)).params


def test_commands_are_found():
    assert len(COMMANDS) > 60
    print(f"{len(COMMANDS)} commands are shown")


@pytest.mark.parametrize("text", COMMANDS)
def test_a_shown_command_is_understood(text, tmp_path, monkeypatch):
    name, given = parsed(text)
    if name != "run" or given["show_list"]:
        return
    monkeypatch.delenv("EGOLIB_DATA", raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "weights.pth").touch()
    (tmp_path / "mine.yaml").write_text("{}")
    task, _, step = given["target"].partition("/")
    request = Request(
        task=task,
        step=step or None,
        variant=given["variant"],
        preset=given["preset"],
        name=given["name"],
        overrides=tuple(given["param"] or ()),
        params_file=tmp_path / "mine.yaml" if given["params"] else None,
        data_root=tmp_path / "data" if given["data_root"] else None,
        runs_dir=tmp_path / "runs",
        checkpoint=tmp_path / "weights.pth" if given["checkpoint"] else None,
    )
    if given["grid"]:
        assert plan_grid(request, dict(grid_axis(text) for text in given["grid"]), schema)
    else:
        assert plan(request, schema)
