"""The training data of a step, by its configuration."""

from __future__ import annotations

import numpy as np

from egolib.runs.step import Step
from egolib.text.tokens import Tokenizer
from egolib.vlp.config import Config
from egolib.vlp.data import charades, egoclip
from egolib.vlp.data.cache import FRAMES, FrameCache
from egolib.vlp.data.epic import read_epic_split
from egolib.vlp.data.pretraining import PretrainingData
from egolib.vlp.data.retrieval import CaptionedData, CharadesTraining, EpicTraining
from egolib.vlp.data.videos import CharadesVideos, EgoClipVideos, EpicVideos


def read_training_data(step: Step[Config], tokenizer: Tokenizer) -> PretrainingData | CaptionedData:
    """What a step trains on; an epoch ends after ``data.epoch_samples``."""
    data: PretrainingData | CaptionedData
    if step.config.data.train == "egoclip":
        data = _egoclip(step, tokenizer)
    elif step.config.data.train == "epic":
        data = _epic(step, tokenizer)
    else:
        data = _charades(step, tokenizer)
    data.epoch_samples = step.config.data.epoch_samples or None
    return data


def frame_source(step: Step[Config]) -> FrameCache | None:
    """The decoded frames that ``1_data`` kept; None where videos are read themselves."""
    if not step.config.data.cache_height:
        return None
    return FrameCache(step.input("data") / FRAMES, step.data_root)


def labelled_rows(count: int, fraction: float) -> np.ndarray:
    """The rows of a fraction of all clips, ascending; the same ones in every run.

    >>> labelled_rows(4, 1.0).tolist()
    [0, 1, 2, 3]
    """
    chosen = np.random.default_rng(0).permutation(count)[: max(1, round(fraction * count))]
    return np.sort(chosen)


def _egoclip(step: Step[Config], tokenizer: Tokenizer) -> PretrainingData:
    config = step.config
    clips = egoclip.read_egoclip(egoclip.data_file(step.data_root, egoclip.TABLE))
    videos = EgoClipVideos(step.data_root, config.data, frame_source(step))
    rows = labelled_rows(len(clips), config.data.label_fraction)
    return PretrainingData(clips, videos, tokenizer, config.model, config.data, config.loss, rows)


def _epic(step: Step[Config], tokenizer: Tokenizer) -> EpicTraining:
    config = step.config
    split = read_epic_split(step.data_root, "train")
    videos = EpicVideos(step.data_root, config.data, frame_source(step))
    rows = labelled_rows(len(split.clips), config.data.label_fraction)
    return EpicTraining(split, videos, tokenizer, config.model, config.data, rows)


def _charades(step: Step[Config], tokenizer: Tokenizer) -> CharadesTraining:
    config = step.config
    actions = charades.read_action_table(step.data_root / charades.FOLDER / "metadata_train.csv")
    rows = labelled_rows(len(actions), config.data.label_fraction)
    videos = CharadesVideos(step.data_root, config.data)
    chosen = [actions[row] for row in rows]
    return CharadesTraining(chosen, videos, tokenizer, config.model, config.data)
