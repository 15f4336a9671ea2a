"""Optional bridges to mmdet 3.x and detectron2; nothing else in egolib needs them."""

from __future__ import annotations

from importlib.util import find_spec

from egolib.errors import EgolibError


def require(name: str) -> None:
    """Checks that a bridged framework is installed.

    Raises:
        EgolibError: it is not; the remedy names the make target that installs it.
    """
    if find_spec(name) is None:
        raise EgolibError(f"{name} is not installed", remedy=f"in a checkout: make bridge-{name}")
