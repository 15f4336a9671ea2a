"""``4_evaluate``: what ``3_infer`` computed, by benchmark. No torch here.

Legend: N clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from egolib.errors import EgolibError
from egolib.metrics.multiple_choice import egomcq_accuracy as egomcq_accuracy
from egolib.metrics.retrieval import retrieval_metrics as retrieval_metrics
from egolib.report.source import show as show
from egolib.runs.step import Step
from egolib.vlp.config import Config
from egolib.vlp.data import charades, egoclip
from egolib.vlp.data.egoclip import Question, read_egomcq
from egolib.vlp.data.epic import EpicSplit, describe_relevancy, read_epic_split
from egolib.vlp.data.reversal import OppositeClip, opposite_clips
from egolib.vlp.data.videos import EgoClipVideos
from egolib.vlp.evaluation import evaluate_charades, evaluate_egomcq, evaluate_epic
from egolib.vlp.formats import submission

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

SCORED = ("egomcq", "reversal", "epic", "epic_reranked", "charades")

Arrays = Mapping[str, np.ndarray]


@dataclass
class Truth:
    """Annotations of the benchmarks; each is read when it is asked for first.

    Args:
        data_root: folder of the data sets.
        class_text: see ``EvaluateConfig``.
    """

    data_root: Path
    class_text: charades.ClassText = "official"

    @cached_property
    def questions(self) -> list[Question]:
        """The EgoMCQ questions."""
        return read_egomcq(egoclip.data_file(self.data_root, egoclip.QUESTIONS))

    @cached_property
    def opposites(self) -> list[OppositeClip]:
        """The clips of opposite actions among EgoMCQ's choices."""
        return opposite_clips(self.questions)

    @cached_property
    def epic(self) -> EpicSplit:
        """EPIC-KITCHENS test clips, sentences and relevancies."""
        return read_epic_split(self.data_root, "test")

    @cached_property
    def charades(self) -> list[charades.CharadesVideo]:
        """The Charades-Ego test videos with their classes."""
        name = "CharadesEgo_v1_test_only1st.csv"
        return charades.read_videos(self.data_root / charades.FOLDER / name)

    @cached_property
    def classes(self) -> list[str]:
        """The texts of the Charades classes."""
        path = self.data_root / charades.FOLDER / "Charades_v1_classes.txt"
        return charades.read_classes(path, self.class_text)

    def rows(self, benchmark: str) -> int:
        """Records that the scores of a benchmark are of."""
        if benchmark in ("egomcq", "reversal"):
            return len(self.questions if benchmark == "egomcq" else self.opposites)
        return len(self.charades if benchmark == "charades" else self.epic.clips)


@dataclass
class Scored:
    """Metrics by benchmark, of the step's own predictions and of others it is compared with."""

    metrics: dict[str, Any] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_truth(step: Step[Config]) -> Truth:
    """The annotations of a step's data."""
    return Truth(step.data_root, step.config.evaluate.class_text)


def read_predictions(step: Step[Config], truth: Truth) -> dict[str, dict[str, Arrays]]:
    """Score arrays by input (``predictions``, and others to compare with) and benchmark.

    Args:
        step: its inputs but ``data`` are folders of ``3_infer``, or single score files.
        truth: what the arrays must have as many rows as.

    Raises:
        EgolibError: no scores, or a file that does not fit the annotations.
    """
    found = {n: _read_scores(step.input(n), truth) for n in step.inputs if n != "data"}
    if not found.get("predictions"):
        raise EgolibError(
            "no score files", file=step.inputs.get("predictions"), remedy="run 3_infer first"
        )
    return found


def _read_scores(place: Path, truth: Truth) -> dict[str, Arrays]:
    """The scores of every benchmark whose file lies in a folder; or one file, by its name."""
    files = [place] if place.is_file() else [place / f"{name}.npz" for name in SCORED]
    found: dict[str, Arrays] = {}
    for file in files:
        if not file.is_file():
            continue
        arrays = submission.read(file)
        if file.stem in SCORED:
            submission.check(arrays, file.stem, truth.rows(file.stem), file=file)
        found[file.stem] = arrays
    return found


# ------------------------------------------------------------------------- evaluation


def score(step: Step[Config], truth: Truth, predictions: Mapping[str, Any]) -> Scored:
    """Metrics of all predictions.

    Args:
        step: its section ``evaluate`` says how.
        truth: annotations.
        predictions: see ``read_predictions``.
    """
    metrics = {
        name: {b: score_one(step, truth, b, arrays) for b, arrays in scores.items()}
        for name, scores in predictions.items()
    }
    return Scored(metrics.pop("predictions"), metrics)


def score_one(
    step: Step[Config], truth: Truth, name: str, scores: Mapping[str, np.ndarray | None]
) -> dict[str, Any]:
    """Metrics of one benchmark; in per cent, but for Charades-Ego's fractions.

    Args:
        step: its section ``evaluate`` says how.
        truth: annotations.
        name: one of ``SCORED``.
        scores: arrays as ``3_infer`` writes them.
    """
    config = step.config.evaluate
    arrays = {k: v for k, v in scores.items() if v is not None}
    if name == "egomcq":
        return dict(evaluate_egomcq(truth.questions, arrays, config.question_names))
    if name == "reversal":
        return reversal_accuracy(truth.opposites, arrays)
    if name in ("epic", "epic_reranked"):
        return dict(evaluate_epic(truth.epic, arrays, config.precision, config.empty_queries))
    return dict(evaluate_charades(truth.charades, arrays))


def reversal_accuracy(
    clips: Sequence[OppositeClip], scores: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """How often the right one of two opposite actions scores higher, in per cent.

    The mean of the accuracies of all verbs that occur: whoever prefers one of two
    opposite verbs always, whatever the clip shows, gets 50.

    Args:
        clips: N, each with the verb that it shows.
        scores: by way to show the frames, (N, 2): the right text, the opposite one.
    """
    verbs = np.array([clip.verb for clip in clips])
    found = {}
    for way, pairs in scores.items():
        right = pairs[:, 0] > pairs[:, 1]
        found[way] = 100.0 * float(np.mean([right[verbs == v].mean() for v in np.unique(verbs)]))
    return found


def effects(scored: Scored) -> dict[str, Any]:
    """What the matching head adds, in points against dual scores alone.

    ``rerank``: it scores the best candidates of EPIC-KITCHENS retrieval again.
    ``ensemble``: its probability is added to EgoMCQ's cosines.
    """
    found: dict[str, Any] = {}
    measured = scored.metrics
    if {"epic", "epic_reranked"} <= measured.keys():
        before, after = measured["epic"], measured["epic_reranked"]
        found["rerank"] = {name: after[name] - before[name] for name in before}
    questions = measured.get("egomcq", {})
    if "ensemble" in questions:
        before, after = questions["dual"], questions["ensemble"]
        found["ensemble"] = {name: after[name] - before[name] for name in before}
    return found


def check(scored: Scored) -> None:
    """Raises where the outcome is impossible.

    Raises:
        EgolibError: nothing was evaluated, or an accuracy outside 0 to 100 per cent.
    """
    if not scored.metrics:
        raise EgolibError("nothing was evaluated", remedy="see infer.benchmarks")
    shares = [v for kinds in scored.metrics.get("egomcq", {}).values() for v in kinds.values()]
    shares += scored.metrics.get("reversal", {}).values()
    if not all(0 <= value <= 100 for value in shares):
        raise EgolibError(f"accuracies {shares}")


def metrics(scored: Scored) -> dict[str, Any]:
    """Numbers for ``result.json``: by benchmark, and the effects."""
    return scored.metrics | {"effect": effects(scored)}


def counts(truth: Truth, scored: Scored) -> dict[str, Any]:
    """How much the metrics rest on, and which relevancy matrix."""
    found: dict[str, Any] = {}
    if "egomcq" in scored.metrics:
        found["questions"] = len(truth.questions)
    if "reversal" in scored.metrics:
        found["opposite clips"] = len(truth.opposites)
    if "epic" in scored.metrics:
        split = truth.epic
        found["relevancy"] = describe_relevancy(split.relevancy) | {"source": split.source}
    if "charades" in scored.metrics:
        found["charades videos"] = len(truth.charades)
    return found


# ---------------------------------------------------------------------------- tables


def table(scored: Scored) -> pd.DataFrame:
    """EPIC-KITCHENS metrics, one row a way to rank and one each input to compare with."""
    import pandas as pd

    names = {"epic": "dual scores", "epic_reranked": "re-ranked by the matching head"}
    rows = {label: scored.metrics[n] for n, label in names.items() if n in scored.metrics}
    rows |= {name: other["epic"] for name, other in scored.others.items() if "epic" in other}
    return pd.DataFrame(rows).T


def question_table(scored: Scored) -> pd.DataFrame:
    """EgoMCQ accuracies: kinds of scores x kinds of questions; empty without them."""
    import pandas as pd

    return pd.DataFrame(scored.metrics.get("egomcq", {})).T


# ------------------------------------------------------------------------- for figures


def some_sentences(split: EpicSplit, count: int) -> list[int]:
    """Columns of sentences, evenly spread over those with an exactly relevant clip."""
    columns = np.flatnonzero((split.relevancy == 1).any(0))
    places = np.linspace(0, len(columns) - 1, min(count, len(columns))).astype(int)
    return [int(column) for column in columns[places]]


def videos(step: Step[Config]) -> EgoClipVideos:
    """The clips of EgoMCQ, read from their files."""
    return EgoClipVideos(step.data_root, step.config.data)
