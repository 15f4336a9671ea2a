"""``egolib book``: the executed notebooks of a run become pages, then HTML."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import yaml

from egolib import config as configs
from egolib.cli.app import schema
from egolib.cli.reference import write_reference
from egolib.errors import EgolibError, UsageError
from egolib.io.records import write_text
from egolib.report.pages import page_text, step_of_page

BUILDER = "from jupyter_book.cli.main import main; main()"
REFERENCE = "reference"  # pages below book/live that are written from the code


def build_book(name: str, runs_dir: Path) -> str:
    """Makes pages of a run's notebooks in ``book/live`` and builds ``_out/_build/html``.

    A page whose run failed shows the failure; a page that was never run says how
    to run it. Unchanged pages are not written, so that a second build is short.

    Returns:
        The path of the index page.

    Raises:
        UsageError: the builder is not installed.
        EgolibError: the builder reported a warning or an error.
    """
    root = configs.project_root()
    if find_spec("jupyter_book") is None:
        raise UsageError("Jupyter Book is not installed", remedy="pip install 'egolib[book]'")
    live = root / "book" / "live"
    for page in live_pages(root / "book" / "_toc.yml"):
        if not page.startswith(f"{REFERENCE}/"):
            _publish(page, live, runs_dir / name)
    write_reference(live / REFERENCE)
    command = [sys.executable, "-c", BUILDER, "build", "."]
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


def serve_book(html: Path, port: int) -> None:
    """Serves the built book on this machine alone until it is interrupted.

    Search needs an address; it does not work on plain files.

    Args:
        html: folder of the built book.
        port: of the address; 0 takes any free one.

    Raises:
        EgolibError: the port is taken.
    """
    try:
        server = local_server(html, port)
    except OSError as error:
        remedy = f"egolib book --serve --port {port + 1}"
        raise EgolibError(f"port {port} cannot be used: {error}", remedy=remedy) from error
    print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


def local_server(html: Path, port: int) -> ThreadingHTTPServer:
    """A server of a folder on the loopback address, not yet serving.

    Args:
        html: the folder.
        port: 0 takes any free one.
    """

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            return None

    return ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=str(html)))


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
    """The contents' entries below ``book/live``, without that prefix, and the root's, if there."""
    named = [yaml.safe_load(toc.read_text())["root"], *pages(toc)]
    return [f.removeprefix("book/live/") for f in named if f.startswith("book/live/")]


def _publish(page: str, live: Path, run: Path) -> None:
    """``<task>/<variant>_<step>`` comes from ``<task>/<variant>/<step>/<step>.ipynb``."""
    parts, command = step_of_page(page), "egolib run all"
    source = next(iter((run / page).glob("*.ipynb")), run / page / "missing.ipynb")
    if parts:
        task, variant, step = parts
        source = run / task / variant / step / f"{step}.ipynb"
        command = f"egolib run {task}/{step} --variant {variant}"
    text = page_text(source, page, f"{command} --preset {run.name}", schema)
    target = live / f"{page}.ipynb"
    if not target.is_file() or target.read_text() != text:
        write_text(target, text)
