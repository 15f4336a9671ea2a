"""The contents name every page: what the chains of the tasks execute, and what people wrote."""

from __future__ import annotations

import re

import pytest

from egolib import config
from egolib.cli.book import live_pages, pages
from egolib.cli.reference import write_reference
from egolib.io.records import read_json

BOOK = config.project_root() / "book"
CHAPTERS = sorted((config.project_root() / "notebooks" / "pages").glob("*.ipynb"))
CHAPTERS.append(config.project_root() / "notebooks" / "9_scoreboard.ipynb")


def executed() -> set[str]:
    """Pages that ``make book`` makes."""
    found = {"0_world", "your_video", "9_scoreboard", "pages/start"}
    for task in config.TASKS:
        found |= {f"pages/{task}_idea", f"pages/{task}_results"}
        for variant in config.read_chain(task).variants:
            steps = config.read_variant(task, variant).steps
            found |= {f"{task}/{variant}_{step}" for step in steps}
    return found


def test_every_step_of_the_chains_is_a_page():
    named = set(live_pages(BOOK / "_toc.yml"))
    assert {page for page in named if not page.startswith("reference/")} == executed()


def test_every_page_of_the_reference_is_in_the_contents(tmp_path):
    write_reference(tmp_path)
    written = {f"reference/{file.stem}" for file in tmp_path.glob("*.md")}
    named = {page for page in live_pages(BOOK / "_toc.yml") if page.startswith("reference/")}
    assert named == written


def test_every_written_page_is_in_the_contents():
    written = {f"book/{file.stem}" for file in BOOK.glob("*.md")}
    named = {page for page in pages(BOOK / "_toc.yml") if not page.startswith("book/live/")}
    assert named == written


DEFINED = {"0.1", "0.3", "0.5", "1", "95 %", "2.92"}  # overlaps that metrics are named by, and t
NOT_PROSE = re.compile(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\[[^\]]*\]\([^)]*\)|EPIC-KITCHENS-100", re.S)
TYPED = re.compile(r"\b\d+(?:\.\d+)?(?: %)?")


@pytest.mark.parametrize("file", CHAPTERS, ids=lambda f: f.stem)
def test_no_number_is_typed_into_a_chapter(file):
    """What was measured is computed by a cell; prose names only what a metric is called by."""
    cells = read_json(file)["cells"]
    prose = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    text = NOT_PROSE.sub(" ", "\n".join(prose))
    lines = [line for line in text.splitlines() if not re.match(r"\d\. ", line)]
    found = set(TYPED.findall("\n".join(lines))) - DEFINED
    assert not {n for n in found if not re.fullmatch(r"(19|20)\d\d", n)}
