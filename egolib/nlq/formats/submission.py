"""The challenge's prediction file: writing it, and checking it before it is uploaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import read_json, read_jsonl, suffix_of, write_json
from egolib.io.schema import validated
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.schema import Submission
from egolib.nlq.data.truth import Truth, read_questions
from egolib.report.results import Moments

if TYPE_CHECKING:
    import pandas as pd

VERSION = "1.0"
CHALLENGE = "ego4d_nlq_challenge"
MOST_WINDOWS = 10


def prediction(query: Query, segments_sec: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """The record of one question: windows (K, 2) and scores (K,), best first.

    The challenge wants at least one window: where no candidate was found, that is the
    whole clip with score 0. Official behaviour: such a question stops the evaluation.

    Args:
        query: the question.
        segments_sec: (K, 2) windows in seconds, best first.
        scores: (K,) their scores.
    """
    windows = np.column_stack([segments_sec, scores]).astype(float).tolist()
    return {
        "query_idx": query.index,
        "annotation_uid": query.annotation_uid,
        "predicted_times": windows or [[0.0, float(query.duration_sec), 0.0]],
        "clip_uid": query.clip_uid,
    }


def moments(query: Query, record: Mapping[str, Any]) -> Moments:
    """The inverse of ``prediction``: the ranked windows of one question, for figures.

    Windows without a score get their rank's inverse.
    """
    windows = record["predicted_times"]
    scores = [w[2] if len(w) > 2 else 1 / rank for rank, w in enumerate(windows, start=1)]
    return Moments(
        question=query.text,
        segments_sec=np.array([w[:2] for w in windows], float).reshape(-1, 2),
        scores=np.array(scores, float),
        duration_sec=query.duration_sec,
        truth_sec=None if query.windows_sec is None else np.array(query.windows_sec, float),
    )


def table(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The best window of each record: ``start_sec``, ``end_sec``, ``length_sec``, ``score``."""
    import pandas as pd

    columns = ["start_sec", "end_sec", "score"]
    best = pd.DataFrame([r["predicted_times"][0] for r in records], columns=columns)
    return best.assign(length_sec=best["end_sec"] - best["start_sec"])


def write(path: str | Path, results: Iterable[Mapping[str, Any]]) -> Path:
    """Writes prediction records; of each the first 10 windows, as the official saver does."""
    kept = [{**r, "predicted_times": r["predicted_times"][:MOST_WINDOWS]} for r in results]
    return write_json(path, {"version": VERSION, "challenge": CHALLENGE, "results": kept})


def read_content(path: str | Path) -> Any:
    """The JSON value of a submission file; of JSON lines (``.jsonl``) each is a prediction."""
    if suffix_of(path) == ".jsonl":
        return {"version": VERSION, "challenge": CHALLENGE, "results": read_jsonl(path)}
    return read_json(path, dict)


def read(path: str | Path) -> list[dict[str, Any]]:
    """The prediction records of a submission file."""
    content: Any = validated(Submission, read_content(path), file=path)
    results: list[dict[str, Any]] = content["results"]
    return results


def validate(
    content: Any, truth: Truth | None = None, *, file: str | Path | None = None
) -> list[str]:
    """Checks a submission as the challenge's server would, and more.

    Args:
        content: the JSON value.
        truth: of the split's annotations (those without answers do); None checks the
            form alone.
        file: where the value comes from, for errors.

    Returns:
        Warnings, of what the server accepts and nobody can want, such as inverted windows,
        more than 10 windows.

    Raises:
        EgolibError: the first wrong record, by number and name.
    """
    if not isinstance(content, dict):
        raise EgolibError("the file holds no JSON object", file=file)
    for name, value in (("version", VERSION), ("challenge", CHALLENGE)):
        if content.get(name) != value:
            raise EgolibError(f"{name} is {content.get(name)!r}, it must be {value!r}", file=file)
    content = validated(Submission, content, file=file)
    warnings: list[str] = []
    seen: set[tuple[str, str, int]] = set()
    for number, record in enumerate(content["results"]):
        problem = _misplaced(record, truth, seen)
        if problem:
            raise EgolibError(problem, file=file, record=_name(number, record))
        seen.add((record["clip_uid"], record["annotation_uid"], record["query_idx"]))
        warnings += [f"record {_name(number, record)}: {w}" for w in _oddities(record, truth)]
    if truth is not None:
        _require_all(seen, truth, file)
    return warnings


def validate_file(submission: str | Path, truth: str | Path | None = None) -> str:
    """``validate`` for files; returns a sentence, and the warnings on lines of their own.

    Args:
        submission: the file to check.
        truth: the split's official annotations, or JSON lines; answers may be lacking.
    """
    known = None if truth is None else read_questions(truth)
    warnings = validate(read_content(submission), known, file=submission)
    count = len(read(submission))
    checked = "form checked" if truth is None else "every question answered"
    return "\n".join([f"valid: {count} predictions, {checked}", *warnings])


def _name(number: int, record: Mapping[str, Any]) -> str:
    return f"{number} ({record.get('annotation_uid')}_{record.get('query_idx')})"


def _misplaced(
    record: Mapping[str, Any], truth: Truth | None, seen: set[tuple[str, str, int]]
) -> str:
    """Whether a record answers a question that does not exist or was answered already."""
    clip, annotation, index = (record[n] for n in ("clip_uid", "annotation_uid", "query_idx"))
    if (clip, annotation, index) in seen:
        return "this question was answered before"
    if truth is None:
        return ""
    if (clip, annotation) not in truth.rows:
        return f"clip {clip} with annotation {annotation} is not in the annotations"
    count = truth.rows[clip, annotation][1]
    return "" if 0 <= index < count else f"query_idx {index} is not below {count}"


def oddities(results: Iterable[Mapping[str, Any]], truth: Truth) -> list[str]:
    """Warnings about records of questions that ``truth`` has: windows that nobody can want."""
    return [
        f"record {_name(number, record)}: {oddity}"
        for number, record in enumerate(results)
        for oddity in _oddities(record, truth)
    ]


def _oddities(record: Mapping[str, Any], truth: Truth | None) -> Iterable[str]:
    windows: Sequence[Sequence[float]] = record["predicted_times"]
    inverted = sum(window[1] < window[0] for window in windows)
    if inverted:
        yield f"{inverted} windows end before they start"
    if truth is not None:
        first, _ = truth.rows[record["clip_uid"], record["annotation_uid"]]
        duration = float(truth.durations[first + record["query_idx"]])
        outside = sum(window[0] > duration + 1 for window in windows)
        if outside:
            yield (
                f"{outside} windows start after the clip, which has {duration:.0f} s: seconds are "
                "wanted, no frames and no milliseconds"
            )
    if len(windows) > MOST_WINDOWS:
        yield f"{len(windows)} windows, the first {MOST_WINDOWS} count"


def _require_all(seen: set[tuple[str, str, int]], truth: Truth, file: str | Path | None) -> None:
    """Every question that has a text must have an answer."""
    missing = [
        f"{annotation}_{index} (clip {clip})"
        for (clip, annotation), (first, count) in truth.rows.items()
        for index in range(count)
        if truth.asked[first + index] and (clip, annotation, index) not in seen
    ]
    if missing:
        raise EgolibError(
            f"{len(missing)} questions have no prediction, first {missing[0]}",
            file=file,
            remedy="predict every question of the split, at least with one window",
        )
