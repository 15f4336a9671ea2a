"""The alternatives of all options that a configuration declares."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union


@dataclass(frozen=True)
class Alternative:
    """A variant with one value changed; without a field, the variant as it is."""

    variant: str
    field: str = ""
    value: Any = None

    def __str__(self) -> str:
        return f"{self.variant} {self.field}={self.value!r}" if self.field else self.variant


def overrides(
    alternative: Alternative, quick: Sequence[str], needed: Mapping[str, Sequence[str]]
) -> list[str]:
    """The texts ``field=value`` that make an alternative, and what it needs to mean anything.

    Args:
        alternative: to make.
        quick: what makes every attempt short.
        needed: by the beginning of a text, what goes with it.
    """
    if not alternative.field:
        return list(quick)
    text = f"{alternative.field}={json.dumps(alternative.value)}"
    plain = text.replace('"', "")
    with_it = [t for start, texts in needed.items() if plain.startswith(start) for t in texts]
    return [*quick, *with_it, text]


def of_schema(schema: type, config: Any, samples: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of everything that could be chosen in place of what a configuration has.

    All other choices of a ``Literal``, the other state of a switch, None for an optional value,
    and a sample where it is None.

    Args:
        schema: the dataclass.
        config: an object of it, whose values are the present ones.
        samples: values for optional fields that are None, by dotted name.
    """
    yield from _fields(schema, config, samples, "")


def _fields(
    schema: type, config: Any, samples: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        name, value = f"{prefix}{field.name}", getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _fields(type(value), value, samples, f"{name}.")
        else:
            for other in _others(hints[field.name], value, samples.get(name)):
                yield name, other


def _others(hint: Any, value: Any, sample: Any) -> list[Any]:
    if typing.get_origin(hint) is Literal:
        return [choice for choice in typing.get_args(hint) if choice != value]
    if hint is bool:
        return [not value]
    if typing.get_origin(hint) in (Union, types.UnionType) and type(None) in typing.get_args(hint):
        if value is not None:
            return [None]
        return [] if sample is None else [sample]
    return []
