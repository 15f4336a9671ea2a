"""How far fixed intervals get, scored: on a run's own questions, and on the real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egolib.config import project_root
from egolib.io.records import read_json
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.truth import Truth, truth_of
from egolib.nlq.evaluation import Evaluation, evaluate, table_of
from egolib.nlq.localization import blind

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Baseline:
    """Fixed intervals and how they score.

    Args:
        prior: the intervals.
        evaluation: of some split.
    """

    prior: blind.Prior
    evaluation: Evaluation


def best(train: Sequence[Query], asked: Sequence[Query], truth: Truth) -> Baseline:
    """The family that answers most questions of one list, scored on other questions.

    Args:
        train: what the intervals are fitted on.
        asked: the questions to answer.
        truth: their answers.
    """
    prior = blind.fit_best(train)
    return Baseline(prior, evaluate(blind.predict(prior, asked), truth))


def families(train: Sequence[Query], val: Sequence[Query]) -> dict[str, Baseline]:
    """The best fixed intervals of each family, fitted on one list and scored on another."""
    truth = truth_of(val)
    priors = {family: blind.fit(train, family) for family in blind.FAMILIES}
    return {
        family: Baseline(prior, evaluate(blind.predict(prior, val), truth))
        for family, prior in priors.items()
    }


def table(found: Mapping[str, Baseline]) -> pd.DataFrame:
    """One row a family: its first interval, and the scores of all five (percentages)."""
    rows = table_of({family: each.evaluation for family, each in found.items()})
    return rows.assign(**{"first interval": [str(each.prior) for each in found.values()]})


def recorded_real_baseline() -> pd.DataFrame:
    """The blind baseline on the real validation set, as ``book/evidence/nlq_real.json`` has it."""
    import pandas as pd

    evidence = read_json(project_root() / "book" / "evidence" / "nlq_real.json", dict)
    return pd.DataFrame(evidence["baseline"]["val"]).T.infer_objects()
