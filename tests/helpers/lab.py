"""A JupyterLab server on a folder, as ``make lab`` starts one, and a browser for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOKEN = "for-this-test"


@contextmanager
def lab(folder: Path, runtime: Path, **more: str) -> Iterator[str]:
    """The address of a server on a folder; it ends with the block.

    Args:
        folder: what it serves.
        runtime: where it writes its address.
        more: environment variables, which its kernels get too.
    """
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(runtime), **more}
    environment["JUPYTERLAB_SETTINGS_DIR"] = str(runtime / "settings")
    settings = runtime / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)  # all cells are in the page, also those out of sight
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    environment.pop("EGOLIB_HEADLESS", None)
    command = [sys.executable, "-m", "jupyterlab", str(folder)]
    options = ["--no-browser", "--ServerApp.port=0", f"--IdentityProvider.token={TOKEN}"]
    options += ["--allow-root"] if os.geteuid() == 0 else []
    running = subprocess.Popen([*command, *options], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (files := list(runtime.glob("jpserver-*.json"))):
        assert running.poll() is None and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.1)
    time.sleep(0.5)
    try:
        yield json.loads(files[0].read_text())["url"]
    finally:
        running.terminate()
        running.wait(timeout=60)
