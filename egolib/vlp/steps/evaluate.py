"""Judging what ``3_infer`` computed, by benchmark. No torch here.

Legend: N clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from egolib.runs.step import Step
from egolib.vlp.config import Config
from egolib.vlp.data import charades, egoclip
from egolib.vlp.data.egoclip import Question, read_egomcq
from egolib.vlp.data.epic import EpicSplit, describe_relevancy, read_epic_split
from egolib.vlp.data.reversal import OppositeClip, opposite_clips
from egolib.vlp.evaluation import evaluate_charades, evaluate_egomcq, evaluate_epic, read_scores

if TYPE_CHECKING:
    import pandas as pd

#: How pictures become input for each benchmark.
VIEWS: dict[str, Literal["ego4d", "epic"]] = {
    "egomcq": "ego4d",
    "reversal": "ego4d",
    "epic": "epic",
    "charades": "ego4d",
    "moments": "ego4d",
    "clips": "ego4d",
}

#: The benchmark of what a training is trained on.
TRAINED_FOR: dict[str, Literal["egomcq", "epic", "charades"]] = {
    "egoclip": "egomcq",
    "epic": "epic",
    "charades": "charades",
}

SCORED = ("egomcq", "reversal", "epic", "epic_reranked", "charades")


# ---------------------------------------------------------------------------- truths


def questions(step: Step[Config]) -> list[Question]:
    """The EgoMCQ questions of a step's data."""
    return read_egomcq(egoclip.data_file(step.data_root, egoclip.QUESTIONS))


def epic_split(step: Step[Config], split: str = "test") -> EpicSplit:
    """EPIC-KITCHENS clips, sentences and relevancies."""
    return read_epic_split(step.data_root, split)


def charades_videos(step: Step[Config]) -> list[charades.CharadesVideo]:
    """The Charades-Ego test videos with their classes."""
    name = "CharadesEgo_v1_test_only1st.csv"
    return charades.read_videos(step.data_root / charades.FOLDER / name)


def charades_classes(step: Step[Config]) -> list[str]:
    """The texts of the Charades classes."""
    path = step.data_root / charades.FOLDER / "Charades_v1_classes.txt"
    return charades.read_classes(path, step.config.evaluate.class_text)


# --------------------------------------------------------------------------- judging


def judge(step: Step[Config], name: str, scores: Mapping[str, np.ndarray | None]) -> dict[str, Any]:
    """Metrics of one benchmark; percentages, but for Charades-Ego's fractions.

    Args:
        name: one of ``SCORED``.
        scores: arrays as ``3_infer`` writes them.
    """
    config = step.config.evaluate
    arrays = {k: v for k, v in scores.items() if v is not None}
    if name == "egomcq":
        return dict(evaluate_egomcq(questions(step), arrays, config.question_names))
    if name == "reversal":
        return reversal_accuracy(opposite_clips(questions(step)), arrays)
    if name.startswith("epic"):
        split = epic_split(step)
        return dict(evaluate_epic(split, arrays, config.precision, config.empty_queries))
    return dict(evaluate_charades(charades_videos(step), arrays))


def reversal_accuracy(
    clips: Sequence[OppositeClip], scores: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """How often the right one of two opposite actions scores higher, in per cent.

    The mean of the accuracies of all verbs that occur: whoever prefers one of two
    opposite verbs always, whatever the clip shows, gets 50.

    Args:
        scores: by way to show the frames, (N, 2): the right text, the opposite one.
    """
    verbs = np.array([clip.verb for clip in clips])
    found = {}
    for way, pairs in scores.items():
        right = pairs[:, 0] > pairs[:, 1]
        found[way] = 100.0 * float(np.mean([right[verbs == v].mean() for v in np.unique(verbs)]))
    return found


def judge_all(step: Step[Config], folder: Path) -> dict[str, Any]:
    """Metrics of every benchmark whose scores lie in a folder."""
    return {
        name: judge(step, name, read_scores(folder / f"{name}.npz"))
        for name in SCORED
        if (folder / f"{name}.npz").is_file()
    }


def effects(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What the matching head adds, in points against dual scores alone.

    ``rerank``: it judges the best candidates of EPIC-KITCHENS retrieval again.
    ``ensemble``: its probability is added to EgoMCQ's cosines.
    """
    found: dict[str, Any] = {}
    if "epic_reranked" in metrics:
        before, after = metrics["epic"], metrics["epic_reranked"]
        found["rerank"] = {name: after[name] - before[name] for name in before}
    questions = metrics.get("egomcq", {})
    if "ensemble" in questions:
        before, after = questions["dual"], questions["ensemble"]
        found["ensemble"] = {name: after[name] - before[name] for name in before}
    return found


def counts(step: Step[Config], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """How much the metrics rest on, and which relevancy matrix."""
    found: dict[str, Any] = {}
    if "egomcq" in metrics:
        found["questions"] = len(questions(step))
    if "reversal" in metrics:
        found["opposite clips"] = len(opposite_clips(questions(step)))
    if "epic" in metrics:
        split = epic_split(step)
        found["relevancy"] = describe_relevancy(split.relevancy) | {"source": split.source}
    if "charades" in metrics:
        found["charades videos"] = len(charades_videos(step))
    return found


# ---------------------------------------------------------------------------- tables


def question_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """EgoMCQ accuracies: kinds of scores x kinds of questions; empty without them."""
    import pandas as pd

    return pd.DataFrame(metrics.get("egomcq", {})).T


def retrieval_table(metrics: Mapping[str, Any], others: Mapping[str, Any]) -> pd.DataFrame:
    """EPIC-KITCHENS metrics, one row a way to rank.

    Args:
        metrics: of this step, with ``epic`` and perhaps ``epic_reranked``.
        others: further results by name, each with ``epic``.
    """
    import pandas as pd

    names = {"epic": "dual scores", "epic_reranked": "re-ranked by the matching head"}
    rows = {label: metrics[name] for name, label in names.items() if name in metrics}
    rows |= {name: other["epic"] for name, other in others.items() if "epic" in other}
    return pd.DataFrame(rows).T


# ------------------------------------------------------------------------- for figures


def opposite_of(step: Step[Config]) -> list[OppositeClip]:
    """The clips of opposite actions among EgoMCQ's choices."""
    return opposite_clips(questions(step))


def some_sentences(split: EpicSplit, count: int) -> list[int]:
    """Columns of sentences, evenly spread over those with an exactly relevant clip."""
    columns = np.flatnonzero((split.relevancy == 1).any(0))
    places = np.linspace(0, len(columns) - 1, min(count, len(columns))).astype(int)
    return columns[places].tolist()


def judge_others(step: Step[Config]) -> dict[str, Any]:
    """Metrics of the further predictions that the step is given, by input name."""
    own = {"data", "predictions"}
    return {n: judge_all(step, step.input(n)) for n in step.inputs if n not in own}
