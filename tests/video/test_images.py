from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from egolib.errors import EgolibError
from egolib.video import image_size, read_image, save_image
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


# ------------------------------------------------------------------------- one rule for all


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_images_as_opencv_does(orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture(5)).save(path, quality=95, exif=exif)
    image = read_image(path)
    np.testing.assert_array_equal(image[:, :, ::-1], cv2.imread(str(path)))
    assert image_size(path) == image.shape[1::-1]
    stored = read_image(path, orientation="ignore")
    assert stored.shape == (120, 160, 3)
    assert image_size(path, "ignore") == (160, 120)
    assert (orientation == 1) == np.array_equal(image, stored)


def test_the_size_is_compared_with_the_annotations(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(5)).save(path, exif=exif)
    assert read_image(path, size=(120, 160)).shape == (160, 120, 3)
    with pytest.raises(EgolibError, match=r"120x160 pixels, its annotation says 160x120.*EXIF"):
        read_image(path, size=(160, 120))
    assert read_image(path, (160, 120), "ignore").shape == (120, 160, 3)
    with pytest.raises(EgolibError, match="says 80x60$"):
        read_image(path, size=(80, 60))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_keeps_its_upper_eight(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    grey = (np.arange(160 * 120).reshape(120, 160) * 3).astype(np.uint16)
    assert cv2.imwrite(str(path), grey)
    expected = np.repeat((grey >> 8)[..., None], 3, 2)
    np.testing.assert_array_equal(read_image(path), expected)
    np.testing.assert_array_equal(read_image(path), cv2.imread(str(path)))


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.98])
def test_a_truncated_jpeg_is_refused(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    save_image(path, picture(5))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    assert cv2.imread(str(path)) is not None, "OpenCV fills the rest with grey"
    with pytest.raises(EgolibError, match=r"a\.jpg: not a whole image"):
        read_image(path)


def test_floating_point_images_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).random((4, 4)).astype(np.float32)).save(
        tmp_path / "a.tif"
    )
    with pytest.raises(EgolibError, match="floating-point"):
        read_image(tmp_path / "a.tif")
