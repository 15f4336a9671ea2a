"""Where the features and the tokens of a question come from: stores, or the published files.

Shapes: n features of a clip, V their width, L tokens, W their width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from egolib.errors import EgolibError
from egolib.io.features import Store
from egolib.nlq.data.annotations import Query


@dataclass(frozen=True)
class QuestionFeatures:
    """What the network reads for one question.

    Args:
        video: (n, V) float32 of its clip.
        tokens: (L, W) float32.
        mask: (L,) bool, true at tokens; states of the padding, where there are such,
            are read by the convolutions alone.
    """

    video: np.ndarray
    tokens: np.ndarray
    mask: np.ndarray


class Source(Protocol):
    """What every source offers."""

    def __contains__(self, query: object) -> bool: ...

    def get(self, query: Query) -> QuestionFeatures:
        """The arrays of a question."""
        ...

    def length(self, query: Query) -> int | None:
        """Features of the question's clip; None where only reading them would tell."""
        ...

    @property
    def widths(self) -> tuple[int, int] | None:
        """(V, W); None where only reading would tell."""
        ...


class StoreSource:
    """Any feature stores.

    Args:
        video: by query id (features that know the question, as EgoVLPv2's fused ones),
            else by clip uid.
        tokens: the same for token states.
        masks: (L, 1) by query id, above 0 at tokens, where ``tokens`` holds states of
            the padding as well; None where every row is a token.
    """

    def __init__(self, video: Store, tokens: Store, masks: Store | None = None):
        self.video, self.tokens, self.masks = video, tokens, masks

    @property
    def widths(self) -> tuple[int, int] | None:
        """(V, W) as the stores state them."""
        return self.video.provenance.width, self.tokens.provenance.width

    def __contains__(self, query: object) -> bool:
        return isinstance(query, Query) and all(
            _uid(store, query) in store for store in self._stores()
        )

    def length(self, query: Query) -> int | None:
        """Features of the question's clip."""
        return self.video.length(_uid(self.video, query))

    def get(self, query: Query) -> QuestionFeatures:
        """The arrays of a question.

        Raises:
            EgolibError: a store lacks it, or tokens and mask differ in length.
        """
        tokens = self.tokens.get(_uid(self.tokens, query))
        mask = np.ones(len(tokens), bool)
        if self.masks is not None:
            mask = self.masks.get(_uid(self.masks, query))[:, 0] > 0
        if len(mask) != len(tokens):
            raise EgolibError(
                f"{len(tokens)} token states and a mask of {len(mask)}", record=query.query_id
            )
        return QuestionFeatures(self.video.get(_uid(self.video, query)), tokens, mask)

    def _stores(self) -> list[Store]:
        return [s for s in (self.video, self.tokens, self.masks) if s is not None]


class PublishedFolder:
    """The published features of one split: a folder of ``feat_<i>.pt``, one a question.

    Nothing in the files is executed. They are numbered in the order of the
    annotations, without the questions about clips that ``feature_shapes.json`` lacks;
    every file is checked against the question that it is read for.

    Args:
        folder: the split's folder.
        queries: the questions that have a file, in the order of the annotations.
    """

    widths = None

    def __init__(self, folder: str | Path, queries: Sequence[Query]):
        self.folder = Path(folder)
        self.places = {query.query_id: place for place, query in enumerate(queries)}

    def __contains__(self, query: object) -> bool:
        return isinstance(query, Query) and query.query_id in self.places

    def length(self, query: Query) -> int | None:
        """Not known without reading the file."""
        return None

    def get(self, query: Query) -> QuestionFeatures:
        """The arrays of a question.

        Raises:
            EgolibError: the file is absent, damaged, or belongs to another question.
        """
        from egolib.io.checkpoint import read_foreign

        if query.query_id not in self.places:
            raise EgolibError("no published features", file=self.folder, record=query.query_id)
        file = self.folder / f"feat_{self.places[query.query_id]}.pt"
        content = read_foreign(file)
        try:
            _require_question(content, query, file)
            return QuestionFeatures(
                content["fused_video_features"].float().numpy(),
                content["dual_text_features"][0].float().numpy(),
                content["text_token"]["attention_mask"][0].numpy() > 0,
            )
        except KeyError as error:
            raise EgolibError(f"field {error} is missing", file=file) from error


def _require_question(content: dict[str, Any], query: Query, file: Path) -> None:
    found = f"{content['annotation_uid']}_{int(content['query_idx'])}"
    if found != query.query_id:
        raise EgolibError(
            f"the file is of question {found}, {query.query_id} was expected",
            file=file,
            remedy="use annotations and feature_shapes.json of the version that was extracted",
        )


def _uid(store: Store, query: Query) -> str:
    """The query id where the store knows it, else the clip uid."""
    return query.query_id if query.query_id in store else query.clip_uid
