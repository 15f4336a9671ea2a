"""What can be set for question answering (EgoTaskQA) and summarisation (QFVS). No torch.

The defaults are the published values. Where published numbers rest on a quirk, the field
is a choice whose first value, ``official``, reproduces it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from egolib.vlp.config import OptimConfig


@dataclass(frozen=True)
class QuestionConfig:
    """EgoTaskQA.

    Args:
        split: ``direct`` or ``indirect`` references.
        split_seed: of the division into train, val and test, where it is made here.
        answer_case: ``official`` looks val and test answers up as written, so that one
            with a capital letter is unknown and always wrong; ``lower`` in lower case.
        text_length: tokens of a question, padding included.
        dropout: of the answer head.
        augment: ``official`` trains on the evaluation view; ``train`` on random crops.
        eval_sampling: ``official`` draws random frames in val and test too, for every
            question anew; ``uniform`` takes middle ones, one clip for all its questions.
        short_videos: ``official`` refuses videos of fewer than twice the wanted frames;
            ``repeat`` repeats frames.
        gather_gradient: ``official`` is 1 / W of the gradient with W processes.
        max_types: ``official`` counts a question for its first seven reasoning types.
        average: ``official`` averages overall accuracy over batches; ``questions``.
        select_on: part whose accuracy of the type named like the split chooses the best
            weights: ``official`` is test.
        seed: of the frames that evaluation draws.
    """

    split: Literal["direct", "indirect"] = "direct"
    split_seed: int = 0
    answer_case: Literal["official", "lower"] = "official"
    text_length: int = 30
    dropout: float = 0.2
    augment: Literal["official", "train"] = "official"
    eval_sampling: Literal["official", "uniform"] = "official"
    short_videos: Literal["official", "repeat"] = "official"
    gather_gradient: Literal["official", "exact"] = "official"
    max_types: Literal["official", "all"] = "official"
    average: Literal["official", "questions"] = "official"
    select_on: Literal["official", "val"] = "official"
    seed: int = 0

    builders: ClassVar[dict[str, Callable[[], QuestionConfig]]] = {}


def egotaskqa_optim(split: Literal["direct", "indirect"]) -> OptimConfig:
    """The published rates: 36 epochs of 64 questions an update, all parameters alike."""
    rate = {"direct": 2e-4, "indirect": 1e-4}[split]
    return OptimConfig(
        learning_rate=rate, head_lr_factor=1.0, cross_lr_factor=1.0, betas=(0.9, 0.999)
    )


def egotaskqa_honest(split: Literal["direct", "indirect"]) -> QuestionConfig:
    """The benchmark with every correction: nothing is chosen on test, nothing is drawn."""
    return QuestionConfig(
        split=split,
        answer_case="lower",
        eval_sampling="uniform",
        short_videos="repeat",
        gather_gradient="exact",
        max_types="all",
        average="questions",
        select_on="val",
    )


QuestionConfig.builders.update(
    egotaskqa_direct=QuestionConfig,
    egotaskqa_indirect=lambda: replace(QuestionConfig(), split="indirect"),
    egotaskqa_direct_honest=lambda: egotaskqa_honest("direct"),
    egotaskqa_indirect_honest=lambda: egotaskqa_honest("indirect"),
)


@dataclass(frozen=True)
class SummarizerConfig:
    """The network that scores shots for a query.

    Args:
        width: of the shots' features.
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
    layer_init: Literal["official", "independent"] = "official"
    last_bias: float = -1.91

    builders: ClassVar[dict[str, Callable[[], SummarizerConfig]]] = {}


@dataclass(frozen=True)
class SummaryConfig:
    """QFVS: shots, features, training and judgement of summaries.

    Args:
        test_video: the video that is summarised, 1 to 4.
        train_videos: what is trained on; empty for all others.
        frame_order: ``official`` sorts frame files by text, ``natural`` by their numbers;
            ``same`` refuses folders where the two differ.
        shot_frames: frames of a shot; a frame a second makes shots of five seconds.
        crop: ``official`` cuts every frame at random before features are computed;
            ``test`` takes the middle.
        segments: segments of a video at most.
        kernel_sums: see ``segmentation.Sums``.
        first_segment: see ``segmentation.FirstSegment``.
        penalty: weight of the number of change points.
        fusion_layers: ``official`` reads the summariser's number of layers for the
            backbone's too (one key stands twice in the published configuration), so that no
            layer joins video and text and features do not depend on the query;
            ``intended`` runs the published network.
        padding_features: ``official`` fills places behind a segment's shots with the
            network's answer to an empty shot; ``zeros``.
        text_length: tokens of a prompt, padding included.
        base_rate: highest rate of the schedule.
        weight_factor: rate of parameters with two axes or more, in base rates.
        bias_factor: rate of biases and norms, in base rates.
        weight_decay: of all parameters.
        warmup_epochs: epochs that the rate rises over.
        end_factor: rate at the end, in base rates.
        reduction: ``official`` sums the loss over the queries of a batch; ``mean``.
        train_mode: ``official`` trains without dropout, because the evaluation before the
            first epoch is never undone; ``dropout`` trains with it.
        selection: ``official`` takes the epoch that is best on the test video, the
            untrained network included; ``last``; ``val_video`` the best on
            ``val_video``, which is not trained on.
        val_video: the video that ``selection: val_video`` looks at.
        fraction: of the shots that become the summary.
        empty_tags: ``official`` gives two shots without tags a similarity of 0; ``equal``
            one of 1.
        zero_f1: ``official`` gives NaN where nothing matches; ``zero``.
        seed: of random crops.
    """

    test_video: int = 1
    train_videos: tuple[int, ...] = ()
    frame_order: Literal["same", "official", "natural"] = "same"
    shot_frames: int = 5
    crop: Literal["official", "test"] = "official"
    segments: int = 20
    kernel_sums: Literal["official", "double"] = "official"
    first_segment: Literal["official", "longest"] = "official"
    penalty: float = 1.0
    fusion_layers: Literal["official", "intended"] = "official"
    padding_features: Literal["official", "zeros"] = "official"
    text_length: int = 15
    base_rate: float = 1e-5
    weight_factor: float = 0.2
    bias_factor: float = 0.0048
    weight_decay: float = 0.1
    warmup_epochs: int = 2
    end_factor: float = 0.001
    reduction: Literal["official", "mean"] = "official"
    train_mode: Literal["official", "dropout"] = "official"
    selection: Literal["official", "last", "val_video"] = "official"
    val_video: int = 0
    fraction: float = 0.02
    empty_tags: Literal["official", "equal"] = "official"
    zero_f1: Literal["official", "zero"] = "official"
    seed: int = 0

    builders: ClassVar[dict[str, Callable[[], SummaryConfig]]] = {}

    @property
    def training(self) -> tuple[int, ...]:
        """The videos that are trained on."""
        held_out = {self.test_video}
        if self.selection == "val_video":
            held_out.add(self.val_video)
        wanted = self.train_videos or VIDEOS
        return tuple(video for video in wanted if video not in held_out)


#: The four videos of UT Egocentric.
VIDEOS = (1, 2, 3, 4)


def qfvs_honest() -> SummaryConfig:
    """The intended network, fixed features, a higher rate, chosen on a training video."""
    return SummaryConfig(
        crop="test",
        kernel_sums="double",
        first_segment="longest",
        fusion_layers="intended",
        padding_features="zeros",
        base_rate=1e-4,
        weight_factor=1.0,
        bias_factor=1.0,
        reduction="mean",
        train_mode="dropout",
        selection="val_video",
        val_video=2,
        empty_tags="equal",
        zero_f1="zero",
    )


def summarizer_honest() -> SummarizerConfig:
    """Standard positions, padding left out, layers that start apart."""
    return SummarizerConfig(positions="standard", padding="masked", layer_init="independent")


SummarizerConfig.builders.update(qfvs=SummarizerConfig, qfvs_honest=summarizer_honest)
SummaryConfig.builders.update(qfvs=SummaryConfig, qfvs_honest=qfvs_honest)
