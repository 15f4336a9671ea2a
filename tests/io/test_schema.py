"""Declared schemas: errors that name file and record."""

from __future__ import annotations

from typing import NotRequired

import pytest
from typing_extensions import TypedDict

from egolib.errors import EgolibError
from egolib.io.schema import (
    OPEN,
    Box,
    Count,
    Finite,
    Text,
    require_known,
    require_unique,
    validated,
)


class Part(TypedDict):
    __pydantic_config__ = OPEN
    name: Text
    bbox: Box
    start: NotRequired[Finite]
    frame: NotRequired[Count]


class Whole(TypedDict):
    __pydantic_config__ = OPEN
    parts: list[Part]


def whole(**fields):
    return {
        "parts": [{"name": "a", "bbox": [0, 0, 1, 1.5]}, {"name": "b", "bbox": [0] * 4} | fields]
    }


def test_what_fits_passes_with_all_that_is_unknown():
    assert validated(Whole, whole(more=[1])) == whole(more=[1])


@pytest.mark.parametrize(
    ("fields", "path", "what"),
    [
        ({"bbox": None}, r"parts\[1\].bbox", "list"),
        ({"bbox": [1, 2, 3]}, r"parts\[1\].bbox", "4"),
        ({"bbox": [1, 2, 3, float("nan")]}, r"parts\[1\].bbox\[3\]", "finite"),
        ({"bbox": [1, 2, 3, "4"]}, r"parts\[1\].bbox\[3\]", "'4'"),
        ({"name": ""}, r"parts\[1\].name", "''"),
        ({"name": 12}, r"parts\[1\].name", "string"),
        ({"start": float("inf")}, r"parts\[1\].start", "finite"),
        ({"frame": -1}, r"parts\[1\].frame", "-1"),
        ({"frame": 1.5}, r"parts\[1\].frame", "1.5"),
    ],
)
def test_errors_name_file_path_and_what_was_found(fields, path, what):
    with pytest.raises(EgolibError, match=path) as caught:
        validated(Whole, whole(**fields), file="truth.json")
    assert "truth.json" in str(caught.value) and what in str(caught.value)


def test_missing_fields_and_further_errors_are_told():
    with pytest.raises(EgolibError, match="the field is missing") as caught:
        validated(Whole, {"parts": [{"bbox": [0] * 4}, {"name": "b"}]})
    assert "parts[0].name" in str(caught.value) and "1 more" in str(caught.value)


def test_identities_and_references():
    require_unique([1, 2], "id")
    require_known([1, 1], [1, 2], "a[].id")
    with pytest.raises(EgolibError, match="id 2 stands twice"):
        require_unique([2, 1, 2], "id")
    with pytest.raises(EgolibError, match="3 is not among the 2") as caught:
        require_known([1, 3], [1, 2], "annotations[].image_id")
    assert "annotations[1].image_id" in str(caught.value)
