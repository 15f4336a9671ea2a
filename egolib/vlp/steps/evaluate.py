"""``4_evaluate``: what ``3_infer`` computed, by benchmark. No torch here.

Legend: N clips.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from egolib.errors import EgolibError
from egolib.metrics.multiple_choice import egomcq_accuracy as egomcq_accuracy
from egolib.metrics.retrieval import retrieval_metrics as retrieval_metrics
from egolib.report.source import show as show
from egolib.runs.step import Step
from egolib.vlp.benchmarks.question_scores import (
    answer_accuracies,
    frequent_answers,
    most_frequent_answer,
)
from egolib.vlp.config import Config, DataConfig, SummarizerConfig
from egolib.vlp.data import charades, egoclip
from egolib.vlp.data.egoclip import Question, read_egomcq
from egolib.vlp.data.egotaskqa import QuestionSplit, read_split
from egolib.vlp.data.epic import EpicSplit, describe_relevancy, read_epic_split
from egolib.vlp.data.qfvs_videos import QueriedVideo, read_video
from egolib.vlp.data.reversal import OppositeClip, opposite_clips
from egolib.vlp.data.videos import EgoClipVideos
from egolib.vlp.evaluation import (
    evaluate_answers,
    evaluate_charades,
    evaluate_egomcq,
    evaluate_epic,
    evaluate_shots,
)
from egolib.vlp.formats import submission
from egolib.vlp.summarization.evaluation import reference_points
from egolib.vlp.summarization.selection import summary_length

if TYPE_CHECKING:
    import pandas as pd

#: How pictures become input for each benchmark.
VIEWS: dict[str, Literal["ego4d", "epic"]] = {
    "egomcq": "ego4d",
    "reversal": "ego4d",
    "epic": "epic",
    "charades": "ego4d",
    "egotaskqa": "ego4d",
    "qfvs": "ego4d",
    "moments": "ego4d",
    "clips": "ego4d",
    "questions": "ego4d",
}

SCORED = ("egomcq", "reversal", "epic", "epic_reranked", "charades", "egotaskqa", "qfvs")

Arrays = Mapping[str, np.ndarray]


@dataclass
class Truth:
    """Annotations of the benchmarks; each is read when it is asked for first.

    Args:
        data_root: folder of the data sets.
        class_text: see ``EvaluateConfig``.
        data: which questions and which video of EgoTaskQA and QFVS.
        longest: places of a QFVS segment.
    """

    data_root: Path
    class_text: charades.ClassText = "official"
    data: DataConfig = field(default_factory=DataConfig)
    longest: int = 200

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

    @cached_property
    def answered(self) -> QuestionSplit:
        """The EgoTaskQA questions of the split."""
        questions = self.data.questions
        return read_split(self.data_root, questions.split, questions.answer_case)

    @cached_property
    def queried(self) -> QueriedVideo:
        """The QFVS test video with its queries."""
        how = self.data.summaries
        return read_video(self.data_root, how.test_video, how, how.segments * self.longest)

    def rows(self, benchmark: str) -> int:
        """Records that the scores of a benchmark are of."""
        if benchmark in ("egomcq", "reversal"):
            return len(self.questions if benchmark == "egomcq" else self.opposites)
        if benchmark in ("egotaskqa", "qfvs"):
            asked = benchmark == "egotaskqa"
            return len(self.answered.parts["test"] if asked else self.queried.queries)
        return len(self.charades if benchmark == "charades" else self.epic.clips)


@dataclass
class Scored:
    """Metrics by benchmark, of the step's own predictions and of others it is compared with."""

    metrics: dict[str, Any] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_truth(step: Step[Config]) -> Truth:
    """The annotations of a step's data."""
    config, summarizer = step.config, step.config.model.summarizer
    longest = summarizer.longest if summarizer else SummarizerConfig().longest
    return Truth(step.data_root, config.evaluate.class_text, config.data, longest)


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
    if name == "egotaskqa":
        return answer_metrics(step, truth, arrays)
    if name == "qfvs":
        return summary_metrics(step, truth, arrays)
    if name in ("epic", "epic_reranked"):
        return dict(evaluate_epic(truth.epic, arrays, config.precision, config.empty_queries))
    return dict(evaluate_charades(truth.charades, arrays))


def answer_metrics(step: Step[Config], truth: Truth, scores: Arrays) -> dict[str, Any]:
    """EgoTaskQA accuracies in per cent, and what no look at the video reaches.

    ``most_frequent``: the training questions' most frequent answer, to every question;
    ``frequent_by_words``: the most frequent one to the same words.

    Args:
        step: its section ``evaluate`` says how.
        truth: annotations.
        scores: ``answers``, (Q, answers).
    """
    how, parts = step.config.evaluate, truth.answered.parts
    asked, train = parts["test"], parts["train"]
    batch = step.config.fit.batch_size
    found = evaluate_answers(
        asked, scores, max_types=how.max_types, average=how.average, batch=batch
    )
    blind = {
        "most_frequent": most_frequent_answer(train, len(asked)),
        "frequent_by_words": frequent_answers(train, asked),
    }
    return found | {name: answer_accuracies(b, asked)["table"] for name, b in blind.items()}


def summary_metrics(step: Step[Config], truth: Truth, scores: Arrays) -> dict[str, Any]:
    """QFVS ``f1``, ``precision``, ``recall`` in per cent, and what they are worth.

    The same of the ``untrained`` network, of ``random`` and ``uniform`` summaries, and of the
    ``best_possible`` ones.

    Args:
        step: its section ``evaluate`` says how.
        truth: annotations.
        scores: ``shots`` and perhaps ``untrained``, (queries, shots).
    """
    how, video = step.config.evaluate, truth.queried
    queries, tags, fraction = video.queries, video.tags, how.summary_fraction
    measure = partial(evaluate_shots, queries, tags, fraction=fraction)
    found = {
        name: measure(array, empty_tags=how.empty_tags, zero_f1=how.zero_f1)
        for name, array in scores.items()
    }
    count = summary_length(len(tags), fraction)
    found |= reference_points(queries, tags, count, how.empty_tags, how.zero_f1)
    rows = {name: {k: 100.0 * v for k, v in vars(m).items()} for name, m in found.items()}
    return rows.pop("shots") | rows


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
    ``ensemble``: its probability is added to EgoMCQ's cosines. And what a head for EgoTaskQA
    or QFVS reaches beyond what needs no training: ``answers`` against the most frequent
    answer, ``summaries`` (F1) against random and uniform ones and the untrained network.
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
    if "egotaskqa" in measured:
        after = measured["egotaskqa"]
        before = after["most_frequent"]
        found["answers"] = {name: after[name] - before[name] for name in before}
    if "qfvs" in measured:
        after = measured["qfvs"]
        names = [name for name in ("random", "uniform", "untrained") if name in after]
        found["summaries"] = {name: after["f1"] - after[name]["f1"] for name in names}
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
    answers = scored.metrics.get("egotaskqa", {})
    shares += [answers[name] for name in ("open", "binary", "all") if name in answers]
    summaries = scored.metrics.get("qfvs", {}).get("f1", 0.0)
    shares += [] if math.isnan(summaries) else [summaries]
    if not all(0 <= value <= 100 for value in shares):
        raise EgolibError(f"accuracies {shares}")


def metrics(scored: Scored) -> dict[str, Any]:
    """Numbers for ``result.json``: by benchmark, and the effects; None where one is NaN."""
    found: dict[str, Any] = without_nan(scored.metrics | {"effect": effects(scored)})
    return found


def without_nan(value: Any) -> Any:
    """A tree of numbers with None in place of NaN, which JSON does not know.

    >>> without_nan({"f1": float("nan"), "recall": 0.5})
    {'f1': None, 'recall': 0.5}
    """
    if isinstance(value, Mapping):
        return {name: without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


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
    if "egotaskqa" in scored.metrics:
        found["answered questions"] = len(truth.answered.parts["test"])
    if "qfvs" in scored.metrics:
        found["queries"] = len(truth.queried.queries)
        found["shots"] = len(truth.queried.shots)
        if math.isnan(scored.metrics["qfvs"]["f1"]):
            found["f1 is NaN"] = (
                "a query's summary matches nothing; evaluate.zero_f1: zero counts it as 0"
            )
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


def head_table(scored: Scored) -> pd.DataFrame:
    """EgoTaskQA or QFVS in per cent: the network, and what it is compared with."""
    import pandas as pd

    rows: dict[str, Any] = {}
    for name, own in (("egotaskqa", "answers"), ("qfvs", "summaries")):
        found = scored.metrics.get(name, {})
        numbers = {k: v for k, v in found.items() if not isinstance(v, Mapping)}
        others = {k.replace("_", " "): v for k, v in found.items() if isinstance(v, Mapping)}
        rows |= ({own: numbers} if found else {}) | others
    rows.pop("types", None)
    return pd.DataFrame(rows).T


# ------------------------------------------------------------------------- for figures


def some_sentences(split: EpicSplit, count: int) -> list[int]:
    """Columns of sentences, evenly spread over those with an exactly relevant clip."""
    columns = np.flatnonzero((split.relevancy == 1).any(0))
    places = np.linspace(0, len(columns) - 1, min(count, len(columns))).astype(int)
    return [int(column) for column in columns[places]]


def summary_example(
    step: Step[Config], truth: Truth, predictions: Mapping[str, Mapping[str, Arrays]]
) -> tuple[QueriedVideo, np.ndarray, float, float]:
    """The QFVS video, its scores, the summary's fraction and a shot's length, for a figure.

    Args:
        step: its section ``evaluate`` says how long summaries are.
        truth: annotations.
        predictions: see ``read_predictions``.
    """
    scores = predictions["predictions"]["qfvs"]["shots"]
    config = step.config
    return truth.queried, scores, config.evaluate.summary_fraction, config.data.summaries.shot_sec


def videos(step: Step[Config]) -> EgoClipVideos:
    """The clips of EgoMCQ, read from their files."""
    return EgoClipVideos(step.data_root, step.config.data)
