"""What a run says at its end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from egolib.runs.display import next_steps


@pytest.mark.parametrize(
    "step", ["nlq/scratch/4_evaluate", "pages/mq_results", "0_world", "9_scoreboard"]
)
def test_the_book_of_the_run_is_proposed_whatever_ran_last(step):
    node = SimpleNamespace(label=step, out=Path("/somewhere/runs/mine") / step)
    said = next_steps({step: "done"}, [node])
    assert said[0].endswith(step) and said[-1] == "publish: egolib book --name mine"


def test_nothing_is_proposed_where_nothing_was_finished():
    node = SimpleNamespace(label="0_world", out=Path("/somewhere/runs/mine/0_world"))
    assert next_steps({"0_world": "failed"}, [node]) == []
