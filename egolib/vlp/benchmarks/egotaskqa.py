"""EgoTaskQA in the steps of a run: data, the network that is trained, answers, accuracies."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from torch import nn

from egolib.config import flatten
from egolib.engine.job import Evaluate, Job
from egolib.runs.step import Step
from egolib.text.tokens import Tokenizer
from egolib.vlp import optim
from egolib.vlp.benchmarks.answering import Answerer, make_optimizer
from egolib.vlp.benchmarks.question_scores import answer_accuracies
from egolib.vlp.config import Config
from egolib.vlp.data import egotaskqa
from egolib.vlp.data.clips import View
from egolib.vlp.data.egotaskqa import Question, QuestionSplit
from egolib.vlp.data.question_clips import IntervalVideos, QuestionTraining
from egolib.vlp.data.readers import OpenVideos
from egolib.vlp.data.vocabulary import fitting, read_vocabulary
from egolib.vlp.formats.egotaskqa import NAME, load_pretrained
from egolib.vlp.losses.question_answering import AnswerLoss
from egolib.vlp.models.question_answering import (
    AnsweringConfig,
    QuestionAnsweringModel,
    build_empty_answering,
    reset_head,
)


def read_split(step: Step[Config]) -> QuestionSplit:
    """The questions of a step's split.

    Raises:
        EgolibError: a missing or malformed file.
    """
    config = step.config.data.questions
    return egotaskqa.read_split(step.data_root, config.split, config.answer_case)


def interval_videos(step: Step[Config]) -> IntervalVideos:
    """The intervals of a step's data root."""
    data = step.config.data
    source = OpenVideos(backend=data.backend)
    return IntervalVideos(step.data_root / egotaskqa.VIDEOS, data.questions.short_videos, source)


def training_data(step: Step[Config], tokenizer: Tokenizer) -> QuestionTraining:
    """The training questions.

    Raises:
        EgolibError: missing or malformed files, or intervals without a video.
    """
    config, asked = step.config, read_split(step).parts["train"]
    egotaskqa.check_videos(asked, step.data_root / egotaskqa.VIDEOS)
    view = View(config.model.frames, config.model.image_size)
    length, augment = config.data.text_length, config.data.questions.augment
    return QuestionTraining(asked, interval_videos(step), tokenizer, view, length, augment)


def build_job(step: Step[Config]) -> Job:
    """The training of a step, for the engine."""
    config, tokenizer = step.config, read_vocabulary(step.config.data, step.data_root)
    split, data = read_split(step), training_data(step, tokenizer)
    model = initial_model(step, tokenizer, len(split.answers))
    return Job(
        model=model,
        loss=AnswerLoss(config.loss.distributed),
        data=data,
        optimizer=make_optimizer(model, config.optim),
        schedule=optim.make_schedule(config.optim, config.fit, len(data)),
        evaluate=_evaluation(step, split, tokenizer),
        sidecar=describe(model, split.answers, tokenizer),
    )


def initial_model(step: Step[Config], tokenizer: Tokenizer, answers: int) -> QuestionAnsweringModel:
    """The network with the weights that it starts from, and a new head.

    Args:
        step: says where weights start.
        tokenizer: of questions.
        answers: A.
    """
    config = step.config
    start = optim.initial_model(step, fitting(config.model, tokenizer))
    about = AnsweringConfig(start.config, answers, config.loss.answer_dropout)
    model = build_empty_answering(about)
    reset_head(model.answer)
    load_pretrained(model, start.state_dict())
    return model


def describe(
    model: QuestionAnsweringModel, answers: list[str], tokenizer: Tokenizer
) -> dict[str, Any]:
    """What ``vlp.load`` and ``egolib convert`` have to know about weights.

    Args:
        model: the network.
        answers: A texts.
        tokenizer: of questions.
    """
    about = {"model": NAME, "config": asdict(model.answering), "answers": answers}
    return about | {"view": "ego4d", "tokenizer_hash": tokenizer.hash}


def answerer(step: Step[Config], model: QuestionAnsweringModel, tokenizer: Tokenizer) -> Answerer:
    """What answers questions as a step says.

    Args:
        step: its section ``infer`` says which frames are seen.
        model: the network.
        tokenizer: of questions.
    """
    infer = step.config.infer
    return Answerer(
        model,
        tokenizer,
        interval_videos(step),
        text_length=step.config.data.text_length,
        frames=infer.question_frames,
        seed=infer.seed,
        batch=infer.batch_size,
    )


def answer_scores(
    step: Step[Config], model: QuestionAnsweringModel, tokenizer: Tokenizer
) -> np.ndarray:
    """(Q, A) float32 logits of the test questions.

    Args:
        step: its data and section ``infer``.
        model: the network.
        tokenizer: of questions.

    Raises:
        EgolibError: missing files, or another number of answers than the network has.
    """
    split = read_split(step)
    model.require_answers(len(split.answers))
    egotaskqa.check_videos(split.parts["test"], step.data_root / egotaskqa.VIDEOS)
    return answerer(step, model, tokenizer).scores(split.parts["test"])


def measured(step: Step[Config], predicted: np.ndarray, asked: list[Question]) -> dict[str, Any]:
    """All accuracies of the answers given, see ``question_scores.answer_accuracies``.

    Args:
        step: its section ``evaluate`` says how.
        predicted: (Q,) int.
        asked: Q questions.
    """
    how = step.config.evaluate
    batch = step.config.fit.batch_size
    return answer_accuracies(
        predicted, asked, max_types=how.max_types, average=how.average, batch=batch
    )


def _evaluation(step: Step[Config], split: QuestionSplit, tokenizer: Tokenizer) -> Evaluate | None:
    """Accuracies of val and test: fractions by reference and over all, per cent by structure."""
    fit = step.config.fit
    if not (fit.evaluate_every or fit.evaluate_every_updates or fit.evaluate_first):
        return None

    def evaluate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, QuestionAnsweringModel)
        asks, found = answerer(step, model, tokenizer), {}
        for part in ("val", "test"):
            asked = split.parts[part]
            about = measured(step, asks.scores(asked).argmax(1), asked)
            kinds = {k: about["types"].get(k, 0.0) for k in egotaskqa.SPLITS}
            found[part] = kinds | about["table"] | about["overall"]
        return flatten(found)

    return evaluate
