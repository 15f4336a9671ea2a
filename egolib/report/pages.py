"""Executed notebooks as pages of the book.

A notebook that ran is a log; its page says first what it is about. The title carries the
variant, a banner what stands behind the numbers, code and settings are folded, figures have
captions, and nothing names a folder of the machine. No number is changed.
"""

from __future__ import annotations

import copy
import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import nbformat

from egolib import config as configs
from egolib.report.banner import Executed, about_task, banner, page_title, read_executed
from egolib.report.outputs import (
    as_text,
    brief,
    clean,
    fold,
    folded,
    html_table,
    short_paths,
    without_paths,
)
from egolib.report.scoreboard import headline

Schema = Callable[[str], type]
Cell = dict[str, Any]
CAPTIONS = Path("book") / "captions.yml"
_STEP_PAGE = re.compile(r"^(\w+)/(.+)_([0-9]_\w+)$")
FIGURE = re.compile(
    r'step\.figure\(.*?"(?P<kept>\w+)"\)|\bfigures\.(?P<drawn>\w+)\(made\)'
    r"|\bviz\.draw\(\w+, (?P<found>\w+)\)|\b(?:viz|widgets)\.(?P<part>picture_row|vary|scrub)\("
    r"|\b(?:scoreboard|chapters)\.(?P<made>\w+_figure)\("
    r'|\bchapters\.picture\(\w+, "(?P<task>\w+)/[^/"]+/(?P<figure>\S+?)"\)'
    r"|\bchapters\.example\(\w+, task, (?P<example>[0-9])\)"
)
NAMED = ("kept", "drawn", "made", "found", "part")


def page_text(source: Path, page: str, command: str, schema: Schema) -> str:
    """The page of an executed notebook as notebook text; without one, how to run it.

    Args:
        source: the executed notebook, which need not exist.
        page: its name below ``book/live``.
        command: what makes it.
        schema: from a task's name to its configuration.
    """
    if not source.is_file():
        return _not_run(page, command)
    notebook = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]
    executed = read_executed(source)
    cells: list[Cell] = list(notebook.cells)
    if executed is None:
        node = {"key": page, "out": str(source.parent), "parameters": {}}
        cells = _plain_cells(cells, short_paths(node))
        cells[0] = _retitled(cells[0], _title(page))
    else:
        cells = _page_cells(cells, executed, schema)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    notebook.cells = [nbformat.from_dict(cell) for cell in cells]  # type: ignore[no-untyped-call]
    notebook.nbformat_minor = 5
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return text


def _page_cells(cells: Sequence[Cell], page: Executed, schema: Schema) -> list[Cell]:
    paths = short_paths(page.node)
    found: list[Cell] = []
    for number, cell in enumerate(_plain_cells(cells, paths)):
        if number == 0 and page.title:
            cell = _retitled(cell, page.title)
        if number == 0:
            found += _opened(cell, page)
            continue
        if "parameters" in _tags(cell):
            cell["source"] = _with_values(cell["source"], page.node["parameters"])
        elif found and "parameters" in _tags(found[-1]) and page.task:
            cell["outputs"] = [_settings(page, schema)]
        if cell["cell_type"] == "code" and page.is_chapter and not cell["outputs"]:
            cell["metadata"]["tags"] = ["remove-cell"]
        found += _with_captions(cell, page) if cell["cell_type"] == "code" else [cell]
    return found


def _plain_cells(cells: Sequence[Cell], paths: Sequence[tuple[str, str]]) -> list[Cell]:
    """Cells without the injected parameters, with folded code and clean outputs."""
    found = []
    for number, cell in enumerate(cells):
        cell = copy.deepcopy(dict(cell))
        if "injected-parameters" in _tags(cell):
            continue
        cell["id"] = f"cell-{number}"
        cell["source"] = without_paths(cell["source"], paths)
        if cell["cell_type"] == "code":
            cell["outputs"] = [part for out in cell["outputs"] for part in clean(out, paths)]
            tags = [tag for tag in _tags(cell) if tag == "parameters"]
            hidden = [] if set(_tags(cell)) & {"remove-input", "remove-cell"} else ["hide-input"]
            kept = [tag for tag in _tags(cell) if tag.startswith("remove-")]
            cell["metadata"] = {"tags": [*tags, *kept, *hidden]}
        found.append(cell)
    return found


def _tags(cell: Cell) -> list[str]:
    return list(cell["metadata"].get("tags", []))


def _retitled(cell: Cell, title: str) -> Cell:
    _, _, rest = cell["source"].partition("\n")
    return {**cell, "source": f"# {title}\n{rest}"}


def step_of_page(page: str) -> tuple[str, str, str] | None:
    """Task, variant and step of ``vod/selsa_staged_4_evaluate``; None for any other page."""
    match = _STEP_PAGE.match(page)
    return (match[1], match[2], match[3]) if match else None


def _title(page: str) -> str:
    parts = step_of_page(page)
    return page_title(*parts) if parts else page


def _opened(cell: Cell, page: Executed) -> list[Cell]:
    """The first cell in parts: the heading, the banner, the main numbers, the rest."""
    heading, _, rest = cell["source"].partition("\n")
    parts = [heading, banner(page)]
    if page.step == "4_evaluate":
        rows = headline(page.task, page.result)
        parts.append(html_table(("main results", "value"), rows) if rows else "")
    parts.append(rest.lstrip("\n"))
    return [
        {"cell_type": "markdown", "id": f"opening-{n}", "metadata": {}, "source": part}
        for n, part in enumerate(parts)
        if part
    ]


def _with_values(source: str, parameters: Mapping[str, Any]) -> str:
    """The parameters cell with the variant, preset and seed that were run."""
    for name in ("variant", "preset", "seed"):
        if name in parameters:
            value = repr(parameters[name]).replace("'", '"')
            source = re.sub(rf"^{name} = \S+", f"{name} = {value}", source, flags=re.M)
    return source


def _settings(page: Executed, schema: Schema) -> dict[str, Any]:
    """The settings of a step as an output: first those that differ from the published ones."""
    here = configs.flatten(page.result["config"])
    published = configs.flatten(
        configs.resolve(schema(page.task), page.task, page.variant, "paper")
    )
    used = [k for k in here if k.split(".")[0] in page.node["parameters"]]
    rows = [(k, as_text(published.get(k)), as_text(here[k])) for k in used]
    differing = [row for row in rows if row[1] != row[2]]
    if not differing:
        first = "<p>Every setting is the published configuration's.</p>"
    else:
        short = [(k, brief(a), brief(b)) for k, a, b in differing]
        table = html_table(("setting", "published configuration", "here"), short)
        count = f"{len(differing)} of {len(rows)} settings differ from the published configuration"
        first = folded(table, len(differing), count)
        if first == table:
            first = f"<p>{count}.</p>{table}"
    every = html_table(("setting", "value"), [(k, value) for k, _, value in rows])
    content = first + fold(every, f"all {len(rows)} settings of this step")
    data = {"text/html": content, "text/plain": f"{len(differing)} settings differ"}
    return {"output_type": "display_data", "data": data, "metadata": {}}


# ------------------------------------------------------------------------- figures


def captions() -> dict[str, dict[str, str]]:
    """Captions and alternative texts of all figures, by ``task/step/name`` or ``page/name``."""
    return _captions(configs.project_root() / CAPTIONS)


@cache
def _captions(file: Path) -> dict[str, dict[str, str]]:
    return {str(k): dict(v) for k, v in configs.read_yaml(file).items()}


def _with_captions(cell: Cell, page: Executed) -> list[Cell]:
    """A code cell, its pictures in cells of their own with caption and alternative text."""
    pictures = [n for n, out in enumerate(cell["outputs"]) if "image/png" in out.get("data", {})]
    if not pictures:
        return [cell]
    names, known = figure_names(cell["source"], page), captions()
    parts: list[Cell] = [{**cell, "outputs": []}]
    for number, output in enumerate(cell["outputs"]):
        if number not in pictures:
            parts[-1]["outputs"].append(output)
            continue
        order = pictures.index(number)
        text = known.get(names[order], {}) if order < len(names) else {}
        look: dict[str, Any] = {"image": {"alt": text.get("alt", "")}}
        if text.get("caption"):
            look["figure"] = {"caption": text["caption"]}
        tags = ["remove-input"]
        part = {
            "cell_type": "code",
            "execution_count": None,
            "source": "# what the cell above drew",
            "outputs": [_without_curves(output)],
        }
        parts.append(
            {**part, "id": f"{cell['id']}-{number}", "metadata": {"tags": tags} | {"mystnb": look}}
        )
        curves = _curves(output)
        if curves or number + 1 < len(cell["outputs"]):
            rest = {**part, "outputs": curves, "metadata": {"tags": tags}}
            parts.append({**rest, "id": f"{cell['id']}-{number}-rest"})
    return [part for part in parts if part["outputs"] or part is parts[0]]


def _without_curves(output: dict[str, Any]) -> dict[str, Any]:
    metadata = dict(output.get("metadata", {}))
    metadata["image/png"] = {
        name: value for name, value in metadata.get("image/png", {}).items() if name != "curves"
    }
    return {**output, "metadata": metadata}


def _curves(output: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The numbers of a picture's curves, which the page's script tells under a pointer."""
    curves = output.get("metadata", {}).get("image/png", {}).get("curves")
    if not curves:
        return []
    numbers = html.escape(json.dumps(curves, separators=(",", ":")))
    data = {"text/html": f'<div class="readout" data-curves="{numbers}"></div>'}
    return [{"output_type": "display_data", "data": data, "metadata": {}}]


def figure_names(source: str, page: Executed) -> list[str]:
    """The captions' names of the figures that a cell draws, in order.

    Of ``step.figure`` only those that the step kept: a cell may draw some and not others.

    Args:
        source: of a cell.
        page: that it belongs to.
    """
    before = f"{page.task}/{page.step}" if page.task else page.step
    folder = Path(str(page.node["out"])) / "figures"
    found = []
    for match in FIGURE.finditer(source):
        name = next((match[kind] for kind in NAMED if match[kind]), "")
        if match["kept"] and not (folder / f"{name}.png").is_file():
            continue
        if match["figure"]:
            found.append(f"{match['task']}/{match['figure']}")
        elif match["example"]:
            task = str(page.node["parameters"]["task"])
            _, _, figure = about_task(task)["examples"][int(match["example"])].partition("/")
            found.append(f"{task}/{figure}")
        else:
            found.append(f"{before}/{name}" if name != "stages_figure" else name)
    return found


def _not_run(page: str, command: str) -> str:
    text = f"# {_title(page)}\n\nThis page has not been run yet.\n\n```\n{command}\n```\n"
    cell = nbformat.v4.new_markdown_cell(text, id="not-run")  # type: ignore[no-untyped-call]
    result: str = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))  # type: ignore[no-untyped-call]
    return result
