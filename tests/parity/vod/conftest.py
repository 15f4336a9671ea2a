"""Every comparison with a recorded network compares something."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parity.vod import networks

NETWORKS = ("test_networks", "test_mega")
WITHOUT = ("test_key_files", "test_base_anchors")  # compare by themselves


@pytest.fixture(autouse=True)
def something_is_compared(request: pytest.FixtureRequest) -> Iterator[None]:
    networks.COMPARED.clear()
    yield
    module, name = request.module.__name__.rpartition(".")[2], request.node.name
    if module in NETWORKS and not name.startswith(WITHOUT):
        assert networks.COMPARED, "the recording holds nothing that this test compares"
