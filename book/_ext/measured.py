"""Roles for numbers in prose that are read from the evidence, never typed.

``{measured}`nlq scratch effect.consistent.miou``` is the mean over seeds, with the single ones;
``{recorded}`mq_real baseline/mixed/official/average mAP``` one number of any evidence file.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

EVIDENCE = Path(__file__).parents[1] / "evidence"


def measured(text: str) -> str:
    """The mean of a cell's metric over seeds, and the single values, as recorded.

    Args:
        text: task, cell and dotted metric, with blanks between.
    """
    task, name, metric = text.split()
    cells = json.loads((EVIDENCE / f"{task}.json").read_text())["cells"]
    own = sorted((c for c in cells if c["cell"] == name), key=lambda c: c["seed"])
    values = [c["metrics"][metric] for c in own]
    if not values:
        raise ValueError(f"no cell {name!r} of {task}")
    single = ", ".join(f"{value:+.2f}" for value in values)
    return f"{statistics.mean(values):+.2f} ({single})"


def recorded(text: str) -> str:
    """One number of an evidence file: whole, or with two digits behind the point.

    Args:
        text: the file's name without suffix, and after a blank the keys and places on the way,
            with slashes between.
    """
    name, _, path = text.partition(" ")
    value = json.loads((EVIDENCE / f"{name}.json").read_text())
    for part in path.split("/"):
        value = value[int(part)] if isinstance(value, list) else value[part]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"no number at {path!r}")
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def _role(name: str, rawtext: str, text: str, lineno: int, inliner: Any, *more: Any) -> Any:
    try:
        return [nodes.Text({"measured": measured, "recorded": recorded}[name](text))], []
    except (KeyError, ValueError, IndexError, OSError) as error:
        message = inliner.reporter.error(f"{name}: {text}: {error}", line=lineno)
        return [inliner.problematic(rawtext, rawtext, message)], [message]


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the roles."""
    app.add_role("measured", _role)
    app.add_role("recorded", _role)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
