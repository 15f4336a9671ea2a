"""What the rules beside the fields are written with."""

from __future__ import annotations

from egolib.errors import EgolibError


def require(holds: bool, what: str, remedy: str) -> None:
    """Raises EgolibError where a rule does not hold.

    Args:
        holds: whether it does.
        what: the fields and their values.
        remedy: what would fit.
    """
    if not holds:
        raise EgolibError(what, remedy=remedy)


def at_least(section: object, least: float, prefix: str, *names: str) -> None:
    """Requires fields that are not below a number.

    Args:
        section: the dataclass that holds them.
        least: the smallest value.
        prefix: the section's name.
        names: of the fields.
    """
    for name in names:
        value = getattr(section, name)
        require(value >= least, f"{prefix}.{name} is {value}", f"use {least:g} or more")
