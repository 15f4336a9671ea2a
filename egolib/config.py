"""Configurations: YAML files laid over frozen dataclasses.

A run is task x variant x preset. Its configuration is built in layers, later ones win:

1. the defaults of the task's dataclass ``Config`` (published values where there are any),
2. ``params/<task>/<variant>.yaml``, whose sections may name a ``builder`` (a published network),
3. the task's section of ``params/presets/<preset>.yaml``, then its entry for that variant,
4. a parameter file of the user (``--params``), 5. single values (``-p train.epochs=1``).

``resolve`` returns everything filled in as plain values; ``build`` makes the
typed dataclass of it. Unknown names are errors that point to the nearest known one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml

from egolib.errors import EgolibError, UsageError, nearest
from egolib.io.records import read_text

TASKS = ("vq2d", "vod", "vlp", "nlq", "mq")
#: What a notebook's parameters name beside configuration sections: ``egolib params`` prints them.
PLACES = ("variant", "preset", "data_root", "out", "inputs")
STEPS = ("1_data", "2_train", "3_infer", "4_evaluate")
DEFAULT_INPUTS: dict[str, dict[str, str]] = {
    "1_data": {},
    "2_train": {"data": "1_data"},
    "3_infer": {"data": "1_data", "model": "2_train"},
    "4_evaluate": {"data": "1_data", "predictions": "3_infer"},
}

Built = TypeVar("Built")
Tree = dict[str, Any]


# ------------------------------------------------------------------ typed building


def build(cls: type[Built], values: Mapping[str, Any], *, where: str = "") -> Built:
    """A dataclass from plain values: nested, checked, with defaults for what is absent.

    A nested section that is given in part changes only the fields that it names.

    A value ``builder: name`` starts from ``cls.builders[name]()``, a published
    configuration; the other values change it.

    Raises:
        EgolibError: an unknown field (the nearest name is given), a missing one
            without default, or a value of another type.
    """
    values = dict(values)
    hints = _hints(cls)  # type: ignore[arg-type]
    start: Any = None
    if "builder" in values and "builder" not in hints:
        start = _builder(cls, values.pop("builder"), where)()
    for name in values:
        if name not in hints:
            raise EgolibError(
                f"unknown parameter {where + name!r}", remedy=nearest(name, [*hints, "builder"])
            )
    starts = vars(start) if start is not None else _defaults(cls)  # type: ignore[arg-type]
    parts = {
        name: _convert(hints[name], value, f"{where}{name}", starts.get(name))
        for name, value in values.items()
    }
    if start is not None:
        result: Built = dataclasses.replace(start, **parts)
        return result
    try:
        return cls(**parts)
    except TypeError as error:
        raise EgolibError(f"{where or cls.__name__}: {error}") from error


def to_tree(config: Any) -> Tree:
    """The plain values of a dataclass; tuples become lists, as YAML and JSON have them."""
    result: Tree = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    return result


def tree_hash(values: Any) -> str:
    """Twelve hexadecimal digits that identify plain values, whatever the key order."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted names, for tables and comparisons.

    >>> flatten({"train": {"epochs": 8}})
    {'train.epochs': 8}
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def merge(base: Mapping[str, Any], *overlays: Mapping[str, Any]) -> Tree:
    """Deep merge; later values win; nothing is modified."""
    merged = dict(base)
    for overlay in overlays:
        for name, value in overlay.items():
            if isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
                merged[name] = merge(merged[name], value)
            else:
                merged[name] = value
    return merged


@cache
def _hints(cls: Any) -> dict[str, Any]:
    """Field names of a dataclass and their resolved types."""
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}


@cache
def _defaults(cls: Any) -> dict[str, Any]:
    """The default of every field that holds a dataclass: what a partial section changes."""
    return {
        f.name: f.default_factory() if callable(f.default_factory) else f.default
        for f in dataclasses.fields(cls)
        if callable(f.default_factory) or dataclasses.is_dataclass(f.default)
    }


def _builder(cls: type, name: str, where: str) -> Callable[[], Any]:
    builders: Mapping[str, Callable[[], Any]] = getattr(cls, "builders", {})
    if name not in builders:
        raise EgolibError(f"{where}builder: unknown {name!r}", remedy=nearest(name, builders))
    return builders[name]


def _convert(hint: Any, value: Any, where: str, start: Any = None) -> Any:
    """A plain value as the type that a field declares."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(hint, value, where)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise _mismatch(where, hint, value)
        return build(hint, _over(start, value), where=f"{where}.")  # type: ignore[arg-type]
    if origin is Literal:
        if value not in typing.get_args(hint):
            choices = typing.get_args(hint)
            raise EgolibError(f"{where} is {value!r}", remedy=nearest(str(value), choices))
        return value
    if origin in (tuple, list, Sequence):
        return _convert_sequence(hint, value, where)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _mismatch(where, hint, value)
        inner = typing.get_args(hint)[1]
        return {k: _convert(inner, v, f"{where}.{k}") for k, v in value.items()}
    return _convert_scalar(hint, value, where)


def _over(start: Any, value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of a nested section over those that it starts from: only what it names changes."""
    if start is None or "builder" in value:
        return value
    return merge(dataclasses.asdict(start), value)


def _convert_union(hint: Any, value: Any, where: str) -> Any:
    choices = typing.get_args(hint)
    if value is None and type(None) in choices:
        return None
    errors = []
    for choice in choices:
        if choice is type(None):
            continue
        try:
            return _convert(choice, value, where)
        except EgolibError as error:
            errors.append(error)
    raise errors[0] if len(errors) == 1 else _mismatch(where, hint, value)


def _convert_sequence(hint: Any, value: Any, where: str) -> Any:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise _mismatch(where, hint, value)
    inner = typing.get_args(hint)
    origin = tuple if typing.get_origin(hint) is tuple else list
    if origin is tuple and inner[-1:] != (Ellipsis,):
        if len(inner) != len(value):
            raise _mismatch(where, hint, value)
        return tuple(
            _convert(h, v, f"{where}[{i}]")
            for i, (h, v) in enumerate(zip(inner, value, strict=True))
        )
    return origin(_convert(inner[0], v, f"{where}[{i}]") for i, v in enumerate(value))


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    if hint is float and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-4 as text
        except ValueError:
            raise _mismatch(where, hint, value) from None
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if (hint is int and isinstance(value, bool)) or not isinstance(value, hint):
        raise _mismatch(where, hint, value)
    return value


def _mismatch(where: str, hint: Any, value: Any) -> EgolibError:
    name = getattr(hint, "__name__", None) or str(hint).replace("typing.", "")
    return EgolibError(f"{where} must be {name}, got {value!r}")


# ---------------------------------------------------------------------- resolving


@dataclass(frozen=True)
class Variant:
    """One ``params/<task>/<variant>.yaml`` beside its configuration.

    Args:
        about: title, source, checkpoint and published numbers, for tables.
        steps: step name to named inputs (``step`` or ``variant/step``), in order.
        resources: what a batch system should give to each step.
        tree: the configuration sections of the file.
    """

    task: str
    name: str
    about: Tree = field(default_factory=dict)
    steps: dict[str, dict[str, str]] = field(default_factory=dict)
    resources: Tree = field(default_factory=dict)
    tree: Tree = field(default_factory=dict)


@dataclass(frozen=True)
class Chain:
    """What ``egolib run <task>`` executes: the default variant and an order of variants."""

    default: str
    variants: tuple[str, ...]


def project_root() -> Path:
    """The workspace: the folder with ``params/`` and ``notebooks/``.

    ``EGOLIB_ROOT``, else the working directory or the nearest folder above it that is a
    workspace, else the checkout that this package lies in.

    Raises:
        UsageError: there is none; ``egolib init`` makes one.
    """
    if named := os.environ.get("EGOLIB_ROOT"):
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).parents[1]):
        if is_workspace(folder):
            return folder
    raise UsageError(
        f"no workspace in {here}",
        remedy="make one with `egolib init DIR`, go there, or name one in EGOLIB_ROOT",
    )


def is_workspace(folder: Path) -> bool:
    """Whether a folder holds parameters and notebooks."""
    return (folder / "params" / "presets").is_dir() and (folder / "notebooks").is_dir()


def read_yaml(path: str | Path) -> Tree:
    """A YAML mapping; an empty file is an empty mapping."""
    try:
        content = deepcopy(_parsed(read_text(path)))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise EgolibError(f"malformed YAML: {error}", file=path) from error
    if content is not None and not isinstance(content, dict):
        raise EgolibError(f"expected a mapping, found {type(content).__name__}", file=path)
    return content or {}


@lru_cache(maxsize=32)
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


def variants(task: str) -> list[str]:
    """Names of a task's variants."""
    folder = project_root() / "params" / task
    return sorted(f.stem for f in folder.glob("*.yaml") if f.stem not in ("chain", "claims"))


def presets() -> list[str]:
    """Names of all presets."""
    return sorted(f.stem for f in (project_root() / "params" / "presets").glob("*.yaml"))


def read_chain(task: str) -> Chain:
    """The task's ``chain.yaml``."""
    content = read_yaml(project_root() / "params" / task / "chain.yaml")
    return Chain(content["default"], tuple(content["chain"]))


def main_metrics(task: str) -> list[str]:
    """Names, or patterns of them, of the metrics that a short table of the task shows."""
    content = read_yaml(project_root() / "params" / task / "chain.yaml")
    return list(content.get("metrics") or [])


def read_variant(task: str, name: str) -> Variant:
    """One variant's file.

    Raises:
        EgolibError: no such task or variant (the nearest name is given).
    """
    if task not in TASKS:
        raise EgolibError(f"unknown task {task!r}", remedy=nearest(task, TASKS))
    if name not in variants(task):
        raise EgolibError(f"{task} has no variant {name!r}", remedy=nearest(name, variants(task)))
    tree = read_yaml(project_root() / "params" / task / f"{name}.yaml")
    about, steps, resources = (tree.pop(k, None) or {} for k in ("about", "steps", "resources"))
    steps = steps or {step: {} for step in STEPS}
    filled = {s: DEFAULT_INPUTS.get(s, {}) | (inputs or {}) for s, inputs in steps.items()}
    named = {s: {k: v for k, v in i.items() if v is not None} for s, i in filled.items()}
    return Variant(task, name, about, named, resources, tree)


def read_preset(name: str) -> Tree:
    """One preset's file.

    Raises:
        EgolibError: no such preset.
    """
    if name not in presets():
        raise EgolibError(f"unknown preset {name!r}", remedy=nearest(name, presets()))
    return read_yaml(project_root() / "params" / "presets" / f"{name}.yaml")


def resolve(
    schema: type,
    task: str,
    variant: str,
    preset: str,
    overrides: Iterable[str] = (),
    params_file: str | Path | None = None,
) -> Tree:
    """The whole configuration of a run as plain values.

    Args:
        schema: the task's ``Config`` dataclass.
        task: its name.
        variant: ``params/<task>/<variant>.yaml``.
        preset: ``params/presets/<preset>.yaml``.
        overrides: texts like ``train.epochs=1``; a name that stands in one section
            only may go without its section (``epochs=1``).
        params_file: a YAML file with the same names, for instance what
            ``egolib params`` printed.
    """
    chosen = read_preset(preset)
    section = dict(chosen.get(task) or {})
    by_variant = section.pop("variants", None) or {}
    shared: Tree = {k: chosen[k] for k in ("seed", "world_seed") if k in chosen}
    layers: list[Tree] = [read_variant(task, variant).tree, shared, section]
    layers.append(by_variant.get(variant) or {})
    if params_file is not None:
        layers.append(_read_parameters(schema, params_file, merge({}, *layers)))
    refuse_old_names(schema, merge({}, *layers))
    tree = to_tree(build(schema, merge({}, *layers)))
    for text in overrides:
        refuse_old_names(schema, {text.partition("=")[0].strip(): None})
        tree = merge(tree, parse_override(text, tree))
    tree = to_tree(build(schema, tree))
    refuse_impossible(tree)
    return tree


#: By the end of its name, what a number may not be.
IMPOSSIBLE: Mapping[str, tuple[str, Callable[[float], bool]]] = {
    "learning_rate": ("negative", lambda value: value < 0),
    "weight_decay": ("negative", lambda value: value < 0),
    "fps": ("zero or less", lambda value: value <= 0),
    "stride_frames": ("zero or less", lambda value: value <= 0),
    "batch_size": ("zero or less", lambda value: value <= 0),
    "epochs": ("negative", lambda value: value < 0),
}


def refuse_impossible(tree: Mapping[str, Any]) -> None:
    """Raises EgolibError where a rate or a size is one that nothing can be computed with."""
    for name, value in flatten(tree).items():
        ends = [end for end in IMPOSSIBLE if name.rpartition(".")[2].endswith(end)]
        if not ends or not isinstance(value, int | float) or isinstance(value, bool):
            continue
        word, wrong = IMPOSSIBLE[ends[0]]
        if wrong(value):
            remedy = "use a number above 0" if "zero" in word else "use 0 or more"
            raise EgolibError(f"{name} is {value}, it cannot be {word}", remedy=remedy)


def _own_sections(schema: type, params_file: str | Path) -> Tree:
    """The configuration sections of a parameter file, without the places of a run.

    Raises:
        EgolibError: a section that no step has; the nearest and the list of all are given.
    """
    names, content = _hints(schema), read_yaml(params_file)
    old = getattr(schema, "renamed", {})
    for name in content:
        if name not in (*names, *PLACES, *old):
            raise EgolibError(
                f"unknown section {name!r}",
                file=params_file,
                remedy=f"{nearest(name, [*names, *PLACES])} All: {', '.join(names)}",
            )
    return {k: v for k, v in content.items() if k in names or k in old}


def _read_parameters(schema: type, path: str | Path, base: Tree) -> Tree:
    """The sections of a user's file; errors name it."""
    tree = _own_sections(schema, path)
    try:
        refuse_old_names(schema, tree)
        build(schema, merge(base, tree))
    except EgolibError as error:
        raise EgolibError(error.what, file=path, remedy=error.remedy) from error
    return tree


def refuse_old_names(schema: type, tree: Mapping[str, Any]) -> None:
    """Raises EgolibError, with the new name, where a tree uses a name that a field once had.

    ``schema.renamed`` maps dotted old names, of fields or whole sections, to new ones;
    ``schema.absent`` those that other tasks have, and this one not, to the reason and a remedy.
    """
    renamed: Mapping[str, str] = getattr(schema, "renamed", {})
    absent: Mapping[str, tuple[str, str]] = getattr(schema, "absent", {})
    for name in flatten(tree):
        if name in absent:
            reason, remedy = absent[name]
            raise EgolibError(f"no {name!r} here: {reason}", remedy=remedy)
        for old, new in renamed.items():
            if name == old or name.startswith(f"{old}."):
                raise EgolibError(f"{old!r} is now called {new!r}", remedy="rename it")


def parse_override(text: str, tree: Mapping[str, Any]) -> Tree:
    """``a.b=value`` as a nested mapping; the value is read as YAML.

    Raises:
        EgolibError: no ``=``, an unknown or an ambiguous name.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise EgolibError(f"{text!r} is not of the form name=value")
    dotted = _full_name(name.strip(), tree)
    try:
        parsed = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise EgolibError(
            f"{text[:80]!r}: {value[:80]!r} is no YAML value",
            remedy="for instance seed=0 or a=[1, 2]",
        ) from error
    for part in reversed(dotted.split(".")):
        parsed = {part: parsed}
    result: Tree = parsed
    return result


def _full_name(name: str, tree: Mapping[str, Any]) -> str:
    flat = flatten(tree)
    if name in flat or any(known.startswith(f"{name}.") for known in flat):
        return name
    matches = [known for known in flat if known.endswith(f".{name}")]
    if len(matches) > 1:
        raise EgolibError(f"parameter {name!r} is ambiguous", remedy=f"say {' or '.join(matches)}")
    if matches:
        return matches[0]
    parent = name.rpartition(".")[0]
    if isinstance(flat.get(parent), dict):  # an entry of an empty mapping
        return name
    short = {known.rpartition(".")[2]: known for known in flat}
    beside = list(tree) if "." not in name else [k for k in flat if k.startswith(f"{parent}.")]
    listed = f"; {parent or 'sections'}: {', '.join(k.removeprefix(parent + '.') for k in beside)}"
    remedy = nearest(name, [*flat, *short]) + (listed if beside else "")
    raise EgolibError(f"unknown parameter {name!r}", remedy=remedy)
