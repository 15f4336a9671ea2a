"""The submission file of the VQ2D challenge: writer, and a validator like the server's."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError
from egolib.io.records import first_of, read_json, write_json
from egolib.io.schema import is_finite
from egolib.vq2d.data.annotations import Annotations, read_annotations
from egolib.vq2d.localization.tracks import Track

CHALLENGE = "ego4d_vq2d_challenge"
LARGEST = 1e6  # pixels; frames of a track are fewer, too
BOX_KEYS = {"fno", "x1", "x2", "y1", "y2"}
_box_values = itemgetter("fno", "x1", "x2", "y1", "y2")

Json = dict[str, Any]


# ------------------------------------------------------------------------- writing


def build_submission(annotations: Annotations, tracks: Mapping[str, Track]) -> Json:
    """The content of a submission: every query set of the annotation file, in its order.

    Args:
        annotations: whose query sets it answers.
        tracks: query key (``<annotation_uid>_<query_set>``) -> track. Query sets without
            one, and invalid ones, get no boxes and score 0.

    Raises:
        EgolibError: a track belongs to no query set of the file.
    """
    unused = set(tracks)
    videos = []
    for video in annotations.videos:
        clips = []
        for clip in video["clips"]:
            predictions = [_prediction(entry, tracks, unused) for entry in clip["annotations"]]
            clips.append({"clip_uid": clip["clip_uid"], "predictions": predictions})
        videos.append({"video_uid": video["video_uid"], "clips": clips})
    if unused:
        raise EgolibError(
            f"{len(unused)} tracks belong to no query of the annotations",
            file=annotations.file,
            record=sorted(unused)[0],
            remedy="use the annotation file that the queries came from",
        )
    return {"version": annotations.version, "challenge": CHALLENGE, "results": {"videos": videos}}


def write(path: str | Path, annotations: Annotations, tracks: Mapping[str, Track]) -> Path:
    """Builds, validates and writes a submission; returns its path.

    Args:
        path: of the file.
        annotations: whose query sets it answers.
        tracks: query key -> track, see ``build_submission``.
    """
    submission = build_submission(annotations, tracks)
    validate(submission, annotations, file=path)
    return write_json(path, submission)


def _prediction(annotation: Json, tracks: Mapping[str, Track], unused: set[str]) -> Json:
    uid = annotation["annotation_uid"]
    query_sets = {}
    for name, query in annotation["query_sets"].items():
        key = f"{uid}_{name}"
        valid = bool(query.get("is_valid"))
        track = tracks.get(key, Track.empty()) if valid else Track.empty()
        query_sets[name] = track.to_json()
        if valid:
            unused.discard(key)
    return {"query_sets": query_sets, "annotation_uid": uid}


# ---------------------------------------------------------------------- validating


def read(path: str | Path) -> Json:
    """A submission file as it is; see ``validate``."""
    result: Json = read_json(path, dict)
    return result


def validate_file(submission: str | Path, truth: str | Path | None = None) -> str:
    """``validate`` for files; returns a sentence, and the warnings on lines of their own.

    Args:
        submission: the file.
        truth: the split's official annotations, which may lack answers; without them only
            the form is checked.

    Raises:
        EgolibError: the first wrong record is named.
    """
    content = read(submission)
    if truth is None:
        count = validate_form(content, file=submission)
        first = f"form valid: {count} query sets, no truth given"
    else:
        annotations = read_annotations(truth)
        validate(content, annotations, file=submission)
        first = f"valid: {len(annotations.queries)} queries, every one answered"
    return "\n".join([first, *first_of(oddities(content))])


def validate_form(submission: Any, *, file: str | Path = "submission") -> int:
    """Checks all that can be checked without annotations; returns the number of query sets.

    Raises:
        EgolibError: the first wrong record is named.
    """
    check = _Check(file)
    _check_top(check, submission)
    count = 0
    for video in submission["results"]["videos"]:
        check.fields(video, {"video_uid": str, "clips": list}, "video")
        for clip in video["clips"]:
            name = f"video {video['video_uid']}"
            check.fields(clip, {"clip_uid": (str, type(None)), "predictions": list}, name)
            for prediction in clip["predictions"]:
                _check_prediction(check, prediction, f"clip {clip['clip_uid']}")
                for key, entry in prediction["query_sets"].items():
                    _check_track(check, entry, f"{prediction['annotation_uid']}_{key}")
                    count += 1
    return count


def oddities(submission: Json) -> list[str]:
    """Warnings about answers of a checked submission that the official evaluator takes as they
    are: boxes that end before they start."""
    found = []
    for video in submission["results"]["videos"]:
        for prediction in (p for clip in video["clips"] for p in clip["predictions"]):
            for name, entry in prediction["query_sets"].items():
                wrong = [b for b in entry["bboxes"] if b["x2"] < b["x1"] or b["y2"] < b["y1"]]
                if wrong:
                    query = f"query {prediction['annotation_uid']}_{name}"
                    found.append(f"{query}: {len(wrong)} boxes end before they start")
    return found


def validate(submission: Any, annotations: Annotations, *, file: str | Path = "submission") -> None:
    """Checks all that the challenge server asserts, and that the numbers can be evaluated.

    The version must be that of the annotation file. (The official stand-alone script
    demands "1.0" and stops on an argument that it does not define.)

    Args:
        submission: the content of the file.
        annotations: of the split.
        file: named in errors.

    Raises:
        EgolibError: the first wrong record is named.
    """
    check = _Check(file)
    _check_top(check, submission)
    check.equal(submission["version"], annotations.version, "version", "top level")
    videos = submission["results"]["videos"]
    check.count(videos, annotations.videos, "videos", "results")
    for video, true_video in zip(videos, annotations.videos, strict=True):
        name = f"video {true_video['video_uid']}"
        check.fields(video, {"video_uid": str, "clips": list}, name)
        check.equal(video["video_uid"], true_video["video_uid"], "video_uid", name)
        check.count(video["clips"], true_video["clips"], "clips", name)
        for clip, true_clip in zip(video["clips"], true_video["clips"], strict=True):
            _check_clip(check, clip, true_clip)


def _check_top(check: _Check, submission: Any) -> None:
    check.fields(submission, {"version": str, "challenge": str, "results": dict}, "top level")
    check.equal(submission["challenge"], CHALLENGE, "challenge", "top level")
    check.fields(submission["results"], {"videos": list}, "results")


def _check_prediction(check: _Check, prediction: Any, name: str) -> None:
    check.fields(prediction, {"annotation_uid": str, "query_sets": dict}, name)


def _check_clip(check: _Check, clip: Any, truth: Json) -> None:
    name = f"clip {truth['clip_uid']}"
    check.fields(clip, {"clip_uid": (str, type(None)), "predictions": list}, name)
    check.equal(clip["clip_uid"], truth["clip_uid"], "clip_uid", name)
    check.count(clip["predictions"], truth["annotations"], "predictions", name)
    for prediction, annotation in zip(clip["predictions"], truth["annotations"], strict=True):
        name = f"annotation {annotation['annotation_uid']}"
        _check_prediction(check, prediction, name)
        uid = annotation["annotation_uid"]
        check.equal(prediction["annotation_uid"], uid, "annotation_uid", name)
        valid = {k for k, query in annotation["query_sets"].items() if query.get("is_valid")}
        given = {k for k in prediction["query_sets"] if k in valid}
        unknown = set(prediction["query_sets"]) - set(annotation["query_sets"])
        check.equal(sorted(given), sorted(valid), "valid query sets", name)
        check.equal(sorted(unknown), [], "unknown query sets", name)
        for key, entry in prediction["query_sets"].items():
            _check_track(check, entry, f"query {uid}_{key}")


def _check_track(check: _Check, entry: Any, name: str) -> None:
    check.fields(entry, {"bboxes": list, "score": (int, float)}, name)
    if not is_finite(entry["score"]):
        check.fail(f"the score is {entry['score']}", name)
    try:
        values = [_box_values(box) for box in entry["bboxes"]]
        kinds = {type(value) for row in values for value in row}
    except (KeyError, TypeError):
        kinds = {object}
    if not kinds <= {int, float}:
        _check_boxes(check, entry["bboxes"], name)
    if not all(is_finite(value) for row in values for value in row):
        check.fail("a box has a coordinate that is not finite (NaN or infinity)", name)
    if any(abs(value) > LARGEST for row in values for value in row):
        check.fail(f"a box goes further than any picture: more than {LARGEST:g} pixels", name)
    if any(row[0] < 0 or row[0] != int(row[0]) for row in values):
        check.fail("fno counts frames: whole numbers from 0 are wanted", name)
    frames = sorted(row[0] for row in values)
    if any(b - a != 1 for a, b in pairwise(frames)):
        check.fail("the frames of the track are not contiguous", name)


def _check_boxes(check: _Check, boxes: list[Any], name: str) -> None:
    """Names the first box that is not one."""
    for box in boxes:
        if not isinstance(box, dict) or not box.keys() >= BOX_KEYS:
            check.fail(f"a box needs the fields {sorted(BOX_KEYS)}, found {box}", name)
        if any(type(box[key]) not in (int, float) for key in BOX_KEYS):
            check.fail(f"a box holds something that is no number: {box}", name)


class _Check:
    """Assertions whose messages name the file and the record."""

    def __init__(self, file: str | Path):
        self.file = file

    def fail(self, what: str, record: str) -> None:
        raise EgolibError(
            what,
            file=self.file,
            record=record,
            remedy="write the file with egolib.vq2d.formats.submission.write",
        )

    def fields(self, value: Any, wanted: Mapping[str, Any], record: str) -> None:
        if not isinstance(value, dict):
            self.fail(f"expected an object, found {type(value).__name__}", record)
        for name, kind in wanted.items():
            if name not in value:
                self.fail(f"field {name!r} is missing", record)
            if not isinstance(value[name], kind) or isinstance(value[name], bool):
                self.fail(f"field {name!r} is a {type(value[name]).__name__}", record)

    def equal(self, found: Any, wanted: Any, what: str, record: str) -> None:
        if found != wanted:
            self.fail(f"{what}: expected {wanted!r}, found {found!r}", record)

    def count(self, found: list[Any], wanted: list[Any], what: str, record: str) -> None:
        if len(found) != len(wanted):
            self.fail(f"{len(found)} {what}, the annotations have {len(wanted)}", record)
