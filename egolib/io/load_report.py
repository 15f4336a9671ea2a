"""How the names and shapes of a state dict agree with those that a model wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from egolib.errors import EgolibError


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
