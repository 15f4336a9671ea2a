"""A graph of notebooks on a Slurm cluster, through submitit.

Every node becomes a job that runs what the local runner runs; edges become job
dependencies, the points of a grid become arrays. A job that fails ends the jobs
that depend on it. A job that is pre-empted is queued again, and its training goes
on from its snapshot.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egolib.engine import distributed
from egolib.errors import EgolibError
from egolib.runs.execute import execute
from egolib.runs.local import Outcome
from egolib.runs.node import Node
from egolib.runs.stamps import reasons

# Names in params/<task>/<variant>.yaml under ``resources`` and what submitit calls them.
RESOURCES = {
    "nodes": "nodes",
    "gpus_per_node": "gpus_per_node",
    "cpus": "cpus_per_task",
    "memory": "mem",
    "minutes": "time",
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "constraint": "constraint",
}
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}


@dataclass
class _Task:
    """What a Slurm job executes; pickled by submitit."""

    node_file: str

    def __call__(self) -> None:
        file = Path(self.node_file)
        number = int(os.environ.get("SLURM_PROCID", "0"))
        if number > 0:  # a further machine of the same job
            distributed.join(file.parent, number=number)
            return
        try:
            execute(Node.read(file))
        finally:
            (file.parent / "finished").touch()

    def checkpoint(self) -> Any:
        """Called by submitit before a time limit or pre-emption: queue the same again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(_Task(self.node_file))


@dataclass
class _Submitted:
    """A node's job."""

    node: Node
    job: Any


def run_slurm(
    nodes: Sequence[Node],
    *,
    say: Callable[[str], None] = print,
    wait: bool = True,
    poll_sec: float = 2.0,
) -> Outcome:
    """Submits a graph and waits for it.

    Args:
        nodes: in an order in which they can run.
        say: receives a line for every event.
        wait: False returns after submission.
        poll_sec: how often the queue is asked.

    Raises:
        EgolibError: there is no Slurm here, or it refused a job.
    """
    outcome = Outcome()
    submitted: dict[Path, _Submitted] = {}
    for level in _levels(nodes):
        _submit_level(level, submitted, outcome, say)
    if wait:
        for entry in submitted.values():
            _await(entry, outcome, say, poll_sec)
    return outcome


def _levels(nodes: Sequence[Node]) -> list[list[Node]]:
    """Nodes of the same key stand together: the points of a grid, which make an array."""
    unique = list({node.out: node for node in nodes}.values())
    keys = list(dict.fromkeys(node.key for node in unique))
    return [[node for node in unique if node.key == key] for key in keys]


def _submit_level(
    level: list[Node],
    submitted: dict[Path, _Submitted],
    outcome: Outcome,
    say: Callable[[str], None],
) -> None:
    due = []
    for node in level:
        waits = [out for out in node.upstream.values() if out in submitted]
        why = reasons(node) or [f"after {len(waits)} other steps"] * bool(waits)
        if not why:
            outcome.states[node.label] = "current"
            say(f"{node.label}: current")
        else:
            due.append(node)
    if not due:
        return
    jobs = _submit(due, [_job_ids(node, submitted) for node in due])
    for node, job in zip(due, jobs, strict=True):
        submitted[node.out] = _Submitted(node, job)
        say(f"{node.label}: submitted as job {job.job_id}")


def _job_ids(node: Node, submitted: dict[Path, _Submitted]) -> list[str]:
    return [submitted[out].job.job_id for out in node.upstream.values() if out in submitted]


def _submit(nodes: list[Node], after: list[list[str]]) -> list[Any]:
    """One job, or one array where several nodes may start after the same jobs."""
    together = len(nodes) > 1 and all(ids == after[0] for ids in after)
    if not together:
        return [
            _executor(n, ids).submit(_Task(str(n.write())))
            for n, ids in zip(nodes, after, strict=True)
        ]
    executor = _executor(nodes[0], after[0], array=True)
    return list(executor.map_array(_call, [_Task(str(node.write())) for node in nodes]))


def _call(task: _Task) -> None:
    task()


def _executor(node: Node, after: list[str], array: bool = False) -> Any:
    import submitit

    known = {RESOURCES[k]: v for k, v in node.resources.items() if k in RESOURCES}
    unknown = set(node.resources) - set(RESOURCES)
    if unknown:
        raise EgolibError(f"unknown resources {sorted(unknown)}", record=node.key)
    additional: dict[str, Any] = {"requeue": True, "kill-on-invalid-dep": "yes"}
    if after:
        additional["dependency"] = "afterok:" + ":".join(after)
    folder = node.out.parent if array else node.out
    try:
        executor = submitit.SlurmExecutor(folder=folder / "slurm", max_num_timeout=100)
    except RuntimeError as error:
        raise EgolibError("there is no Slurm on this machine", remedy="--executor local") from error
    executor.update_parameters(
        job_name=node.key.replace("/", "-"),
        ntasks_per_node=1,
        setup=["export EGOLIB_HEADLESS=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}"],
        stderr_to_stdout=True,
        additional_parameters=additional,
        **{"time": 60 * 24, **known},
    )
    return executor


def _await(
    entry: _Submitted, outcome: Outcome, say: Callable[[str], None], poll_sec: float
) -> None:
    node, begin = entry.node, time.monotonic()
    while (state := _state(entry.job)) not in ENDED:
        time.sleep(poll_sec)
    done = state == "COMPLETED" and (node.out / "stamp.json").is_file()
    blocked = state == "CANCELLED" and not node.executed.is_file()
    outcome.states[node.label] = "done" if done else "blocked" if blocked else "failed"
    outcome.seconds[node.label] = time.monotonic() - begin
    ending = "done" if done else f"{state}, see {entry.job.paths.stdout}"
    say(f"{node.label}: {ending}")


def _state(job: Any) -> str:
    """The state of a job, from the controller (it needs no accounting database)."""
    shown = subprocess.run(
        ["scontrol", "show", "job", "--oneliner", job.job_id], capture_output=True, text=True
    )
    for word in shown.stdout.split():
        if word.startswith("JobState="):
            state = word.partition("=")[2]
            reason = "DependencyNeverSatisfied" in shown.stdout
            return "CANCELLED" if reason else state
    return "COMPLETED" if job.paths.result_pickle.exists() else "FAILED"
