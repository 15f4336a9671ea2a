"""Every egolib command that we show can be understood and planned.

Options and arguments are parsed by the command line itself; what ``egolib run`` is asked for is
planned, with its variant, preset and parameters. Files that a reader brings are empty stand-ins.
"""

from __future__ import annotations

import shlex
import subprocess

import pytest
import typer

from egolib.cli import app, schema
from egolib.cli.running import grid_axis
from egolib.runs.plan import Request, plan, plan_grid
from tests.book.shown import ROOT, everything
from tests.book.stand_ins import here

COMMANDS = [found for found in everything() if found.kind != "python" and not found.reason]
OURS = [pytest.param(found, id=found.place) for found in COMMANDS if found.program == "egolib"]


def parsed(text: str) -> tuple[str, dict]:
    """The subcommand and its parameters, as the command line reads them."""
    words = shlex.split(text, comments=True)[1:]
    words = words[: words.index(">")] if ">" in words else words
    command = typer.main.get_command(app)
    name = ""
    while hasattr(command, "commands"):  # a group
        name, *words = words
        assert name in command.commands, f"no command {name!r}"
        command = command.commands[name]
    return name, command.make_context(name, list(words)).params


def test_commands_are_found():
    kinds = [found.kind for found in COMMANDS]
    assert kinds.count("command") > 80 and kinds.count("inline") > 30 and kinds.count("help") > 5
    assert {parsed(found.text)[0] for (found,) in (p.values for p in OURS[:12])} > {"run"}


@pytest.mark.parametrize("found", OURS)
def test_a_shown_command_is_understood(found, tmp_path, monkeypatch):
    if "mention" in here(found, None)[1]:
        return
    name, given = parsed(found.text)
    if name not in ("run", "params") or given.get("show_list"):
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
        params_file=tmp_path / "mine.yaml" if given.get("params") else None,
        data_root=tmp_path / "data" if given["data_root"] else None,
        runs_dir=tmp_path / "runs",
        checkpoint=tmp_path / "weights.pth" if given["checkpoint"] else None,
    )
    if given.get("grid"):
        axes = dict(grid_axis(text) for text in given["grid"])
        ends = {name: values[-1:] for name, values in axes.items()}  # each point plans alike
        assert plan_grid(request, ends, schema)
    else:
        assert plan(request, schema)


@pytest.mark.parametrize("text", ["egolib rum nlq", "egolib run nlq --presett tiny"])
def test_a_wrong_command_is_noticed(text):
    with pytest.raises((AssertionError, Exception), match="rum|presett"):
        parsed(text)


@pytest.mark.parametrize(
    "found", [pytest.param(f, id=f.place) for f in COMMANDS if f.program == "make"]
)
def test_a_shown_target_of_make_exists(found):
    done = subprocess.run(
        ["make", "-n", *shlex.split(found.text)[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_other_programs_are_marked():
    """What is no command of ours runs nowhere: the page says why."""
    assert [f for f in COMMANDS if f.program not in ("egolib", "make", "python", "papermill")] == []
