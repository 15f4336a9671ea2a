"""What a request means: nodes, parameters, grids, readable refusals."""

from __future__ import annotations

import pytest

from egolib.errors import EgolibError
from egolib.runs.node import Node
from egolib.runs.plan import Request, plan, plan_grid
from tests.runs.project import schema


def keys(nodes):
    return [node.key for node in nodes]


def test_a_task_is_its_chain(project):
    nodes = plan(Request("nlq", preset="tiny"), schema)
    assert keys(nodes) == [
        "nlq/scratch/1_data",
        "nlq/scratch/2_train",
        "nlq/scratch/3_infer",
        "nlq/scratch/4_evaluate",
        "nlq/finetune/2_train",
    ]
    assert nodes[1].parameters["train"] == {"epochs": 2}
    assert nodes[1].out == project / "runs" / "tiny" / "nlq" / "scratch" / "2_train"


def test_a_step_brings_what_it_needs(project):
    nodes = plan(Request("nlq", step="2_train", variant="finetune", preset="tiny"), schema)
    assert keys(nodes) == ["nlq/scratch/1_data", "nlq/scratch/2_train", "nlq/finetune/2_train"]
    assert nodes[-1].parameters["inputs"]["init"].endswith("tiny/nlq/scratch/2_train")


def test_a_checkpoint_replaces_the_training(project):
    weights = project / "x.safetensors"
    weights.write_bytes(b"")
    request = Request("nlq", step="3_infer", preset="tiny", checkpoint=weights)
    nodes = plan(request, schema)
    assert keys(nodes) == ["nlq/scratch/1_data", "nlq/scratch/3_infer"]
    assert nodes[-1].parameters["inputs"]["model"] == str(weights)


def test_an_input_replaces_the_step_that_makes_it(project):
    other = project / "other"
    other.mkdir()
    request = Request("nlq", step="2_train", preset="tiny", inputs={"data": str(other)})
    nodes = plan(request, schema)
    assert keys(nodes) == ["nlq/scratch/2_train"]
    assert nodes[0].parameters["inputs"] == {"data": str(other)}


def test_only_what_is_named_is_forced(project):
    nodes = plan(Request("nlq", step="2_train", preset="tiny", force=True), schema)
    assert {node.key: node.force for node in nodes} == {
        "nlq/scratch/1_data": False,
        "nlq/scratch/2_train": True,
    }
    assert Node.read(nodes[1].write()).force


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("nlq", step="2_train", preset="tiny", inputs={"dat": "x"}), "did you mean data"),
        (Request("nql", preset="tiny"), "did you mean nlq"),
        (Request("nlq", step="2_trian", preset="tiny"), "did you mean 2_train"),
        (Request("nlq", variant="scrach", preset="tiny"), "did you mean scratch"),
        (Request("nlq", preset="tinny"), "did you mean tiny"),
        (Request("nlq", preset="tiny", overrides=("epoch=1",)), "did you mean epochs"),
        (Request("nlq", preset="tiny", overrides=("epochs",)), "not of the form"),
        (Request("all", preset="tiny", overrides=("epoch=1",)), "no step of this run"),
    ],
)
def test_refusals_point_to_the_nearest(project, request_, message):
    with pytest.raises(EgolibError, match=message):
        plan(request_, schema)


def test_a_grid_shares_what_its_values_do_not_reach(project):
    request = Request("nlq", variant="scratch", preset="tiny")
    points = plan_grid(request, {"threshold": [0.1, 0.2]}, schema)
    first, second = ([node.out for node in point.nodes] for point in points)
    assert first[:3] == second[:3]
    assert first[3] != second[3]
    assert points[0].nodes[3].label == "nlq/scratch/4_evaluate [threshold=0.1]"
    assert points[0].nodes[3].parameters["inputs"]["predictions"] == str(first[2])


def test_grid_folders_name_only_the_values_that_reach_a_step(project):
    request = Request("nlq", variant="finetune", preset="tiny")
    point = plan_grid(request, {"seed": [0, 1], "threshold": [0.1]}, schema)[1]
    folders = {node.key: node.out.relative_to(project / "runs").parts[0] for node in point.nodes}
    assert folders["nlq/scratch/1_data"] == "tiny"
    assert folders["nlq/finetune/2_train"] == "tiny@seed=1"
    point = plan_grid(request, {"seed": [0], "threshold": [0.1]}, schema)[0]
    assert {node.out.relative_to(project / "runs").parts[0] for node in point.nodes} == {"tiny"}


def test_a_node_survives_its_file(project):
    node = plan(Request("nlq", preset="tiny"), schema)[1]
    assert Node.read(node.write()).parts == node.parts
