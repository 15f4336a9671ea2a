"""Several processes: starting them from a notebook cell, and the few collectives we need.

Without a process group every function here is the single-process identity.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json

Backward = Literal["exact", "local"]


def is_parallel() -> bool:
    """True inside a process group."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """This process's number over all nodes."""
    return dist.get_rank() if is_parallel() else int(os.environ.get("RANK", 0))


def world_size() -> int:
    """Processes over all nodes."""
    return dist.get_world_size() if is_parallel() else int(os.environ.get("WORLD_SIZE", 1))


def local_world_size() -> int:
    """Processes on this node."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def barrier() -> None:
    """Waits for all processes."""
    if is_parallel():
        dist.barrier()


def gather_objects(value: Any) -> list[Any]:
    """The values of all processes, in rank order, on every process."""
    if not is_parallel():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def any_process(flag: bool) -> bool:
    """True when the flag is set on any process."""
    return any(gather_objects(flag)) if is_parallel() else flag


def mean_over_processes(values: Mapping[str, float]) -> dict[str, float]:
    """The mean of each named number over the processes."""
    everyone = gather_objects(dict(values))
    return {k: sum(v[k] for v in everyone) / len(everyone) for k in values}


# -------------------------------------------- collectives that gradients go through


def gather_rows(x: Tensor, backward: Backward = "exact") -> Tensor:
    """The rows (W b, ...) of all W processes, in rank order, from equally many rows (b, ...).

    Data parallel training averages gradients over the processes. With ``exact`` the
    backward pass sums what all processes contribute to a row, so that a loss of all
    rows, computed everywhere, gives the gradient of one process on the whole batch.
    ``local`` keeps only what this process's loss contributes to its own rows: 1 / W
    of that gradient.
    """
    gathered: Tensor = _GatherRows.apply(x, backward) if is_parallel() else x  # type: ignore[no-untyped-call]
    return gathered


def sum_over_processes(x: Tensor, backward: Backward = "exact") -> Tensor:
    """The sum of a tensor over the processes; ``backward`` as in ``gather_rows``."""
    gathered: Tensor = _Sum.apply(x, backward) if is_parallel() else x  # type: ignore[no-untyped-call]
    return gathered


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, backward: Backward) -> Tensor:
        ctx.backward_mode, ctx.rows = backward, len(x)
        parts = [torch.empty_like(x) for _ in range(world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        if ctx.backward_mode == "exact":
            grad = grad.contiguous().clone()
            dist.all_reduce(grad)
        start = rank() * ctx.rows
        return grad[start : start + ctx.rows], None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, backward: Backward) -> Tensor:
        ctx.backward_mode = backward
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        if ctx.backward_mode == "exact":
            grad = grad.clone()
            dist.all_reduce(grad)
        return grad, None


# ----------------------------------------------------------------------- starting


def launch(
    target: str,
    *arguments: Any,
    processes: int,
    nodes: int = 1,
    folder: Path | None = None,
    max_restarts: int = 0,
) -> Any:
    """Runs ``module:function(*arguments)`` in several processes and returns rank 0's value.

    It works from a notebook cell. On several nodes the others must wait in
    ``join`` (the runner's Slurm jobs do), with the same ``folder``.

    Args:
        target: an importable function.
        processes: on each node; 0 means one for each GPU.
        nodes: machines that take part.
        folder: where the nodes find each other; needed where there are several.
        max_restarts: how often all processes are started again after one died (one node).
        arguments: picklable (JSON values, where there are several nodes).

    Raises:
        EgolibError: no GPU where ``processes`` is 0; otherwise what the workers raised.
    """
    processes = processes or torch.cuda.device_count()
    if processes < 1:
        raise EgolibError("processes: 0 means one for each GPU, but there is none")
    endpoint = "localhost:0"
    if nodes > 1:
        endpoint = f"{_node_address()}:{_free_port()}"
        if folder is None:
            raise EgolibError("several nodes need a folder that they share")
        call = {"target": target, "arguments": arguments, "endpoint": endpoint}
        write_json(Path(folder) / "launch.json", {**call, "processes": processes, "nodes": nodes})
    restarts = max_restarts if nodes == 1 else 0
    return _elastic(target, arguments, processes, nodes, endpoint, max_restarts=restarts)[0]


def join(
    folder: str | Path, *, number: int = 1, timeout_sec: float = 3600.0, poll_sec: float = 2.0
) -> None:
    """On the further nodes of a job: waits for ``launch`` on the first one and takes part.

    Args:
        folder: the one that ``launch`` was given.
        number: this node's, from 1; the first node, which launches, is 0.
        timeout_sec: how long the first node may take to launch.
        poll_sec: how often the folder is looked at.
    """
    import time

    file = Path(folder) / "launch.json"
    finished = Path(folder) / "finished"
    deadline = time.monotonic() + timeout_sec
    while not file.is_file():
        if finished.exists():
            return
        if time.monotonic() > deadline:
            raise EgolibError("the first node did not start its processes", file=file)
        time.sleep(poll_sec)
    call = read_json(file, dict)
    sizes = call["processes"], call["nodes"]
    _elastic(call["target"], call["arguments"], *sizes, call["endpoint"], number)


def _elastic(
    target: str,
    arguments: Any,
    processes: int,
    nodes: int,
    endpoint: str,
    number: int = 0,
    max_restarts: int = 0,
) -> dict[int, Any]:
    """Runs this node's processes; their values by rank.

    Several nodes meet by number (``static``), so that rank 0 lies where ``launch`` waits for its
    value; the other way to meet would number them by their names. Where a process was killed,
    the group is made anew, with a store of its own: processes that find the keys of a former
    group in it may wait for ever.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=processes,
        run_id="egolib",
        rdzv_backend="c10d" if nodes == 1 else "static",
        rdzv_endpoint=endpoint,
        rdzv_configs={"rank": number},
        start_method="spawn",
        max_restarts=0,
        monitor_interval=0.5,
    )
    for attempt in range(max_restarts + 1):
        try:
            with _same_signal_handlers():
                found: dict[int, Any] = elastic_launch(config, _call)(target, arguments)
                return found
        except ChildFailedError as error:
            _, failure = error.get_first_failure()
            if failure.exitcode >= 0 or attempt == max_restarts:  # an exception, no signal
                raise
            print(f"a process died (signal {-failure.exitcode}): all start again", flush=True)
    raise AssertionError("unreachable")


def _call(target: str, arguments: Any) -> Any:
    """The first function of every started process."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)(*arguments)
    finally:
        if is_parallel():
            dist.destroy_process_group()


@contextmanager
def _same_signal_handlers() -> Iterator[None]:
    """The elastic launcher replaces four handlers and leaves its own behind; undo that."""
    names = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in names}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _node_address() -> str:
    import socket

    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def _free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("", 0))
        return int(listener.getsockname()[1])
