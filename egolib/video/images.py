"""Still images: read by one rule, saved whole or not at all with a note of what they are from."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from egolib.errors import EgolibError
from egolib.io.records import atomic_path

_LYING = (5, 6, 7, 8)  # EXIF orientations whose width and height change places
SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


def save_image(
    path: str | Path,
    image: NDArray[np.uint8],
    quality: int = 95,
    note: dict[str, Any] | None = None,
) -> None:
    """Writes an (H, W, 3) uint8 RGB image as JPEG or PNG, by the suffix, and reads it back.

    Args:
        path: the file to write.
        image: its pixels.
        quality: of JPEG, 1 to 95.
        note: JSON-able facts, kept in the file's comment.
    """
    form, text = _form(path), json.dumps(note or {}, separators=(",", ":"))
    options: dict[str, Any] = {"quality": quality, "comment": text}
    if form == "PNG":
        options = {"pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_text("comment", text)
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, form, **options)
        if read_image(temporary).shape != image.shape:
            raise EgolibError("the written image has another size", file=path)


def read_image(
    path: str | Path,
    size: tuple[int, int] | None = None,
    orientation: Literal["apply", "ignore"] = "apply",
) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB; the one rule by which every task reads images.

    Turned as EXIF asks (as OpenCV and viewers do), whole or not at all; grey becomes three
    equal channels, 16 bits the upper 8 of them, transparency is dropped.

    Args:
        path: the image.
        size: (width, height) that its annotation states; None: not compared.
        orientation: ``ignore`` gives the pixels as they are stored.

    Raises:
        EgolibError: the file is missing, no image, truncated, of floating-point values, or
            of another size than the annotation's.
    """
    with _opened(path) as image:
        pixels = _eight_bits(image, path)
        turned = ImageOps.exif_transpose(pixels) if orientation == "apply" else pixels
    if size is not None and turned.size != tuple(size):
        raise EgolibError(_other_size(turned.size, pixels.size, size), file=path)
    return np.array(turned.convert("RGB"))


def image_size(
    path: str | Path, orientation: Literal["apply", "ignore"] = "apply"
) -> tuple[int, int]:
    """(width, height) of an image as ``read_image`` gives it, from its header alone.

    Args:
        path: the image.
        orientation: see ``read_image``.

    Raises:
        EgolibError: the file is missing or no image.
    """
    with _opened(path) as image:
        across = image.getexif().get(ExifTags.Base.Orientation, 1) in _LYING
        width, height = image.size
    return (height, width) if across and orientation == "apply" else (width, height)


def image_note(path: str | Path) -> dict[str, Any]:
    """What a saved image says it was made from; empty where it says nothing."""
    try:
        with Image.open(path) as image:
            text = image.info.get("comment", "")
        note = json.loads(text.decode() if isinstance(text, bytes) else text)
    except (OSError, ValueError, SyntaxError):
        return {}
    return note if isinstance(note, dict) else {}


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """The opened image; what Pillow raises becomes one kind of error."""
    try:
        with Image.open(path) as image:
            yield image
    except EgolibError:
        raise
    except FileNotFoundError as error:
        raise EgolibError("the file does not exist", file=path) from error
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise EgolibError(f"not a whole image: {error}", file=path) from error


def _eight_bits(image: Image.Image, path: str | Path) -> Image.Image:
    """The decoded image with 8 bits for each value; its EXIF data are kept."""
    image.load()
    if image.mode == "F":
        raise EgolibError("an image of floating-point values has no colours", file=path)
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    grey = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    grey.info = image.info
    grey.getexif().update(image.getexif())
    return grey


def _other_size(shown: tuple[int, int], stored: tuple[int, int], annotated: tuple[int, int]) -> str:
    sizes = f"the image has {shown[0]}x{shown[1]} pixels, its annotation says "
    sizes += f"{annotated[0]}x{annotated[1]}"
    turned = " (as it is stored; EXIF asks to turn it: orientation='ignore')"
    return sizes + (turned if stored == tuple(annotated) else "")


def _form(path: str | Path) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise EgolibError(f"images are .jpg, .jpeg or .png, not {suffix or 'nameless'}", file=path)
    return SUFFIXES[suffix]
