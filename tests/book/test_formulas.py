"""Every formula of the book becomes MathML; none needs a script or the network."""

from __future__ import annotations

import importlib.util
import re
from xml.etree import ElementTree

import pytest
from docutils.utils.math import MathError

from egolib.config import project_root
from egolib.io.records import read_json
from tests.helpers.book import pages

ROOT = project_root()
SPEC = importlib.util.spec_from_file_location("formulas", ROOT / "book/_ext/formulas.py")
assert SPEC is not None and SPEC.loader is not None
EXTENSION = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(EXTENSION)
CODE = re.compile(r"```.*?```|`[^`]*`", re.S)
NAMED = re.compile(r"&(?!lt|gt|amp)\w+;")  # characters that HTML knows by name
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+(?:\n[^$\n]+)?)\$", re.S)


def formulas():
    texts = {file.name: file.read_text() for file in (ROOT / "book").glob("*.md")}
    for file in (ROOT / "notebooks").rglob("*.ipynb"):
        cells = [c for c in read_json(file)["cells"] if c["cell_type"] == "markdown"]
        texts[f"{file.parent.name}/{file.name}"] = "\n\n".join("".join(c["source"]) for c in cells)
    for name, text in texts.items():
        for match in FORMULA.finditer(CODE.sub("", text)):
            yield name, match[1] or match[2], bool(match[1])


def test_every_formula_is_converted():
    found = list(formulas())
    assert len(found) > 60 and any(block for _, _, block in found)
    for _, tex, block in found:
        drawn = ElementTree.fromstring(NAMED.sub("", EXTENSION.mathml(tex, block)))
        assert drawn.tag.endswith("math") and len(list(drawn.iter())) > 3


def test_an_unknown_command_is_an_error():
    with pytest.raises(MathError, match="nothing"):
        EXTENSION.mathml(r"\nothing{x}")


@pytest.mark.slow
@pytest.mark.xdist_group("tiny")
def test_pages_draw_formulas_and_load_no_script_from_elsewhere(html):
    drawn, foreign = 0, []
    for name in pages(html):
        text = (html / name).read_text()
        drawn += text.count("<math")
        foreign += re.findall(r'<(?:script|link)[^>]+(?:src|href)="(https?://[^"]+)"', text)
    assert drawn > 60
    assert not foreign
