"""Features in the forms in which people keep them, as (n, width) float32 arrays.

Legend: n rows (windows in time, or tokens).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from egolib.errors import EgolibError

#: The names that the features have among other entries of a file, the usual first.
ARRAY_NAMES = ("features", "token_features", "feature", "feats", "feat", "arr_0")
#: What older NumPy versions store beside the arrays.
_NO_ARRAYS = {"allow_pickle"}


def feature_array(
    value: Any,
    width: int | None = None,
    *,
    file: str | Path | None = None,
    record: object = None,
) -> NDArray[np.float32]:
    """Checked features (n, width) float32.

    Args:
        value: an array, a tensor (on any device, with or without gradient), a list of rows,
            or a dictionary that holds one of these.
        width: the columns that are wanted; None for any.
        file: for messages.
        record: for messages.

    Raises:
        EgolibError: other forms, no rows, another width, NaN or infinity.
    """
    try:
        array = as_rows(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise EgolibError(f"no features: {error}", file=file, record=record) from error
    if width is not None and array.shape[1] != width:
        raise EgolibError(
            f"features of width {array.shape[1]}, {width} is wanted", file=file, record=record
        )
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(1))[0])
        raise EgolibError(f"NaN or infinity in row {row}", file=file, record=record)
    return array


def as_rows(value: Any) -> NDArray[np.float32]:
    """(n, width) float32; a single flat row becomes one of n = 1.

    Raises:
        ValueError, TypeError: no such array can be made of it.
    """
    array = _plain(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"values of type {array.dtype}, numbers are needed")
    if not array.ndim:
        raise ValueError("a single number, two dimensions are needed")
    array = np.atleast_2d(np.asarray(array, np.float32))  # one token may be stored flat
    if array.ndim != 2:
        raise ValueError(f"array of shape {array.shape}, two dimensions are needed")
    if not array.size:
        raise ValueError(f"array of shape {array.shape}, it has no rows")
    return array


def _plain(value: Any) -> NDArray[Any]:
    """The array inside dictionaries, lists and tensors."""
    if isinstance(value, Mapping):
        return _plain(_entry(value))
    if isinstance(value, list | tuple):
        rows = [_plain(row) for row in value]
        return rows[0] if len(rows) == 1 and rows[0].ndim == 2 else np.stack(rows or [np.zeros(0)])
    if hasattr(value, "detach"):  # a tensor, without importing torch
        return np.asarray(value.detach().cpu().float().numpy())
    return np.asarray(value)


def _entry(content: Mapping[str, Any]) -> Any:
    for name in ARRAY_NAMES:
        if name in content:
            return content[name]
    names = [name for name in content if name not in _NO_ARRAYS]
    if len(names) == 1:
        return content[names[0]]
    raise ValueError(f"none of {', '.join(ARRAY_NAMES)} among {', '.join(map(str, names[:8]))}")
