"""The declarative two-way table between our parameter names and official ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from egolib.errors import EgolibError
from egolib.io.load_report import LoadReport, compare

State = dict[str, Tensor]


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
        """Loads an official state dict into our model, strictly.

        Args:
            model: receives the weights.
            official: tensors by official names.
            file: for error messages.
        """
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
    ``<task>/formats/checkpoint.py``'s ``MODELS``.

    The last three say how a network of any size is translated, whose configuration lies
    beside its weights.

    Args:
        name: for instance ``nlq/groundnlq``.
        matches: whether an official state dict is of this architecture, by keys and shapes.
        to_ours: from the official state dict to ours and the configuration (plain values).
        to_official: from our state dict and configuration to the official one.
        read: from an official state dict and a known configuration to ours; None where
            ``to_ours`` reads every size off the file.
        empty: our entries (names and shapes) for a configuration; both directions are then
            compared with it.
        accepts: whether a configuration, of a training for instance, is of this
            architecture; None for no other than those that bear its name.
    """

    name: str
    matches: Callable[[Mapping[str, Tensor]], bool]
    to_ours: Callable[[Mapping[str, Tensor]], tuple[State, dict[str, Any]]]
    to_official: Callable[[Mapping[str, Tensor], dict[str, Any]], State]
    read: Callable[[Mapping[str, Tensor], dict[str, Any]], State] | None = None
    empty: Callable[[dict[str, Any]], Mapping[str, Tensor]] | None = None
    accepts: Callable[[dict[str, Any]], bool] | None = None
