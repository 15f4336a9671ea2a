"""Training EgoVLPv2 by configuration: data, where weights start, evaluation on the way.

``build_job`` puts the pieces together for ``egolib.engine``, whose loop it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
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
from egolib.io import checkpoint
from egolib.io.checkpoint import LoadReport, State
from egolib.runs.step import Step
from egolib.text.tokens import Tokenizer
from egolib.vlp import optim
from egolib.vlp.api import VideoLanguage
from egolib.vlp.config import Config, LossConfig, ModelConfig
from egolib.vlp.data.pretraining import PretrainingData
from egolib.vlp.data.retrieval import CaptionedData, EpicTraining
from egolib.vlp.data.training import training_data
from egolib.vlp.data.transforms import MEAN, STD
from egolib.vlp.data.vocabulary import fitting, keep_vocabulary, read_vocabulary
from egolib.vlp.formats import checkpoint as convert
from egolib.vlp.losses.pretraining import PretrainingBatch, PretrainingLoss
from egolib.vlp.losses.retrieval import RetrievalBatch, RetrievalLoss
from egolib.vlp.models.build import build
from egolib.vlp.models.model import VideoLanguageModel
from egolib.vlp.steps.evaluate import TRAINED_FOR, VIEWS, judge
from egolib.vlp.steps.infer import scores_of

if TYPE_CHECKING:
    import pandas as pd

Loss = PretrainingLoss | RetrievalLoss


def train(step: Step[Config]) -> FitResult:
    """Trains what a step is configured for, or continues it; see ``egolib.engine``."""
    keep_vocabulary(step.config.data, step.data_root, step.out / "train")
    return run_training(step, build_job)


def build_job(step: Step[Config]) -> Job:
    """The training of a step, for the engine."""
    config = step.config
    tokenizer = read_vocabulary(config.data, step.data_root)
    data = training_data(step, tokenizer)
    model = initial_model(step, fitting(config.model, tokenizer))
    loss = make_loss(config, data)
    return Job(
        model=model,
        loss=loss,
        data=data,
        optimizer=optim.make_optimizer(model, config.optim),
        schedule=make_schedule(config, len(data)),
        evaluate=make_evaluation(step, tokenizer),
        stateful={"loss": loss} if isinstance(loss, PretrainingLoss) else {},
        sidecar=describe(model.config, tokenizer, config),
    )


def describe(model: ModelConfig, tokenizer: Tokenizer, config: Config) -> dict[str, Any]:
    """What ``vlp.load`` has to know about weights."""
    return {
        "model": "vlp",
        "config": to_tree(model),
        "view": VIEWS[TRAINED_FOR[config.data.train]],
        "tokenizer_hash": tokenizer.hash,
    }


# ------------------------------------------------------------------------ loss, schedule


def make_loss(config: Config, data: PretrainingData | CaptionedData) -> Loss:
    """The loss of a configuration.

    Raises:
        EgolibError: objectives that the data cannot serve, an order loss without reversed clips.
    """
    pretraining = set(config.loss.objectives) <= {"egonce", "mlm", "itm"}
    if pretraining != isinstance(data, PretrainingData):
        raise EgolibError(
            f"objectives {list(config.loss.objectives)} on the data {config.data.train!r}",
            remedy="egoclip takes egonce, mlm, itm; epic and charades one retrieval loss",
        )
    if pretraining:
        if config.loss.order_weight and config.data.scene_partner != "reversed":
            raise EgolibError(
                "the order loss has no pairs to learn from",
                remedy="set data.scene_partner: reversed, or loss.order_weight: 0",
            )
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
    per_epoch = updates_per_epoch(samples, config.fit)
    return optim.schedule(config.optim, config.fit.epochs * per_epoch, per_epoch)


def make_evaluation(step: Step[Config], tokenizer: Tokenizer) -> Evaluate | None:
    """What is computed between epochs: the benchmark of the training's own data."""
    if not (step.config.fit.evaluate_every or step.config.fit.evaluate_every_updates):
        return None
    name = TRAINED_FOR[step.config.data.train]

    def evaluation(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, VideoLanguageModel)
        device = next(model.parameters()).device
        wrapped = VideoLanguage(model, tokenizer, device=device, batch=step.config.infer.batch)
        return flatten(judge(step, name, scores_of(step, wrapped, name)))

    return evaluation


# ----------------------------------------------------------------------- initial weights


def initial_model(step: Step[Config], config: ModelConfig) -> VideoLanguageModel:
    """A network with its initial weights; says where they are from."""
    initial, root = step.config.initial, step.data_root
    vit, roberta = (root / name if name else None for name in (initial.vit, initial.roberta))
    model, report = build(config, vit=vit, roberta=roberta)
    start = initial_weights(step)
    if start is None:
        print(report)
    else:
        print(f"{start.name}: {load_initial(model, start)}")
    return model


def initial_weights(step: Step[Config]) -> Path | None:
    """The checkpoint that a step starts from; None for a fresh start."""
    name = step.config.initial.weights
    if "initial" in step.inputs:
        return step.input("initial") / "train" / f"{name or 'model'}.safetensors"
    return step.data_root / name if name else None


def load_initial(model: VideoLanguageModel, path: Path) -> LoadReport:
    """Loads a checkpoint of ours or an official one; the time embedding is resized.

    Raises:
        EgolibError: it is of another network.
    """
    state: State
    if path.suffix == ".safetensors" and path.with_suffix(".json").is_file():
        state, _ = checkpoint.load(path)
    else:
        official = convert.read_official(path)
        state = convert.KEYS.to_ours(official)
    state["video.times"] = convert.resize_times(state["video.times"], model.config.frames)
    report = checkpoint.compare(state, model.state_dict())
    if not report.complete:
        raise EgolibError(
            f"these initial weights are of another network: {report}",
            file=path,
            remedy="large projectors: egoclip_pretrain; small ones: egoclip_pretrain_smallproj",
        )
    model.load_state_dict(state)
    return report


# ----------------------------------------------------------------------------- showing


def parameter_table(config: ModelConfig) -> pd.DataFrame:
    """Parameters of a network by part."""
    import pandas as pd

    with torch.device("meta"):
        parts = list(VideoLanguageModel(config).named_children())
    rows = {name: sum(p.numel() for p in part.parameters()) for name, part in parts}
    return pd.DataFrame({"parameters": {**rows, "all": sum(rows.values())}})


def first_batch(
    data: PretrainingData | CaptionedData, seed: int, size: int = 8
) -> PretrainingBatch | RetrievalBatch:
    """A batch as training would make it of the first samples."""
    rng = np.random.default_rng(seed)
    items: list[Any] = [data.sample(index, rng) for index in range(min(size, len(data)))]
    return data.collate(items)


def pictures(batch: PretrainingBatch | RetrievalBatch, clips: int = 4) -> list[np.ndarray]:
    """The frames of a batch's first clips as pictures (H, W, 3) uint8."""
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


def last_evaluation(result: FitResult) -> dict[str, Any]:
    """The metrics of the last evaluation during training, as ``validation``; else nothing."""
    for record in reversed(result.evaluations()):
        about = ("kind", "update", "time")
        return {"validation": {k: v for k, v in record.items() if k not in about}}
    return {}
