"""Launch links open a notebook that is there, on the tiny preset, with what they install."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from egolib.config import project_root
from egolib.io.records import read_json

ROOT = project_root()
SPEC = importlib.util.spec_from_file_location("launch", ROOT / "book/_ext/launch.py")
assert SPEC is not None and SPEC.loader is not None
EXTENSION = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(EXTENSION)
ADDRESS = "https://github.com/someone/egolib"


def buttons(monkeypatch, configured: str, environment: str = "") -> list:
    monkeypatch.setenv("EGOLIB_REPOSITORY", environment)
    app = SimpleNamespace(config=SimpleNamespace(egolib_repository=configured))
    context: dict = {"header_buttons": []}
    EXTENSION._add(app, "page", "page.html", context, None)
    return context["header_buttons"]


@pytest.mark.parametrize(("configured", "environment"), [(ADDRESS, ""), ("", f"{ADDRESS}.git")])
def test_links_of_a_known_repository(monkeypatch, configured, environment):
    (group,) = buttons(monkeypatch, configured, environment)
    binder, colab = (button["url"] for button in group["buttons"])
    assert binder == f"https://mybinder.org/v2/gh/someone/egolib/main?labpath={EXTENSION.NOTEBOOK}"
    assert colab.startswith("https://colab.research.google.com/github/someone/egolib/blob/main/")
    assert EXTENSION.NOTEBOOK in colab and (ROOT / EXTENSION.NOTEBOOK).is_file()


@pytest.mark.parametrize("address", ["", "https://example.org/egolib", "https://github.com/alone"])
def test_no_links_without_one(monkeypatch, address):
    assert buttons(monkeypatch, address) == []


def test_what_binder_installs():
    lines = (ROOT / "binder/requirements.txt").read_text().split()
    assert (ROOT / "binder" / lines[1]).resolve() == (ROOT / "requirements.lock").resolve()
    assert os.access(ROOT / "binder/postBuild", os.X_OK)
    commands = re.findall(r"^egolib (.+)$", (ROOT / "binder/postBuild").read_text(), re.M)
    for command in commands:
        words = [sys.executable, "-m", "egolib", *command.split(), "--help"]
        assert subprocess.run(words, capture_output=True).returncode == 0


def test_the_notebook_runs_a_task_on_tiny(monkeypatch, tmp_path):
    """With a stand-in for the command: it runs the tiny preset from the project's root."""
    every = read_json(ROOT / EXTENSION.NOTEBOOK)["cells"]
    cells = [cell for cell in every if cell["cell_type"] == "code"]
    asked = []
    monkeypatch.setattr(subprocess, "run", lambda words, **options: asked.append((words, options)))
    monkeypatch.chdir(ROOT / "binder")
    names: dict = {}
    for cell in cells:
        exec("".join(cell["source"]), names)
    ((words, options),) = asked
    assert words[2:] == ["egolib", "run", "nlq", "--preset", "tiny"]
    assert options["cwd"] == str(ROOT)


def test_the_workflow_builds_publishes_and_archives():
    flow = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text())
    steps = [step for job in flow["jobs"].values() for step in job["steps"]]
    text = "\n".join(str(step.get("run", step.get("uses"))) for step in steps)
    assert "make book PRESET=$PRESET" in text and "deploy-pages" in text
    assert "executed-notebooks.tar.gz" in text
    made = next(step for step in steps if "make book" in str(step.get("run")))
    assert "github.repository" in made["env"]["EGOLIB_REPOSITORY"]
    preset = flow["jobs"]["build"]["env"]["PRESET"]
    assert "release" in preset and "mini" in preset and "tiny" in preset
