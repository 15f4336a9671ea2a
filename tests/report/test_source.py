"""What a notebook shows of the package's code."""

from __future__ import annotations

from functools import partial, wraps

import pytest

from egolib.errors import EgolibError
from egolib.report.source import show


def halve(value: float) -> float:
    """Half of a value.

    Args:
        value: any number.
    """
    # a comment stays
    result = value / 2
    return result


class Halver:
    """Holds a method."""

    def halve(self, value: float) -> float:
        """Half of a value."""

        return value / 2


def test_docstring_is_left_out():
    assert show(halve).text == (
        "def halve(value: float) -> float:\n"
        "    # a comment stays\n"
        "    result = value / 2\n"
        "    return result"
    )


def test_docstring_is_shown_where_asked():
    assert '"""Half of a value.' in show(halve, docstring=True).text


def test_method_is_not_indented():
    assert show(Halver.halve).text == (
        "def halve(self, value: float) -> float:\n    return value / 2"
    )


def test_class_loses_the_docstrings_of_its_methods():
    assert '"""' not in show(Halver).text
    assert "return value / 2" in show(Halver).text


def test_lines_that_matter():
    part = show(halve, begin="result =", lines=1)
    assert part.text == "result = value / 2"
    first = halve.__code__.co_firstlineno
    assert part.place.endswith(f"tests/report/test_source.py, lines {first + 7} to {first + 7}")


def test_body_that_is_a_docstring_alone_stays():
    def nothing() -> None:
        """Does nothing."""

    assert '"""Does nothing."""' in show(nothing).text


def test_function_inside():
    @wraps(halve)
    def wrapped(value: float) -> float:
        return halve(value)

    assert show(partial(halve, 1.0)) == show(halve) == show(wrapped)


def test_both_forms():
    source = show(halve)
    assert repr(source).startswith(f"# {source.place}\ndef halve")
    html = source._repr_html_()
    assert (
        "<span" in html
        and "halve" in html
        and "class=" not in html.replace('class="highlight"', "")
    )


@pytest.mark.parametrize("arguments", [{"code": len}, {"code": halve, "begin": "no such text"}])
def test_what_cannot_be_shown(arguments):
    with pytest.raises(EgolibError):
        show(**arguments)
