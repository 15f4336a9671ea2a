"""``1_data``: official annotations converted, class table made, features looked at.

No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.sources import sources as sources
from egolib.mq.config import Config
from egolib.mq.data import prepared as folder
from egolib.mq.data.annotations import Clip
from egolib.mq.data.labels import clip_targets
from egolib.mq.data.labels import coverage as coverage
from egolib.mq.data.prepared import Prepared
from egolib.mq.data.rows import clip_features, features_uid, moments_feat, vanished
from egolib.mq.data.statistics import class_counts, statistics
from egolib.report.source import show as show
from egolib.runs.step import Step

if TYPE_CHECKING:
    import pandas as pd

SUBSETS = ("train", "val", "test")


def prepare(step: Step[Config]) -> Prepared:
    """Clips, class table and features of a step; the lists are written into its folder."""
    return folder.prepare(step)


def check(step: Step[Config], prepared: Prepared) -> None:
    """Raises where the outcome is impossible.

    Raises:
        EgolibError: no clip to train on or to validate on, a class that only validation
            has, features that cannot be read, are not finite or of another width than the
            network's, or, on the built-in world, clips without features.
    """
    for subset in ("train", "val"):
        if not prepared.of(subset):
            lost = prepared.conversion.skipped.summary() if prepared.conversion else ""
            raise EgolibError(f"no clip of {subset}", file=step.data_root, remedy=lost or None)
    unknown = unknown_classes(prepared)
    if unknown:
        raise EgolibError(
            f"{len(unknown)} classes are not in the class table: {', '.join(unknown[:3])}",
            file=prepared.file,
            remedy="data.classes: all_splits takes those of validation, too",
        )
    folder.fitting(step.config.model, prepared)
    if prepared.unreadable:
        raise EgolibError(
            f"clips whose features cannot be read: {prepared.unreadable.summary()}",
            file=getattr(prepared.store, "path", None),
            record=next(iter(prepared.unreadable.reasons)),
            remedy="extract them again; a second run goes on from there",
        )
    if prepared.conversion and prepared.conversion.skipped and step.preset != "paper":
        raise EgolibError(f"clips without features: {prepared.conversion.skipped.summary()}")


def unknown_classes(prepared: Prepared) -> list[str]:
    """Classes of the clips that the table lacks."""
    found = class_counts(prepared.clips)
    return [name for name in found if name not in prepared.classes]


# ---------------------------------------------------------------------------- tables


def table(prepared: Prepared) -> pd.DataFrame:
    """Clips, moments and their lengths by subset."""
    import pandas as pd

    rows = {subset: asdict(statistics(prepared.of(subset))) for subset in SUBSETS}
    shown = {k: v for k, v in rows.items() if v["clips"]}
    return pd.DataFrame(shown).rename(index=lambda name: name.replace("_", " "))


def class_table(prepared: Prepared) -> pd.DataFrame:
    """Moments of each class by subset, the commonest first."""
    import pandas as pd

    counts = {subset: class_counts(prepared.of(subset)) for subset in ("train", "val")}
    table = pd.DataFrame(counts).fillna(0).astype(int)
    return table.sort_values("train", ascending=False).rename_axis("class")


def feature_table(step: Step[Config], prepared: Prepared) -> pd.DataFrame:
    """What the features are, and how many a clip has beside the network's length."""
    import pandas as pd

    data, about = step.config.data, prepared.store.provenance
    uids = [features_uid(clip, data) for clip in readable(prepared.clips, prepared)]
    rows = [prepared.rows[uid] for uid in uids] or [0]
    length = step.config.model.length
    values = {
        "store": getattr(prepared.store, "path", about.model),
        "made by": about.model,
        "width": about.width,
        "clips with features": f"{len(uids)} of {len(prepared.clips)}",
        "rows of a clip": f"{min(rows)} to {max(rows)}",
        "network's length": length,
        "clips that are cut": sum(count > length for count in rows),
        "moments cut off or without length": len(lost_moments(step, prepared)),
    }
    return pd.DataFrame({"value": {k: str(v) for k, v in values.items()}})


def lost_moments(step: Step[Config], prepared: Prepared) -> list[str]:
    """Records of training moments without length within their clip's features."""
    model, data = step.config.model, step.config.data
    clips = readable(prepared.of("train"), prepared)
    return vanished(clips, prepared.rows.__getitem__, data, model.length)


def readable(clips: Sequence[Clip], prepared: Prepared) -> list[Clip]:
    """The clips whose features can be read."""
    return [clip for clip in clips if clip.clip_uid not in prepared.unreadable.reasons]


def counts(prepared: Prepared) -> dict[str, Any]:
    """Counts for ``result.json``."""
    about = prepared.store.provenance
    found = {} if prepared.conversion is None else prepared.conversion.counts()
    classes = len(prepared.classes) - 1
    return {**found, "classes": classes, "features": about.model, "feature_width": about.width}


def metrics(prepared: Prepared) -> dict[str, float]:
    """Numbers for ``result.json``."""
    lost = prepared.conversion
    return {
        "clips": len(prepared.clips),
        "skipped": 0 if lost is None else len(lost.skipped_clips) + len(lost.unlabelled),
    }


# ------------------------------------------------------------------------- for figures


def example(step: Step[Config], prepared: Prepared) -> tuple[Clip, dict[str, np.ndarray]]:
    """The training clip with most moments, and its three curves by name over its features."""
    clip = max(readable(prepared.of("train"), prepared), key=lambda c: len(c.moments))
    rows, fps = clip_features(clip, prepared.store, step.config.data)
    length = step.config.model.length
    valid = min(len(rows), length)
    numbers = np.array([prepared.classes.get(m.label, 0) for m in clip.moments], np.int64)
    targets = clip_targets(moments_feat(clip, fps), numbers, valid, length)
    curves = {"action": (targets.action > 0).astype(float), "start": targets.start}
    curves["end"] = targets.end
    return clip, {name: curve[:valid] for name, curve in curves.items()}


def subsets(prepared: Prepared) -> dict[str, Sequence[Clip]]:
    """The clips by subset, those with moments."""
    found = {subset: folder.with_moments(prepared.of(subset)) for subset in SUBSETS}
    return {subset: clips for subset, clips in found.items() if clips}
