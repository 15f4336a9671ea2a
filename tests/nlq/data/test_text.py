"""Questions as text."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.nlq.data.text import keep_tokens, normalise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "?"),
        ("Where is my Mug?", "where is my mug?"),
        ("...Where is it ", "where is it?"),
        (" where is it?. ", "where is it?.?"),  # the space hides the dot
        ("where is it ??", "where is it ?"),
        ("?what?", "what?"),
    ],
)
def test_normalise(text, expected):
    assert normalise(text) == expected


def test_tokens_without_start_and_end():
    ids = np.array([9, 4, 5, 6, 8, 0, 0])
    hidden = np.arange(7, dtype=float)[:, None]
    found = keep_tokens(hidden, ids)
    assert found.ravel().tolist() == [1, 2, 3] and found.dtype == np.float32


def test_an_exclamation_mark_costs_the_last_token():
    """Its id is 0, which the official count takes for padding."""
    ids = np.array([9, 4, 0, 6, 8, 0, 0])
    assert keep_tokens(np.arange(7.0)[:, None], ids).ravel().tolist() == [1, 2]
