"""Training EgoVLPv2 by configuration: data, where weights start, evaluation between epochs.

``build_job`` puts the pieces together for ``egolib.engine``, whose loop it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from egolib.config import flatten, to_tree
from egolib.engine import distributed
from egolib.engine.config import updates_per_epoch
from egolib.engine.fit import FitResult
from egolib.engine.job import Evaluate, Job
from egolib.engine.launch import train as run_training
from egolib.errors import EgolibError
from egolib.report.source import Source, show
from egolib.runs.step import Step
from egolib.text.tokens import Tokenizer
from egolib.video.images import read_image
from egolib.vlp import optim
from egolib.vlp.api import VideoLanguage
from egolib.vlp.benchmarks import egotaskqa, qfvs
from egolib.vlp.config import TRAINED_FOR, Config, LossConfig, ModelConfig
from egolib.vlp.data.pretraining import PretrainingData
from egolib.vlp.data.question_clips import QuestionTraining
from egolib.vlp.data.retrieval import CaptionedData, EpicTraining
from egolib.vlp.data.training import read_training_data
from egolib.vlp.data.transforms import MEAN, STD
from egolib.vlp.data.vocabulary import fitting, keep_vocabulary, read_vocabulary
from egolib.vlp.formats.checkpoint import model_name
from egolib.vlp.losses import contrastive, margin
from egolib.vlp.losses.masked_language import masked_language
from egolib.vlp.losses.matching import matching
from egolib.vlp.losses.pretraining import PretrainingBatch, PretrainingLoss
from egolib.vlp.losses.question_answering import QuestionBatch, answer_loss
from egolib.vlp.losses.retrieval import RetrievalBatch, RetrievalLoss
from egolib.vlp.models.model import VideoLanguageModel
from egolib.vlp.models.question_answering import AnsweringConfig, QuestionAnsweringModel
from egolib.vlp.steps.evaluate import VIEWS, read_truth, score_one
from egolib.vlp.steps.infer import scores_of
from egolib.vlp.summarization.losses import SummaryBatch, summary_losses
from egolib.vlp.summarization.network import Summarizer
from egolib.vlp.summarization.optim import schedule as summary_schedule
from egolib.vlp.summarization.training import SummaryData

if TYPE_CHECKING:
    import pandas as pd

Loss = PretrainingLoss | RetrievalLoss
Data = PretrainingData | CaptionedData | QuestionTraining | SummaryData
Batch = PretrainingBatch | RetrievalBatch | QuestionBatch | SummaryBatch


def training_data(step: Step[Config]) -> Data:
    """What a step trains on, with texts as ids of its vocabulary."""
    if step.config.data.train == "egotaskqa":
        words = read_vocabulary(step.config.data, step.data_root)
        return egotaskqa.training_data(step, words)
    if step.config.data.train == "qfvs":
        return qfvs.training_data(step)
    return read_training_data(step, read_vocabulary(step.config.data, step.data_root))


def train(step: Step[Config]) -> FitResult:
    """Trains what a step is configured for, or resumes it; see ``egolib.engine``.

    Raises:
        EgolibError: no start where the configuration was published with one, and what
            ``egolib.engine`` raises.
    """
    optim.initial_weights(step)  # before anything is read
    keep_vocabulary(step.config.data, step.data_root, step.out / "train")
    if step.config.data.train == "qfvs":
        qfvs.keep_backbone(step)  # before several processes want it
    return run_training(step, build_job)


def build_job(step: Step[Config]) -> Job:
    """The training of a step, for the engine."""
    heads = {"egotaskqa": egotaskqa.build_job, "qfvs": qfvs.build_job}
    if step.config.data.train in heads:
        return heads[step.config.data.train](step)
    config, data = step.config, training_data(step)
    assert isinstance(data, PretrainingData | CaptionedData)
    model = optim.initial_model(step, fitting(config.model, data.tokenizer))
    loss = make_loss(config, data)
    return Job(
        model=model,
        loss=loss,
        data=data,
        optimizer=optim.make_optimizer(model, config.optim),
        schedule=make_schedule(config, len(data)),
        evaluate=make_evaluation(step, data.tokenizer),
        stateful={"loss": loss} if isinstance(loss, PretrainingLoss) else {},
        sidecar=describe(model.config, data.tokenizer, config),
        blocks=list(model.video.blocks),
        checkpointing=model.config.gradient_checkpointing,
    )


def describe(model: ModelConfig, tokenizer: Tokenizer, config: Config) -> dict[str, Any]:
    """What ``vlp.load`` and ``egolib convert`` have to know about weights.

    Args:
        model: the network.
        tokenizer: its vocabulary.
        config: of the training.
    """
    return {
        "model": model_name(model),
        "config": to_tree(model),
        "view": VIEWS[TRAINED_FOR[config.data.train]],
        "tokenizer_hash": tokenizer.hash,
    }


# ------------------------------------------------------------------------ loss, schedule


def make_loss(config: Config, data: PretrainingData | CaptionedData) -> Loss:
    """The loss of a configuration.

    Args:
        config: its objectives fit its data, which it checks itself.
        data: gives the relevancies that some objectives need.
    """
    if config.loss.pretrains:
        return PretrainingLoss(config.loss, matching_generator(config.loss, config.seed))
    relevancy = data.split.relevancy if isinstance(data, EpicTraining) else None
    return RetrievalLoss(config.loss, relevancy)


def matching_generator(config: LossConfig, seed: int) -> torch.Generator | None:
    """What draws matching negatives: one for all processes where they count as one."""
    if config.distributed == "official" or not distributed.is_parallel():
        return None
    return torch.Generator().manual_seed(seed)


def make_schedule(config: Config, samples: int) -> Callable[[int], float]:
    """The schedule of a configuration for so many training samples, whole epochs counted."""
    if config.data.train == "qfvs":
        per_epoch = updates_per_epoch(samples, config.fit)
        return summary_schedule(config.optim, config.fit.epochs, per_epoch)
    return optim.make_schedule(config.optim, config.fit, samples)


def make_evaluation(step: Step[Config], tokenizer: Tokenizer) -> Evaluate | None:
    """What is computed between epochs: the benchmark of the training's own data.

    What ``3_infer`` is asked for changes nothing here: a training has no setting of inference.
    """
    fit, infer = step.config.fit, replace(step.config.infer, fusion=True, rerank=0)
    step = replace(step, config=replace(step.config, infer=infer))
    if not (fit.evaluate_every or fit.evaluate_every_updates or fit.evaluate_first):
        return None
    name, truth = TRAINED_FOR[step.config.data.train], read_truth(step)

    def evaluation(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, VideoLanguageModel)
        device = next(model.parameters()).device
        wrapped = VideoLanguage(
            model, tokenizer, device=device, batch_size=step.config.infer.batch_size
        )
        arrays = scores_of(step, wrapped, name, truth)
        return flatten(score_one(step, truth, name, arrays))

    return evaluation


# ----------------------------------------------------------------------------- showing


def parameter_table(step: Step[Config]) -> pd.DataFrame:
    """Parameters of a step's network by part."""
    import pandas as pd

    config = step.config.model
    if config.vocabulary_size == 0:
        config = fitting(config, read_vocabulary(step.config.data, step.data_root))
    with torch.device("meta"):
        network = VideoLanguageModel(config) if config.summarizer is None else None
        if step.config.data.train == "egotaskqa":
            answers = len(egotaskqa.read_split(step).answers)
            network = QuestionAnsweringModel(AnsweringConfig(config, answers))
        parts = list((network or Summarizer(qfvs.network(step))).named_children())
    rows = {name: sum(p.numel() for p in part.parameters()) for name, part in parts}
    return pd.DataFrame({"parameters": {**rows, "all": sum(rows.values())}})


def first_batch(data: Data, seed: int, size: int = 8) -> Batch:
    """A batch as training would make it of the first samples.

    Args:
        data: what is trained on.
        seed: of crops and frames.
        size: samples.
    """
    rng = np.random.default_rng(seed)
    items: list[Any] = [data.sample(index, rng) for index in range(min(size, len(data)))]
    batch: Batch = data.collate(items)
    return batch


def shapes(batch: Batch) -> str:
    """What a batch holds, in words."""
    if isinstance(batch, SummaryBatch):
        count, shape = len(batch.sequences), tuple(batch.sequences[0].features.shape)
        return f"{batch.queries} queries; {count} features (segments, places, width) {shape}"
    return f"video {tuple(batch.video.shape)}, ids {tuple(batch.ids.shape)}"


def pictures(step: Step[Config], batch: Batch, clips: int = 4) -> list[np.ndarray]:
    """The frames of a batch's first clips as pictures (H, W, 3) uint8; of shots with QFVS.

    Args:
        step: its data root holds the shots.
        batch: of samples.
        clips: how many.
    """
    if isinstance(batch, SummaryBatch):
        number = step.config.data.summaries.training[0]
        shots = qfvs.queried_video(step, number, qfvs.network(step)).shots[:clips]
        return [read_image(file) for shot in shots for file in shot]
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    frames = (batch.video[:clips].flatten(0, 1) * std + mean).clamp(0, 1)
    return list((frames * 255).byte().permute(0, 2, 3, 1).numpy())


def group_table(model: VideoLanguageModel, config: Config) -> pd.DataFrame:
    """The optimiser's groups: parameters, rate, decay."""
    import pandas as pd

    groups = optim.parameter_groups(model, config.optim)
    rows = {
        g["name"]: {
            "parameters": sum(p.numel() for p in g["params"]),
            "rate": g["lr"],
            "weight decay": g["weight_decay"],
        }
        for g in groups
    }
    return pd.DataFrame(rows).T


def objective(step: Step[Config]) -> Source:
    """The source of the step's first objective."""
    shown: dict[str, Callable[..., Any]] = {
        "egonce": contrastive.egonce,
        "mlm": masked_language,
        "itm": matching,
        "norm_softmax": contrastive.norm_softmax,
        "max_margin": margin.max_margin,
        "adaptive_margin": margin.max_margin,
        "sms": margin.sms,
        "answers": answer_loss,
        "summaries": summary_losses,
    }
    return show(shown[step.config.loss.objectives[0]])


# ---------------------------------------------------------------------------- checking


def check(result: FitResult) -> None:
    """Raises where the outcome is impossible.

    Raises:
        EgolibError: no update, no weights, or a loss that is negative or not finite.
    """
    losses = [record["loss"] for record in result.losses()]
    if not result.updates or not result.weights.is_file():
        raise EgolibError(f"{result.updates} updates were made", file=result.weights)
    if not all(value >= 0 and math.isfinite(value) for value in losses):
        raise EgolibError(f"the losses are {losses}", file=result.weights)


def metrics(result: FitResult) -> dict[str, Any]:
    """The last loss, updates, clips that could not be read, and the last evaluation."""
    records = result.losses()
    found: dict[str, Any] = {
        "loss": records[-1]["loss"],
        "updates": result.updates,
        "black": max(record.get("black", 0) for record in records),
    }
    return found | last_evaluation(result)


def last_evaluation(result: FitResult) -> dict[str, Any]:
    """The metrics of the last evaluation during training, as ``validation``; else nothing."""
    for record in reversed(result.evaluations()):
        about = ("kind", "update", "time")
        return {"validation": {k: v for k, v in record.items() if k not in about}}
    return {}
