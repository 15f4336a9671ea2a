"""Result files and the challenge's submission: writing them, and checking them first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from egolib.errors import EgolibError, nearest
from egolib.io.records import read_json, write_json
from egolib.io.schema import validated
from egolib.mq.config import Layout
from egolib.mq.data.annotations import Clip, read_annotations
from egolib.mq.data.schema import Answers

Kind = Literal["detection", "retrieval"]

VERSION = "1.0"
CHALLENGE = "ego4d_moment_queries"
SECTIONS: dict[Kind, str] = {"detection": "detect_results", "retrieval": "retrieve_results"}
MOST_PREDICTIONS = 200
SLACK_SEC = 0.1  # times are rounded to that

Results = Mapping[str, Sequence[Mapping[str, Any]]]


def file_name(kind: Kind, layout: Layout = "egovlpv2") -> str:
    """The official name of a result file (EgoVLPv2 spells one of them differently)."""
    if kind == "detection":
        return "detections_postNMS.json"
    return "retreival_postNMS.json" if layout == "egovlpv2" else "retrieval_postNMS.json"


# ----------------------------------------------------------------------------- writing


def result_file(results: Results) -> dict[str, Any]:
    """The content of ``detections_postNMS.json`` or its retrieval twin."""
    return {"version": "EGO4D", "results": dict(results), "external_data": {}}


def merge_submission(detections: Results, retrievals: Results) -> dict[str, Any]:
    """The content of a submission: both answers in one file."""
    return {
        "version": VERSION,
        "challenge": CHALLENGE,
        SECTIONS["detection"]: dict(detections),
        SECTIONS["retrieval"]: dict(retrievals),
    }


def write_results(path: str | Path, results: Results) -> Path:
    """Writes a result file."""
    return write_json(path, result_file(results))


def write(path: str | Path, detections: Results, retrievals: Results) -> Path:
    """Writes a submission file.

    Args:
        path: the file.
        detections: by clip uid, the class unknown.
        retrievals: by clip uid, for the classes that are asked for.
    """
    return write_json(path, merge_submission(detections, retrievals))


# ----------------------------------------------------------------------------- reading


def read_results(path: str | Path) -> dict[str, Any]:
    """The answers of a result file by clip uid, every record checked.

    Raises:
        EgolibError: the first wrong record, by clip and number.
    """
    return _checked(read_json(path, dict), "results", path)


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Detections and retrievals of a submission file, every record checked.

    Raises:
        EgolibError: the first wrong record, by section, clip and number.
    """
    content = read_json(path, dict)
    detections, retrievals = (_checked(content, name, path) for name in SECTIONS.values())
    return detections, retrievals


def _checked(content: Mapping[str, Any], section: str, file: str | Path | None) -> dict[str, Any]:
    if not isinstance(content.get(section), dict):
        raise EgolibError(
            f"field {section!r} is missing or no object",
            file=file,
            remedy=nearest(section, content),
        )
    results: dict[str, Any] = validated(Answers, content[section], file=file, path=section)
    return results


# -------------------------------------------------------------------------- validation


def validate(
    content: Any,
    clips: Iterable[Clip] | None = None,
    classes: Iterable[str] | None = None,
    *,
    file: str | Path | None = None,
) -> list[str]:
    """Checks a submission as the challenge's server would, and more.

    Args:
        content: the JSON value.
        clips: of the split (those without moments do); None checks the form alone.
        classes: known class names; None allows all.
        file: named in errors.

    Returns:
        Warnings, of what the server accepts and nobody can want, such as moments that end before
        they start or lie outside their clip, more answers than count.

    Raises:
        EgolibError: the first wrong record, a clip without an entry, an unknown clip or class.
    """
    if not isinstance(content, dict):
        raise EgolibError("the file holds no JSON object", file=file)
    for name, value in (("version", VERSION), ("challenge", CHALLENGE)):
        if content.get(name) != value:
            raise EgolibError(f"{name} is {content.get(name)!r}, it must be {value!r}", file=file)
    known = None if clips is None else {clip.clip_uid: clip.duration_sec for clip in clips}
    names = None if classes is None else set(classes)
    warnings: list[str] = []
    for section in SECTIONS.values():
        results = _checked(content, section, file)
        _require_clips(results, known, section, file)
        for uid, records in results.items():
            at = f"{section}.{uid}"
            _require_classes(records, names, at, file)
            duration = None if known is None else known[uid]
            warnings += [f"{at}: {oddity}" for oddity in _oddities(records, duration)]
    return warnings


def oddities(
    clips: Iterable[Clip], detections: Results | None, retrievals: Results | None
) -> list[str]:
    """Warnings about answers that nobody can want.

    Args:
        clips: of the split.
        detections: by clip uid.
        retrievals: by clip uid.
    """
    known = {clip.clip_uid: clip.duration_sec for clip in clips}
    parts = zip(SECTIONS.values(), (detections, retrievals), strict=True)
    return [
        f"{section}.{uid}: {oddity}"
        for section, results in parts
        for uid, records in (results or {}).items()
        for oddity in _oddities(records, known.get(uid))
    ]


def validate_file(
    submission: str | Path,
    truth: str | Path | None = None,
    *,
    clips: Iterable[Clip] | None = None,
    classes: Iterable[str] | None = None,
) -> str:
    """``validate`` for a file; returns a sentence, and the warnings on lines of their own.

    Args:
        submission: the file.
        truth: annotations of the split (they may lack moments): an official file, or a
            ``clip_annotations.json``.
        clips: of the split, in place of ``truth``.
        classes: known class names; None allows all.
    """
    content = read_json(submission)
    if truth is not None:
        clips = read_annotations(truth)
    clips = None if clips is None else list(clips)
    warnings = validate(content, clips, classes, file=submission)
    counts = [sum(map(len, content[section].values())) for section in SECTIONS.values()]
    checked = "form checked" if clips is None else f"all {len(clips)} clips answered"
    first = f"valid: {counts[0]} detections, {counts[1]} retrievals, {checked}"
    return "\n".join([first, *warnings])


def _require_clips(
    results: Results, known: Mapping[str, float] | None, section: str, file: str | Path | None
) -> None:
    if known is None:
        return
    for uid in results:
        if uid not in known:
            raise EgolibError(
                "this clip is not in the annotations",
                file=file,
                record=f"{section}.{uid}",
                remedy=nearest(uid, known),
            )
    missing = [uid for uid in known if uid not in results]
    if missing:
        raise EgolibError(
            f"{len(missing)} clips have no entry, first {missing[0]}",
            file=file,
            record=section,
            remedy="answer every clip of the split, at least with an empty list",
        )


def _require_classes(
    records: Sequence[Mapping[str, Any]],
    names: set[str] | None,
    at: str,
    file: str | Path | None,
) -> None:
    for number, record in enumerate(records):
        if names is not None and record["label"] not in names:
            raise EgolibError(
                f"unknown class {record['label']!r}",
                file=file,
                record=f"{at}[{number}].label",
                remedy=nearest(record["label"], names),
            )


def _oddities(records: Sequence[Mapping[str, Any]], duration_sec: float | None) -> Iterable[str]:
    inverted = sum(end < start for start, end in (r["segment"] for r in records))
    if inverted:
        yield f"{inverted} moments end before they start"
    negative = sum(record["score"] < 0 for record in records)
    if negative:
        yield f"{negative} scores are negative"
    if len(records) > MOST_PREDICTIONS:
        yield f"{len(records)} answers; the official code writes at most {MOST_PREDICTIONS}"
    if duration_sec is not None:
        limit = duration_sec + SLACK_SEC
        outside = sum(
            start < -SLACK_SEC or end > limit for start, end in (r["segment"] for r in records)
        )
        if outside:
            yield f"{outside} moments reach outside the clip ({duration_sec:.1f} s)"
