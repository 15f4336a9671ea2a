"""Questions with features and targets: the training data of the engine.

Shapes: n cells of a clip, L tokens, W their width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import Skipped
from egolib.nlq.config.span import SpanDataConfig, VslnetConfig
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.vslnet.batches import SpanBatch, SpanItem, collate
from egolib.nlq.data.vslnet.cells import to_cells
from egolib.nlq.data.vslnet.questions import Grid, on_grid
from egolib.nlq.data.vslnet.resampling import merge
from egolib.nlq.data.vslnet.sources import QuestionFeatures, Source

Shapes = Mapping[str, int]


class SpanData:
    """Questions with their features and, where there are answers, cells.

    Args:
        queries: the records, see ``usable``.
        source: features and tokens.
        model: the network's configuration.
        data: the grid, cells, merging.
        shapes: features of each clip, where the labels should not take those of
            ``source``; clip uid -> length.

    Raises:
        EgolibError: a store is not as wide as the network expects, or the network has
            fewer positions than a question.
    """

    def __init__(
        self,
        queries: Sequence[Query],
        source: Source,
        model: VslnetConfig,
        data: SpanDataConfig | None = None,
        shapes: Shapes | None = None,
    ):
        self.queries, self.source, self.model = list(queries), source, model
        self.data, self.shapes = data or SpanDataConfig(), shapes
        if source.widths is not None:
            _require_widths(*source.widths, model)
        if self.data.tokens > model.max_length:
            raise EgolibError(
                f"{self.data.tokens} tokens for a network of {model.max_length} positions",
                remedy="lower data.tokens, or raise model.max_length",
            )

    def __len__(self) -> int:
        return len(self.queries)

    def __getitem__(self, index: int) -> SpanItem:
        """One question.

        Raises:
            EgolibError: features are absent or of another width, or it has no tokens.
        """
        query = self.queries[index]
        return make_item(query, self.source.get(query), self.model, self.data, self.shapes)

    def sample(self, index: int, rng: np.random.Generator) -> SpanItem:
        """One training sample; nothing in it is random."""
        return self[index]

    def collate(self, items: Sequence[SpanItem]) -> SpanBatch:
        """A training batch."""
        return collate(items, extension=self.data.extension)


def make_item(
    query: Query,
    features: QuestionFeatures,
    model: VslnetConfig,
    data: SpanDataConfig,
    shapes: Shapes | None = None,
) -> SpanItem:
    """One question with merged features, padded tokens and the cells of its answer.

    Args:
        query: the record.
        features: its arrays.
        model: widths and longest clip.
        data: the grid, cells, merging.
        shapes: see ``SpanData``.

    Raises:
        EgolibError: another width, no features, no tokens.
    """
    _require_widths(features.video.shape[1], features.tokens.shape[1], model, query.query_id)
    if len(features.video) == 0:
        raise EgolibError("the clip has no features", record=query.query_id)
    if not features.mask[: data.tokens].any():
        raise EgolibError("the question has no tokens", record=query.query_id)
    video = merge(features.video, model.max_length, data.merging)
    grid = on_grid(query, data)
    units = label_units(query, len(features.video), model, data, shapes)
    tokens, mask = _fixed(features, data.tokens)
    return SpanItem(
        query=query,
        video=video,
        tokens=tokens,
        token_mask=mask,
        units=units,
        duration_sec=grid.duration_sec,
        cells=_cells(grid, units, data),
    )


def label_units(
    query: Query, length: int, model: VslnetConfig, data: SpanDataConfig, shapes: Shapes | None
) -> int:
    """Into how many cells the labels cut a clip.

    Official behaviour: by the table of lengths, not by the features themselves.

    Args:
        query: a question about it.
        length: of its features.
        model: the longest clip.
        data: which length counts.
        shapes: the table; None for none.

    Raises:
        EgolibError: the table lacks the clip.
    """
    if shapes is not None and data.label_length == "official":
        if query.clip_uid not in shapes:
            raise EgolibError("the table of lengths lacks this clip", record=query.clip_uid)
        length = shapes[query.clip_uid]
    return min(model.max_length, length)


def usable(
    queries: Iterable[Query],
    source: Source,
    model: VslnetConfig,
    data: SpanDataConfig | None = None,
    shapes: Shapes | None = None,
) -> tuple[list[Query], Skipped]:
    """The questions that can be asked, and those that cannot, with reasons.

    Left out are clips that the table of lengths lacks (as in the official code), clips
    or questions without features, clips shorter than a grid step, answers that begin
    after their clip and those in cells that the features do not reach.

    Args:
        queries: all questions of a split.
        source: features and tokens.
        model: the longest clip.
        data: the grid and cells.
        shapes: see ``SpanData``.
    """
    data = data or SpanDataConfig()
    kept, skipped = [], Skipped()
    for query in queries:
        reason = _objection(query, source, model, data, shapes)
        if reason:
            skipped.add(query.query_id, reason)
        else:
            kept.append(query)
    return kept, skipped


def _objection(
    query: Query, source: Source, model: VslnetConfig, data: SpanDataConfig, shapes: Shapes | None
) -> str:
    """Why a question cannot be asked; empty when it can."""
    if shapes is not None and query.clip_uid not in shapes:
        return "the table of lengths lacks its clip"
    if query not in source:
        return "no features"
    grid = on_grid(query, data)
    if grid.steps < 1:
        return f"a clip of {query.duration_sec:g} s"
    if query.windows_sec and query.windows_sec[0][0] >= query.duration_sec:
        return "the answer begins after the clip"
    length = source.length(query)
    if length is None:
        return ""
    if length == 0:
        return "the clip has no features"
    cells = _cells(grid, label_units(query, length, model, data, shapes), data)
    reached = min(length, model.max_length)
    if cells is not None and cells[1] >= reached:
        return f"the answer ends in cell {cells[1]}, the clip has {reached} features"
    return ""


def _cells(grid: Grid, units: int, data: SpanDataConfig) -> tuple[int, int] | None:
    if grid.window_sec is None:
        return None
    return to_cells(*grid.window_sec, units, grid.duration_sec, data.empty_windows)


def _fixed(features: QuestionFeatures, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Exactly ``count`` token rows (count, W) and their mask: cut, or zeros behind."""
    tokens = np.zeros((count, features.tokens.shape[1]), np.float32)
    mask = np.zeros(count, bool)
    length = min(count, len(features.tokens))
    tokens[:length], mask[:length] = features.tokens[:length], features.mask[:length]
    return tokens, mask


def _require_widths(
    video: int, tokens: int, model: VslnetConfig, record: str | None = None
) -> None:
    for name, found, width in (
        ("video features", video, model.video_width),
        ("token states", tokens, model.text_width),
    ):
        if found != width:
            raise EgolibError(
                f"{name} are {found} wide, the network expects {width}",
                record=record,
                remedy="set the model's width to that of the store",
            )
