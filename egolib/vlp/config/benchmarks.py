"""What is particular to question answering (EgoTaskQA) and summarisation (QFVS). No torch.

The defaults are the published values. Where published numbers rest on a quirk, the field
is a choice whose first value, ``official``, reproduces it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from egolib.engine.rules import at_least, fraction, positive, require

#: The four videos of UT Egocentric.
VIDEOS = (1, 2, 3, 4)


@dataclass(frozen=True)
class QuestionConfig:
    """EgoTaskQA: which questions, and how their intervals are read.

    Args:
        split: ``direct`` or ``indirect`` references.
        answer_case: ``official`` looked val and test answers up as written, so that one
            with a capital letter is unknown and always wrong; ``lower`` looks unknown
            ones up again in lower case.
        augment: ``official`` trains on the evaluation view; ``train`` on random crops.
        short_videos: ``official`` refuses videos of fewer than twice the wanted frames;
            ``repeat`` repeats frames.
    """

    split: Literal["direct", "indirect"] = "direct"
    answer_case: Literal["official", "lower"] = "official"
    augment: Literal["official", "train"] = "official"
    short_videos: Literal["official", "repeat"] = "official"


@dataclass(frozen=True)
class SummaryConfig:
    """QFVS: videos, shots and the segments that they are joined to.

    Args:
        test_video: the video that is summarised, 1 to 4.
        train_videos: what is trained on; empty for all others.
        val_video: a video that is not trained on, whose F1 is ``val_f1`` for
            ``fit.monitor``; 0 for none. Official behaviour: none, and the epoch that is best
            on the test video is taken.
        numbers: ``official`` takes a reference's shot 0 and numbers beyond the video as
            places of padding; ``strict`` refuses them.
        frame_order: ``official`` sorts frame files by text, ``natural`` by their numbers;
            ``same`` refuses folders where the two differ.
        shot_frames: frames of a shot; a frame a second makes shots of five seconds.
        shot_sec: how long a shot lasts, for times.
        crop: ``official`` cuts every frame at random before features are computed;
            ``test`` takes the middle.
        crop_seed: of random crops.
        segments: segments of a video at most.
        kernel_sums: see ``ops.segmentation.Sums``.
        first_segment: see ``ops.segmentation.FirstSegment``.
        penalty: weight of the number of change points.
    """

    test_video: int = 1
    train_videos: tuple[int, ...] = ()
    val_video: int = 0
    numbers: Literal["official", "strict"] = "official"
    frame_order: Literal["same", "official", "natural"] = "same"
    shot_frames: int = 5
    shot_sec: float = 5.0
    crop: Literal["official", "test"] = "official"
    crop_seed: int = 0
    segments: int = 20
    kernel_sums: Literal["official", "double"] = "official"
    first_segment: Literal["official", "longest"] = "official"
    penalty: float = 1.0

    def __post_init__(self) -> None:
        at_least(self, 1, "data.summaries", "shot_frames", "segments")
        positive(self, "data.summaries", "shot_sec")
        named = (self.test_video, *self.train_videos, *filter(None, [self.val_video]))
        require(
            set(named) <= set(VIDEOS) and self.val_video != self.test_video,
            f"data.summaries.test_video {self.test_video}, data.summaries.train_videos "
            f"{list(self.train_videos)}, data.summaries.val_video {self.val_video}",
            f"videos are numbered {VIDEOS}, and the test video is not the validation video",
        )
        require(
            bool(self.training),
            f"data.summaries.train_videos {list(self.train_videos)} leaves no video to train on",
            f"name others than {self.test_video} and {self.val_video} in train_videos",
        )

    @property
    def training(self) -> tuple[int, ...]:
        """The videos that are trained on."""
        held_out = (self.test_video, self.val_video)
        return tuple(v for v in self.train_videos or VIDEOS if v not in held_out)


@dataclass(frozen=True)
class SummarizerConfig:
    """The network that scores shots for a query.

    Args:
        width: of the shots' features, that of the video encoder.
        heads: attention heads.
        layers: transformer layers.
        hidden: channels of their feed-forward parts.
        head_width: hidden channels of the score.
        dropout: of the layers.
        head_dropout: of the score's hidden channels.
        longest: places of a segment, padding included.
        positions: ``official`` codes have exponents up to 2 and another frequency for sine
            and cosine of a pair; ``standard`` are those of Vaswani et al.
        padding: ``official`` adds 1 to the attention scores of padding, which is favoured
            over shots; ``masked`` leaves padding out.
        padding_features: ``official`` fills places behind a segment's shots with the
            network's answer to an empty shot; ``zeros``.
        fusion_layers: ``official`` reads the summariser's number of layers for the
            backbone's too (one key stands twice in the published configuration), so that no
            layer joins video and text and features do not depend on the query;
            ``intended`` runs the published network.
        layer_init: ``official`` starts all layers with the same values; ``independent``.
        last_bias: where the score's bias starts; -1.91 is a probability of 0.129.
    """

    width: int = 768
    heads: int = 2
    layers: int = 2
    hidden: int = 2048
    head_width: int = 8
    dropout: float = 0.1
    head_dropout: float = 0.2
    longest: int = 200
    positions: Literal["official", "standard"] = "official"
    padding: Literal["official", "masked"] = "official"
    padding_features: Literal["official", "zeros"] = "official"
    fusion_layers: Literal["official", "intended"] = "official"
    layer_init: Literal["official", "independent"] = "official"
    last_bias: float = -1.91

    builders: ClassVar[dict[str, Callable[[], SummarizerConfig]]] = {}

    def __post_init__(self) -> None:
        at_least(self, 1, "model.summarizer", "width", "heads", "hidden", "head_width")
        at_least(self, 2, "model.summarizer", "longest")
        fraction(self, "model.summarizer", "dropout", "head_dropout", below=1.0)


def honest_summarizer() -> SummarizerConfig:
    """The intended network: standard positions, padding left out, layers that start apart."""
    return SummarizerConfig(
        positions="standard",
        padding="masked",
        padding_features="zeros",
        fusion_layers="intended",
        layer_init="independent",
    )


SummarizerConfig.builders.update(qfvs=SummarizerConfig, qfvs_honest=honest_summarizer)
