"""A graph of notebooks on a Slurm cluster, through submitit.

Every node becomes a job that runs what the local runner runs; edges become job
dependencies, the points of a grid become arrays. A job that fails ends the jobs
that depend on it. A job that is pre-empted is queued again, and its training goes
on from its snapshot. Inference can be divided (``shards``): an array computes its
parts into the step's cache, and the step's own job runs after it, whatever became
of the array's jobs: it computes what they did not.
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
from egolib.runs.parts import compute_part, in_parts
from egolib.runs.stamps import reasons

SHARDS = "shards"  #: the resource that divides a step
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
class _Part:
    """One part of a step; pickled by submitit."""

    node_file: str
    number: int
    count: int

    def __call__(self) -> None:
        compute_part(Node.read(Path(self.node_file)), self.number, self.count)

    def checkpoint(self) -> Any:
        """Queued again, it finds in the cache what it has computed."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(_Part(self.node_file, self.number, self.count))


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
    parts = [_submit_parts(node, _job_ids(node, submitted), say) for node in due]
    jobs = _submit(due, [_job_ids(node, submitted) for node in due], parts)
    for node, job in zip(due, jobs, strict=True):
        submitted[node.out] = _Submitted(node, job)
        say(f"{node.label}: submitted as job {job.job_id}")


def _job_ids(node: Node, submitted: dict[Path, _Submitted]) -> list[str]:
    return [submitted[out].job.job_id for out in node.upstream.values() if out in submitted]


def _submit_parts(node: Node, after: list[str], say: Callable[[str], None]) -> list[str]:
    """The array of a step that is divided; gives the ids of its jobs."""
    count = int(node.resources.get(SHARDS, 1))
    if not in_parts(node, count):
        return []
    file = str(node.write())
    executor = _executor(node, after)
    jobs = executor.map_array(_call, [_Part(file, number, count) for number in range(count)])
    say(f"{node.label}: {count} parts submitted as jobs {jobs[0].job_id} to {jobs[-1].job_id}")
    return [job.job_id for job in jobs]


def _submit(nodes: list[Node], after: list[list[str]], parts: list[list[str]]) -> list[Any]:
    """One job, or one array where several nodes may start after the same jobs."""
    together = len(nodes) > 1 and all(ids == after[0] for ids in after) and not any(parts)
    if not together:
        return [
            _executor(n, ids, own).submit(_Task(str(n.write())))
            for n, ids, own in zip(nodes, after, parts, strict=True)
        ]
    executor = _executor(nodes[0], after[0], array=True)
    return list(executor.map_array(_call, [_Task(str(node.write())) for node in nodes]))


def _call(task: Callable[[], None]) -> None:
    task()


def _executor(
    node: Node, after: list[str], parts: Sequence[str] = (), *, array: bool = False
) -> Any:
    """What submits a node's job, after jobs that have to succeed and ``parts`` that have to end."""
    import submitit

    known = {RESOURCES[k]: v for k, v in node.resources.items() if k in RESOURCES}
    unknown = set(node.resources) - set(RESOURCES) - {SHARDS}
    if unknown:
        raise EgolibError(f"unknown resources {sorted(unknown)}", record=node.key)
    additional: dict[str, Any] = {"requeue": True, "kill-on-invalid-dep": "yes"}
    dependencies = {"afterok": after, "afterany": parts}
    waits = [":".join([kind, *ids]) for kind, ids in dependencies.items() if ids]
    if waits:
        additional["dependency"] = ",".join(waits)
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
