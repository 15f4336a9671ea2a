"""Questions as text: normalisation, which token features are kept, which encoder made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from egolib.errors import EgolibError
from egolib.io.features import Provenance
from egolib.io.provenance import differs

WORLD_WORDS = "world/words"  # what the built-in world's token store says about itself


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


# ------------------------------------------------------------------- known encoders


@dataclass(frozen=True)
class WorldWords:
    """The words of the built-in world: a fixed random vector for each.

    Args:
        width: of the vectors.
    """

    width: int

    def __call__(self, text: str) -> np.ndarray:
        """(L, width) float32.

        Raises:
            EgolibError: the text has no words.
        """
        from egolib.world.language import encode

        tokens = encode(text, self.width)
        if not len(tokens):
            raise EgolibError("the question has no words", record=text)
        return tokens


def known_encoder(about: Provenance) -> TextEncoder | None:
    """The encoder that made a store of token features; None where egolib does not bring it."""
    return WorldWords(about.width) if about.model == WORLD_WORDS else None


def require_same_text(encoder: TextEncoder, trained: Provenance | None) -> None:
    """Raises EgolibError where an encoder says that it is another one than was trained with.

    Args:
        encoder: may have a ``provenance``; what has none is believed.
        trained: what made the token features of the training; None where unknown.
    """
    own = getattr(encoder, "provenance", None)
    if own is not None and trained is not None and differs(own, trained):
        raise EgolibError(
            f"text features of {own.model!r}, {own.width} wide; the model was trained on those of "
            f"{trained.model!r}, {trained.width} wide",
            remedy="give the encoder that the model was trained with",
        )
