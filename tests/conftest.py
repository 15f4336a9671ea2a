"""Options that every test may use, and one thread a process for equal sums everywhere."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EGOLIB_PROGRESS", "off")

import pytest

from tests.helpers.browser import browser  # noqa: F401  (fixtures that several files share)
from tests.helpers.slurm_node import slurm_node  # noqa: F401
from tests.helpers.tiny import tiny  # noqa: F401

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--parity-dir",
        type=Path,
        default=HERE / "parity" / "data",
        help="folder of recordings, with vq2d/ vod/ vlp/ nlq/ inside (default: our copy)",
    )
    parser.addoption(
        "--real-dir",
        type=Path,
        default=HERE.parent.parent / "shared" / "real",
        help="folder of real files; their tests skip where it is absent",
    )
    parser.addoption(
        "--evidence",
        type=Path,
        default=None,
        help="write to this file how closely the recordings of tests/parity agree",
    )
    parser.addoption("--device", default="cpu", help="device for the network parity cases")


def pytest_configure(config: pytest.Config) -> None:
    file = config.getoption("--evidence")
    if file is not None:
        from tests.parity.evidence import Evidence

        config.pluginmanager.register(Evidence(file))


@pytest.fixture(scope="session")
def real_dir(request: pytest.FixtureRequest) -> Path:
    """The folder of real files."""
    folder = request.config.getoption("--real-dir")
    if not folder.is_dir():
        pytest.skip(f"no real files at {folder}")
    return folder


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Floating-point sums then do not depend on how many cores the machine has."""
    import torch

    torch.set_num_threads(1)
