"""Numbers in prose that are read from the evidence."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest

from egolib.config import project_root

BOOK = project_root() / "book"
SPEC = importlib.util.spec_from_file_location("measured", BOOK / "_ext" / "measured.py")
assert SPEC is not None and SPEC.loader is not None
EXTENSION = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(EXTENSION)


def test_mean_and_single_seeds(tmp_path, monkeypatch):
    cells = [{"cell": "a", "seed": s, "metrics": {"x.y": v}} for s, v in ((1, 3.0), (0, 1.0))]
    (tmp_path / "nlq.json").write_text(json.dumps({"cells": cells}))
    monkeypatch.setattr(EXTENSION, "EVIDENCE", tmp_path)
    assert EXTENSION.measured("nlq a x.y") == "+2.00 (+1.00, +3.00)"
    with pytest.raises(ValueError, match="no cell"):
        EXTENSION.measured("nlq b x.y")


def test_all_that_pages_ask_for_is_recorded():
    asked = [
        m for f in BOOK.glob("*.md") for m in re.findall(r"\{measured\}`(.+?)`", f.read_text())
    ]
    assert asked and all(EXTENSION.measured(text) for text in asked)
