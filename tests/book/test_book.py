"""The built book in a real browser: no script error, no missing image or link, a working search."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pytest

from tests.helpers.lab import chromium
from tests.helpers.tiny import egolib

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tiny")]
PAGES_WITH_FIGURES = ("live",)


@pytest.fixture(scope="module")
def html(tiny) -> Path:
    """The HTML of the tiny run, built with warnings as errors."""
    root, ran = tiny
    assert ran.returncode == 0, ran.stdout + ran.stderr
    done = egolib(root, "book", "--name", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "_out" / "_build" / "html"


@pytest.fixture(scope="module")
def address(html):
    """The book served on loopback; search does not work on plain files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with chromium() as instance:
        yield instance


def pages(html: Path) -> list[str]:
    built = [p for p in html.rglob("*.html") if not p.is_relative_to(html / "_static")]
    names = sorted(str(p.relative_to(html)) for p in built)
    return [n for n in names if n not in ("index.html", "genindex.html", "search.html")]


def test_the_index_leads_to_the_introduction(address, browser):
    page = browser.new_page()
    page.goto(address)
    page.wait_for_url("**/book/intro.html")


def test_every_page(html, address, browser):
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
    local = lambda response: response.url.startswith(address) and response.status >= 400  # noqa: E731
    page.on("response", lambda r: errors.append(f"{r.status} {r.url}") if local(r) else None)
    found = pages(html)
    assert len(found) >= 8
    without_figures = []
    for name in found:
        page.goto(urljoin(address, name), wait_until="load")
        broken = page.evaluate(
            "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
        )
        errors += [f"{name}: missing image {src}" for src in broken]
        links = page.evaluate("[...document.links].map(a => a.href)")
        errors += [f"{name}: broken link {x}" for x in links if not _exists(x, address, html)]
        figures = page.evaluate("document.querySelectorAll('.cell_output img').length")
        if "live/" in name and not figures:
            without_figures.append(name)
    assert not errors
    assert not [n for n in without_figures if "1_data" not in n and "3_infer" not in n]


def _exists(link: str, address: str, html: Path) -> bool:
    target, _ = urldefrag(link)
    if not target.startswith(address):
        return True
    path = html / target.removeprefix(address).split("?")[0]
    return path.is_file() or (path / "index.html").is_file()


def test_search_finds_a_word(address, browser):
    page = browser.new_page()
    page.goto(urljoin(address, "search.html?q=metamer"))
    page.wait_for_selector("#search-results li", timeout=20_000)
    assert "0_world" in page.inner_html("#search-results")
