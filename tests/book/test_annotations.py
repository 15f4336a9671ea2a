"""Types in the reference lead to one documented class, whichever task they belong to."""

from __future__ import annotations

import importlib.util
import re
from types import SimpleNamespace

import pytest
import yaml
from sphinx.util.inspect import signature
from sphinx.util.typing import stringify_annotation

from egolib import config, mq, nlq
from egolib.cli.reference import write_reference
from egolib.mq.api import MomentFinder
from egolib.nlq.api import Grounder

ROOT = config.project_root()
SPEC = importlib.util.spec_from_file_location("annotations", ROOT / "book/_ext/annotations.py")
assert SPEC is not None and SPEC.loader is not None
EXTENSION = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(EXTENSION)


@pytest.mark.parametrize("thing", [Grounder, MomentFinder])
def test_constructors_name_the_settings_of_their_own_task(thing):
    name = f"{thing.__module__}.{thing.__name__}"
    env = SimpleNamespace(temp_data={"annotations": {name: {"infer": "InferConfig | None"}}})
    EXTENSION._constructor(SimpleNamespace(env=env), "class", name, thing)
    task = thing.__module__.split(".")[1]
    found = env.temp_data["annotations"][name]["infer"]
    assert found == f"~egolib.{task}.config.run.InferConfig | None"


@pytest.mark.parametrize("task", [nlq, mq])
def test_names_for_type_checkers_are_resolved(task):
    EXTENSION._before(None, task.load, False)
    infer = signature(task.load).parameters["infer"].annotation
    expected = f"~{task.__name__}.config.run.InferConfig | None"
    assert stringify_annotation(infer, "smart") == expected


def test_everything_is_documented_once(tmp_path):
    write_reference(tmp_path)
    text = "\n".join(file.read_text() for file in tmp_path.glob("api_*.md"))
    modules = re.findall(r"automodule:: (\S+)", text)
    assert len(modules) == len(set(modules)) == text.count(":ignore-module-all:")
    for task in config.TASKS:
        assert {f"egolib.{task}", f"egolib.{task}.api", f"egolib.{task}.config"} <= set(modules)


def test_no_warning_of_the_builder_is_suppressed():
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert "suppress_warnings" not in settings["sphinx"]["config"]
