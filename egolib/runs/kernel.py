"""Kernels that talk through files of their own instead of network ports.

Ports are chosen before the kernel opens them: several kernels that start at once on one
machine can take each other's. Files cannot collide.

Where the process that runs a notebook was forked from a warm one (``egolib.runs.server``),
its kernel is a fork, too, made before anything else is done, which waits until it is wanted.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, cast

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from egolib.runs.forks import leave


class FileKernelManager(AsyncKernelManager):
    """A kernel manager whose sockets lie in a short private folder (their paths are limited)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._folder = tempfile.mkdtemp(prefix="egolib-")
        self.transport = "ipc"
        self.ip = str(Path(self._folder) / "kernel")

    async def _async_pre_start_kernel(self, **options: Any) -> tuple[list[str], dict[str, Any]]:
        """Takes the waiting kernel, where there is one of the wanted kind."""
        if ForkedKernel.waiting is not None and _is_ours(self.kernel_spec):
            self.provisioner = _ForkedProvisioner(kernel_spec=self.kernel_spec, parent=self)
        return await super()._async_pre_start_kernel(**options)

    pre_start_kernel = _async_pre_start_kernel

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        """Removes the sockets with everything else, once the kernel is gone."""
        await super()._async_cleanup_resources(restart=restart)
        if not restart:
            shutil.rmtree(self._folder, ignore_errors=True)

    cleanup_resources = _async_cleanup_resources


def fork_kernel() -> None:
    """Forks the process that will be this one's kernel; call it before there are threads."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(read)
        ForkedKernel.waiting = ForkedKernel(pid, write)
        return
    os.close(write)
    leave(partial(_wait, read))


def _wait(pipe: int) -> int:
    """Waits for what the process is to be; nothing, where the notebook's process ended."""
    with os.fdopen(pipe) as stream:
        wanted = stream.read()
    if wanted:
        _become_kernel(**json.loads(wanted))
    return 0


def _become_kernel(arguments: list[str], environment: dict[str, str], folder: str | None) -> None:
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    if sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
    os.chdir(folder or os.getcwd())
    sys.argv = ["ipykernel_launcher", *arguments]
    IPKernelApp.launch_instance([*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])


class ForkedKernel:
    """A kernel's process, with what a provisioner asks of ``subprocess.Popen``.

    Args:
        pid: the process, a fork of this one.
        pipe: file descriptor through which it learns what it is to be.
    """

    #: The fork that no notebook has taken yet.
    waiting: ForkedKernel | None = None
    stdin = stdout = stderr = None

    def __init__(self, pid: int, pipe: int):
        self.pid, self._pipe = pid, pipe
        self.returncode: int | None = None

    def begin(self, arguments: list[str], environment: dict[str, str], folder: str | None) -> None:
        """Makes the waiting process a kernel.

        Args:
            arguments: of the kernel's command line, with the file of its connection.
            environment: its variables.
            folder: where it works; None for this process's own.
        """
        wanted = {"arguments": arguments, "environment": environment, "folder": folder}
        with os.fdopen(self._pipe, "w") as stream:
            json.dump(wanted, stream)

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        """The exit code, once it has ended."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)


class _ForkedProvisioner(LocalProvisioner):
    """Starts the waiting kernel in place of a new process."""

    async def launch_kernel(self, cmd: list[str], **options: Any) -> KernelConnectionInfo:
        kernel, ForkedKernel.waiting = ForkedKernel.waiting, None
        assert kernel is not None
        kernel.begin(cmd[3:], dict(options["env"]), options.get("cwd"))
        self.process = cast(subprocess.Popen[Any], kernel)
        self.pid = self.pgid = kernel.pid
        self.cwd = options.get("cwd") or Path.cwd()
        return self.connection_info


def _is_ours(spec: KernelSpec | None) -> bool:
    """Whether a kernel is IPython's, in this Python: one of another environment is not."""
    argv = spec.argv if spec else [""]
    python = shutil.which(argv[0])
    same = python is not None and os.path.samefile(python, sys.executable)
    return (same or argv[0] == "python") and argv[1:3] == ["-m", "ipykernel_launcher"]
