"""Starting the processes of steps, and learning how they ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from egolib import config as configs
from egolib.progress import PROGRESS_FILE
from egolib.runs.node import Node
from egolib.runs.processes import end_trees

#: From so many steps on, the libraries are imported once for all.
WARM_FROM = 5

#: Imported before the first fork: what takes long and never runs anything by itself.
LIBRARIES = (
    "papermill",
    "ipykernel.kernelapp",
    "pandas",
    "matplotlib.figure",
    "torch._dynamo",
    "torchvision.ops",
    "lightning_fabric",
)

#: Exit code of steps whose server was ended from outside.
LOST = -9


class Starter:
    """Starts nodes as processes, through one server (``egolib.runs.server``) for all.

    Args:
        steps: how many may have to be started.
    """

    def __init__(self, steps: int):
        self._steps = steps
        self._server: subprocess.Popen[bytes] | None = None
        self._running: dict[str, Node] = {}
        self._pids: dict[str, int] = {}
        self._unread = b""

    def start(self, node: Node) -> None:
        """Starts a node; its output goes to ``log.txt`` in its folder."""
        environment = _environment(node)
        server = self._running_server(environment)
        file = str(node.write())
        request = {
            "node": file,
            "log": str(node.out / "log.txt"),
            "folder": str(configs.project_root()),
            "environment": environment,
        }
        assert server.stdin is not None
        server.stdin.write(json.dumps(request).encode() + b"\n")
        server.stdin.flush()
        self._running[file] = node

    def ended(self) -> list[tuple[Node, int]]:
        """The nodes that ended since the last call, with their exit codes; never waits."""
        if self._server is None:
            return []
        lost = self._server.poll() is not None
        found = self._reports()
        if lost:
            found += [(node, LOST) for node in self._running.values()]
            self.close()
        return found

    def close(self) -> None:
        """Ends all that was started and still runs, gently first."""
        if self._server is None:
            return
        self._reports()  # the steps that were started last
        end_trees(self._pids.values())
        self._server.kill()
        self._server.wait()
        for stream in (self._server.stdin, self._server.stdout):
            assert stream is not None
            stream.close()
        self._server, self._running, self._pids = None, {}, {}

    def _running_server(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        if self._server is None:
            warm = self._steps >= WARM_FROM and can_fork_warm(environment)
            self._server = subprocess.Popen(
                [sys.executable, "-m", "egolib.runs.server", *(LIBRARIES if warm else ())],
                env=environment,
                cwd=configs.project_root(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            assert self._server.stdout is not None
            os.set_blocking(self._server.stdout.fileno(), False)
        return self._server

    def _reports(self) -> list[tuple[Node, int]]:
        """Reads what the server has said; gives the nodes that ended."""
        assert self._server is not None and self._server.stdout is not None
        self._unread += self._server.stdout.read() or b""
        *lines, self._unread = self._unread.split(b"\n")
        ended = []
        for said in map(json.loads, lines):
            if "pid" in said:
                self._pids[said["node"]] = said["pid"]
            else:
                self._pids.pop(said["node"])
                ended.append((self._running.pop(said["node"]), int(said["code"])))
        return ended


def has_gpu() -> bool:
    """Whether this machine has a GPU (NVIDIA's, AMD's, or Windows' under WSL), without torch."""
    return any(any(Path("/dev").glob(name)) for name in ("nvidia[0-9]*", "kfd", "dxg"))


def can_fork_warm(environment: Mapping[str, str]) -> bool:
    """Whether steps may be forks of a process that has imported torch.

    A fork keeps neither a GPU's context nor the threads of a pool: on a machine with a
    GPU, or with more than one thread for each process, every step starts afresh.
    """
    return environment.get("OMP_NUM_THREADS") == "1" and not has_gpu()


def _environment(node: Node) -> dict[str, str]:
    """One thread, unless told otherwise: sums, and so numbers, do not depend on the machine."""
    return {
        "OMP_NUM_THREADS": "1",
        **os.environ,
        "EGOLIB_HEADLESS": "1",
        "EGOLIB_PROGRESS_FILE": str(node.out / PROGRESS_FILE),
    }
