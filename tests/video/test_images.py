from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.video import read_image, save_image
from egolib.video.images import image_note
from tests.helpers.video_files import picture


def test_png_is_exact_and_jpeg_close(tmp_path: Path) -> None:
    image = picture(77)
    for name, tolerance in (("a.png", 0), ("a.jpg", 3), ("a.JPEG", 3)):
        save_image(tmp_path / "new" / name, image, note={"frame": 77})
        seen = read_image(tmp_path / "new" / name)
        assert np.abs(seen.astype(int) - image).mean() <= tolerance
        assert image_note(tmp_path / "new" / name) == {"frame": 77}


def test_jpeg_quality(tmp_path: Path) -> None:
    sizes = []
    for quality in (20, 60, 95):
        save_image(tmp_path / "a.jpg", picture(1), quality)
        sizes.append((tmp_path / "a.jpg").stat().st_size)
    assert sizes == sorted(sizes)


def test_images_without_a_note(tmp_path: Path) -> None:
    assert image_note(tmp_path / "none.png") == {}
    (tmp_path / "a.png").write_text("text")
    assert image_note(tmp_path / "a.png") == {}


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match=r"not \.gif"):
        save_image(tmp_path / "a.gif", picture(0))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_bad_images(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(EgolibError, match="does not exist"):
        read_image(path)
    save_image(path, picture(0))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(EgolibError, match="not a whole image"):
        read_image(path)
