"""No result is typed into prose: each number there is glued, computed, or stated for what it is."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from egolib.config import project_root
from egolib.io.records import read_json

ROOT = project_root()
STATED = yaml.safe_load(Path(__file__).with_name("typed.yaml").read_text())
ELSEWHERE = re.compile(  # comments, code, formulas, glued numbers, links and addresses
    r"<!--.*?-->|```.*?```|\$\$.*?\$\$|\$[^$]*\$|\{(?:measured|recorded)\}`[^`]*`|`[^`]*`"
    r"|\]\([^)]*\)|arXiv \d+\.\d+|[\w./:-]*\.(?:com|org|edu|io)/\S*",
    re.S,
)
UNIT = r"(?:ms|s|seconds|minutes|hours|days|times|points?|[MGT]B)\b|x(?!\w)"
WHOLE = re.compile(  # of three digits and more but no year, a measurement, a share
    r"(?<![\w./,=:@^×−+-])(?:\d{1,3}(?:,\d{3})+|(?!(?:19|20)\d\d\b)\d{3,}"
    rf"|\d+(?=\s(?:to \d+\s)?(?:{UNIT}))|\d+(?= of (?:\d| )))(?![\w.,:/-]*\w)"
)
NUMBER = re.compile(
    r"(?<![\w./-])[−+-]?\d+\.\d+(?:e-?\d+)?(?![\w.]*\w)|\d+(?:\.\d+)?(?= ?(?:%|per cent)(?!\w))"
)


def typed(text: str) -> set[str]:
    """What a text states itself: numbers with a point, percentages, whole results.

    A whole number is taken for a result where it has three digits or more, a unit of
    measurement, or the form "3 of 60"; small ones count layers and frames, and name classes.
    """
    own = ELSEWHERE.sub(" ", text)
    return {*NUMBER.findall(own), *WHOLE.findall(own)}


def prose() -> dict[str, str]:
    """What people wrote: pages, and the Markdown cells of notebooks."""
    texts = {file.stem: file.read_text() for file in (ROOT / "book").glob("*.md")}
    for file in (ROOT / "notebooks").rglob("*.ipynb"):
        cells = [c for c in read_json(file)["cells"] if c["cell_type"] == "markdown"]
        name = str(file.relative_to(ROOT / "notebooks").with_suffix(""))
        texts[name] = "\n\n".join("".join(cell["source"]) for cell in cells)
    return texts


def stated() -> dict[str, set[str]]:
    """By page, all numbers that ``typed.yaml`` explains."""
    found: dict[str, set[str]] = defaultdict(set)
    for own in STATED.values():
        for page, numbers in own.items():
            found[page] |= set(numbers)
    return found


def test_every_typed_number_is_stated_for_what_it_is():
    known, texts = stated(), prose()
    found = {page: typed(text) for page, text in texts.items()}
    new = {page: sorted(own - known[page]) for page, own in found.items() if own - known[page]}
    assert not new, "glue them with the role `measured` or `recorded`, or compute them in a cell"
    gone = {page: sorted(own - found[page]) for page, own in known.items() if own - found[page]}
    assert not gone, "typed.yaml names numbers that no page states"


def test_published_results_name_their_source():
    """Pages that quote results say whose they are, with a link or a repository's address."""
    (pages,) = (own for kind, own in STATED.items() if kind.startswith("published"))
    for page in pages:
        text = prose()[page]
        assert re.search(r"arxiv|github\.com|huggingface|ego4d|drive\.google|author", text, re.I), (
            page
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It gains 3.4 points, to 81 %.", {"3.4", "81"}),
        ("It gains {measured}`nlq scratch miou`, see [there](2.0) and `1.5`.", set()),
        ("$0.5$ of release 1.0.5, arXiv 2110.07058", set()),
        ("In 2017, 39 of 320 took 12 s, 4 to 5 hours.", {"39", "320", "12", "4", "5"}),
        ("All {recorded}`mq_real x` of 1,486 clips, 2 layers, 3x1", {"1,486"}),
    ],
)
def test_what_counts_as_typed(text, expected):
    assert typed(text) == expected
