"""Questions as text: normalisation, and which token features are kept."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class TextEncoder(Protocol):
    """Anything that turns a question into token features (L, W) float32, L at least 1."""

    def __call__(self, text: str) -> np.ndarray: ...


def normalise(query: str) -> str:
    """The question as its published token features were made from it.

    Dots go from both ends, then spaces, then question marks; then lower case and one
    question mark.

    >>> normalise(" Where is my Mug ?.")
    'where is my mug ?'
    """
    return query.strip(".").strip(" ").strip("?").lower() + "?"


def keep_tokens(hidden: np.ndarray, token_ids: np.ndarray) -> np.ndarray:
    """The token features without start and end: positions 1 ... n - 2 of n tokens.

    Official behaviour: tokens are counted by ids other than 0, and 0 is the token
    "!", so a question that holds one loses as many positions at its end.

    Args:
        hidden: (context, W) outputs of the text encoder's final norm.
        token_ids: (context,) ids, 0 in the padding.
    """
    count = int(np.count_nonzero(token_ids))
    return np.asarray(hidden[1 : count - 1], np.float32)
