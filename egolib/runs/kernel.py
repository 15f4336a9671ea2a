"""Kernels that talk through files of their own instead of network ports.

Ports are chosen before the kernel opens them: several kernels that start at once on one
machine can take each other's. Files cannot collide.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager


class FileKernelManager(AsyncKernelManager):
    """A kernel manager whose sockets lie in a short private folder (their paths are limited)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._folder = tempfile.mkdtemp(prefix="egolib-")
        self.transport = "ipc"
        self.ip = str(Path(self._folder) / "kernel")

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        """Removes the sockets with everything else, once the kernel is gone."""
        await super()._async_cleanup_resources(restart=restart)
        if not restart:
            shutil.rmtree(self._folder, ignore_errors=True)

    cleanup_resources = _async_cleanup_resources
