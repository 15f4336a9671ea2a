"""``egolib convert``: recognises an official checkpoint and translates it, or back, strictly.

The configuration decides what a file must hold: that of the sidecar where one lies beside the
weights (an egolib checkpoint has one; an exported file gets one), else the one that the official
file's own entries tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import torch
from torch import Tensor

from egolib import config as configs
from egolib.errors import EgolibError, nearest
from egolib.io import checkpoint
from egolib.io.checkpoint import OfficialModel, State, compare
from egolib.io.foreign_weights import Weights, dtype_named
from egolib.io.records import atomic_path, file_sha256, write_json

Sidecar = dict[str, Any]


def convert_file(
    source: Path,
    target: Path,
    model: str | None = None,
    weights: Weights = "official",
    dtype: str = "float32",
) -> dict[str, Any]:
    """Converts one file; the direction follows from the suffixes.

    Args:
        source: an official checkpoint, or an egolib checkpoint (``.safetensors``).
        target: ``.safetensors``, or ``.pth`` for the official layout.
        model: name of the architecture, where entries fit several or the sidecar's is wrong.
        weights: ``official``, or ``averaged`` for the averaged weights of an official file.
        dtype: what floating-point entries become.

    Returns:
        A report: model, numbers of entries and values, notes, file written.

    Raises:
        EgolibError: an entry is missing, left over, of another shape, NaN or infinite; no known
            model, or several; a program in place of weights.
    """
    if weights not in ("official", "averaged"):
        raise EgolibError(f"unknown weights {weights!r}", remedy="official or averaged")
    if source.suffix == ".safetensors" and source.with_suffix(".json").is_file():
        return _to_official(source, target, model, dtype_named(dtype))
    content = checkpoint.read_foreign(source)
    found = checkpoint.find_weights(content, weights=weights, dtype=dtype_named(dtype), file=source)
    ours, sidecar = _translate(found.state, source, model)
    origin = {"file": source.name, "sha256": file_sha256(source), "weights": weights}
    written = checkpoint.save(target, ours, {**sidecar, "source": origin})
    return _report(sidecar["model"], ours, written, found.notes)


def official_models() -> dict[str, OfficialModel]:
    """The published architectures of all tasks by name: ``MODELS`` of their ``formats``."""
    found: dict[str, OfficialModel] = {}
    for task in configs.TASKS:
        formats = import_module(f"egolib.{task}.formats")
        for module in iter_modules(formats.__path__, f"{formats.__name__}."):
            models = getattr(import_module(module.name), "MODELS", [])
            found |= {model.name: model for model in models}
    return found


# ------------------------------------------------------------------------- to ours


def _translate(state: State, source: Path, name: str | None) -> tuple[State, Sidecar]:
    """The weights under our names, and what is known of them."""
    sidecar = checkpoint.exported_sidecar(source)
    if sidecar:
        chosen = _by_name(name) if name else _of_config(sidecar["model"], sidecar["config"])
        read = chosen.read or (lambda official, _: chosen.to_ours(official)[0])
        ours = read(state, sidecar["config"])
        sidecar = {**sidecar, "model": name or sidecar["model"]}
    else:
        chosen = _by_name(name) if name else recognise(state, file=source)
        ours, config = chosen.to_ours(state)
        sidecar = {"model": chosen.name, "config": config}
    _require_fit(chosen, ours, sidecar["config"], source)
    return ours, sidecar


def recognise(state: Mapping[str, Tensor], *, file: str | Path | None = None) -> OfficialModel:
    """The one architecture that a state dict belongs to.

    Args:
        state: official names and tensors.
        file: for error messages.

    Raises:
        EgolibError: none matches, or several do; then it says in what they differ.
    """
    models = official_models()
    matching = [model for model in models.values() if model.matches(state)]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise EgolibError(
            f"no known model has these keys ({len(state)} entries, first {sorted(state)[:2]})",
            file=file,
            remedy=f"known models: {', '.join(models)}",
        )
    raise EgolibError(
        f"the keys fit several models: {differences(matching, state)}",
        file=file,
        remedy="choose one with --model",
    )


def differences(models: list[OfficialModel], state: Mapping[str, Tensor]) -> str:
    """In which settings architectures differ that the same entries fit, one part a model."""
    trees = {model.name: configs.flatten(model.to_ours(state)[1]) for model in models}
    names = {name for tree in trees.values() for name in tree}
    differing = sorted(
        name for name in names if len({str(tree.get(name)) for tree in trees.values()}) > 1
    )
    parts = [
        f"{model} ({', '.join(f'{name} {tree.get(name)}' for name in differing[:4])})"
        for model, tree in trees.items()
    ]
    return "; ".join(parts if differing else trees)


# --------------------------------------------------------------------- to official


def _to_official(
    source: Path, target: Path, name: str | None, dtype: torch.dtype
) -> dict[str, Any]:
    if target.suffix == ".safetensors":
        raise EgolibError("both files are egolib's", file=target, remedy="name a .pth file")
    ours, sidecar = checkpoint.load(source)
    config = sidecar["config"]
    chosen = _by_name(name) if name else _of_config(sidecar["model"], config)
    name = name or sidecar["model"]
    cast = checkpoint.find_weights(ours, dtype=dtype, file=source).state
    _require_fit(chosen, cast, config, source)
    state = chosen.to_official(cast, config)
    with atomic_path(target) as temporary:
        torch.save({"state_dict": state}, temporary)
    about = {**sidecar, "model": name, "sha256": file_sha256(target)}
    write_json(target.with_suffix(".json"), about, indent=1)
    return _report(name, state, target, ())


# ------------------------------------------------------------------------- details


def _by_name(name: str) -> OfficialModel:
    models = official_models()
    if name not in models:
        raise EgolibError(f"unknown model {name!r}", remedy=nearest(name, models))
    return models[name]


def _of_config(name: str, config: dict[str, Any]) -> OfficialModel:
    """The architecture of a name, or, for the name of a training, the one of its configuration."""
    models = official_models()
    if name in models:
        return models[name]
    task = name.partition("/")[0]
    same = [model for model in models.values() if model.name.split("/")[0] == task]
    fitting = [model for model in same if model.accepts and model.accepts(config)]
    if not fitting:
        raise EgolibError(f"unknown model {name!r}", remedy=nearest(name, models))
    return fitting[0]


def _require_fit(
    model: OfficialModel, ours: Mapping[str, Tensor], config: dict[str, Any], file: Path
) -> None:
    """Every entry that the configuration wants, none else, and in its shape."""
    if model.empty is not None:
        compare(ours, model.empty(config)).require_complete(file=file)
    else:
        model.to_official(ours, config)  # refuses names that it does not know


def _report(
    name: str, state: Mapping[str, Tensor], path: Path, notes: tuple[str, ...]
) -> dict[str, Any]:
    values = sum(value.numel() for value in state.values())
    report = {"model": name, "entries": len(state), "values": values}
    return report | ({"notes": "; ".join(notes)} if notes else {}) | {"written": str(path)}
