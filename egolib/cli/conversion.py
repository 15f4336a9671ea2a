"""``egolib convert``: recognises an official checkpoint and translates it, or back."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from egolib import config as configs
from egolib.errors import EgolibError, nearest
from egolib.io import checkpoint
from egolib.io.checkpoint import OfficialModel
from egolib.io.records import atomic_path, file_sha256


def official_models() -> dict[str, OfficialModel]:
    """The published architectures of all tasks by name."""
    found: dict[str, OfficialModel] = {}
    for task in configs.TASKS:
        models = import_module(f"egolib.{task}.formats.checkpoint").MODELS
        found |= {model.name: model for model in models}
    return found


def recognise(state: Mapping[str, Tensor], *, file: str | Path | None = None) -> OfficialModel:
    """The one architecture that a state dict belongs to.

    Raises:
        EgolibError: none matches, or several do.
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
    names = ", ".join(model.name for model in matching)
    raise EgolibError(
        f"the keys fit several models: {names}", file=file, remedy="choose one with --model"
    )


def convert_file(source: Path, target: Path, model: str | None = None) -> dict[str, Any]:
    """Converts one file; the direction follows from the suffixes.

    Returns:
        A report: model, number of entries and values, file written.
    """
    if source.suffix == ".safetensors" and source.with_suffix(".json").is_file():
        return _to_official(source, target)
    state = checkpoint.find_state(checkpoint.read_foreign(source))
    chosen = _by_name(model) if model else recognise(state, file=source)
    ours, config = chosen.to_ours(state)
    origin = {"file": source.name, "sha256": file_sha256(source)}
    sidecar = {"model": chosen.name, "config": config, "source": origin}
    return _report(chosen.name, ours, checkpoint.save(target, ours, sidecar))


def _to_official(source: Path, target: Path) -> dict[str, Any]:
    if target.suffix == ".safetensors":
        raise EgolibError("both files are ours", file=target, remedy="name a .pth file")
    ours, sidecar = checkpoint.load(source)
    chosen = _by_name(sidecar["model"])
    state = chosen.to_official(ours, sidecar["config"])
    with atomic_path(target) as temporary:
        torch.save({"state_dict": state}, temporary)
    return _report(chosen.name, state, target)


def _by_name(name: str) -> OfficialModel:
    models = official_models()
    if name not in models:
        raise EgolibError(f"unknown model {name!r}", remedy=nearest(name, models))
    return models[name]


def _report(name: str, state: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    values = sum(value.numel() for value in state.values())
    return {"model": name, "entries": len(state), "values": values, "written": str(path)}
