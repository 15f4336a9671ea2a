"""Verdicts are computed, and evidence belongs to the present configurations."""

from __future__ import annotations

import math

import pytest

from egolib import config
from egolib.cli import schema
from egolib.report import evidence
from egolib.report.evidence import Claim, Pair


def cells(**values):
    return [
        {"cell": name, "seed": seed, "metrics": {"r1": value}}
        for name, column in values.items()
        for seed, value in enumerate(column)
    ]


@pytest.mark.parametrize(
    ("better", "worse", "verdict"),
    [
        ([], [], "open"),
        ([0.5], [0.1], "open"),
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.3], "held"),
        ([0.5, 0.1, 0.7], [0.4, 0.3, 0.1], "undecided"),
        ([0.103, 0.205, 0.302], [0.1, 0.2, 0.3], "held"),  # 3.8 standard errors above zero
        ([0.101, 0.203, 0.304], [0.1, 0.2, 0.3], "held"),  # 3.0 of them: just enough
        ([0.1005, 0.2030, 0.3040], [0.1, 0.2, 0.3], "undecided"),  # 2.4: enough for 2, not for t
        ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7], "not held"),
    ],
)
def test_verdicts(better, worse, verdict):
    claim = Claim("x", "r1", "a", "b")
    assert evidence.judge(claim, claim, cells(a=better, b=worse))["verdict"] == verdict


def test_differences_are_paired_by_seed():
    claim = Claim("x", "r1", "a", "b")
    found = evidence.judge(claim, claim, cells(a=[0.1, 0.3, 0.9], b=[0.0, 0.1, 0.6]))
    assert found["differences"] == pytest.approx([0.1, 0.2, 0.3])
    assert found["standard_error"] == pytest.approx(0.1 / math.sqrt(3))
    assert found["verdict"] == "held"


def test_the_interval_is_students():
    """With three seeds 2.92 standard errors each way (published tables of Student's t)."""
    claim = Claim("x", "r1", "a", "b")
    found = evidence.judge(claim, claim, cells(a=[0.1, 0.3, 0.9], b=[0.0, 0.1, 0.6]))
    reach = 2.920 * 0.1 / math.sqrt(3)
    assert found["interval"] == pytest.approx([0.2 - reach, 0.2 + reach], abs=1e-5)
    assert found["means"] == pytest.approx([1.3 / 3, 0.7 / 3])
    assert evidence.student_t(2) == pytest.approx(6.314, abs=1e-3)
    assert evidence.student_t(11) == pytest.approx(1.812, abs=1e-3)


def test_numbers_equality_and_further_tries():
    near = Claim("x", "r1", "a", 0.5, near=0.05)
    assert evidence.judge(near, near, cells(a=[0.52, 0.49, 0.5]))["verdict"] == "held"
    assert evidence.judge(near, near, cells(a=[0.62, 0.59, 0.6]))["verdict"] == "not held"
    assert evidence.judge(near, near, cells(a=[0.58, 0.47, 0.5]))["verdict"] == "undecided"
    claim = Claim("x", "r1", "a", "b", tried=(Pair("c", "b", "longer"),))
    claims = evidence.Claims(claims=(claim,))
    found = evidence.judge_all(claims, cells(a=[0, 0], b=[0.5, 0.4], c=[0.6, 0.5]))[0]
    assert (found["verdict"], found["tried"][0]["verdict"]) == ("not held", "held")


def test_a_cell_may_be_compared_with_another_metric_of_its_own():
    claim = Claim("x", "r1", "a", "a", baseline="blind.r1")
    found = [
        {"cell": "a", "seed": seed, "metrics": {"r1": value, "blind.r1": 0.25}}
        for seed, value in enumerate((0.5, 0.75, 1.0))
    ]
    judged = evidence.judge(claim, claim, found)
    assert judged["differences"] == [0.25, 0.5, 0.75] and judged["means"] == [0.75, 0.25]


def test_cells_of_fewer_seeds():
    cells_of = {"a": evidence.Cell("x"), "b": evidence.Cell("y", seeds=(1,))}
    claims = evidence.Claims(cells=cells_of)
    assert [claims.has("a", seed) for seed in (0, 1, 5)] == [True, True, False]
    assert [claims.has("b", seed) for seed in (0, 1)] == [False, True]


def test_one_seed_shows_a_direction_where_it_is_meant_to_be_alone():
    cells_of = {"a": evidence.Cell("x", seeds=(0,)), "b": evidence.Cell("y")}
    claims = evidence.Claims(cells=cells_of, claims=(Claim("x", "r1", "a", "b"),))
    for better, verdict in ((0.5, "above, one seed"), (0.2, "below, one seed")):
        found = evidence.judge_all(claims, cells(a=[better], b=[0.3, 0.4, 0.5]))[0]
        assert found["verdict"] == verdict and found["standard_error"] is None
        assert found["mean"] == pytest.approx(better - 0.3)
    both = evidence.Claims(cells={"a": cells_of["b"], "b": cells_of["b"]}, claims=claims.claims)
    assert evidence.judge_all(both, cells(a=[0.5], b=[0.3]))[0]["verdict"] == "open"


TASKS_WITH_CLAIMS = [
    t for t in config.TASKS if (config.project_root() / "params" / t / "claims.yaml").is_file()
]


@pytest.mark.parametrize("task", TASKS_WITH_CLAIMS)
def test_recorded_evidence_is_current(task):
    """Recorded cells ran with what is configured now, and the verdicts follow from them.

    A cell that was not run yet leaves its claims open, and shown so.
    """
    claims = evidence.read_claims(task)
    found = evidence.read_evidence(task)
    for cell in found["cells"]:
        name, seed = cell["cell"], cell["seed"]
        assert name in claims.cells and claims.has(name, seed), f"{name}, seed {seed}"
        nodes = evidence.cell_nodes(task, claims, claims.cells[name], seed, schema)
        current = evidence.cell_hash(nodes)
        recorded = cell["config_hash"]
        assert evidence.is_current(task, recorded, current), f"{name}, seed {seed}"
    if found["cells"]:
        assert found["claims"] == evidence.judge_all(claims, found["cells"])
