"""Types in the reference as full names, so that each leads to what is documented.

Two things keep autodoc from them: names that are imported for type checkers alone, and
constructors, whose types it looks up in the class. A bare ``InferConfig`` then belongs to
every task.
"""

from __future__ import annotations

import ast
import inspect
import sys
from functools import cache
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.inspect import signature
from sphinx.util.typing import stringify_annotation

AFTER_AUTODOC = 900


@cache
def import_for_checkers(module: str) -> None:
    """Executes what a module imports and defines under ``if TYPE_CHECKING``.

    Args:
        module: dotted name of an imported module.
    """
    loaded = sys.modules[module]
    for node in ast.parse(inspect.getsource(loaded)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            block = ast.Module(node.body, [])
            exec(compile(block, loaded.__file__ or module, "exec"), vars(loaded))


def _before(app: Sphinx, thing: Any, bound: bool) -> None:
    module = getattr(thing, "__module__", None) or ""
    if module.startswith("egolib"):
        import_for_checkers(module)


def _constructor(app: Sphinx, kind: str, name: str, thing: Any, *more: Any) -> None:
    own = getattr(thing, "__init__", None)
    if kind not in ("class", "exception") or not inspect.isfunction(own):
        return
    if own.__module__.startswith("egolib"):
        import_for_checkers(own.__module__)
    known = app.env.temp_data.setdefault("annotations", {}).setdefault(name, {})
    for argument in signature(own).parameters.values():
        if argument.name in known:
            known[argument.name] = stringify_annotation(argument.annotation, "smart")


def setup(app: Sphinx) -> dict[str, bool]:
    """Listens before autodoc reads a signature, and after it wrote down a class's types."""
    app.connect("autodoc-before-process-signature", _before)
    app.connect("autodoc-process-signature", _constructor, priority=AFTER_AUTODOC)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
