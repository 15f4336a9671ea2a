"""``egolib world figure``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from egolib import world
from egolib.cli import pictures
from egolib.config import project_root
from egolib.errors import EgolibError


def test_a_small_picture_of_a_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pictures, "default_data_root", lambda preset: tmp_path / preset)
    with pytest.raises(EgolibError, match="egolib world make --preset tiny"):
        pictures.draw_world("tiny", tmp_path / "a.png")
    world.make("tiny", tmp_path / "tiny")
    with pytest.raises(EgolibError, match="PNG"):
        pictures.draw_world("tiny", tmp_path / "a.jpg")
    path = pictures.draw_world("tiny", tmp_path / "a.png")
    image = np.asarray(Image.open(path).convert("RGB"))
    assert image.shape[1] == 1200 and image.std() > 30


def test_the_readme_shows_it():
    path = project_root() / "book" / "figures" / "world.png"
    assert "(book/figures/world.png)" in (project_root() / "README.md").read_text()
    assert path.stat().st_size <= 300_000
