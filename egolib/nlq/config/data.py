"""Questions, features, and how batches are made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from egolib.engine.rules import bounded, require
from egolib.nlq.config.span import SpanDataConfig

MadeStore = Literal["random_video", "object_tokens", "caption_tokens"]
TextPadding = Literal["official", "per_query"]
VideoPadding = Literal["cropped", "official"]
TrainingList = Literal["train", "train+val", "narrations", "train+narrations"]


@dataclass(frozen=True)
class DataConfig:
    """Annotations and features; paths are below the data root unless absolute.

    Args:
        annotations: folder of the official files ``nlq_{train,val}.json`` and
            ``nlq_test_unannotated.json``; for narrations also ``moments_train.json``
            and ``vq_train.json``.
        published: folder of the published JSON lines. They are compared with what is
            converted here, and read where the official file is absent.
        test_truth: answers of the test split, which only the built-in world has.
        version: of the annotations, ``v2`` or ``v1``.
        counts: ``published`` insists on the published numbers of questions and clips
            (version 1: warns), ``any`` takes what is there.
        narrations: the EgoClip table that narrations are taken from.
        train: the list to train on. The published fine-tuning trains on ``train+val``:
            evaluated on val such a run is contaminated; the published val numbers need
            ``train``. ``train+narrations`` adds the narrations of the training clips as
            questions (NaQ, arXiv 2301.00746).
        video_stores: one store for each of the model's video streams.
        text_stores: one store for each of its text streams, for training.
        evaluation_text_stores: the same for evaluation; empty means ``text_stores``.
        made: stores that ``1_data`` makes itself, in its own folder:
            ``random_video`` (noise, as a baseline), ``object_tokens`` and
            ``caption_tokens`` (cues from other annotations of the same videos).
        fps: frame rate that strides are counted in.
        stride_frames: distance between features. 30 / 1.87, rounded; later systems
            read the same files with 16.0.
        window_frames: frames that a feature sees.
        too_long: what happens to a clip above the model's ``max_length``: ``error``,
            or ``resample`` linearly.
        jitter: ``official`` stretches and shifts the windows of training (narrations only).
        video_padding: of training batches: ``official`` pads every video to ``max_length``;
            ``cropped`` only as far as outputs depend on it, with equal results and less work.
        text_padding: of training batches: ``official`` lets a question see how far its batch
            pads it, ``per_query`` computes it as if alone. ``infer.text_padding`` is the same
            for answers.
        span: what is particular to VSLNet (``model.span``).
    """

    annotations: str = "ego4d/v2/annotations"
    published: str = "nlq"
    test_truth: str = "truth/nlq_test.json"
    version: Literal["v2", "v1"] = "v2"
    counts: Literal["published", "any"] = "published"
    narrations: str = "egoclip/egoclip.csv"
    train: TrainingList = "train"
    video_stores: tuple[str, ...] = ("nlq/video_features",)
    text_stores: tuple[str, ...] = ("nlq/text_features",)
    evaluation_text_stores: tuple[str, ...] = ()
    made: tuple[MadeStore, ...] = ()
    fps: float = 30.0
    stride_frames: float = 16.043
    window_frames: float = 16.043
    too_long: Literal["error", "resample"] = "error"
    jitter: Literal["none", "official"] = "none"
    video_padding: VideoPadding = "cropped"
    text_padding: TextPadding = "official"
    span: SpanDataConfig = field(default_factory=SpanDataConfig)

    def __post_init__(self) -> None:
        bounded(self, "data", "fps", "stride_frames", "window_frames", above=True)
        require(bool(self.video_stores), "data.video_stores is empty", "name one store at least")
        evaluation, training = len(self.evaluation_text_stores), len(self.text_stores)
        require(
            evaluation in (0, training),
            f"data.evaluation_text_stores names {evaluation} stores, data.text_stores {training}",
            "name as many, or none for the same",
        )
