"""The fixture ``slurm_node``: a Slurm cluster of this machine, or a skip with the reason.

It stands in ``tests/conftest.py`` for all files. Tests that use it carry
``@pytest.mark.xdist_group("slurm")``: there is one cluster.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "slurm_node.sh"
CANNOT = 3  # exit code for "there cannot be one here", with the reason on stderr


def run_script(verb: str) -> subprocess.CompletedProcess[str]:
    """``scripts/slurm_node.sh start``, ``stop`` or ``status``."""
    return subprocess.run([str(SCRIPT), verb], capture_output=True, text=True, timeout=180)


@pytest.fixture(scope="session")
def slurm_node() -> Iterator[None]:
    """Starts the node, and stops it at the end unless it was running before."""
    started = run_script("start")
    if started.returncode == CANNOT:
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, started.stderr
    yield
    if started.stdout.strip() == "started":
        stopped = run_script("stop")
        assert stopped.returncode == 0, stopped.stderr
