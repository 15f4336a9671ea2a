"""What is trained and tested on: annotations, clips, frames, texts. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from egolib.engine.rules import at_least, fraction, positive, require
from egolib.vlp.config.benchmarks import QuestionConfig, SummaryConfig


@dataclass(frozen=True)
class DataConfig:
    """Frames, clips and texts; paths are below the data root unless absolute.

    Args:
        train: what is trained on: ``egoclip`` (pre-training), ``epic``, ``charades``,
            ``egotaskqa`` (question answering) or ``qfvs`` (summaries).
        label_fraction: fraction of the training clips that are used, for experiments with
            few labels; which ones does not depend on the run's seed.
        epoch_samples: an epoch ends after this many samples of all processes; 0 after all.
            Official behaviour: 500,000 samples of each process, which the published 32
            processes never reach. The schedule counts whole epochs all the same.
        vocabulary: vocabulary file, or a folder with RoBERTa's ``vocab.json`` and
            ``merges.txt``.
        cache_height: ``1_data`` decodes all videos of EgoClip, EgoMCQ and EPIC-KITCHENS
            once and keeps their frames at this height in pixels; 0 keeps none, and
            every clip is read from its video.
        chunk_sec: length of the files that videos were cut into.
        backend: what decodes videos: ``av`` (PyAV, exact), or the extras ``torchcodec`` and
            ``decord`` (the official readers').
        assumed_fps: frame rate that EgoClip readers assume whatever the file says.
        frame_jitter: ``official`` never draws the last frame of an interval, and fails
            on intervals of one frame; ``inclusive`` draws every frame.
        frame_seek: ``official`` gives frame n - 1 where frame n was asked for;
            ``exact`` gives frame n.
        frame_times: ``official`` turns the seconds of EPIC-KITCHENS and Charades-Ego clips
            into frames by the file's average rate; ``index`` by its frame index, which
            differs where the rate varies.
        unreadable: ``official`` replaces a clip that cannot be read by black frames
            (counted and listed), ``skip`` leaves it out, ``error`` stops.
        segment_sec: length of the stretches that scene-aware negatives come from.
        scene_negatives: draw a further clip of the same stretch for every clip.
        scene_partner: ``official`` may draw the clip itself, ``other`` never does
            where there is another one; ``reversed`` takes the clip itself with its frames
            in reverse order and the opposite verb in its text, where its action has an
            opposite (``data.reversal``), and another clip where it has none.
        text_length: tokens of a training text, padding included.
        relevancy_threshold: EPIC-KITCHENS captions above it may stand for a clip.
        crop_scale: fraction of the picture that random crops keep at least, at most.
        questions: what is particular to EgoTaskQA.
        summaries: what is particular to QFVS.
    """

    train: Literal["egoclip", "epic", "charades", "egotaskqa", "qfvs"] = "egoclip"
    label_fraction: float = 1.0
    epoch_samples: int = 0
    vocabulary: str = "roberta-base"
    cache_height: int = 0
    chunk_sec: int = 600
    backend: Literal["av", "torchcodec", "decord"] = "av"
    assumed_fps: float = 30.0
    frame_jitter: Literal["official", "inclusive"] = "official"
    frame_seek: Literal["official", "exact"] = "official"
    frame_times: Literal["official", "index"] = "official"
    unreadable: Literal["official", "skip", "error"] = "official"
    segment_sec: float = 60.0
    scene_negatives: bool = True
    scene_partner: Literal["official", "other", "reversed"] = "official"
    text_length: int = 15
    relevancy_threshold: float = 0.1
    crop_scale: tuple[float, float] = (0.5, 1.0)
    questions: QuestionConfig = field(default_factory=QuestionConfig)
    summaries: SummaryConfig = field(default_factory=SummaryConfig)

    builders: ClassVar[dict[str, Callable[[], DataConfig]]] = {}

    def __post_init__(self) -> None:
        positive(self, "data", "label_fraction", "chunk_sec", "assumed_fps", "segment_sec")
        fraction(self, "data", "label_fraction", "relevancy_threshold")
        at_least(self, 0, "data", "epoch_samples", "cache_height")
        at_least(self, 3, "data", "text_length")
        low, high = self.crop_scale
        require(
            0 < low <= high <= 1, f"data.crop_scale is {self.crop_scale}", "0 < low <= high <= 1"
        )
        require(
            self.train == "egoclip" or not self.scene_negatives,
            f"data.scene_negatives with data.train {self.train!r}: only EgoClip has stretches",
            "set data.scene_negatives: false",
        )
