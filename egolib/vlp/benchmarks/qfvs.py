"""QFVS in the steps of a run: features of videos, the summariser's training, shot scores.

Legend: Q queries, n shots, M places of a segment.

The backbone only gives features: they are computed once a video and kept as files. The
summariser that is trained on them lies beside a copy of its backbone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from egolib.config import to_tree, tree_hash
from egolib.engine.job import Job
from egolib.errors import EgolibError
from egolib.io.records import file_sha256, read_json
from egolib.progress import track
from egolib.runs.result_cache import cache_key
from egolib.runs.step import Step
from egolib.text.tokens import Tokenizer
from egolib.vlp import optim
from egolib.vlp.api import save
from egolib.vlp.config import Config, SummarizerConfig
from egolib.vlp.data.qfvs_videos import QueriedVideo, read_video
from egolib.vlp.data.shot_views import shot_views
from egolib.vlp.data.vocabulary import fitting, read_vocabulary
from egolib.vlp.formats.qfvs import BACKBONE, NAME, read_encoder
from egolib.vlp.summarization.encoder import ShotEncoder
from egolib.vlp.summarization.features import (
    VideoFeatures,
    extract,
    load_features,
    save_features,
    segment_video,
)
from egolib.vlp.summarization.losses import SummaryLoss
from egolib.vlp.summarization.network import Summarizer, build_summarizer
from egolib.vlp.summarization.training import (
    EvaluatedVideo,
    SummaryData,
    SummaryRules,
    make_job,
    prompt_scores,
    summary_item,
    training_network,
)

FEATURES = "features"  #: a step's folder of features


def network(step: Step[Config]) -> SummarizerConfig:
    """The summariser of a step.

    Raises:
        EgolibError: the configuration has none.
    """
    found = step.config.model.summarizer
    if found is None:
        raise EgolibError("no model.summarizer", remedy="model.summarizer: {builder: qfvs}")
    return found


def rules(step: Step[Config], summarizer: SummarizerConfig) -> SummaryRules:
    """How a step's summaries are made and measured."""
    how = step.config.evaluate
    padding = summarizer.padding_features
    return SummaryRules(how.summary_fraction, padding, how.empty_tags, how.zero_f1)


def queried_video(step: Step[Config], number: int, summarizer: SummarizerConfig) -> QueriedVideo:
    """A video of a step's data root.

    Args:
        step: its section ``data.summaries`` says how it is read.
        number: of the video.
        summarizer: says how many places its segments have.

    Raises:
        EgolibError: something is missing or malformed.
    """
    config = step.config.data.summaries
    return read_video(step.data_root, number, config, config.segments * summarizer.longest)


# ----------------------------------------------------------------------------- features


def keep_backbone(step: Step[Config]) -> Path:
    """Writes the network that features come from, with the weights that it starts from.

    Without any start it has random weights, by the step's seed.
    """
    file = step.out / "train" / BACKBONE
    config = fitting(step.config.model, read_vocabulary(step.config.data, step.data_root))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(step.config.seed)
        model = optim.initial_model(step, replace(config, summarizer=None))
    return save(model, file)


class FeatureFiles:
    """The features of a step's videos, from files where they are there.

    Args:
        step: its data say how they are computed.
        backbone: file of the network.
        summarizer: what they are for.
        tokenizer: of prompts.
        folders: where files are looked for; new ones are written into the last.
    """

    def __init__(
        self,
        step: Step[Config],
        backbone: Path,
        summarizer: SummarizerConfig,
        tokenizer: Tokenizer,
        folders: Sequence[Path],
    ):
        self.step, self.backbone, self.summarizer = step, backbone, summarizer
        self.tokenizer, self.folders = tokenizer, list(folders)
        self.weights = file_sha256(backbone)
        self._encoder: ShotEncoder | None = None

    def of(self, video: QueriedVideo) -> VideoFeatures:
        """The features of a video for all its prompts."""
        digest = self._digest(video)
        name = f"P{video.number:02d}_{digest[:12]}.safetensors"
        for folder in self.folders:
            if (folder / name).is_file():
                return load_features(folder / name, digest)
        found = self._computed(video)
        save_features(self.folders[-1] / name, found, digest)
        return found

    def _digest(self, video: QueriedVideo) -> str:
        """Of everything that features rest on."""
        files = [file for shot in video.shots for file in shot]
        data = self.step.config.data
        chosen = ("test_video", "train_videos", "val_video")
        kept = ("layers", "fusion_layers", "longest")
        key = cache_key(
            self.step.task,
            weights=[self.weights],
            frames=[[file.name, file.stat().st_size] for file in files],
            prompts=video.prompts,
            tokenizer=self.tokenizer.hash,
            text_length=data.text_length,
            summaries={k: v for k, v in to_tree(data.summaries).items() if k not in chosen},
            network={k: v for k, v in to_tree(self.summarizer).items() if k in kept},
        )
        return tree_hash(key)

    def _computed(self, video: QueriedVideo) -> VideoFeatures:
        data, infer = self.step.config.data, self.step.config.infer
        how, encoder = data.summaries, self.encoder
        views = shot_views(
            video.shots,
            encoder.config.image_size,
            crop=how.crop,
            seed=how.crop_seed,
            batch=infer.batch_size,
        )
        total = -(-len(video.shots) // infer.batch_size)
        shown = track(views, f"features of video {video.number}", total=total, unit="batch")
        found = extract(encoder, shown, video.prompts, self.tokenizer, data.text_length)
        lengths = segment_video(found[0], how, self.summarizer.longest)
        return VideoFeatures(lengths, *found)

    @property
    def encoder(self) -> ShotEncoder:
        """The network, read when it is needed first."""
        if self._encoder is None:
            device = self.step.config.infer.device
            self._encoder = read_encoder(self.backbone, self.summarizer, device)
        return self._encoder


def training_features(step: Step[Config]) -> FeatureFiles:
    """The features of a training step; its backbone is written first where it is not there."""
    file = step.out / "train" / BACKBONE
    if not file.is_file():
        keep_backbone(step)
    tokenizer = read_vocabulary(step.config.data, step.data_root)
    return FeatureFiles(step, file, network(step), tokenizer, [step.out / FEATURES])


# ----------------------------------------------------------------------------- training


def training_data(step: Step[Config]) -> SummaryData:
    """The queries of the training videos, with their features."""
    features, summarizer = training_features(step), network(step)
    items = []
    for number in step.config.data.summaries.training:
        video = queried_video(step, number, summarizer)
        found = features.of(video)
        items += [summary_item(query, found, video.dense) for query in video.queries]
    return SummaryData(items, summarizer.longest, summarizer.padding_features)


def build_job(step: Step[Config]) -> Job:
    """The training of a step, for the engine."""
    config, summarizer = step.config, network(step)
    features, how = training_features(step), config.data.summaries
    held_out = {"test": how.test_video, "val": how.val_video}
    videos = {name: _evaluated(step, n, features) for name, n in held_out.items() if n}
    generator = torch.Generator().manual_seed(config.seed)
    return make_job(
        build_summarizer(training_network(summarizer, config.loss), generator),
        training_data(step),
        config.optim,
        config.fit,
        test=videos["test"],
        val=videos.get("val"),
        rules=rules(step, summarizer),
        loss=SummaryLoss(config.loss.reduction),
        sidecar=describe(step, features.tokenizer),
    )


def describe(step: Step[Config], tokenizer: Tokenizer) -> dict[str, Any]:
    """What ``vlp.load`` and ``egolib convert`` have to know about weights."""
    data = step.config.data
    return {
        "model": NAME,
        "config": to_tree(network(step)),
        "seed": step.config.seed,
        "shots": to_tree(data.summaries),
        "text_length": data.text_length,
        "tokenizer_hash": tokenizer.hash,
    }


def _evaluated(step: Step[Config], number: int, features: FeatureFiles) -> EvaluatedVideo:
    video = queried_video(step, number, features.summarizer)
    return EvaluatedVideo(features.of(video), video.queries, video.tags)


# ------------------------------------------------------------------------------- scores


def shot_scores(
    step: Step[Config], weights: Path, model: Summarizer, tokenizer: Tokenizer
) -> dict[str, np.ndarray]:
    """(Q, n) float32 logits of the test video's shots for each query.

    Args:
        step: its data say which video.
        weights: file of the summariser.
        model: it, in evaluation mode.
        tokenizer: of prompts.

    Returns:
        ``shots``: of the trained network; ``untrained``: of the one that it started as.
    """
    video = queried_video(step, step.config.data.summaries.test_video, model.config)
    folders = [weights.parents[1] / FEATURES, step.out / FEATURES]
    backbone = weights.parent / BACKBONE
    features = FeatureFiles(step, backbone, model.config, tokenizer, folders)
    seed = read_json(weights.with_suffix(".json"), dict).get("seed", 0)
    untrained = build_summarizer(model.config, torch.Generator().manual_seed(seed)).eval()
    device = next(model.parameters()).device
    ask = partial(
        prompt_scores,
        features=features.of(video),
        prompts=[query.prompts[2] for query in video.queries],
        padding=model.config.padding_features,
    )
    return {"shots": np.stack(ask(model)), "untrained": np.stack(ask(untrained.to(device)))}
