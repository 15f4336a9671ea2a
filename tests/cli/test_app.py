"""What stands before every command."""

from __future__ import annotations

from typer.testing import CliRunner

from egolib import __version__
from egolib.cli import app


def test_the_version_is_told():
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"{__version__}\n")


def test_no_command_shows_help():
    assert "Usage:" in CliRunner().invoke(app, []).output
