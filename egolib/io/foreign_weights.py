"""The weights in an official file: read without running it, freed of wrappers, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from egolib.errors import EgolibError, nearest
from egolib.io.torch_files import read_torch

State = dict[str, Tensor]
Weights = Literal["official", "averaged"]

WHERE = ("state_dict", "model", "net", "model_state", "model_state_dict")
WHERE_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema")
DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def read_foreign(path: str | Path) -> dict[str, Any]:
    """The content of an official checkpoint, without executing anything in it.

    safetensors, torch files (both layouts) and plain pickles of arrays are read. Classes
    outside tensors, arrays and plain containers become ``egolib.io.pickles.Inert`` objects, so
    that files which pickle a configuration parser or a model constructor load, and their code
    never runs. TorchScript archives, which are programs, are refused.

    Returns:
        The top-level dictionary of the file, for instance ``{"state_dict": ...}``.

    Raises:
        EgolibError: no such file, damaged, a program, or no dictionary.
    """
    path = Path(path)
    if not path.is_file():
        raise EgolibError("the checkpoint does not exist", file=path)
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise EgolibError(f"not a readable checkpoint: {error}", file=path) from error
    content = read_torch(path)
    if not isinstance(content, dict):
        raise EgolibError(f"expected a dictionary, found {type(content).__name__}", file=path)
    return content


@dataclass(frozen=True)
class FoundWeights:
    """Weights under the names of their model.

    Args:
        state: the tensors.
        notes: what was taken off or passed over on the way, one sentence each.
    """

    state: State
    notes: tuple[str, ...] = ()


def find_state(content: Mapping[str, Any]) -> State:
    """The state dict inside an official file, see ``find_weights``."""
    return find_weights(content).state


def find_weights(
    content: Mapping[str, Any],
    *,
    weights: Weights = "official",
    dtype: torch.dtype = torch.float32,
    file: str | Path | None = None,
) -> FoundWeights:
    """The weights inside an official file.

    They are looked for under ``state_dict``, ``model``, ``net``, ``model_state``,
    ``model_state_dict``, then at the top level. Names lose what training tools put before them: ``module.`` (data parallel,
    averaging; also twice) and ``_orig_mod.`` (compilation). ``n_averaged`` and the entries
    ``ema_*``, which mmcv keeps beside the weights, are no weights of the model.

    Args:
        content: of the file.
        weights: ``official`` takes the weights that the file offers first; ``averaged``
            takes ``state_dict_ema``, ``model_ema`` and the like, or the entries ``ema_*``.
        dtype: what floating-point entries become.
        file: for error messages.

    Raises:
        EgolibError: no tensors, no averaged ones, two entries of one name, or NaN or
            infinity among the weights.
    """
    chosen = _chosen(content, weights, file)
    arrays = {str(k): _dense(v, str(k), file) for k, v in chosen.items() if _is_array(v)}
    if not arrays:
        names = ", ".join(map(str, list(content)[:8]))
        raise EgolibError("no tensors were found", file=file, remedy=f"top-level names: {names}")
    notes: list[str] = []
    state = _without_compilation(arrays, notes, file)
    state = _without_count(state, notes)
    state = _without_module(state, notes)
    state = _without_mmcv_averages(state, weights, notes, file)
    if changed := {v.dtype for v in state.values() if v.is_floating_point()} - {dtype}:
        names = ", ".join(sorted(str(d).removeprefix("torch.") for d in changed))
        notes.append(f"{names} became {str(dtype).removeprefix('torch.')}")
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise EgolibError("the weights hold NaN or infinity", file=file, record=name)
    cast = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    return FoundWeights(cast, tuple(notes))


def dtype_named(name: str) -> torch.dtype:
    """A floating-point type by its name.

    Raises:
        EgolibError: another name.
    """
    if name not in DTYPES:
        raise EgolibError(f"unknown type {name!r}", remedy=nearest(name, DTYPES))
    return DTYPES[name]


# ------------------------------------------------------------------------- details


def _chosen(
    content: Mapping[str, Any], weights: Weights, file: str | Path | None
) -> Mapping[str, Any]:
    where = WHERE_AVERAGED if weights == "averaged" else WHERE
    inside = next((content[n] for n in where if isinstance(content.get(n), Mapping)), None)
    if inside is not None:
        return inside  # type: ignore[no-any-return]
    inside = next((content[n] for n in WHERE if isinstance(content.get(n), Mapping)), content)
    names = [str(name) for name in inside]
    kept_beside = any(n == "n_averaged" or n.startswith("ema_") for n in names)
    if weights == "averaged" and not kept_beside:
        raise EgolibError(
            "the file holds no averaged weights",
            file=file,
            remedy=f"top-level names: {', '.join(map(str, list(content)[:8]))}",
        )
    return inside


def _is_array(value: object) -> bool:
    return isinstance(value, Tensor | np.ndarray | np.generic)


def _dense(value: Any, name: str, file: str | Path | None) -> Tensor:
    try:
        return torch.as_tensor(value).detach()
    except (TypeError, ValueError) as error:
        raise EgolibError(f"no numbers: {error}", file=file, record=name) from error


def _without_compilation(state: State, notes: list[str], file: str | Path | None) -> State:
    result: State = {}
    for name, value in state.items():
        plain = ".".join(part for part in name.split(".") if part != "_orig_mod")
        if plain in result:
            raise EgolibError("two entries of one name", file=file, record=plain)
        result[plain] = value
    if result.keys() != state.keys():
        notes.append("_orig_mod. (torch.compile) was taken off")
    return result


def _without_count(state: State, notes: list[str]) -> State:
    if "n_averaged" not in state:
        return state
    notes.append("these are averaged weights (n_averaged)")
    return {name: value for name, value in state.items() if name != "n_averaged"}


def _without_module(state: State, notes: list[str]) -> State:
    taken = 0
    while all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
        taken += 1
    if taken:
        notes.append(f"{'module.' * taken} was taken off")
    return state


def _without_mmcv_averages(
    state: State, weights: Weights, notes: list[str], file: str | Path | None
) -> State:
    """mmcv keeps the average of ``a.b`` as ``ema_a_b`` beside it."""
    model = {name: value for name, value in state.items() if not name.startswith("ema_")}
    if not model or len(model) == len(state):
        return state
    averages = {f"ema_{name.replace('.', '_')}": name for name in model}
    beside = {name: value for name, value in state.items() if name.startswith("ema_")}
    if unknown := sorted(beside.keys() - averages.keys()):
        raise EgolibError("an average of no weight", file=file, record=unknown[0])
    if weights == "official":
        notes.append(f"{len(beside)} averages (ema_*) were passed over: --weights averaged")
        return model
    notes.append(f"{len(beside)} averages (ema_*) took the place of their weights")
    return model | {averages[name]: value for name, value in beside.items()}
