"""What the rules beside the fields are written with."""

from __future__ import annotations

from egolib.errors import EgolibError


def require(holds: bool, what: str, remedy: str | None = None) -> None:
    """Raises EgolibError where a rule does not hold.

    Args:
        holds: whether it does.
        what: the fields and their values.
        remedy: what would fit.
    """
    if not holds:
        raise EgolibError(what, remedy=remedy)


def bounded(
    section: object,
    prefix: str,
    *names: str,
    least: float = 0,
    below: float = float("inf"),
    above: bool = False,
) -> None:
    """Requires numbers between two bounds.

    Args:
        section: the dataclass that holds them.
        prefix: the section's name.
        names: of the fields.
        least: the smallest value.
        below: a bound that itself is not allowed.
        above: whether ``least`` itself is not allowed.
    """
    for name in names:
        value = getattr(section, name)
        fits = (value > least if above else value >= least) and value < below
        limits = f"above {least:g}" if above else f"{least:g} or more"
        remedy = f"use {limits}" + (f", below {below:g}" if below < float("inf") else "")
        require(fits, f"{prefix}.{name} is {value}", remedy)
