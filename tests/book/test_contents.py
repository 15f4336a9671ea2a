"""The contents name every page: what the chains of the tasks execute, and what people wrote."""

from __future__ import annotations

from egolib import config
from egolib.cli.book import live_pages, pages
from egolib.cli.reference import write_reference

BOOK = config.project_root() / "book"


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
