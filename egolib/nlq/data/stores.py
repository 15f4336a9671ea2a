"""Files and feature stores of a configuration: finding, opening and checking them.

The check is one report before any training: coverage, width, lengths against
durations (which give the true distance between features away), clips that are too
long, and NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from egolib.errors import EgolibError
from egolib.io.features import Provenance, Store, open_store, require_provenance
from egolib.io.records import Skipped, first_of
from egolib.io.strides import StrideEstimate, estimate_stride
from egolib.nlq.config import DataConfig, ModelConfig
from egolib.nlq.data.annotations import Query
from egolib.progress import track

STRIDES = {16.043: "as published for GroundNLQ", 16.0: "as later systems read the same files"}

Roots = Path | Sequence[Path]


# ---------------------------------------------------------------- finding and opening


def find_file(roots: Roots, name: str) -> Path:
    """A file or store: at its place below a root, or directly in the root.

    Args:
        roots: a data root, or several folders that are searched in this order.
        name: of the file or store, below a root.

    Raises:
        EgolibError: it is in none of these places.
    """
    found = look_for(roots, name)
    if found is None:
        first, *others = _places(roots, name)
        remedy = f"looked for too: {', '.join(map(str, others))}; see --data-root"
        raise EgolibError("not found", file=first, remedy=remedy)
    return found


def look_for(roots: Roots, name: str) -> Path | None:
    """As ``find_file``, but None where there is nothing."""
    return next((place for place in _places(roots, name) if place.exists()), None)


def _places(roots: Roots, name: str) -> list[Path]:
    folders = [roots] if isinstance(roots, Path) else roots
    return list(dict.fromkeys(f / n for f in folders for n in (name, Path(name).name)))


def open_stores(
    roots: Roots, model: ModelConfig, data: DataConfig, *, training: bool
) -> tuple[Store, dict[str, Store]]:
    """The video store and the token stores of a configuration.

    Args:
        roots: folders that the stores are looked for in.
        model: its streams, with their widths.
        data: names of the stores.
        training: whether they are trained on, or answered.
    """
    names = data.text_stores
    if not training and data.evaluation_text_stores:
        names = data.evaluation_text_stores
    if len(names) != len(model.text_streams):
        raise EgolibError(f"{len(names)} token stores for {len(model.text_streams)} text streams")
    texts = {
        stream: open_store(find_file(roots, name), Provenance(kind="text", width=width))
        for (stream, width), name in zip(model.text_streams, names, strict=True)
    }
    return open_video_store(roots, data, model), texts


def open_video_store(roots: Roots, data: DataConfig, model: ModelConfig | None = None) -> Store:
    """The video stores of a configuration, side by side.

    Args:
        roots: folders that the stores are looked for in.
        data: names, frame rate and stride.
        model: gives the width of a foreign store, which states none.

    Raises:
        EgolibError: a store says that its rows lie at another distance than configured.
    """
    width = sum(width for _, width in model.video_streams) if model else 0
    known = Provenance(
        kind="video",
        width=0 if len(data.video_stores) > 1 else width,
        fps=data.fps,
        stride_frames=data.stride_frames,
        window_frames=data.window_frames,
    )
    store = open_store([find_file(roots, name) for name in data.video_stores], known)
    return require_provenance(store, kind="video", fps=data.fps, stride_frames=data.stride_frames)


# --------------------------------------------------------------------------- checking


@dataclass(frozen=True)
class StoreReport:
    """What was found in a store, for one set of questions.

    Args:
        wanted: how many uids the questions need.
        missing: those that the store lacks.
        unused: how many the store has beyond them.
        width: columns.
        lengths: rows by uid.
        stride: the estimate; None for token stores and where clips are too few.
        outliers: uid -> what is odd about its length.
        too_long: uid -> rows, where that exceeds the network's maximum.
        broken: uid -> why its array cannot be used: damaged, NaN or infinity, another width.
        problems: sentences about all of this that need attention.
    """

    wanted: int
    missing: list[str]
    unused: int
    width: int
    lengths: dict[str, int]
    stride: StrideEstimate | None = None
    outliers: dict[str, str] = field(default_factory=dict)
    too_long: dict[str, int] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def coverage(self) -> float:
        """Fraction of the wanted uids that are there."""
        return 1 - len(self.missing) / max(self.wanted, 1)

    def summary(self) -> str:
        """A few lines for people."""
        lengths = sorted(self.lengths.values()) or [0]
        lines = [
            f"{len(self.lengths)} of {self.wanted} there ({100 * self.coverage:.1f} %), "
            f"{self.unused} more in the store; width {self.width}",
            f"rows: {lengths[0]} to {lengths[-1]}, median {lengths[len(lengths) // 2]}",
        ]
        if self.stride is not None:
            lines.append(
                f"stride estimated from {self.stride.clips} clips: {self.stride.low:.3f} to "
                f"{self.stride.high:.3f} frames"
            )
        return "\n".join(lines + [f"! {problem}" for problem in self.problems])

    def require_usable(self) -> StoreReport:
        """Raises EgolibError where training would fail; returns itself."""
        fatal = self.missing or list(self.broken)
        if fatal:
            raise EgolibError(
                "the feature store cannot be used: " + "; ".join(self.problems),
                record=fatal[0],
                remedy="extract the missing or broken features, or take the questions about them "
                "out of the annotations",
            )
        return self


def check_video_store(
    store: Store,
    queries: Iterable[Query],
    *,
    fps: float = 30.0,
    stride_frames: float = 16.043,
    width: int | None = None,
    max_length: int = 2560,
    read: bool = True,
) -> StoreReport:
    """Checks a video store against the clips of the questions.

    Args:
        store: the features.
        queries: whose clips need them.
        fps: frame rate that the configuration states.
        stride_frames: distance between features that the configuration states.
        width: what the network expects; None for any.
        max_length: longest video that the network takes.
        read: look into every array too, which reads the whole store.
    """
    durations = {query.clip_uid: query.duration_sec for query in queries}
    lengths, missing, broken = _scan(store, durations, read)
    stride = estimate_stride(lengths, durations, fps)
    too_long = {uid: n for uid, n in lengths.items() if n > max_length}
    report = StoreReport(
        wanted=len(durations),
        missing=missing,
        unused=len(set(store.uids()) - durations.keys()),
        width=store.provenance.width,
        lengths=lengths,
        stride=stride,
        outliers=stride.outliers if stride else {},
        too_long=too_long,
        broken=broken,
    )
    report.problems.extend(_problems(report, width))
    if stride is not None and not stride.agrees_with(stride_frames):
        report.problems.append(_stride_problem(stride, stride_frames))
    return report


def check_text_store(
    store: Store, queries: Iterable[Query], *, width: int | None = None, read: bool = True
) -> StoreReport:
    """Checks a token store against the ids of the questions.

    Args:
        store: the tokens.
        queries: whose ids need them.
        width: what the network expects; None for any.
        read: look into every array too, which reads the whole store.
    """
    ids = {query.query_id: 0.0 for query in queries}
    lengths, missing, broken = _scan(store, ids, read)
    report = StoreReport(
        wanted=len(ids),
        missing=missing,
        unused=len(set(store.uids()) - ids.keys()),
        width=store.provenance.width,
        lengths=lengths,
        broken=broken,
    )
    report.problems.extend(_problems(report, width))
    return report


def _scan(
    store: Store, wanted: dict[str, float], read: bool
) -> tuple[dict[str, int], list[str], dict[str, str]]:
    """Rows by uid, what is missing, and why others cannot be used."""
    lengths: dict[str, int] = {}
    missing, broken = [], Skipped()
    for uid in track(sorted(wanted), "checking features"):
        if uid not in store:
            missing.append(uid)
            continue
        try:
            lengths[uid] = _length(store, uid, read)
        except EgolibError as error:
            broken.add(uid, error.what)
    return lengths, missing, broken.reasons


def _length(store: Store, uid: str, read: bool) -> int:
    if not read:
        return store.length(uid)
    array = store.get(uid)
    if not np.isfinite(array).all():
        raise EgolibError("NaN or infinity", record=uid)
    return len(array)


def _problems(report: StoreReport, width: int | None) -> list[str]:
    found = []
    if report.missing:
        found.append(f"{len(report.missing)} are missing, first {report.missing[0]}")
    if width is not None and report.width != width:
        found.append(f"width {report.width}, the configuration expects {width}")
    if report.broken:
        shown = first_of([f"{uid}: {why}" for uid, why in report.broken.items()], 10)
        found.append(f"{len(report.broken)} cannot be used: {'; '.join(shown)}")
    if report.too_long:
        uid, rows = next(iter(report.too_long.items()))
        found.append(f"{len(report.too_long)} are too long, first {uid} with {rows} rows")
    if report.outliers:
        uid, why = next(iter(report.outliers.items()))
        found.append(f"{len(report.outliers)} have an odd length, first {uid}: {why}")
    return found


def _stride_problem(stride: StrideEstimate, configured: float) -> str:
    likely = [f"{s} ({why})" for s, why in STRIDES.items() if stride.agrees_with(s)]
    text = f"the configuration says stride {configured}, the lengths say {stride.frames:.3f}"
    return f"{text}; it may be {' or '.join(likely)}" if likely else text
