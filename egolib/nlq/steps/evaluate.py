"""``4_evaluate``: every prediction file of a run scored, compared, and split into groups.

Numbers in tables and metrics are percentages. ``val_test`` pools the validation and test
questions, which only the built-in world can do: it kept the test answers. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.errors import EgolibError
from egolib.metrics.moments import recall
from egolib.nlq.config import Config
from egolib.nlq.data.annotations import Query, read_official, walk_clips
from egolib.nlq.data.stores import look_for
from egolib.nlq.data.truth import Truth, join_truths, truth_of
from egolib.nlq.data.truth import read_truth as read_true_windows
from egolib.nlq.evaluation import Evaluation, Missing, evaluate, recall_curves, table_of
from egolib.nlq.formats.submission import moments, validate_file
from egolib.nlq.formats.submission import read as read_submission
from egolib.nlq.localization import baseline
from egolib.nlq.localization.baseline import Baseline, recorded_real_baseline
from egolib.nlq.localization.ensemble import Ranking, ensemble
from egolib.nlq.steps.data import official_file, prior_list, read_list
from egolib.report.results import Moments, read_result
from egolib.report.source import show
from egolib.runs.step import Step

if TYPE_CHECKING:
    import pandas as pd

POOLED = "val_test"
LENGTH_EDGES_SEC = (2, 4, 8, 16, 32)
FIFTHS = ("first fifth", "second", "third", "fourth", "last fifth")
NO_TEMPLATE = "no template"
RANKINGS: tuple[Ranking, ...] = ("official", "cluster_vote")

# what the notebook takes from elsewhere
__all__ = ["recall", "recall_curves", "recorded_real_baseline", "show"]

Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Split:
    """What was asked.

    Args:
        queries: the questions, with answers.
        truth: their answers, for the metric.
        templates: of each question.
    """

    queries: list[Query]
    truth: Truth
    templates: list[str]


Splits = dict[str, Split]
Predictions = dict[str, dict[str, Records]]


@dataclass(frozen=True)
class Scored:
    """Everything that was measured.

    Args:
        main: the split that comparisons are made on.
        variants: evaluations by inference variant (``""`` is the configured one) and split.
        blind: the blind baseline on the main split.
        members: what an ensemble joins, each by itself, on the main split.
        ensembles: by ranking; empty where there is nothing to join.
    """

    main: str
    variants: dict[str, dict[str, Evaluation]]
    blind: Baseline
    members: dict[str, Evaluation]
    ensembles: dict[str, Evaluation]


# --------------------------------------------------------------------------- reading


def read_truth(step: Step[Config]) -> Splits:
    """The splits whose answers are known: val, where the test answers are kept test, and both."""
    data, root = step.config.data, step.data_root
    files = {
        "val": look_for(root, official_file(data, "val")),
        "test": look_for(root, data.test_truth),
    }
    splits = {}
    for name, file in files.items():
        queries = read_list(step, name) if name == "val" or file else []
        if queries:
            truth = read_true_windows(file) if file else truth_of(queries)
            splits[name] = Split(_with_answers(queries, truth), truth, _templates(queries, file))
    if len(splits) == 2:
        val, test = splits["val"], splits["test"]
        splits[POOLED] = Split(
            val.queries + test.queries,
            join_truths(val.truth, test.truth),
            val.templates + test.templates,
        )
    return splits


def _with_answers(queries: Sequence[Query], truth: Truth) -> list[Query]:
    found = []
    for query in queries:
        first, _ = truth.rows[query.clip_uid, query.annotation_uid]
        start, end = truth.windows[first + query.index]
        found.append(replace(query, windows_sec=((float(start), float(end)),)))
    return found


def _templates(queries: Sequence[Query], file: Path | None) -> list[str]:
    if file is None:
        return [NO_TEMPLATE] * len(queries)
    known = {
        f"{annotation['annotation_uid']}_{index}": entry.get("template")
        for _, clip in walk_clips(read_official(file))
        for annotation in clip["annotations"]
        for index, entry in enumerate(annotation["language_queries"])
    }
    return [known.get(query.query_id) or NO_TEMPLATE for query in queries]


def read_predictions(step: Step[Config], truth: Mapping[str, Split]) -> Predictions:
    """Prediction records by inference variant (``""`` is the configured one) and split."""
    return _read_folder(step.input("predictions"), truth)


def _read_folder(folder: Path, truth: Mapping[str, Split]) -> Predictions:
    predictions: Predictions = {}
    for split in ("val", "test"):
        files = folder.glob(f"{split}.*json") if split in truth else ()
        by_name = {file.stem.partition(".")[2]: file for file in files}
        for name in sorted(by_name):
            predictions.setdefault(name, {})[split] = read_submission(by_name[name])
    if not predictions:
        raise EgolibError("no predictions there", file=folder, remedy="run 3_infer again")
    for found in predictions.values():
        if POOLED in truth:
            found[POOLED] = found["val"] + found["test"]
    return predictions


def validation_lines(step: Step[Config]) -> list[str]:
    """A line for each submission file that the official annotations can check."""
    folder, data = step.input("predictions"), step.config.data
    lines = []
    for split in ("val", "test"):
        official = look_for(step.data_root, official_file(data, split))
        if official and (folder / f"{split}.json").is_file():
            lines.append(f"{split}.json: {validate_file(folder / f'{split}.json', official)}")
    return lines


# --------------------------------------------------------------------------- scoring


def score(step: Step[Config], predictions: Predictions, truth: Splits) -> Scored:
    """Every variant, the blind baseline, and what an ensemble of the run's members reaches.

    Args:
        step: with the list that the blind baseline is fitted on.
        predictions: see ``read_predictions``.
        truth: see ``read_truth``.
    """
    main, missing = main_split(truth), step.config.evaluate.missing
    asked, train = truth[main], read_list(step, prior_list(step.config.data))
    joined = members(step, predictions, truth, main)
    return Scored(
        main=main,
        variants=score_variants(predictions, truth, missing),
        blind=baseline.best(train, asked.queries, asked.truth),
        members={name: evaluate(found, asked.truth) for name, found in joined.items()},
        ensembles=ensembles(list(joined.values()), asked.truth),
    )


def score_variants(
    predictions: Predictions, truth: Mapping[str, Split], missing: Missing = "official"
) -> dict[str, dict[str, Evaluation]]:
    """The metric by inference variant and split.

    Args:
        predictions: records by variant and split.
        truth: by split.
        missing: see ``EvaluateConfig``.
    """
    return {
        variant: {
            name: evaluate(records, truth[name].truth, missing=missing)
            for name, records in found.items()
        }
        for variant, found in predictions.items()
    }


def main_split(truth: Mapping[str, Split]) -> str:
    """Where comparisons are made: on all known answers."""
    return POOLED if POOLED in truth else "val"


def effects(scored: Scored) -> dict[str, dict[str, float]]:
    """What each correction changes, in points, against the configured variant."""
    base = scored.variants[""][scored.main]
    found = {
        name: difference(own[scored.main], base) for name, own in scored.variants.items() if name
    }
    if scored.ensembles:
        vote, official = (scored.ensembles[name] for name in ("cluster_vote", "official"))
        found["cluster_vote"] = difference(vote, official)
    return found


def difference(found: Evaluation, base: Evaluation) -> dict[str, float]:
    """By how many points each number of an evaluation lies above another's."""
    numbers = base.percentages()
    return {name: value - numbers[name] for name, value in found.percentages().items()}


def members(
    step: Step[Config], predictions: Predictions, truth: Mapping[str, Split], split: str
) -> dict[str, Records]:
    """What an ensemble joins: the last and the averaged weights' answers, and another variant's.

    Args:
        step: may have an input ``other``, the answers of another variant.
        predictions: of this run.
        truth: by split.
        split: whose answers.
    """
    found = {step.variant: predictions[""][split]}
    if "averaged" in predictions:
        found["averaged weights"] = predictions["averaged"][split]
    if "other" in step.inputs:
        other = step.input("other")
        found[read_result(other)["variant"]] = _read_folder(other, truth)[""][split]
    return found


def ensembles(
    joined: Sequence[Records], truth: Truth, rankings: Sequence[Ranking] = RANKINGS
) -> dict[str, Evaluation]:
    """The metric of several predictions joined, for each ranking; none of a single one.

    Args:
        joined: the members' records.
        truth: of the split.
        rankings: of a window that several members agree on.
    """
    if len(joined) < 2:
        return {}
    return {ranking: evaluate(ensemble(joined, ranking), truth) for ranking in rankings}


def group_table(records: Records, split: Split, labels: Sequence[str]) -> pd.DataFrame:
    """The metric of the questions with each label: one row a label, in order of first use.

    Args:
        records: of the split, in its order.
        split: the questions.
        labels: one a question.
    """
    import pandas as pd

    rows = {}
    for label in dict.fromkeys(labels):
        chosen = [record for record, own in zip(records, labels, strict=True) if own == label]
        rows[label] = {"questions": len(chosen), **evaluate(chosen, split.truth).percentages()}
    return pd.DataFrame(rows).T.astype({"questions": int})


def labels(split: Split) -> dict[str, list[str]]:
    """Three groupings of questions: by template, by length and place of the answer."""
    by_template = [template.partition("(")[0].strip() for template in split.templates]
    return {
        "template": by_template,
        "answer length": [length_label(_window(query)) for query in split.queries],
        "place in the clip": [place_label(_window(q), q.duration_sec) for q in split.queries],
    }


def group_tables(records: Records, split: Split) -> dict[str, pd.DataFrame]:
    """The tables of all groupings, sorted for reading."""
    tables = {name: group_table(records, split, own) for name, own in labels(split).items()}
    by_length = [length_label((0, x)) for x in (*LENGTH_EDGES_SEC, LENGTH_EDGES_SEC[-1] + 1)]
    for name, order in (("answer length", by_length), ("place in the clip", FIFTHS)):
        tables[name] = tables[name].reindex([row for row in order if row in tables[name].index])
    tables["template"] = tables["template"].sort_values("questions", ascending=False)
    return tables


def _window(query: Query) -> tuple[float, float]:
    assert query.windows_sec
    return query.windows_sec[0]


def length_label(window: tuple[float, float]) -> str:
    length = window[1] - window[0]
    edges = LENGTH_EDGES_SEC
    place = int(np.searchsorted(edges, length))
    if place == 0:
        return f"up to {edges[0]} s"
    return (
        f"above {edges[-1]} s" if place == len(edges) else f"{edges[place - 1]} to {edges[place]} s"
    )


def place_label(window: tuple[float, float], duration: float) -> str:
    place = (window[0] + window[1]) / 2 / duration
    return FIFTHS[min(max(int(place * 5), 0), 4)]


# ---------------------------------------------------------------------------- showing


def table(scored: Scored) -> pd.DataFrame:
    """The configured variant on each split, and the blind baseline."""
    blind = f"{scored.main}, blind baseline ({scored.blind.prior})"
    return table_of(scored.variants[""] | {blind: scored.blind.evaluation})


def effect_table(scored: Scored) -> pd.DataFrame:
    """One row for each correction of the run's own answers, in points."""
    import pandas as pd

    own = {name: found for name, found in effects(scored).items() if name in scored.variants}
    return pd.DataFrame(own).T


def ensemble_table(scored: Scored) -> pd.DataFrame:
    """The members of the ensemble, then what each ranking makes of them."""
    joined = {f"ensemble, {name}": found for name, found in scored.ensembles.items()}
    return table_of(scored.members | joined)


def examples(predictions: Predictions, truth: Mapping[str, Split], count: int = 6) -> list[Moments]:
    """Answers to the first questions about the first clip, with the truth, for a figure.

    Args:
        predictions: of the run.
        truth: by split.
        count: how many questions at most.
    """
    split = truth[main_split(truth)]
    records, clip = predictions[""][main_split(truth)], split.queries[0].clip_uid
    pairs = [(q, r) for q, r in zip(split.queries, records, strict=True) if q.clip_uid == clip]
    return [moments(query, record) for query, record in pairs[:count]]


def groups(predictions: Predictions, truth: Mapping[str, Split]) -> dict[str, pd.DataFrame]:
    """The configured variant's recall by template, length and place of the answer."""
    main = main_split(truth)
    return group_tables(predictions[""][main], truth[main])


def blind_recall(scored: Scored) -> float:
    """R@1 of the blind baseline at IoU 0.3, in percent."""
    return scored.blind.evaluation.percentages()["r1_at_0.3"]


def check(scored: Scored) -> None:
    """Raises EgolibError where the outcome is impossible."""
    found = [*scored.variants[""].values(), *scored.ensembles.values(), scored.blind.evaluation]
    for evaluation in found:
        recall = evaluation.recall
        chain = (0, recall.at(1, 0.5), recall.at(1, 0.3), recall.at(5, 0.3), 1)
        if sorted(chain) != list(chain):
            raise EgolibError(f"recalls cannot be ordered like this: {chain}")
    if scored.variants[""]["val"].coverage != 1:
        raise EgolibError("some validation questions have no answer")


def metrics(scored: Scored) -> dict[str, Any]:
    """Percentages by split, effects in points, ensembles, the blind baseline, the lead over it."""
    return {split: found.percentages() for split, found in scored.variants[""].items()} | {
        "effect": effects(scored),
        "ensemble": {name: found.percentages() for name, found in scored.ensembles.items()},
        "blind": scored.blind.evaluation.percentages(),
        "over_blind": difference(scored.variants[""][scored.main], scored.blind.evaluation),
    }


def counts(truth: Mapping[str, Split]) -> dict[str, int]:
    """Questions by split, for ``result.json``."""
    return {name: len(split.queries) for name, split in truth.items()}
