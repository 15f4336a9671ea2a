"""Reading other people's pickles without running them.

A pickle is a program: loading one may call anything that can be imported. The
unpickler here looks every name up in a short allow list (tensors, arrays, plain
containers). A name outside it becomes an ``Inert`` stand-in, which swallows
whatever the pickle does to it, or is refused where the caller wants that.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError

# Callables that only build data. Everything else in these modules stays out of reach.
_ALLOWED: dict[str, set[str]] = {
    "collections": {"OrderedDict", "defaultdict"},
    "builtins": {"set", "frozenset", "dict", "list", "tuple", "slice", "complex", "bytearray", "bytes"},
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
    "_codecs": {"encode"},
    "torch": {"Size", "device", "Tensor", "dtype"},
    "torch._tensor": {"_rebuild_from_type_v2"},
    "torch.nn.parameter": {"Parameter"},
    "torch._utils": {
        "_rebuild_tensor",
        "_rebuild_tensor_v2",
        "_rebuild_parameter",
        "_rebuild_parameter_with_state",
    },
    "torch.serialization": {"_get_layout"},
    "torch.storage": {"UntypedStorage", "TypedStorage", "_load_from_bytes"},
}


class Inert:
    """Stands for an object of a class that was not loaded. It holds data and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def __call__(self, *args: Any, **kwargs: Any) -> Inert:
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None: ...

    def extend(self, values: Any) -> None: ...

    def add(self, value: Any) -> None: ...

    def __hash__(self) -> int:
        return id(self)


def _allowed(module: str, name: str) -> Any | None:
    """The real object behind an allowed name; None for any other."""
    import importlib

    if module == "__builtin__":  # written by Python 2
        module = "builtins"
    if module == "torch" and name.endswith("Storage"):
        return getattr(importlib.import_module("torch"), name, None)
    if name == "_load_from_bytes":  # would unpickle its argument without restriction
        return None
    if name in _ALLOWED.get(module, ()):
        return getattr(importlib.import_module(module), name)
    return None


class RestrictedPickle:
    """A stand-in for the ``pickle`` module, for ``torch.load(pickle_module=...)`` and files.

    Args:
        classes: replacements by full name, for instance
            ``{"vq2d.structures.BBox": plain_container}``.
        strict: refuse names that are neither allowed nor replaced instead of
            making them inert.
    """

    # torch writes these on its own when it opens an archive
    __name__ = "egolib.io.pickles"
    UnpicklingError = pickle.UnpicklingError

    def __init__(
        self, classes: Mapping[str, Callable[..., Any]] | None = None, strict: bool = False
    ):
        replacements = dict(classes or {})

        class Unpickler(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                full = f"{module}.{name}"
                if full in replacements:
                    return replacements[full]
                found = _allowed(module, name)
                if found is not None:
                    return found
                if strict:
                    raise pickle.UnpicklingError(f"the file wants to load {full}, refused")
                return type(name, (Inert,), {"__module__": f"inert.{module}"})

        self.Unpickler = Unpickler

    def load(self, stream: Any, **options: Any) -> Any:
        """Like ``pickle.load``."""
        return self.Unpickler(stream, **options).load()

    def loads(self, data: bytes, **options: Any) -> Any:
        """Like ``pickle.loads``."""
        return self.load(io.BytesIO(data), **options)


def read_pickle(
    path: str | Path,
    classes: Mapping[str, Callable[..., Any]] | None = None,
    strict: bool = True,
) -> Any:
    """One pickled value, built from allowed names only.

    Raises:
        EgolibError: missing or damaged file, or a name that is not allowed.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            return RestrictedPickle(classes, strict).load(stream, encoding="latin1")
    except FileNotFoundError as error:
        raise EgolibError("the file does not exist", file=path) from error
    except Exception as error:
        raise EgolibError(f"the pickle was not read: {error}", file=path) from error
