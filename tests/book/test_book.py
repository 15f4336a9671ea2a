"""The built book in a real browser: no script error, no missing image or link, a working search."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pytest

from tests.helpers.book import pages

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tiny")]
PAGES_WITH_FIGURES = ("live",)


def test_the_index_leads_to_the_front_page(address, browser):
    page = browser.new_page()
    page.goto(address)
    page.wait_for_url("**/book/live/pages/start.html")


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
        if "live/" in name and "reference/" not in name and not figures:
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
