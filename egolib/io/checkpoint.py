"""Weights on disk: ours as safetensors with a JSON sidecar, foreign ones without executing them.

Three things live here:

- ``save`` and ``load``: our format, ``x.safetensors`` beside ``x.json`` (what the
  weights are, how they were made, the SHA-256 of the tensor file);
- ``read_foreign``: the tensors of an official file, read by an unpickler that
  builds tensors and plain containers and turns everything else into inert stand-ins;
- ``KeyTable``: the declarative two-way table between our parameter names and
  official ones, with a strict report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from egolib.errors import EgolibError
from egolib.io.pickles import RestrictedPickle, read_pickle
from egolib.io.records import atomic_path, file_sha256, read_json, write_json

State = dict[str, Tensor]


# -------------------------------------------------------------------- our format


def save(path: str | Path, state: Mapping[str, Tensor], sidecar: Mapping[str, Any]) -> Path:
    """Writes ``x.safetensors`` and ``x.json``, both atomically, the tensors first.

    Args:
        state: tensors by our names; written contiguous, on the CPU, sorted by name,
            so that equal weights give equal bytes.
        sidecar: JSON values: at least ``model`` (the builder's name) and ``config``.
    """
    path = Path(path).with_suffix(".safetensors")
    tensors = {key: state[key].detach().cpu().contiguous().clone() for key in sorted(state)}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)
    write_json(path.with_suffix(".json"), {**sidecar, "sha256": file_sha256(path)}, indent=1)
    return path


def load(path: str | Path, *, verify: bool = True) -> tuple[State, dict[str, Any]]:
    """Reads ``x.safetensors`` and its sidecar.

    Raises:
        EgolibError: a file is missing or damaged, or the tensor file is not the
            one that the sidecar describes.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise EgolibError(
            "not an egolib checkpoint (.safetensors)",
            file=path,
            remedy=f"convert it first: egolib convert {path} {path.with_suffix('.safetensors')}",
        )
    sidecar = read_json(path.with_suffix(".json"), dict)
    if not path.is_file():
        raise EgolibError("the tensor file is missing", file=path)
    if verify and sidecar.get("sha256") != file_sha256(path):
        raise EgolibError(
            "the tensor file is not the one its sidecar describes (SHA-256 differs)",
            file=path,
            remedy="copy both files again, or convert the original once more",
        )
    try:
        return load_file(path), sidecar
    except SafetensorError as error:
        raise EgolibError(f"damaged safetensors file: {error}", file=path) from error


def load_into(
    model: nn.Module, state: Mapping[str, Tensor], *, file: str | Path | None = None
) -> None:
    """Loads our state dict into a model, strictly, with a readable error."""
    report = compare(state, model.state_dict())
    report.require_complete(file=file)
    model.load_state_dict(dict(state))


# ----------------------------------------------------------------- foreign files


def read_foreign(path: str | Path) -> dict[str, Any]:
    """The content of an official checkpoint, without executing anything in it.

    safetensors, torch archives (old and new layout) and plain pickles of arrays
    are read. Classes outside tensors, arrays and plain containers become
    ``egolib.io.pickles.Inert`` objects, so that files which pickle a configuration
    parser or a model constructor load, and their code never runs.

    Returns:
        The top-level dictionary of the file, for instance ``{"state_dict": ...}``.
    """
    path = Path(path)
    if not path.is_file():
        raise EgolibError("the checkpoint does not exist", file=path)
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:
            content = _load_restricted(path)
    except Exception as error:
        raise EgolibError(
            f"not a readable checkpoint: {error}",
            file=path,
            remedy="the download may be incomplete: compare its size with the publisher's",
        ) from error
    if not isinstance(content, dict):
        raise EgolibError(f"expected a dictionary, found {type(content).__name__}", file=path)
    return content


def _load_restricted(path: Path) -> Any:
    """A torch archive with other objects inside, or a plain pickle (detectron2's model zoo)."""
    try:
        return torch.load(
            path, map_location="cpu", weights_only=False, pickle_module=RestrictedPickle()
        )
    except RuntimeError as error:
        if "magic number" not in str(error):
            raise
        return read_pickle(path, strict=False)


def find_state(content: Mapping[str, Any]) -> State:
    """The state dict inside an official file, with a common ``module.`` removed.

    It is looked for under ``state_dict``, ``model``, ``net``, ``model_state``, then
    at the top level. NumPy arrays become tensors.
    """
    for name in ("state_dict", "model", "net", "model_state"):
        if isinstance(content.get(name), Mapping):
            content = content[name]
            break
    state = {
        key: torch.as_tensor(value).detach() for key, value in content.items() if _is_array(value)
    }
    if not state:
        raise EgolibError("no tensors were found", remedy=f"top-level names: {list(content)[:8]}")
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _is_array(value: object) -> bool:
    return isinstance(value, Tensor) or type(value).__module__ == "numpy"


# -------------------------------------------------------------------- comparison


@dataclass(frozen=True)
class LoadReport:
    """What a checkpoint lacked, had too much, or had in another shape."""

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    loaded: int = 0

    @property
    def complete(self) -> bool:
        """True when every entry was found in its shape and nothing was left over."""
        return not (self.missing or self.unexpected or self.reshaped)

    def __str__(self) -> str:
        lines = [f"{self.loaded} entries loaded"]
        for name in ("missing", "unexpected", "reshaped"):
            entries = getattr(self, name)
            if entries:
                lines.append(f"{len(entries)} {name}: {_few(entries)}")
        return "; ".join(lines)

    def require_complete(self, *, file: str | Path | None = None) -> LoadReport:
        """Raises EgolibError unless the report is complete; returns itself."""
        if not self.complete:
            raise EgolibError(
                f"the checkpoint does not fit the model: {self}",
                file=file,
                remedy="it may belong to another model: name its variant, or `egolib convert` it",
            )
        return self


def compare(state: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> LoadReport:
    """Compares names and shapes of a state dict with those that a model wants."""
    common = state.keys() & target.keys()
    reshaped = [
        f"{key} {tuple(state[key].shape)} for {tuple(target[key].shape)}"
        for key in sorted(common)
        if state[key].shape != target[key].shape
    ]
    return LoadReport(
        missing=sorted(target.keys() - state.keys()),
        unexpected=sorted(state.keys() - target.keys()),
        reshaped=reshaped,
        loaded=len(common) - len(reshaped),
    )


def load_partial(model: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Loads what fits (initial weights); the report says what starts fresh."""
    target = model.state_dict()
    report = compare(state, target)
    fitting = {k: v for k, v in state.items() if k in target and v.shape == target[k].shape}
    model.load_state_dict(fitting, strict=False)
    return report


def _few(entries: Sequence[str], limit: int = 6) -> str:
    return ", ".join(entries[:limit]) + (f", … ({len(entries)})" if len(entries) > limit else "")


# --------------------------------------------------------------------- key table


@dataclass(frozen=True)
class Rule:
    """One line of a key table: our name, the official name, and how tensors change.

    Names may hold placeholders in braces. ``{i}`` stands for one dotted component,
    ``{rest}`` for one or more; both sides must hold the same placeholders.
    """

    ours: str
    official: str
    to_ours: Callable[[Tensor], Tensor] | None = None
    to_official: Callable[[Tensor], Tensor] | None = None


class KeyTable:
    """A two-way table between our parameter names and an official layout.

    Rules are tried in order; the first whose pattern matches decides.

    Args:
        rules: pairs ``(ours, official)`` or ``Rule`` objects.
        drop_official: official names (patterns) that hold nothing to keep, for
            instance counters; they are ignored on reading and not written.

    >>> table = KeyTable([("head.{rest}", "model.final.{rest}")])
    >>> table.official_name("head.weight")
    'model.final.weight'
    """

    def __init__(
        self, rules: Iterable[Rule | tuple[str, str]], drop_official: Iterable[str] = ()
    ) -> None:
        self.rules = [rule if isinstance(rule, Rule) else Rule(*rule) for rule in rules]
        self._ours = [_pattern(rule.ours) for rule in self.rules]
        self._official = [_pattern(rule.official) for rule in self.rules]
        self._dropped = [_pattern(name) for name in drop_official]
        for rule in self.rules:
            if _placeholders(rule.ours) != _placeholders(rule.official):
                raise ValueError(f"placeholders differ: {rule.ours!r}, {rule.official!r}")

    def official_name(self, ours: str) -> str | None:
        """The official name of one of our parameters; None where no rule applies."""
        found = self._find(ours, self._ours)
        return found and found[0].official.format(**found[1])

    def our_name(self, official: str) -> str | None:
        """Our name of an official parameter; None where no rule applies."""
        found = self._find(official, self._official)
        return found and found[0].ours.format(**found[1])

    def to_ours(self, state: Mapping[str, Tensor]) -> State:
        """Translates an official state dict; names without a rule are kept and will be
        reported as unexpected by the strict load."""
        result: State = {}
        for name, value in state.items():
            if any(pattern.fullmatch(name) for pattern in self._dropped):
                continue
            found = self._find(name, self._official)
            rule, parts = found if found else (Rule(name, name), {})
            target = rule.ours.format(**parts) if found else name
            if target in result:
                raise EgolibError(f"two official entries become {target!r}", record=name)
            result[target] = rule.to_ours(value) if rule.to_ours else value
        return result

    def to_official(self, state: Mapping[str, Tensor]) -> State:
        """Translates our state dict into the official layout; every name must have a rule."""
        result: State = {}
        for name, value in state.items():
            found = self._find(name, self._ours)
            if not found:
                raise EgolibError(f"no rule gives {name!r} an official name")
            rule, parts = found
            result[rule.official.format(**parts)] = (
                rule.to_official(value) if rule.to_official else value
            )
        return result

    def load(
        self, model: nn.Module, official: Mapping[str, Tensor], *, file: str | Path | None = None
    ) -> LoadReport:
        """Loads an official state dict into our model, strictly."""
        state = self.to_ours(official)
        report = compare(state, model.state_dict()).require_complete(file=file)
        model.load_state_dict(state)
        return report

    def _find(
        self, name: str, patterns: Sequence[re.Pattern[str]]
    ) -> tuple[Rule, dict[str, str]] | None:
        for rule, pattern in zip(self.rules, patterns, strict=True):
            if match := pattern.fullmatch(name):
                return rule, match.groupdict()
        return None


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    text = "".join(
        re.escape(part)
        if i % 2 == 0
        else f"(?P<{part}>{'.+' if part.startswith('rest') else '[^.]+'})"
        for i, part in enumerate(parts)
    )
    return re.compile(text)


def _placeholders(template: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", template))


@dataclass(frozen=True)
class OfficialModel:
    """A published architecture that ``egolib convert`` knows; each task lists its own as
    ``<task>/convert.py``'s ``MODELS``.

    Args:
        name: for instance ``nlq/groundnlq``.
        matches: whether an official state dict is of this architecture, by keys and shapes.
        to_ours: from the official state dict to ours and the configuration (plain values).
        to_official: from our state dict and configuration to the official one.
    """

    name: str
    matches: Callable[[Mapping[str, Tensor]], bool]
    to_ours: Callable[[Mapping[str, Tensor]], tuple[State, dict[str, Any]]]
    to_official: Callable[[Mapping[str, Tensor], dict[str, Any]], State]
