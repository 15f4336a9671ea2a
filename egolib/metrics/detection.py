"""Average precision of video object detection by speed: the metric of ImageNet VID.

F frames; A true boxes; P predictions; K classes; R motion ranges.

The official evaluator is a loop over frames, classes, predictions and truths, run once
for every motion range. Here the overlaps are computed once for all ranges, and greedy
matching runs over all frames of a class at a time, one rank after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from egolib.errors import EgolibError
from egolib.metrics.motion_speed import MotionTable
from egolib.ops.boxes_numpy import paired_intersection

RANGES: dict[str, tuple[float, float]] = {
    "all": (0.0, 1.0),
    "fast": (0.0, 0.7),
    "medium": (0.7, 0.9),
    "slow": (0.9, 1.0),
}
IOU_THRESHOLD = 0.5


@dataclass(frozen=True)
class Boxes:
    """Boxes of a data set.

    Args:
        frame: (N,) int64 row of the frame, ascending.
        label: (N,) int64 from 0.
        box: (N, 4) float32 xyxy.
        score: (N,) float32 for predictions; empty for truths.
    """

    frame: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class Conventions:
    """Rules of the VID metric; ``official`` is what published numbers rest on.

    Args:
        extent: ``official`` adds 1 to x2 and y2 and counts widths with + 1 once more, so
            that boxes are two pixels larger; ``plain`` adds nothing.
        borders: ``official`` counts a motion IoU of exactly 0.7 or 0.9 on both sides;
            ``half_open`` counts it with the slower group.
        sort: ``official`` is NumPy's unstable sort, reversed; ``stable`` keeps the order
            of equal scores.
    """

    extent: Literal["official", "plain"] = "official"
    borders: Literal["official", "half_open"] = "official"
    sort: Literal["official", "stable"] = "official"


@dataclass(frozen=True)
class VidResult:
    """Average precision at IoU 0.5.

    Args:
        ap: (R, K) float64, NaN for a class without truths in a range.
        ranges: names of the rows. class_names: of the columns.
    """

    ap: np.ndarray
    ranges: tuple[str, ...]
    class_names: tuple[str, ...]

    def means(self) -> dict[str, float]:
        """Mean over classes for every range; NaN where a range has no truth at all."""
        present = ~np.isnan(self.ap)
        return {
            name: float(row[known].mean()) if known.any() else float("nan")
            for name, row, known in zip(self.ranges, self.ap, present, strict=True)
        }

    def as_dict(self) -> dict[str, float | None]:
        """Official result keys: the ranges, then the classes over all speeds; None for NaN."""
        values = {**self.means(), **dict(zip(self.class_names, self.ap[0].tolist(), strict=True))}
        return {name: None if np.isnan(value) else value for name, value in values.items()}


def predictions_from_lists(results: Sequence[Sequence[Any]]) -> Boxes:
    """Predictions from the official layout: for every frame a list of K arrays (n, 5).

    What is empty, of whatever kind, is a class without detections.

    Raises:
        EgolibError: something else than an array of five columns.
    """
    try:
        arrays = [np.asarray(a if len(a) else (), np.float32) for one in results for a in one]
    except (TypeError, ValueError) as error:
        raise EgolibError(f"detections are arrays (n, 5) of numbers: {error}") from error
    if bad := {a.shape for a in arrays if len(a) and (a.ndim != 2 or a.shape[1] != 5)}:
        raise EgolibError(f"detections are arrays (n, 5), found {sorted(bad)[0]}")
    counts = np.array([len(array) for array in arrays], np.int64)
    classes = np.array([len(by_class) for by_class in results], np.int64)
    frame = np.repeat(np.repeat(np.arange(len(results)), classes), counts)
    starts = np.repeat(np.cumsum(classes) - classes, classes)
    label = np.repeat(np.arange(len(arrays)) - starts, counts)
    full = [array.reshape(-1, 5) for array in arrays if len(array)]
    table = np.concatenate(full) if full else np.zeros((0, 5), np.float32)
    return Boxes(frame, label, table[:, :4], table[:, 4])


def truths(frame: np.ndarray, label: np.ndarray, box: np.ndarray) -> Boxes:
    """True boxes; ``frame`` ascending.

    Args:
        frame: (A,) row of the frame, ascending.
        label: (A,) from 0.
        box: (A, 4) xyxy.
    """
    box = np.asarray(box, np.float32).reshape(-1, 4)
    return Boxes(np.asarray(frame), np.asarray(label), box, np.zeros(0, np.float32))


# ------------------------------------------------------------------------ VID metric


def evaluate_vid(
    truth: Boxes,
    predicted: Boxes,
    motion: MotionTable,
    class_names: Sequence[str],
    conventions: Conventions | None = None,
) -> VidResult:
    """The VID metric: AP50 over all boxes, and over fast, medium and slow ones.

    Truths outside a range are ignored: a detection matched to one counts neither way.

    Args:
        truth: true boxes.
        predicted: boxes with scores.
        motion: of every true box, in the order of ``truth``; frames without boxes count
            in the weight of detections where their class is absent.
        class_names: of the labels.
        conventions: rules of the metric; None for the official ones.
    """
    rules = conventions or Conventions()
    ranges = list(RANGES.values())
    ignored = np.stack([~_in_range(motion.values, r, rules) for r in ranges])  # (R, A)
    weights = [_weight_of_absent(motion, r, rules) for r in ranges]
    ap = np.full((len(ranges), len(class_names)), np.nan)
    rows_of_truth = _rows_by_label(truth.label, len(class_names))
    rows_of_found = _rows_by_label(predicted.label, len(class_names))
    for label, (of_class, found) in enumerate(zip(rows_of_truth, rows_of_found, strict=True)):
        part = _ClassPart(truth, of_class, predicted, found, rules)
        for r, weight in enumerate(weights):
            ap[r, label] = part.average_precision(ignored[r, of_class], weight)
    return VidResult(ap, tuple(RANGES), tuple(class_names))


def right_ones(
    truth: Boxes,
    predicted: Boxes,
    class_names: Sequence[str],
    conventions: Conventions | None = None,
) -> np.ndarray:
    """(D,) bool: the detections that the VID metric counts as right, over all speeds.

    Since better scores choose first, those above a threshold are right with or without the rest.

    Args:
        truth: true boxes.
        predicted: boxes with scores.
        class_names: of the labels.
        conventions: rules of the metric; None for the official ones.
    """
    rules = conventions or Conventions()
    right = np.zeros(len(predicted.score), bool)
    rows_of_truth = _rows_by_label(truth.label, len(class_names))
    rows_of_found = _rows_by_label(predicted.label, len(class_names))
    for of_class, found in zip(rows_of_truth, rows_of_found, strict=True):
        if len(of_class):
            right[_ClassPart(truth, of_class, predicted, found, rules).right()] = True
    return right


def _rows_by_label(labels: np.ndarray, count: int) -> list[np.ndarray]:
    """Rows of every label, in their order."""
    order = np.argsort(labels.astype(np.int16), kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, count)))


def _in_range(values: np.ndarray, limits: tuple[float, float], rules: Conventions) -> np.ndarray:
    low, high = limits
    above = values >= low
    below = values <= high if rules.borders == "official" or high == 1 else values < high
    return above & below


def _weight_of_absent(
    motion: MotionTable, limits: tuple[float, float], rules: Conventions
) -> float:
    """Weight of a detection in a frame without its class: the fraction of all entries within
    the range, or 1 where that fraction is 0 or 1."""
    entries = motion.entries()
    if limits == (0.0, 1.0) or not len(entries):
        return 1.0
    fraction = float(_in_range(entries, limits, rules).sum()) / len(entries)
    return fraction if 0 < fraction < 1 else 1.0


class _ClassPart:
    """Truths and predictions of one class.

    Most predictions lie in frames without the class: they are only counted. The others
    ("near" ones, n of them) are compared with their frame's truths: S frames with truths,
    W the most of one frame. Arrays are (W, ...), since W is small.
    """

    def __init__(
        self,
        truth: Boxes,
        of_class: np.ndarray,
        predicted: Boxes,
        found: np.ndarray,
        rules: Conventions,
    ) -> None:
        found = found[_order_inside_frames(predicted.frame[found], predicted.score[found], rules)]
        frames = predicted.frame[found]
        present, first = np.unique(truth.frame[of_class], return_index=True)
        slot = np.searchsorted(present, frames)
        near = slot < len(present)
        near[near] = present[slot[near]] == frames[near]
        self.slot, self.frames, self.rows = slot[near], frames[near], found[near]
        counts = np.diff([*first, len(of_class)])
        place = np.arange(int(counts.max()) if len(counts) else 1)
        self.valid = place[:, None] < counts  # (W, S)
        self.table = np.where(self.valid, first + place[:, None], 0)  # truths of every frame
        boxes = truth.box[of_class] if len(of_class) else np.zeros((1, 4), np.float32)
        iou = _official_iou(predicted.box[found[near]], boxes[self.table[:, self.slot]], rules)
        self.overlaps = np.where(self.valid[:, self.slot], iou, np.float32(-1))  # (W, n)
        self.rank = _order_of_all(predicted.score[found], rules)[near]  # places in score order
        in_order = np.zeros(len(found), bool)
        in_order[self.rank] = True
        self.absent_before = np.cumsum(~in_order)[self.rank]  # (n,) better ones elsewhere
        self._shared: np.ndarray | None = None

    def average_precision(self, ignored: np.ndarray, weight: float) -> float:
        """Area under the precision envelope, recall 1 appended; NaN without a counted truth.

        Args:
            ignored: (a,) bool, truths outside the range.
            weight: of a detection in a frame without the class.
        """
        positives = int((~ignored).sum())
        if not positives:
            return float("nan")
        chosen = self._match(ignored)
        hit = chosen >= 0
        counted = hit.copy()
        counted[hit] = ~ignored[chosen[hit]]
        wrong = np.zeros(len(chosen))
        wrong[~hit] = self._weight_of_unmatched(~hit, ignored)
        order = np.argsort(self.rank)
        true = np.cumsum(counted[order])
        false = np.cumsum(wrong[order]) + weight * self.absent_before[order]
        at = counted[order]  # precision peaks at true positives, recall rises there
        true, false = true[at], false[at]
        precision = true / (false + true + np.spacing(1))
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        return float((np.diff(true / positives, prepend=0.0) * envelope).sum())

    def right(self) -> np.ndarray:
        """Rows of the predictions that take a truth, whichever its speed."""
        taken: np.ndarray = self.rows[self._match(np.zeros(int(self.valid.sum()), bool)) >= 0]
        return taken

    def _match(self, ignored: np.ndarray) -> np.ndarray:
        """Truth (index within the class) of every near prediction, -1 for none.

        Each takes the unused truth of largest overlap; among equals the first one that is
        not ignored, else the first. Without such ties all ranges share the result.
        """
        if self._shared is None:
            self._tied = self._has_ties()
        if self._shared is None or self._tied:
            self._shared = self._match_by_rank(~ignored[self.table])
        return self._shared

    def _has_ties(self) -> bool:
        """Whether a prediction overlaps two truths equally, so that ranges may differ."""
        high = self.overlaps[:, (self.overlaps >= IOU_THRESHOLD).sum(axis=0) > 1]
        ordered = np.sort(high, axis=0)
        return bool(((np.diff(ordered, axis=0) == 0) & (ordered[1:] >= IOU_THRESHOLD)).any())

    def _match_by_rank(self, preferred: np.ndarray) -> np.ndarray:
        """Greedy matching of all frames at once: their best predictions, the second best, ...

        Args:
            preferred: (W, S) truths that win ties.
        """
        chosen = np.full(len(self.slot), -1)
        rows = np.flatnonzero((self.overlaps >= IOU_THRESHOLD).any(axis=0))
        slots, frames = self.slot[rows], self.frames[rows]
        starts = np.flatnonzero(np.diff(frames, prepend=-1))
        place = np.arange(len(rows)) - np.repeat(starts, np.diff([*starts, len(rows)]))
        free = self.valid.copy()
        by_place = np.argsort(place, kind="stable")
        bounds = np.searchsorted(place[by_place], np.arange(place.max(initial=-1) + 2))
        for start, end in pairwise(bounds):
            now = by_place[start:end]
            slot = slots[now]
            overlap = np.where(free[:, slot], self.overlaps[:, rows[now]], -1)
            best = overlap.max(axis=0)
            equal = overlap == best
            liked = equal & preferred[:, slot]
            pick = np.where(liked.any(axis=0), liked.argmax(axis=0), equal.argmax(axis=0))
            hit = best >= IOU_THRESHOLD
            chosen[rows[now[hit]]] = self.table[pick[hit], slot[hit]]
            free[pick[hit], slot[hit]] = False
        return chosen

    def _weight_of_unmatched(self, rows: np.ndarray, ignored: np.ndarray) -> np.ndarray:
        """Weight as false positive, by the best overlap with any truth of the frame: 1 next
        to a counted truth, 0 next to an ignored one; between two equals the fraction of
        ignored ones, or 1 where that is 0."""
        if not ignored.any():
            return np.ones(int(rows.sum()))
        outside = ignored[self.table] & self.valid  # (W, S)
        slots, overlap = self.slot[rows], self.overlaps[:, rows]
        of_ignored = outside[:, slots]
        best_ignored = np.where(of_ignored, overlap, -1).max(axis=0)
        best_counted = np.where(of_ignored, -1, overlap).max(axis=0)
        fraction = (outside.sum(axis=0) / self.valid.sum(axis=0))[slots]
        equal = np.where(fraction == 0, 1.0, np.where(fraction == 1, 0.0, fraction))
        weight = np.where(best_counted > best_ignored, 1.0, 0.0)
        return np.where(best_counted == best_ignored, equal, weight)


def _order_inside_frames(frames: np.ndarray, scores: np.ndarray, rules: Conventions) -> np.ndarray:
    """Order by frame, then by descending score (which is not negative).

    Official behaviour: equal scores of short lists end up in reverse order; long ones as
    NumPy's sort leaves them.
    """
    bits = scores.astype(np.float32).view(np.int32).astype(np.int64)
    key = (frames.astype(np.int64) << 32) - bits
    if rules.sort == "stable":
        return np.argsort(key, kind="stable")
    order = len(key) - 1 - np.argsort(key[::-1], kind="stable")
    tied = np.flatnonzero(np.diff(key[order]) == 0)
    if len(tied):
        starts = np.flatnonzero(np.diff(frames[order], prepend=-1))
        ends = np.append(starts[1:], len(order))
        for group in np.unique(np.searchsorted(starts, tied, side="right") - 1):
            members = np.sort(order[starts[group] : ends[group]])
            order[starts[group] : ends[group]] = members[scores[members].argsort()[::-1]]
    return order


def _order_of_all(scores: np.ndarray, rules: Conventions) -> np.ndarray:
    """Place of every score in descending order; ties as the rules say."""
    if rules.sort == "stable":
        order = np.argsort(-scores, kind="stable")
    else:
        order = scores.argsort()[::-1]
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places


def _official_iou(boxes: np.ndarray, others: np.ndarray, rules: Conventions) -> np.ndarray:
    """IoU of broadcast boxes (..., 4), in float32 as the official evaluator computes it."""
    extent = 1 if rules.extent == "official" else 0
    corners = np.array([0, 0, extent, extent], np.float32)
    boxes, others = boxes + corners, others + corners
    shared = paired_intersection(boxes, others, extent)
    result: np.ndarray = shared / (
        _signed_area(boxes, extent) + _signed_area(others, extent) - shared
    )
    return result


def _signed_area(boxes: np.ndarray, extent: float) -> np.ndarray:
    """Width times height, not clipped."""
    result: np.ndarray = (boxes[..., 2] - boxes[..., 0] + extent) * (
        boxes[..., 3] - boxes[..., 1] + extent
    )
    return result
