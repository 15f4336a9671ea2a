"""Parts of a step's items, computed apart, and the step after them: as the step alone."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from egolib.config import TASKS
from egolib.runs.node import Node
from egolib.runs.parts import compute_part, in_parts
from egolib.runs.session import schema_of, start
from egolib.runs.shards import DIVIDED
from egolib.runs.step import Step
from tests.helpers.answers import answers

COUNT = 3
STEP = "3_infer"


def finished_node(root: Path, task: str) -> Node:
    """The node of the first variant's inference in a finished run."""
    return Node.read(sorted((root / "runs" / "tiny" / task).glob(f"*/{STEP}/node.json"))[0])


def step_of(node: Node) -> Step:
    task = node.key.split("/")[0]
    return start(schema_of(task), task, STEP, **node.parameters)


@pytest.mark.slow
@pytest.mark.xdist_group("tiny")
@pytest.mark.parametrize("task", TASKS)
def test_parts_and_then_the_step_give_what_the_step_alone_gives(task, tiny, tmp_path, monkeypatch):
    root, _ = tiny
    monkeypatch.setenv("EGOLIB_ROOT", str(root))
    node = finished_node(root, task)
    apart = replace(node, parameters={**node.parameters, "out": str(tmp_path)}, out=tmp_path)
    sizes = []
    for number in reversed(range(COUNT)):
        compute_part(apart, number, COUNT)
        sizes.append(sum(path.is_file() for path in tmp_path.rglob("*")))
    fewest = 2 if task == "mq" else COUNT  # its eight clips of a split are one group
    assert len(set(sizes)) >= fewest, "parts that computed nothing"
    assert not answers(tmp_path), "a part wrote what only the step may write"
    import_module(f"egolib.{task}.steps.{DIVIDED[STEP]}").predict(step_of(apart))
    expected = answers(node.out)
    assert expected and answers(tmp_path) == expected


def test_only_inference_is_divided(tmp_path):
    node = Node("vod/selsa/2_train", Path("2_train.ipynb"), tmp_path, {}, {}, {})
    assert not in_parts(node, 4)
    node = replace(node, notebook=Path("3_infer.ipynb"))
    assert in_parts(node, 4) and not in_parts(node, 1)
