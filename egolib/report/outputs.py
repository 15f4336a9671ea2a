"""Outputs of executed cells as readers see them: no path of a machine, no raw dictionary."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egolib import config as configs

FOLDED_ROWS = 12
_SITE_PACKAGES = re.compile(r"/[^\s'\"]*/(?:site|dist)-packages/")
_UNDEFINED = re.compile(r"(<td[^>]*>)\s*(?:NaN|nan|None|NaT|&lt;NA&gt;)\s*(</td>)")
_CUT = re.compile(r"(/[\w./-]*?)\.\.\.")  # a path that a table shortened
_TEMPORARY = re.compile(r"/tmp/ipykernel_\d+/\d+\.py")


def short_paths(node: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Folders of the machine that a page was made on, longest first, with what stands for them.

    Args:
        node: what the step's ``node.json`` holds.
    """
    out = Path(str(node["out"]))
    depth = len(str(node["key"]).split("/"))
    runs = out.parents[depth] if len(out.parents) > depth else out.parent
    root = configs.project_root().absolute()
    known = {str(runs): "runs", str(root): ".", str(Path.home()): "~"}
    known |= {str(Path(configs.__file__).parents[1]): "."}
    data = Path(str(node["parameters"].get("data_root") or ""))
    if data.is_absolute():
        known.setdefault(str(data), f"data/world/{data.name}" if "world" in data.parts else "data")
    pairs = [(path, name) for path, name in known.items() if len(path) > 1]
    return sorted(pairs, key=lambda pair: -len(pair[0]))


def without_paths(text: str, paths: Sequence[tuple[str, str]]) -> str:
    """A text with the machine's folders replaced.

    Args:
        text: any text.
        paths: of ``short_paths``.
    """
    text = _TEMPORARY.sub("<cell>", _SITE_PACKAGES.sub("", text))
    for path, name in paths:
        text = text.replace(f"{path}/", "" if name == "." else f"{name}/").replace(path, name)
    places = [path for path, _ in paths]
    return _CUT.sub(lambda m: "..." if any(p.startswith(m[1]) for p in places) else m[0], text)


def clean(output: dict[str, Any], paths: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """One output of a cell as one or more outputs for the page.

    Args:
        output: of a notebook, format 4.
        paths: of ``short_paths``.
    """
    if output["output_type"] == "stream":
        return _streams({**output, "text": without_paths(_text(output["text"]), paths)})
    if output["output_type"] == "error":
        trace = [without_paths(line, paths) for line in output["traceback"]]
        return [{**output, "traceback": trace, "evalue": without_paths(output["evalue"], paths)}]
    data = {kind: _clean_data(kind, value, paths) for kind, value in output["data"].items()}
    plain = data.get("text/plain", "")
    values = as_dictionary(plain) if set(data) == {"text/plain"} else None
    if values is not None:
        data = {"text/html": dictionary_table(values), "text/plain": plain}
    return [{**output, "data": data}]


def _clean_data(kind: str, value: Any, paths: Sequence[tuple[str, str]]) -> Any:
    if not kind.startswith("text/"):
        return value
    text = without_paths(_text(value), paths)
    return _UNDEFINED.sub(r"\1–\2", text) if kind == "text/html" else text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "".join(value)


def _streams(output: dict[str, Any]) -> list[dict[str, Any]]:
    """Lines that are dictionaries become tables, in their place."""
    parts: list[dict[str, Any]] = []
    for line in output["text"].splitlines(keepends=True):
        values = as_dictionary(line)
        if values is not None:
            data = {"text/html": dictionary_table(values), "text/plain": line}
            parts.append({"output_type": "display_data", "data": data, "metadata": {}})
        elif parts and parts[-1]["output_type"] == "stream":
            parts[-1]["text"] += line
        else:
            parts.append({**output, "text": line})
    return parts


def as_dictionary(text: str) -> dict[str, Any] | None:
    """The dictionary that a text is the printed form of; None where it is something else."""
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return values if isinstance(values, dict) and values else None


def dictionary_table(values: Mapping[Any, Any]) -> str:
    """Nested values as a table of dotted names, folded where it is long."""
    flat = configs.flatten({str(k): _named(v) for k, v in values.items()})
    rows = [(name, as_text(value)) for name, value in flat.items()]
    return folded(html_table(("", "value"), rows), len(rows), f"{len(rows)} values")


def _named(value: Any) -> Any:
    return {str(k): _named(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def as_text(value: Any) -> str:
    """A value for reading: few digits, thousands apart, lists without brackets."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(as_text(v) for v in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {as_text(v)}" for k, v in value.items()) or "none"
    return str(value)


def brief(text: str, most: int = 60) -> str:
    """A text cut at a comma or word where it is long.

    Args:
        text: any text.
        most: how many characters stay.
    """
    return text if len(text) <= most else text[:most].rpartition(" ")[0].rstrip(",") + " …"


def html_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    escape: bool = True,
    kind: str = "",
) -> str:
    """A plain HTML table whose first column heads its rows.

    Args:
        columns: names above the columns.
        rows: texts, one sequence a row.
        escape: False where the cells are HTML already.
        kind: a class of its own, for its looks.
    """
    shown = html.escape if escape else str
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row">{shown(first)}</th>'
        + "".join(f"<td>{shown(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<table class="table {kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def folded(table: str, rows: int, summary: str) -> str:
    """A table as it is, or inside a fold where it has many rows.

    Args:
        table: as HTML.
        rows: how many it has.
        summary: what the closed fold says.
    """
    if rows <= FOLDED_ROWS:
        return table
    return fold(table, summary)


def fold(content: str, summary: str) -> str:
    """Content behind a line that opens it, as HTML."""
    return f'<details class="fold"><summary>{html.escape(summary)}</summary>{content}</details>'


@dataclass(frozen=True)
class Html:
    """HTML that a notebook shows.

    Args:
        text: the HTML.
    """

    text: str

    def __repr__(self) -> str:
        return re.sub(r"<[^>]+>", " ", self.text)

    def _repr_html_(self) -> str:
        return self.text
