"""Two runs side by side, or a run beside the published numbers of its variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from egolib import config as configs
from egolib.errors import EgolibError, nearest
from egolib.report.results import read_result

EVALUATION = "4_evaluate"
ABOUT = ("task", "variant", "preset", "commit")  # what a result says beside its configuration
Schema = Callable[[str], type]


ROUNDING = 1e-12  # of a number: less is no difference


@dataclass(frozen=True)
class Row:
    """One number of both sides.

    Args:
        name: of the metric.
        first: the number of the first side; None where it has none.
        second: that of the second side.
    """

    name: str
    first: float | None
    second: float | None

    @property
    def difference(self) -> float | None:
        """First less second; None where one is missing."""
        if self.first is None or self.second is None:
            return None
        difference = self.first - self.second
        return 0.0 if abs(difference) < ROUNDING * abs(self.first) else difference


@dataclass(frozen=True)
class Comparison:
    """What two sides have measured, and in what their configurations differ.

    Args:
        sides: names of both.
        metrics: their numbers.
        settings: names of differing settings, with both values.
    """

    sides: tuple[str, str]
    metrics: list[Row]
    settings: dict[str, tuple[Any, Any]]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        metrics = [asdict(row) | {"difference": row.difference} for row in self.metrics]
        settings = {name: list(values) for name, values in self.settings.items()}
        return {"sides": list(self.sides), "metrics": metrics, "settings": settings}


def find_result(run: str | Path, runs_dir: str | Path) -> Path:
    """The ``result.json`` that a run is known by: its evaluation's, where it has one.

    Args:
        run: a folder, or its path below ``runs_dir``: ``<name>/<task>/<variant>[/<step>]``.
        runs_dir: where runs lie.

    Raises:
        EgolibError: nothing there has finished; the nearest runs are named.
    """
    for folder in (Path(run), Path(runs_dir) / run):
        for file in (folder / "result.json", folder / EVALUATION / "result.json"):
            if file.is_file():
                return file
    known = [
        file.parents[1].relative_to(runs_dir).as_posix()
        for file in Path(runs_dir).glob(f"*/*/*/{EVALUATION}/result.json")
    ]
    remedy = nearest(str(run), known) if known else "egolib run <task> makes one"
    raise EgolibError("no finished run of that name", file=run, remedy=remedy)


def compare_runs(first: Path, second: Path) -> Comparison:
    """Two finished steps.

    Args:
        first: a ``result.json``.
        second: another.
    """
    a, b = read_result(first), read_result(second)
    ours, theirs = _numbers(a), _numbers(b)
    rows = [Row(name, ours.get(name), theirs.get(name)) for name in _union(ours, theirs)]
    about = [{name: result.get(name) for name in ABOUT} for result in (a, b)]
    settings = _differences(about[0] | _settings(a), about[1] | _settings(b))
    return Comparison((_label(a, first), _label(b, second)), rows, settings)


def compare_published(run: Path, schema: Schema) -> Comparison:
    """A finished evaluation and what was published for its variant.

    The configuration is compared with the variant on the preset ``paper``, where nothing is
    reduced. Published percentages (``published_unit: percent`` in the variant or the task's
    chain) stand beside fractions times 100.

    Args:
        run: a ``result.json``.
        schema: from a task's name to its configuration.

    Raises:
        EgolibError: nothing was published for the variant.
    """
    result = read_result(run)
    task, name = result["task"], result["variant"]
    about = configs.read_variant(task, name).about
    published = configs.flatten(about.get("published") or {})
    if not published:
        known = [
            v
            for v in configs.variants(task)
            if configs.read_variant(task, v).about.get("published")
        ]
        raise EgolibError(
            f"nothing was published for {task}/{name}",
            file=run,
            remedy=f"variants with published numbers: {', '.join(known)}",
        )
    ours = _numbers(result)
    factor = 100.0 if _unit(task, about) == "percent" else 1.0
    rows = [
        Row(metric, _scaled(_find(metric, ours), factor), float(value))
        for metric, value in published.items()
    ]
    paper = configs.flatten(configs.resolve(schema(task), task, name, "paper"))
    settings = _differences(_settings(result), paper)
    return Comparison(
        (_label(result, run), f"published ({about.get('source', '')})"), rows, settings
    )


def as_text(comparison: Comparison) -> str:
    """The comparison for reading: numbers, then settings that differ."""
    first, second = comparison.sides
    lines = [f"1: {first}", f"2: {second}", "", f"{'metric':<44} {'1':>10} {'2':>10} {'1 - 2':>10}"]
    for row in comparison.metrics:
        values = [_text(v) for v in (row.first, row.second)] + [_text(row.difference, "+")]
        lines.append(f"{row.name:<44} " + " ".join(f"{value:>10}" for value in values))
    lines += ["", "settings that differ:" if comparison.settings else "no setting differs"]
    lines += [f"  {name}: {a} | {b}" for name, (a, b) in comparison.settings.items()]
    return "\n".join(lines)


# ------------------------------------------------------------------------- details


def _numbers(result: Mapping[str, Any]) -> dict[str, float]:
    flat = configs.flatten(result["metrics"])
    return {
        name: float(value)
        for name, value in flat.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _settings(result: Mapping[str, Any]) -> dict[str, Any]:
    return configs.flatten(result.get("config") or {})


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = _union(first, second)
    pairs = {name: (first.get(name), second.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _union(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))


def _find(metric: str, numbers: Mapping[str, float]) -> float | None:
    """A published metric among ours: of its name, on the validation set, or the only one that
    ends so."""
    for name in (metric, f"val.{metric}"):
        if name in numbers:
            return numbers[name]
    ending = [name for name in numbers if name.endswith(f".{metric}")]
    return numbers[ending[0]] if len(ending) == 1 else None


def _unit(task: str, about: Mapping[str, Any]) -> str:
    chain = configs.project_root() / "params" / task / "chain.yaml"
    of_task = configs.read_yaml(chain) if chain.is_file() else {}
    return str(about.get("published_unit") or of_task.get("published_unit") or "same")


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _label(result: Mapping[str, Any], file: Path) -> str:
    names = [str(result[name]) for name in ("task", "variant", "preset") if result.get(name)]
    return f"{' '.join(names)} ({file.parent})"


def _text(value: float | None, sign: str = "") -> str:
    if value is None:
        return ""
    return format(value, f"{sign if value else ''}.4g")
