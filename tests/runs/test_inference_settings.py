"""No setting of inference reaches a training: who tries one computes answers anew, no weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from egolib import config as configs
from egolib.cli.app import schema
from egolib.errors import EgolibError
from egolib.runs.plan import Request, plan
from tests.options.alternatives import of_schema

#: The sections of inference; every task has ``infer``.
SECTIONS = ("infer", "detect", "localize")


def default_variant(task: str) -> str:
    return plan(Request(task, preset="tiny", step="1_data"), schema)[-1].key.split("/")[1]


def alternatives(task: str) -> Iterator[tuple[str, object]]:
    """All that can be chosen in the sections of inference, one value at a time."""
    config: object = configs.build(
        schema(task), configs.resolve(schema(task), task, default_variant(task), "tiny")
    )
    for name, value in of_schema(schema(task), config, {}):
        if name.split(".")[0] in SECTIONS and not isinstance(value, (dict, tuple, list)):
            yield name, value


def parameters(task: str, *overrides: str) -> dict[str, object]:
    """What each notebook of the task is given, by step."""
    nodes = plan(Request(task, preset="tiny", overrides=overrides, step="3_infer"), schema)
    return {n.key: n.parameters for n in nodes if n.key.startswith(f"{task}/")}


@pytest.mark.parametrize("task", configs.TASKS)
def test_settings_of_inference_reach_inference_alone(task: str) -> None:
    before = parameters(task)
    tried = list(alternatives(task))
    assert tried
    for name, value in tried:
        text = "null" if value is None else str(value).lower() if value in (True, False) else value
        try:
            after = parameters(task, f"{name}={text}")
        except EgolibError:  # refused when it is planned: nothing is computed at all
            continue
        changed = [key for key in before if before[key] != after.get(key)]
        assert changed and all(key.endswith("3_infer") for key in changed), (name, value, changed)
