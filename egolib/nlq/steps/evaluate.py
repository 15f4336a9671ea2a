"""``4_evaluate``: every prediction file of a run scored, compared, and split into groups.

Numbers are percentages. ``val_test`` pools the validation and test questions, which
only the built-in world can do: it kept the test answers. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.config import project_root
from egolib.io.records import read_json
from egolib.nlq.config import Config
from egolib.nlq.data.annotations import Query, read_official, walk_clips
from egolib.nlq.data.stores import look_for
from egolib.nlq.data.truth import Truth, join_truths, read_truth, truth_of
from egolib.nlq.evaluation import Evaluation, evaluate
from egolib.nlq.formats.submission import moments, read_submission, validate_file
from egolib.nlq.localization import blind
from egolib.nlq.localization.ensemble import Ranking, ensemble
from egolib.nlq.steps.data import official_file, read_list
from egolib.report.results import Moments, read_result
from egolib.runs.step import Step

if TYPE_CHECKING:
    import pandas as pd

POOLED = "val_test"
LENGTH_EDGES_SEC = (2, 4, 8, 16, 32)
FIFTHS = ("first fifth", "second", "third", "fourth", "last fifth")
NO_TEMPLATE = "no template"

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


# --------------------------------------------------------------------------- reading


def read_splits(step: Step[Config]) -> dict[str, Split]:
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
            truth = read_truth(file) if file else truth_of(queries)
            splits[name] = Split(_with_answers(queries, truth), truth, _templates(queries, file))
    if len(splits) == 2:
        val, test = splits["val"], splits["test"]
        splits[POOLED] = Split(
            val.queries + test.queries,
            join_truths(val.truth, test.truth),
            val.templates + test.templates,
        )
    return splits


def split_of(queries: Sequence[Query]) -> Split:
    """A split from its records alone, which know no templates."""
    return Split(list(queries), truth_of(queries), [NO_TEMPLATE] * len(queries))


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


def read_answers(folder: Path, splits: Mapping[str, Split]) -> dict[str, dict[str, Records]]:
    """Prediction records by way (``""`` is the configured one) and split."""
    answers: dict[str, dict[str, Records]] = {}
    for split in ("val", "test"):
        files = folder.glob(f"{split}.*json") if split in splits else ()
        by_way = {file.stem.partition(".")[2]: file for file in files}
        for way in sorted(by_way):
            answers.setdefault(way, {})[split] = read_submission(by_way[way])
    for found in answers.values():
        if POOLED in splits:
            found[POOLED] = found["val"] + found["test"]
    return answers


def validate_files(step: Step[Config]) -> list[str]:
    """A line for each submission file that the official annotations can check."""
    folder, data = step.input("predictions"), step.config.data
    lines = []
    for split in ("val", "test"):
        official = look_for(step.data_root, official_file(data, split))
        if official and (folder / f"{split}.json").is_file():
            lines.append(f"{split}.json: {validate_file(folder / f'{split}.json', official)}")
    return lines


# --------------------------------------------------------------------------- scoring


def score(
    answers: Mapping[str, Mapping[str, Records]], splits: Mapping[str, Split]
) -> dict[str, dict[str, Evaluation]]:
    """The metric by way and split."""
    return {
        way: {name: evaluate(records, splits[name].truth) for name, records in found.items()}
        for way, found in answers.items()
    }


def main_split(splits: Mapping[str, Split]) -> str:
    """Where comparisons are made: on all known answers."""
    return POOLED if POOLED in splits else "val"


def effects(
    scored: Mapping[str, Mapping[str, Evaluation]], split: str
) -> dict[str, dict[str, float]]:
    """What each correction changes, in points, against the configured way."""
    base = scored[""][split]
    return {way: difference(found[split], base) for way, found in scored.items() if way}


def difference(found: Evaluation, base: Evaluation) -> dict[str, float]:
    """By how many points each number of an evaluation lies above another's."""
    numbers = base.summary()
    return {name: value - numbers[name] for name, value in found.summary().items()}


def effect_table(changes: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """One row for each correction."""
    import pandas as pd

    return pd.DataFrame(changes).T


def members(
    step: Step[Config], answers: Mapping[str, Mapping[str, Records]], split: str
) -> dict[str, Records]:
    """What an ensemble joins: the last and the averaged weights' answers, and another variant's.

    The other variant's are those of the input ``other``.
    """
    found = {step.variant: answers[""][split]}
    if "averaged" in answers:
        found["averaged weights"] = answers["averaged"][split]
    if "other" in step.inputs:
        other = read_result(step.input("other"))["variant"]
        found[other] = read_answers(step.input("other"), read_splits(step))[""][split]
    return found


def singles(members: Mapping[str, Records], split: Split) -> dict[str, Evaluation]:
    """The metric of each member by itself."""
    return {name: evaluate(records, split.truth) for name, records in members.items()}


def ensembles(
    members: Sequence[Records],
    truth: Truth,
    rankings: Sequence[Ranking] = ("official", "cluster_vote"),
) -> dict[str, Evaluation]:
    """The metric of several predictions joined, for each ranking; none of a single one."""
    if len(members) < 2:
        return {}
    return {ranking: evaluate(ensemble(members, ranking), truth) for ranking in rankings}


def blind_baseline(train: Sequence[Query], split: Split) -> tuple[blind.Prior, Evaluation]:
    """The best fixed intervals of the training list, scored on a split."""
    prior = blind.fit_best(train)
    return prior, evaluate(blind.predict(prior, split.queries), split.truth)


def blind_families(
    train: Sequence[Query], val: Sequence[Query]
) -> dict[str, tuple[blind.Prior, Evaluation]]:
    """The best fixed intervals of each family, fitted on one list and scored on another."""
    split = split_of(val)
    priors = {family: blind.fit(train, family) for family in blind.FAMILIES}
    return {
        family: (prior, evaluate(blind.predict(prior, val), split.truth))
        for family, prior in priors.items()
    }


def blind_table(found: Mapping[str, tuple[blind.Prior, Evaluation]]) -> pd.DataFrame:
    """One row a family: its first interval, and the scores of all five."""
    rows = table({family: evaluation for family, (_, evaluation) in found.items()})
    return rows.assign(**{"first interval": [str(prior) for prior, _ in found.values()]})


def group_table(records: Records, split: Split, labels: Sequence[str]) -> pd.DataFrame:
    """The metric of the questions with each label: one row a label, in order of first use."""
    import pandas as pd

    rows = {}
    for label in dict.fromkeys(labels):
        chosen = [record for record, own in zip(records, labels, strict=True) if own == label]
        rows[label] = {"questions": len(chosen), **evaluate(chosen, split.truth).summary()}
    return pd.DataFrame(rows).T.astype({"questions": int})


def labels(split: Split) -> dict[str, list[str]]:
    """Three ways to group questions: by template, by length and place of the answer."""
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
    share = (window[0] + window[1]) / 2 / duration
    return FIFTHS[min(max(int(share * 5), 0), 4)]


# ---------------------------------------------------------------------------- showing


def examples(records: Records, split: Split, count: int = 6) -> list[Moments]:
    """Answers to the first questions about the first clip, with the truth, for a figure."""
    clip = split.queries[0].clip_uid
    pairs = [(q, r) for q, r in zip(split.queries, records, strict=True) if q.clip_uid == clip]
    return [moments(query, record) for query, record in pairs[:count]]


def table(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """One row for each evaluation."""
    import pandas as pd

    rows = {name: {**e.summary(), "questions": e.evaluated} for name, e in evaluations.items()}
    return pd.DataFrame(rows).T.astype({"questions": int})


def recorded_real_baseline() -> pd.DataFrame:
    """The blind baseline on the real validation set, as ``book/evidence/nlq_real.json`` has it."""
    import pandas as pd

    evidence = read_json(project_root() / "book" / "evidence" / "nlq_real.json", dict)
    table = pd.DataFrame(evidence["baseline"]["val"]).T
    return table.infer_objects()


def nested(scored: Mapping[str, Mapping[str, Evaluation]]) -> dict[str, Any]:
    """The configured way's metrics by split, for ``result.json``."""
    return {split: evaluation.summary() for split, evaluation in scored[""].items()}
