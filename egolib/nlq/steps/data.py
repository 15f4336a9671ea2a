"""``1_data``: from official annotations to the lists that training reads, and are the features fit?

Everything is written into the step's folder as JSON lines, as the official converter
writes them. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egolib.errors import EgolibError, nearest
from egolib.io.features import Provenance, open_store
from egolib.io.records import Skipped, read_text
from egolib.io.sources import sources as known_sources
from egolib.nlq.config import Config, DataConfig
from egolib.nlq.data import cues
from egolib.nlq.data.annotations import (
    Query,
    check_counts,
    check_queries,
    read_queries,
    statistics,
    without_text,
    write_queries,
)
from egolib.nlq.data.narrations import narration_queries, read_egoclip, read_training_clips
from egolib.nlq.data.stores import (
    StoreReport,
    check_text_store,
    check_video_store,
    find_file,
    look_for,
    open_video_store,
)
from egolib.nlq.localization import baseline
from egolib.nlq.localization.baseline import Baseline, recorded_real_baseline
from egolib.nlq.localization.blind import fit as fit_intervals
from egolib.nlq.steps.questions import official_files, write_questions
from egolib.report.source import show
from egolib.runs.step import Step

if TYPE_CHECKING:
    import pandas as pd

OFFICIAL = {
    "train": "nlq_train.json",
    "val": "nlq_val.json",
    "test": "nlq_test_unannotated.json",
    "moments": "moments_train.json",
    "vq": "vq_train.json",
}
SPLITS = ("train", "val", "test")
NARRATED = "train+narrations"
MADE_LATER = (
    "features are made for these questions (vlp, variant nlq_questions); training reads them"
)

__all__ = [
    "fit_intervals",
    "recorded_real_baseline",
    "show",
]  # what the notebook takes from elsewhere


@dataclass(frozen=True)
class QuestionList:
    """One list of questions, as it was written.

    Args:
        queries: its records.
        path: the JSON-lines file.
        source: the file or files that it comes from.
        equals_published: whether its lines are those of the published file; None where
            there is nothing to compare.
        notes: what stands out.
    """

    queries: list[Query]
    path: Path
    source: str
    equals_published: bool | None = None
    notes: list[str] = field(default_factory=list)


Lists = dict[str, QuestionList]
Reports = Mapping[str, StoreReport | str]


@dataclass(frozen=True)
class Prepared:
    """What ``1_data`` made and found.

    Args:
        lists: the questions by list.
        reports: what each feature store is fit for; a sentence where one is absent.
        blind: how far fixed intervals get on the validation set, by family.
        version: of the annotations.
    """

    lists: Lists
    reports: Reports
    blind: dict[str, Baseline]
    version: str


def sources() -> pd.DataFrame:
    """Where the real files come from."""
    import pandas as pd

    pd.set_option("display.max_colwidth", 120)
    return known_sources("nlq")


def prepare(step: Step[Config]) -> Prepared:
    """Writes lists and stores, checks the features, and fits the blind baseline.

    Raises:
        EgolibError: a needed file is absent or malformed, or a count is not the
            published one.
    """
    lists = convert(step)
    make_stores(step, lists)
    data = step.config.data
    if step.config.model.span is not None:
        names = {split: official_file(data, split) for split in SPLITS}
        files = official_files(step, names)
        write_questions(step, files, {"train": narrated(lists[data.train].queries)})
    found = baseline.families(lists[prior_list(data)].queries, lists["val"].queries)
    return Prepared(lists, check_stores(step, lists), found, data.version)


def official_file(data: DataConfig, name: str) -> str:
    """The path of an official annotation file below the data root."""
    return f"{data.annotations}/{OFFICIAL[name]}"


def prior_list(data: DataConfig) -> str:
    """The list that fixed intervals are fitted on: questions, where there are any."""
    return "train" if data.train == NARRATED else data.train


def narrated(queries: Sequence[Query]) -> list[Query]:
    """Those of some questions that are narrations."""
    return [query for query in queries if query.query_type == "nlq_narration"]


def list_file(data: DataConfig, name: str) -> str:
    """The file name of a list, as published."""
    kind = "narrations_nlq" if name == "narrations" else f"nlq_{name}"
    return f"ego4d_{kind}_{data.version}.jsonl"


# ------------------------------------------------------------------------ converting


def convert(step: Step[Config]) -> Lists:
    """Writes the lists of this configuration: train, val, test and the one to train on.

    A split whose official file is absent is read from the published JSON lines.

    Raises:
        EgolibError: a needed file is absent or malformed, or a count is not the
            published one.
    """
    data = step.config.data
    lists = {name: found for name in SPLITS if (found := _split(step, name)) is not None}
    if data.train == "train+val":
        lists["train+val"] = _joined(step, lists)
    if data.train == "narrations":
        lists["narrations"] = _narrations(step)
    if data.train == NARRATED:
        lists[NARRATED] = _with_narrations(step, lists)
    for name in (data.train, "val"):
        if name not in lists:
            raise EgolibError(
                f"neither the official file nor the published list of {name!r} is there",
                file=step.data_root,
                remedy="see the table of sources, and --data-root",
            )
    return lists


def _split(step: Step[Config], name: str) -> QuestionList | None:
    """One split; None where neither form of it is there."""
    data, root = step.config.data, step.data_root
    official = look_for(root, official_file(data, name))
    published = look_for(root, f"{data.published}/{list_file(data, name)}")
    source = official or published
    if source is None:
        return None
    queries = read_queries(source)
    path = write_queries(step.out / list_file(data, name), queries)
    notes = [] if official else ["official file absent, the published list was read"]
    if data.counts == "published":
        notes += check_counts(queries, name, data.version)
    compared = None
    if official and published:  # some of the published files have Windows line ends
        compared = read_text(path).splitlines() == read_text(published).splitlines()
    notes += check_queries(queries, source) + without_text(source)
    return QuestionList(queries, path, str(source.relative_to(root)), compared, notes)


def _joined(step: Step[Config], lists: Lists) -> QuestionList:
    """Train, then val, as the published fine-tuning reads them."""
    queries = [query for name in ("train", "val") for query in lists[name].queries]
    path = write_queries(step.out / list_file(step.config.data, "train+val"), queries)
    notes = ["holds the validation set: scores on val say nothing about new questions"]
    return QuestionList(queries, path, "train, val", notes=notes)


def _narrations(step: Step[Config]) -> QuestionList:
    """EgoClip's narrations in the training clips, as questions."""
    data, skipped = step.config.data, Skipped()
    table = find_file(step.data_root, data.narrations)
    files = [
        find_file(step.data_root, official_file(data, name)) for name in ("train", "moments", "vq")
    ]
    queries = narration_queries(read_egoclip(table, skipped), read_training_clips(*files))
    path = write_queries(step.out / list_file(data, "narrations"), queries)
    notes = [skipped.summary()] if len(skipped) else []
    source = ", ".join(file.name for file in (table, *files))
    return QuestionList(queries, path, source, notes=notes + check_queries(queries, table))


def _with_narrations(step: Step[Config], lists: Lists) -> QuestionList:
    """The training questions, then the narrations of their clips."""
    questions, said = lists["train"].queries, _narrations(step)
    clips = {query.clip_uid for query in questions}
    queries = [*questions, *(query for query in said.queries if query.clip_uid in clips)]
    path = write_queries(step.out / list_file(step.config.data, NARRATED), queries)
    return QuestionList(queries, path, f"train, {said.source}", notes=said.notes)


def read_list(step: Step[Config], name: str) -> list[Query]:
    """A list that ``1_data`` wrote, for the later steps.

    Raises:
        EgolibError: it was not written.
    """
    folder = step.input("data")
    file = folder / list_file(step.config.data, name)
    if not file.is_file():
        known = [f.name for f in folder.glob("*.jsonl")]
        raise EgolibError(f"1_data wrote no list {name!r}", file=file, remedy=nearest(name, known))
    return read_queries(file)


# ---------------------------------------------------------------------------- stores


def make_stores(step: Step[Config], lists: Lists) -> list[Path]:
    """The stores that the configuration wants to be made here, in the step's folder."""
    queries = [query for each in lists.values() for query in each.queries]
    return [cues.make(step, name, queries) for name in step.config.data.made]


def roots(step: Step[Config]) -> tuple[Path, ...]:
    """Where stores are looked for: below the data root, then where ``1_data`` made some."""
    made = step.out if step.name == "1_data" else step.input("data")
    return (step.data_root, made)


def made_later(step: Step[Config]) -> bool:
    """Whether features are made for the very questions that ``1_data`` writes, as VSLNet's are."""
    return step.config.model.span is not None and "features" not in step.inputs


def check_stores(step: Step[Config], lists: Lists) -> dict[str, StoreReport | str]:
    """A report for each store of the configuration; a sentence where one is absent."""
    data = step.config.data
    if made_later(step):
        return {"questions": MADE_LATER}
    used = {name: each.queries for name, each in lists.items() if name in (data.train, *SPLITS[1:])}
    everything = [query for queries in used.values() for query in queries]
    reports: dict[str, StoreReport | str] = {}
    missing = [name for name in data.video_stores if look_for(roots(step), name) is None]
    if missing:
        reports["video"] = _absent(missing[0])
    else:
        store = open_video_store(roots(step), data)
        reports["video"] = check_video_store(
            store, everything, fps=data.fps, stride_frames=data.stride_frames
        )
    first = dict.fromkeys(data.text_stores[:1] + data.evaluation_text_stores[:1])
    for number, name in enumerate(first):
        asked = used[data.train] if number == 0 and len(first) > 1 else everything
        reports[f"text: {name}"] = _check_text(step, name, asked)
    return reports


def _check_text(step: Step[Config], name: str, queries: list[Query]) -> StoreReport | str:
    found = look_for(roots(step), name)
    if found is None:
        return _absent(name)
    return check_text_store(open_store(found, Provenance(kind="text", width=0)), queries)


def _absent(name: str) -> str:
    return f"{name} is absent: annotations can be read, training and inference need it"


def require_usable(reports: Reports, *, absent_is_fine: bool) -> None:
    """Raises EgolibError where training would fail for the features' sake."""
    for report in reports.values():
        if isinstance(report, StoreReport):
            report.require_usable()
        elif not absent_is_fine:
            raise EgolibError(report)


# ---------------------------------------------------------------------------- tables


def table(prepared: Prepared) -> pd.DataFrame:
    """One row a list: where it comes from, how long it is, what stands out."""
    import pandas as pd

    answers = {True: "yes", False: "NO", None: "nothing to compare"}
    rows = {
        name: {
            "from": each.source,
            "questions": len(each.queries),
            "clips": len({query.clip_uid for query in each.queries}),
            "equals the published list": answers[each.equals_published],
            "notes": f"{len(each.notes)}: {each.notes[0]}" if each.notes else "",
        }
        for name, each in prepared.lists.items()
    }
    return pd.DataFrame(rows).T


def statistics_table(prepared: Prepared) -> pd.DataFrame:
    """What the questions, clips and answers of each list look like."""
    import pandas as pd

    return pd.DataFrame({name: describe(each.queries) for name, each in prepared.lists.items()})


def describe(queries: list[Query]) -> dict[str, Any]:
    """The statistics of a list by readable names."""
    found = statistics(queries)
    shortest, median, mean, longest = found.window_sec or (None,) * 4
    return {
        "questions": found.queries,
        "clips": found.clips,
        "questions a clip": round(found.queries_per_clip, 1),
        "longest question, words": found.most_words,
        "clip, shortest / median / longest, s": " / ".join(f"{x:g}" for x in found.clip_sec),
        "answer, shortest, s": shortest,
        "answer, median, s": median,
        "answer, mean, s": mean,
        "answer, longest, s": longest,
        "answers past the clip's end": found.windows_past_end,
    }


def blind_table(prepared: Prepared) -> pd.DataFrame:
    """How far one gets without looking, by family, on the validation set (percentages)."""
    return baseline.table(prepared.blind)


def questions(prepared: Prepared) -> dict[str, list[Query]]:
    """The questions by list, for figures."""
    return {name: own.queries for name, own in prepared.lists.items()}


def check(step: Step[Config], prepared: Prepared) -> None:
    """Raises EgolibError where the outcome is impossible or training could not follow.

    Absent features are fine on the real data: annotations can be looked at without.
    """
    for name, own in prepared.lists.items():
        if not own.queries:
            raise EgolibError(f"the list {name!r} is empty", file=own.path)
        if own.equals_published is False:
            raise EgolibError("converter and published list differ", file=own.path)
    if any(found.evaluation.coverage != 1 for found in prepared.blind.values()):
        raise EgolibError("the blind baseline did not answer every question")
    later = made_later(step) or step.preset == "paper"
    require_usable(prepared.reports, absent_is_fine=later)


def metrics(prepared: Prepared) -> dict[str, Any]:
    """The blind baseline's percentages by family."""
    found = {name: blind.evaluation.percentages() for name, blind in prepared.blind.items()}
    return {"blind": found}


def counts(prepared: Prepared) -> dict[str, Any]:
    """Version, questions and clips of each list, for ``result.json``."""
    found = {
        name: {"questions": len(each.queries), "clips": len({q.clip_uid for q in each.queries})}
        for name, each in prepared.lists.items()
    }
    return {"version": prepared.version, **found}


def report_text(reports: Reports) -> str:
    """All reports as a few lines for people."""
    return "\n\n".join(f"[{name}]\n{_lines(name, each)}" for name, each in reports.items())


def _lines(name: str, report: StoreReport | str) -> str:
    if isinstance(report, str):
        return report
    if name == "video" and report.stride is None:
        return f"{report.summary()}\nstride: clips of fewer than three lengths cannot tell it"
    return report.summary()
