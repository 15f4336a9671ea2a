"""What the rules beside a configuration's fields are written with, in every task (no torch)."""

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


def positive(section: object, prefix: str, *names: str) -> None:
    """Requires fields above 0.

    Args:
        section: the dataclass that holds them.
        prefix: the section's name.
        names: of the fields.
    """
    for name in names:
        value = getattr(section, name)
        require(value > 0, f"{prefix}.{name} is {value}", "use a number above 0")


def fraction(section: object, prefix: str, *names: str, below: float | None = None) -> None:
    """Requires fields between 0 and 1.

    Args:
        section: the dataclass that holds them.
        prefix: the section's name.
        names: of the fields.
        below: a bound that itself is not allowed.
    """
    for name in names:
        value = getattr(section, name)
        fits = 0 <= value <= 1 and (below is None or value < below)
        require(fits, f"{prefix}.{name} is {value}", "use a fraction between 0 and 1")


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
