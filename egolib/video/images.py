"""Saving still images: whole or not at all, with a note of what they were made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from egolib.errors import EgolibError
from egolib.io.records import atomic_path

SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


def save_image(
    path: str | Path,
    image: NDArray[np.uint8],
    quality: int = 95,
    note: dict[str, Any] | None = None,
) -> None:
    """Writes an (H, W, 3) uint8 RGB image as JPEG or PNG, by the suffix, and reads it back.

    Args:
        path: of the file.
        image: (H, W, 3) uint8 RGB.
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


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB.

    Raises:
        EgolibError: the file is missing, no image, or truncated.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError as error:
        raise EgolibError("the file does not exist", file=path) from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise EgolibError(f"not a whole image: {error}", file=path) from error


def image_note(path: str | Path) -> dict[str, Any]:
    """What a saved image says it was made from; empty where it says nothing."""
    try:
        with Image.open(path) as image:
            text = image.info.get("comment", "")
        note = json.loads(text.decode() if isinstance(text, bytes) else text)
    except (OSError, ValueError, SyntaxError):
        return {}
    return note if isinstance(note, dict) else {}


def _form(path: str | Path) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise EgolibError(f"images are .jpg, .jpeg or .png, not {suffix or 'nameless'}", file=path)
    return SUFFIXES[suffix]
