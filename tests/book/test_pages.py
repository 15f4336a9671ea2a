"""Every page as readers meet it: wide and narrow, light and dark, honest and whole."""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import unquote, urldefrag, urljoin

import pytest

from tests.helpers.book import pages

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tiny")]
WIDTHS = {1280: 900, 390: 844}
THEMES = ("light", "dark")
RESULT_PAGES = re.compile(r"4_evaluate|_results|9_scoreboard|pages/start")
WRITTEN = re.compile(r"live/")
HOME = re.compile(r"(?<![\w.<])/(?:home|root|tmp|work|Users|opt|private)/[\w.-]+")
LOOK = """() => ({
  title: document.title,
  body: document.documentElement.scrollWidth,
  heading: document.querySelector(".bd-article h1, main h1")?.innerText ?? "",
  alts: [...document.querySelectorAll("main img")].map(i => i.getAttribute("alt") ?? ""),
  missing: [...document.images].filter(i => i.complete && !i.naturalWidth)
    .map(i => i.src.slice(0, 80)),
  narrow: [...document.querySelectorAll(".bd-article figure img, .cell_output img")]
    .map(i => i.getBoundingClientRect().width),
  links: [...document.links].map(a => a.href),
  text: document.querySelector("main")?.innerText ?? "",
  nan: [...document.querySelectorAll("td")].map(c => c.innerText.trim())
    .filter(t => /^(nan|NaN|None|NaT|<NA>)$/.test(t)).length,
  banner: document.querySelectorAll(".banner").length,
  first: document.querySelector(".bd-article table, .bd-article figure, .bd-article .cards")
    ?.getBoundingClientRect().top ?? null,
  ink: getComputedStyle(document.body).color + getComputedStyle(document.body).backgroundColor,
})"""


@pytest.fixture(scope="module")
def seen(html, address, browser, tmp_path_factory):
    """What every page looks like at every width and theme, with errors and screenshots."""
    shots = tmp_path_factory.mktemp("screenshots")
    print(f"screenshots: {shots}")
    found, errors = {}, []
    for width, height in WIDTHS.items():
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("pageerror", lambda e, p=page: errors.append(f"{p.url}: {e}"))
        page.route(lambda url: not url.startswith(address), lambda route: route.abort())
        for name in pages(html):
            page.goto(urljoin(address, name), wait_until="load")
            for theme in THEMES:
                page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
                found[name, width, theme] = page.evaluate(LOOK)
                file = f"{name.removesuffix('.html').replace('/', '_')}-{width}-{theme}.png"
                page.screenshot(path=shots / file)
        page.close()
    assert len(list(shots.iterdir())) == len(found) >= 4 * 30
    return found, errors


def of(seen, width=1280, theme="light"):
    """Pages at one width and theme."""
    return {n: v for (n, w, t), v in seen[0].items() if (w, t) == (width, theme)}


def test_no_script_fails(seen):
    assert not seen[1]


def test_themes_differ(seen):
    light, dark = of(seen), of(seen, theme="dark")
    assert not [name for name in light if light[name]["ink"] == dark[name]["ink"]]


def test_no_page_is_wider_than_the_window(seen):
    wide = [(n, w, v["body"]) for (n, w, _), v in seen[0].items() if v["body"] > w]
    assert not wide


def test_no_image_is_missing(seen):
    assert not [(key, v["missing"]) for key, v in seen[0].items() if v["missing"]]


def test_figures_fill_a_narrow_screen(seen):
    small = [(n, w) for n, v in of(seen, 390).items() for w in v["narrow"] if w < 0.8 * 350]
    assert not small


def test_alternative_texts_say_something(seen):
    bad = {
        name: [a for a in v["alts"] if len(a.split()) < 3 or ("/" in a and " " not in a)]
        for name, v in of(seen).items()
    }
    assert not {name: alts for name, alts in bad.items() if alts}


def test_internal_links_lead_somewhere(seen, address, html):
    broken = []
    for name, v in of(seen).items():
        for link in v["links"]:
            target, _ = urldefrag(link)
            if not target.startswith(address):
                continue
            path = html / unquote(target.removeprefix(address)).split("?")[0]
            if not (path.is_file() or (path / "index.html").is_file()):
                broken.append((name, link))
    assert not broken


def test_no_folder_of_the_machine(seen):
    """Pages that were executed name no place of the machine that ran them."""
    named = {n: HOME.findall(v["text"]) for n, v in of(seen).items() if WRITTEN.search(n)}
    assert not {name: found for name, found in named.items() if found}


def test_no_cell_is_not_a_number(seen):
    assert not {name: v["nan"] for name, v in of(seen).items() if v["nan"]}


def test_titles_are_unique(seen):
    titles = Counter(v["title"] for v in of(seen).values())
    assert not {title: count for title, count in titles.items() if count > 1}
    assert all(v["heading"] for v in of(seen).values())


def test_executed_pages_carry_their_banner(seen):
    without = [
        n
        for n, v in of(seen).items()
        if WRITTEN.search(n) and "reference/" not in n and v["banner"] != 1
    ]
    assert not without


QUESTIONS = {  # of a newcomer: words of the links from the front page, words that answer
    "which method for what": (["results"], ["Claims", "What the quirks cost"]),
    "does it work here, and how sure is that": (["scoreboard"], ["interval", "seeds"]),
    "how do I run it on mine": (["your own data"], ["egolib "]),
    "how do I reproduce a published number": (["reproduce_"], ["egolib run "]),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_newcomer_is_answered_within_two_clicks(html, question):
    """The front page leads there by one link, for each task where tasks have pages of their own."""
    words, answers = QUESTIONS[question]
    start = html / "book/live/pages/start.html"
    main = re.search(r"<article.*</article>", start.read_text(), re.S)
    assert main
    links = re.findall(r'<a [^>]*href="([^"]+)"[^>]*>(.*?)</a>', main[0], re.S)
    asked = {h for h, text in links if any(w in text.lower() or w in h for w in words)}
    assert asked, f"no link {words} on the front page"
    for link in asked:
        target = (start.parent / urldefrag(link)[0]).resolve()
        text = re.sub(r"<[^>]+>", "", target.read_text())
        assert any(answer in text for answer in answers), f"{question}: {link}"


def test_keyboard_alone_reaches_everything(address, browser):
    """Folds, the switch of all code, and wide tables take the focus and answer to keys."""
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.route(lambda url: not url.startswith(address), lambda route: route.abort())
    page.goto(urljoin(address, "book/live/nlq/finetune_4_evaluate.html"))
    switch = page.locator(".code-switch")
    folds = page.locator("details.hide, details.above-input")
    assert folds.count() and not folds.first.evaluate("d => d.open")
    switch.focus()
    page.keyboard.press("Enter")
    assert folds.first.evaluate("d => d.open") and switch.get_attribute("aria-pressed") == "true"
    summary = folds.first.locator("summary")
    summary.focus()
    page.keyboard.press("Enter")
    assert not folds.first.evaluate("d => d.open")
    page.wait_for_load_state("load")
    boxes = page.evaluate(
        "[...document.querySelectorAll('.output.text_html, .bd-article table, .bd-article figure')]"
        ".filter(b => getComputedStyle(b).overflowX === 'auto' && b.scrollWidth > b.clientWidth)"
        ".map(b => b.tabIndex)"
    )
    assert boxes and set(boxes) == {0}
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")
    page.close()


def test_print_shows_the_page_alone(address, browser):
    """No navigation, folds open, nothing cut: tables as wide as the sheet scroll nowhere."""
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.route(lambda url: not url.startswith(address), lambda route: route.abort())
    page.goto(urljoin(address, "book/live/nlq/finetune_4_evaluate.html"))
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    hidden = (".bd-sidebar-primary", ".bd-sidebar-secondary", ".code-switch", ".bd-header-article")
    for name in hidden:
        assert not page.locator(name).first.is_visible(), name
    assert page.evaluate("[...document.querySelectorAll('details.fold')].every(d => d.open)")
    assert page.locator(".banner").is_visible()
    assert page.locator("main figure img, main .readout-picture img").first.is_visible()
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF") and len(pdf) > 20_000
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert not page.evaluate("[...document.querySelectorAll('details.fold')].some(d => d.open)")
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_results_come_first(seen, width):
    """The first table or figure of a result page lies within two screens."""
    late = {
        n: v["first"]
        for n, v in of(seen, width).items()
        if RESULT_PAGES.search(n) and (v["first"] is None or v["first"] > 2 * WIDTHS[width])
    }
    assert not late
