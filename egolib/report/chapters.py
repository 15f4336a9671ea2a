"""What the pages before and after the notebooks show: pictures of the run, effects, proofs."""

from __future__ import annotations

import base64
import html
import io
import re
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.io.records import read_json
from egolib.report import evidence, scoreboard
from egolib.report.banner import about_task
from egolib.report.outputs import Html, as_text, html_table
from egolib.report.results import read_result, write_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CARD_PIXELS = 640


@dataclass(frozen=True)
class Picture:
    """A figure that a step kept.

    Args:
        file: a PNG.
    """

    file: Path

    def _repr_png_(self) -> bytes:
        return self.file.read_bytes()


def picture(runs: str | Path, name: str) -> Picture:
    """A figure of the run that is shown.

    Args:
        runs: the folder of one run, ``runs/<name>``.
        name: ``<task>/<variant>/<step>/<figure>``.

    Raises:
        EgolibError: the step kept no such figure.
    """
    step, _, figure = name.rpartition("/")
    file = Path(runs) / step / "figures" / f"{figure}.png"
    if not file.is_file():
        raise EgolibError("the run kept no such figure", file=file, remedy="egolib run all")
    return Picture(file)


def example(runs: str | Path, task: str, number: int = 0) -> Picture:
    """One of the example figures that ``book.examples`` of a task names.

    Args:
        runs: the folder of one run.
        task: its name.
        number: which.
    """
    return picture(runs, f"{task}/{about_task(task)['examples'][number]}")


def stages_figure(runs: str | Path, task: str, variant: str) -> Figure:
    """The method of a task as a drawing, with the sizes that this run used.

    Args:
        runs: the folder of one run.
        task: its name.
        variant: whose training's configuration is shown.
    """
    from egolib.viz.diagram import stages

    config = configs.flatten(read_result(Path(runs) / task / variant / "2_train")["config"])
    boxes = [(str(name), filled(str(text), config)) for name, text in about_task(task)["stages"]]
    return stages(boxes)


def filled(text: str, values: Mapping[str, Any]) -> str:
    """A text with the dotted names in braces replaced by their values.

    Args:
        text: with names such as ``{model.width}``.
        values: by dotted name.

    Raises:
        EgolibError: a name has no value.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise EgolibError(f"no setting {match[1]!r}", record=text)
        return as_text(values[match[1]])

    return re.sub(r"\{([\w.]+)\}", value, text)


# ------------------------------------------------------------------------ results


def effects(runs: str | Path, task: str) -> Html:
    """What each correction of a quirk changes in points: in this run, and in recorded trainings.

    Args:
        runs: the folder of one run.
        task: its name.
    """
    rows = []
    for file in sorted(Path(runs).glob(f"{task}/*/4_evaluate/result.json")):
        variant = file.parents[1].name
        for name, metric, label, value in _effects_of(task, read_result(file)["metrics"]):
            measured = _recorded_effect(task, variant, f"effect.{name}.{metric}")
            rows.append([name, label, f"{value:+.2f}", measured, variant])
    if not rows:
        return Html("<p>The evaluations of this run compare no corrections.</p>")
    columns = ("correction", "metric", "this run", "recorded, mean ± deviation", "variant")
    return Html(html_table(columns, rows))


def _effects_of(task: str, metrics: Mapping[str, Any]) -> list[tuple[str, str, str, float]]:
    numbers = configs.flatten(metrics)
    names = dict.fromkeys(k.split(".")[1] for k in numbers if k.startswith("effect."))
    found = []
    for name in names:
        for main, label in scoreboard.main_metrics(task).items():
            parts = main.split(".")
            endings = [".".join(parts[n:]) for n in range(len(parts))]
            metric = next((e for e in endings if f"effect.{name}.{e}" in numbers), None)
            value = numbers.get(f"effect.{name}.{metric}") if metric else None
            if metric and isinstance(value, int | float):
                points = scoreboard.percent(task, metric, value)
                found.append((name, metric, label.replace(", %", ""), points))
    return found


def _recorded_effect(task: str, variant: str, metric: str) -> str:
    """A metric over the seeds of a recorded cell of that variant, with nothing changed."""
    cells = evidence.read_evidence(task)["cells"]
    own = [c for c in cells if c["variant"] == variant and not c["params"]]
    values = [
        scoreboard.percent(task, metric, c["metrics"][metric])
        for c in own
        if metric in c["metrics"]
    ]
    if not values:
        return "–"
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):+.2f}{spread} ({len(values)} seeds)"


# --------------------------------------------------------------------- front page


def cards(runs: str | Path) -> Html:
    """One card a task: its question, a picture of this run, links to its pages.

    Args:
        runs: the folder of one run.
    """
    parts = []
    for task in configs.TASKS:
        about = about_task(task)
        alt = html.escape(str(about.get("picture_alt", about["question"])))
        source = _thumbnail(picture(runs, f"{task}/{about['picture']}").file)
        parts.append(
            f"<div><p><strong>{html.escape(about['question'])}</strong><br>{task}: "
            f'{html.escape(about["title"])}</p><img alt="{alt}" src="{source}">'
            f"<p>{html.escape(str(about['systems']))}</p>"
            f'<p><a href="{task}_idea.html">the idea</a> · '
            f'<a href="{task}_results.html">results</a> · '
            f'<a href="../../{task}_custom_data.html">your own data</a></p></div>'
        )
    return Html(f'<div class="cards">{"".join(parts)}</div>')


def _thumbnail(file: Path) -> str:
    """A picture as a data address, no wider than a card needs."""
    from PIL import Image

    image = Image.open(file).convert("RGB")
    if image.width > CARD_PIXELS:
        image = image.resize((CARD_PIXELS, round(image.height * CARD_PIXELS / image.width)))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def parity() -> Html:
    """Recordings of the official code that agree, by system, with the largest deviation."""
    file = configs.project_root() / "book" / "evidence" / "parity.json"
    if not file.is_file():
        return Html("<p>Not counted yet: <code>make parity-evidence</code> counts it.</p>")
    found = read_json(file, dict)
    rows = [
        [
            system,
            f"{own['recordings']:,}",
            f"{own['comparisons']:,}",
            f"{own['largest_deviation']:.1e}",
            str(own["where"]),
        ]
        for system, own in found["systems"].items()
    ]
    total = sum(own["recordings"] for own in found["systems"].values())
    largest = max(own["largest_deviation"] for own in found["systems"].values())
    head = (
        f"<p><strong>{total:,} recordings agree</strong>, {len(found['failed'])} do not. Largest "
        f"deviation {largest:.1e}, counted on commit <code>{found['commit']}</code>.</p>"
    )
    failed = "".join(f"<li><code>{html.escape(name)}</code></li>" for name in found["failed"])
    columns = ("system", "recordings", "comparisons", "largest deviation", "in")
    return Html(head + html_table(columns, rows) + (f"<ul>{failed}</ul>" if failed else ""))


def real_numbers() -> Html:
    """What was measured on real files, as ``book.measured_on_real_files`` of each task lists it."""
    folder = configs.project_root() / "book" / "evidence"
    rows = []
    for task in configs.TASKS:
        for entry in about_task(task).get("measured_on_real_files") or []:
            found = read_json(folder / f"{entry['file']}.json", dict)
            value: Any = found
            for part in entry["path"]:
                value = value[part]
            number = f"{entry.get('factor', 1) * value:.2f}"
            about = [f"<code>{found['command']}</code>", f"<code>{found['commit']}</code>"]
            rows.append([html.escape(entry["what"]), number, *about])
    columns = ("measured", "value", "repeated by", "recorded on commit")
    return Html(html_table(columns, rows, escape=False))


def verdicts() -> str:
    """How many claims held, in a sentence."""
    counts = scoreboard.verdict_counts()
    total = sum(counts.values())
    parts = "; ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    return f"Of {total} claims: {parts}."


def finish(runs: str | Path, out: str | Path, preset: str, begin: float) -> None:
    """Writes the ``result.json`` of a page, and fails where the run has no result to show.

    Args:
        runs: the folder of one run.
        out: folder of the page.
        preset: that was run.
        begin: when the page's notebook started, seconds of ``time.time()``.

    Raises:
        EgolibError: no step of the run has finished.
    """
    steps = len(list(Path(runs).glob("*/*/4_evaluate/result.json")))
    if not steps:
        raise EgolibError("no evaluation of this run has finished", file=runs)
    write_result(
        Path(out) / "result.json",
        metrics={"evaluations": steps},
        config={"preset": preset},
        config_hash="",
        data={},
        wall_sec=time.time() - begin,
        extra={"preset": preset, "seed": configs.read_preset(preset).get("seed")},
    )
