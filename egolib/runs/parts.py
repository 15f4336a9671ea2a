"""A part of what a step computes, as a job of an array: ``predict`` without its notebook."""

from __future__ import annotations

import os
from importlib import import_module

from egolib.errors import EgolibError
from egolib.runs.node import Node
from egolib.runs.session import schema_of, start
from egolib.runs.shards import DIVIDED, PartDone


def in_parts(node: Node, count: int) -> bool:
    """Whether a step is computed in so many parts: inference is, other steps are not."""
    return count > 1 and node.notebook.stem in DIVIDED


def compute_part(node: Node, number: int, count: int) -> None:
    """Computes one part of a step's items into its cache.

    An item that fails is told here and costs nothing: the step meets it again, and decides.

    Args:
        node: the step.
        number: of the part, from 0.
        count: how many parts there are.
    """
    os.environ["EGOLIB_SHARD"] = f"{number}/{count}"
    task, name = node.key.split("/")[0], node.notebook.stem
    step = start(schema_of(task), task, name, **node.parameters)
    try:
        import_module(f"egolib.{task}.steps.{DIVIDED[name]}").predict(step)
    except PartDone:
        print(f"{node.label}: part {number + 1} of {count} is computed", flush=True)
    except EgolibError as error:
        print(f"{node.label}: part {number + 1} of {count}: {error}", flush=True)
    finally:
        del os.environ["EGOLIB_SHARD"]
