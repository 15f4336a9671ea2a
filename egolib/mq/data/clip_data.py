"""What the data of both networks are made of: clips of one subset, their features, their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from egolib.errors import EgolibError, nearest
from egolib.io.features import Store
from egolib.mq.config import DataConfig, ModelConfig
from egolib.mq.data.annotations import Clip, require_ordered
from egolib.mq.data.classes import ClassTable


class ClipData:
    """Clips of one subset with their features, checked before the first is read.

    Args:
        clips: of one subset.
        store: features by clip uid (layout ``egovlpv2``) or video uid (``ego4d``).
        classes: numbers of the labels.
        model: width and length.
        data: layout, and how items are made.
        training: items carry moments.
        file: the annotations, named in errors.

    Raises:
        EgolibError: features of another width; in training a clip without moment, a moment
            that ends before it starts, or an unknown class.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        store: Store,
        classes: ClassTable,
        model: ModelConfig,
        data: DataConfig,
        *,
        training: bool = False,
        file: str | Path | None = None,
    ):
        self.clips, self.store, self.classes = list(clips), store, classes
        self.model, self.data, self.training = model, data, training
        check_width(store, model)
        if training:
            require_ordered(self.clips, file)
            check_labels(self.clips, classes, file)


def check_width(store: Store, model: ModelConfig) -> None:
    """Raises EgolibError where features are of another width than the network expects."""
    if store.provenance.width != model.feature_width:
        raise EgolibError(
            f"the features are {store.provenance.width} wide, the network expects "
            f"{model.feature_width}",
            file=getattr(store, "path", None),
            remedy=f"set model.feature_width to {store.provenance.width}, or use other features",
        )


def check_labels(clips: Sequence[Clip], classes: ClassTable, file: str | Path | None) -> None:
    """Raises EgolibError where a training clip has no moment, or one of an unknown class.

    Args:
        clips: of training.
        classes: numbers of the labels.
        file: the annotations, named in errors.
    """
    for clip in clips:
        if not clip.moments:
            raise EgolibError(
                "a clip without moments cannot be trained on",
                file=file,
                record=clip.record,
                remedy="the conversion removes such clips; use its file",
            )
        for number, moment in enumerate(clip.moments):
            if moment.label not in classes:
                raise EgolibError(
                    f"the class {moment.label!r} is not in the class table",
                    file=file,
                    record=f"{clip.record}.annotations[{number}].label",
                    remedy=f"{nearest(moment.label, classes)}; data.classes all_splits takes "
                    "validation's classes, too",
                )
