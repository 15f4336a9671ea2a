"""``egolib book``: the executed notebooks of a run become pages, then HTML."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import yaml

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.io.records import write_text
from egolib.report import gpu


def build_book(name: str, runs_dir: Path) -> str:
    """Copies the notebooks of a run to ``book/live`` and builds ``_out/_build/html``.

    A page whose run failed shows the failure; a page that was never run says how
    to run it. Unchanged notebooks are not copied, so that a second build is short.

    Returns:
        The path of the index page.

    Raises:
        EgolibError: the builder reported a warning or an error.
    """
    root = configs.project_root()
    live = root / "book" / "live"
    for page in live_pages(root / "book" / "_toc.yml"):
        _publish(page, live, runs_dir / name)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", "."]
    command += ["--toc", "book/_toc.yml", "--config", "_config.yml", "--path-output", "_out"]
    command += ["-W", "--keep-going"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    index = root / "_out" / "_build" / "html" / "index.html"
    if done.returncode or not index.is_file():
        log = write_text(root / "_out" / "build.log", done.stdout + done.stderr)
        lines = [
            x for x in (done.stdout + done.stderr).splitlines() if "WARNING" in x or "ERROR" in x
        ]
        raise EgolibError(
            "the book was not built: " + "; ".join(lines[:3] or ["see the log"]), file=log
        )
    return str(index)


def pages(toc: Path) -> list[str]:
    """The files that the contents name, without suffixes, but for the root."""
    content = yaml.safe_load(toc.read_text())
    entries = [c for part in content.get("parts", [content]) for c in part.get("chapters", [])]
    files: list[str] = []
    while entries:
        entry = entries.pop(0)
        files.append(entry["file"])
        entries += entry.get("sections", [])
    return files


def live_pages(toc: Path) -> list[str]:
    """The contents' entries below ``book/live``, without that prefix."""
    return [f.removeprefix("book/live/") for f in pages(toc) if f.startswith("book/live/")]


def _publish(page: str, live: Path, run: Path) -> None:
    """``<task>/<variant>_<step>`` comes from ``<task>/<variant>/<step>/<step>.ipynb``, ``gpu``
    from its evidence."""
    if page == "gpu":
        write_text(live / "gpu.md", gpu.page())
        return
    task, slash, rest = page.rpartition("/")
    target = live / f"{page}.ipynb"
    if slash:
        variant, step = rest.rsplit("_", 2)[0], "_".join(rest.rsplit("_", 2)[1:])
        source = run / task / variant / step / f"{step}.ipynb"
        command = f"egolib run {task}/{step} --variant {variant}"
    else:
        source = run / page / f"{page}.ipynb"
        command = "egolib run all"
    text = (
        source.read_text() if source.is_file() else _not_run(page, f"{command} --preset {run.name}")
    )
    if not target.is_file() or target.read_text() != text:
        write_text(target, text)


def _not_run(page: str, command: str) -> str:
    text = f"# {page}\n\nThis page has not been run yet.\n\n```\n{command}\n```\n"
    cell = nbformat.v4.new_markdown_cell(text, id="not-run")  # type: ignore[no-untyped-call]
    result: str = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))  # type: ignore[no-untyped-call]
    return result
