"""Further foreign files of the same kinds: each is a good sample with one thing changed.

A case has a name, what is odd about it, its files, the command (``{dir}`` is its folder), and
the outcomes that are good; see ``test_cases``.
"""

# ruff: noqa: E501

from __future__ import annotations

import copy
import gzip
import io
import json
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.fuzz import samples

Want = dict[str, Any]
Json = Any


@dataclass(frozen=True)
class Case:
    """A command on foreign files.

    Args:
        name: of the case.
        about: what is odd.
        files: contents by name.
        command: arguments of ``egolib``.
        want: outcomes, one of which must hold.
    """

    name: str
    about: str
    files: dict[str, bytes]
    command: tuple[str, ...]
    want: tuple[Want, ...]


# ------------------------------------------------------------------------------- contents


def dumped(value: Json) -> bytes:
    return json.dumps(value).encode()


def lines(values: list[Json], end: str = "\n") -> bytes:
    return end.join(map(json.dumps, values)).encode()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def but(tree: Json, *changes: tuple[str, Any]) -> Json:
    """A copy with other values at paths (``videos.0.clips.0.clip_uid``); ``...`` drops one."""
    tree = copy.deepcopy(tree)
    for path, value in changes:
        *keys, last = path.split(".")
        place = tree
        for key in keys:
            place = place[_key(place, key)]
        if value is ...:
            del place[_key(place, last)]
        else:
            place[_key(place, last)] = value
    return tree


def _key(place: Json, text: str) -> Any:
    return int(text) if isinstance(place, list) else text


def error(*texts: str) -> Want:
    return {"error": list(texts)}


def said(*texts: str) -> Want:
    return {"text": list(texts)}


def gives(**values: Any) -> Want:
    return {"json": {name.replace("__", "/"): value for name, value in values.items()}}


def pair(verb: str, task: str, truth: str, predictions: str, *options: str) -> tuple[str, ...]:
    """``evaluate`` or ``validate`` of one file against another."""
    if verb == "validate":
        return ("validate", task, f"{{dir}}/{predictions}", "--truth", f"{{dir}}/{truth}")
    known = ("--truth", f"{{dir}}/{truth}", "--predictions", f"{{dir}}/{predictions}")
    return ("evaluate", task, *known, *(part for o in options for part in ("-o", o)))


Rows = list[tuple[str, str, Any, Any, tuple[Want, ...]]]


def cases_of(
    rows: Rows, task: str, truth: str, predictions: str, verb: str = "evaluate"
) -> list[Case]:
    """Cases of rows (name, about, truth, predictions, wants); bytes are taken as they are."""

    def content(value: Any) -> bytes:
        return value if isinstance(value, bytes) else dumped(value)

    return [
        Case(
            f"{task}-{name}",
            about,
            {truth: content(known), predictions: content(found)},
            pair(verb, task, truth, predictions),
            wants,
        )
        for name, about, known, found, wants in rows
    ]


# ------------------------------------------------------------------------------------ nlq

N, P = samples.nlq(), samples.nlq_submission()
RIGHT = {"json": {"metrics/R@1 IoU=0.5": 50.0}}
Q0, C0 = "videos.0.clips.0.annotations.0.language_queries.0", "videos.0.clips.0"
DEEP = b"[" * 200_000 + b"]" * 200_000
NLQ_ROWS: Rows = [
    ("good", "nothing", N, P, (RIGHT,)),
    ("crlf", "both files have Windows line ends", json.dumps(N, indent=1).replace("\n", "\r\n").encode(), json.dumps(P, indent=1).replace("\n", "\r\n").encode(), (RIGHT,)),
    ("utf-16", "a prediction file as PowerShell writes it", N, json.dumps(P).encode("utf-16"), (error("UTF-8"), RIGHT)),
    ("answered-twice", "a question is answered twice", N, but(P, ("results.1", P["results"][0])), ({"json": {"counts/duplicates": 1}}, error("results[1]"))),
    ("unanswered", "one question has no answer", N, but(P, ("results.3", ...)), ({"json": {"counts/missing": 1}}, error("ann1_1"))),
    ("index-as-text", "query_idx is the text 0", N, but(P, ("results.0.query_idx", "0")), (error("query_idx"),)),
    ("index-negative", "query_idx is -1, which Python would take for the last", N, but(P, ("results.0.query_idx", -1)), (error("query_idx"),)),
    ("uid-as-number", "0012 became the number 12", N, but(P, ("results.0.clip_uid", 12)), (error("clip_uid"),)),
    ("uid-without-zeros", "0012 became the text 12", N, but(P, ("results.0.clip_uid", "12")), (error("12"),)),
    ("huge-number", "a time of 400 digits", N, json.dumps(P).replace("9.0", "9" * 400).encode(), (error("finite"), error("predicted_times"))),
    ("endless-number", "a time of 10,000 digits", N, json.dumps(P).replace("9.0", "9" * 10_000).encode(), (error("pred.json"),)),
    ("nested", "lists in lists without end", N, DEEP, (error("pred.json"),)),
    ("truncated", "the download stopped", N, dumped(P)[:-40], (error("truncated"),)),
    ("web-page", "an error page was saved", b"<html>404 Not Found</html>", P, (error("truth.json"),)),
    ("empty-file", "the file is empty", N, b"", (error("pred.json"),)),
    ("truth-uid-null", "a clip has no uid", but(N, (f"{C0}.clip_uid", None)), P, (error("videos[0].clips[0].clip_uid"),)),
    ("truth-uid-number", "a clip's uid is a number", but(N, (f"{C0}.clip_uid", 12)), P, (error("clip_uid"),)),
    ("truth-time-text", "a time is a text", but(N, (f"{Q0}.clip_start_sec", "3.0")), P, (error("clip_start_sec"),)),
    ("truth-window-swapped", "the true window ends before it starts", but(N, (f"{Q0}.clip_end_sec", 1.0)), P, (said("ann0_0", "ends before it starts"), error("language_queries[0]"))),
    ("truth-half-a-window", "a question has a start and no end", but(N, (f"{Q0}.clip_end_sec", ...)), P, (error("language_queries[0]"), error("ann0_0"), said("ann0_0"))),
    ("truth-clip-reversed", "a clip stops before it starts", but(N, (f"{C0}.video_end_sec", -5.0)), P, (error("videos[0].clips[0]"),)),
    ("annotation-twice", "an annotation stands twice in its clip", but(N, (f"{C0}.annotations", N["videos"][0]["clips"][0]["annotations"] * 2)), P, (error("ann0"),)),
    ("queries-without-text", "a text is null: nobody is asked", but(N, (f"{Q0}.query", None)), P, (RIGHT, said("R@1"), error("ann0_0"))),
    ("scores-as-text", "the score of a window is a text", N, but(P, ("results.0.predicted_times.0.2", "0.9")), (error("predicted_times"),)),
    ("results-mapping", "results by query id instead of a list", N, {"results": {"ann0_0": P["results"][0]}}, (error("results"),)),
    ("bare-list", "the list of results alone", N, P["results"], (RIGHT, error("list"))),
    ("key-twice", "a key stands twice in one object, of which Python takes the last", N, dumped(P).replace(b'"query_idx": 0', b'"query_idx": 1, "query_idx": 0', 1), (error("query_idx", "twice"),)),
    ("version-missing", "no version and no challenge", N, {"results": P["results"]}, (RIGHT, error("version"))),
]  # fmt: skip
MS = but(P, *((f"results.{i}.predicted_times.0", [3000.0, 9000.0, 0.9]) for i in range(6)))
NLQ_CASES = [
    *cases_of(NLQ_ROWS, "nlq", "truth.json", "pred.json"),
    Case("nlq-lines", "predictions and truth as JSON lines", {"truth.jsonl": lines(samples.nlq_lines()), "pred.jsonl": lines(P["results"][::2])},
         pair("evaluate", "nlq", "truth.jsonl", "pred.jsonl"), ({"json": {"metrics/R@1 IoU=0.5": 100.0}},)),
    Case("nlq-lines-crlf", "the same with Windows line ends", {"truth.jsonl": lines(samples.nlq_lines(), "\r\n"), "pred.jsonl": lines(P["results"][::2], "\r\n")},
         pair("evaluate", "nlq", "truth.jsonl", "pred.jsonl"), ({"json": {"metrics/R@1 IoU=0.5": 100.0}},)),
    Case("nlq-lines-damaged", "a line of JSON lines is cut", {"truth.json": dumped(N), "pred.jsonl": lines(P["results"]).replace(b'"ann1"', b'"ann1', 1)},
         pair("evaluate", "nlq", "truth.json", "pred.jsonl"), (error("line 3"),)),
    Case("nlq-two-windows", "a question has two true windows", {"truth.jsonl": lines(but(samples.nlq_lines(), ("0.timestamps", [[100.0, 120.0], [3.0, 9.5]]))), "pred.json": dumped({"results": P["results"][::2]})},
         pair("evaluate", "nlq", "truth.jsonl", "pred.json"), ({"json": {"metrics/R@1 IoU=0.5": 100.0}}, error("ann0_0"))),
    Case("nlq-lines-gzip", "compressed JSON lines", {"truth.jsonl.gz": gzip.compress(lines(samples.nlq_lines())), "pred.jsonl.gz": gzip.compress(lines(P["results"][::2]))},
         pair("evaluate", "nlq", "truth.jsonl.gz", "pred.jsonl.gz"), ({"json": {"metrics/R@1 IoU=0.5": 100.0}},)),
    Case("nlq-gzip", "a compressed truth", {"truth.json.gz": gzip.compress(dumped(N)), "pred.json": dumped(P)}, pair("evaluate", "nlq", "truth.json.gz", "pred.json"), (RIGHT,)),
    Case("nlq-milliseconds", "windows in milliseconds are told", {"truth.json": dumped(N), "pred.json": dumped(MS)}, pair("validate", "nlq", "truth.json", "pred.json"), (said("seconds"),)),
    Case("nlq-milliseconds-scored", "evaluation tells of them, too", {"truth.json": dumped(N), "pred.json": dumped(MS)}, pair("evaluate", "nlq", "truth.json", "pred.json"), (said("seconds"),)),
    Case("nlq-untimed", "a question of the truth has no times", {"truth.jsonl": lines(but(samples.nlq_lines(), ("0.timestamps", ...))), "pred.json": dumped({"results": P["results"][::2]})},
         pair("evaluate", "nlq", "truth.jsonl", "pred.json"), (said("ann0_0"), error("ann0_0"))),
]  # fmt: skip

# ----------------------------------------------------------------------------------- vq2d

V, S = samples.vq(), samples.vq_submission()
VQ_RIGHT = {"json": {"metrics/stAP": 1.0}}
VQ0 = "videos.0.clips.0.annotations.0.query_sets.1"
S0 = "results.videos.0.clips.0.predictions.0.query_sets.1"
VQ_ROWS: Rows = [
    ("good", "nothing", V, S, (VQ_RIGHT,)),
    ("bom", "both files begin with a byte order mark", b"\xef\xbb\xbf" + dumped(V), b"\xef\xbb\xbf" + dumped(S), (VQ_RIGHT,)),
    ("uid-null", "a clip of both files has no uid", but(V, ("videos.0.clips.0.clip_uid", None)), but(S, ("results.videos.0.clips.0.clip_uid", None)), (VQ_RIGHT, said("no uid"), error("clip_uid"))),
    ("query-sets-null", "query_sets is null", but(V, ("videos.0.clips.0.annotations.0.query_sets", None)), S, (error("query_sets"),)),
    ("crop-null", "a query has no visual crop", but(V, (f"{VQ0}.visual_crop", None)), S, (error("visual_crop"), gives(counts__malformed=1))),
    ("frame-negative", "the query's frame is -1", but(V, (f"{VQ0}.query_frame", -1)), S, (error("query_frame"), gives(counts__malformed=1))),
    ("width-negative", "a true box has a negative width", but(V, (f"{VQ0}.response_track.0.width", -3.0)), S, (error("width"), gives(counts__malformed=1))),
    ("size-zero", "the annotated picture has no width", but(V, (f"{VQ0}.visual_crop.original_width", 0)), S, (error("original_width"), gives(counts__malformed=1))),
    ("rate-zero", "a clip has 0 frames a second", but(V, ("videos.0.clips.0.clip_fps", 0)), S, (error("clip_fps"),)),
    ("rate-text", "the rate is a text", but(V, ("videos.0.clips.0.clip_fps", "5")), S, (error("clip_fps"),)),
    ("clip-reversed", "a clip stops before it starts", but(V, ("videos.0.clips.0.video_end_sec", -1.0)), S, (error("videos[0].clips[0]"), error("0012"))),
    ("track-twice", "a frame stands twice in the true track", but(V, (f"{VQ0}.response_track.1.frame_number", 10)), S, (error("response_track"), gives(counts__malformed=1), error("ann0_1"))),
    ("score-nan", "a score is NaN", V, but(S, (f"{S0}.score", float("nan"))), (error("score"),)),
    ("score-text", "a score is a text", V, but(S, (f"{S0}.score", "0.9")), (error("score"),)),
    ("score-missing", "a prediction has no score", V, but(S, (f"{S0}.score", ...)), (error("score"),)),
    ("fno-text", "a frame number is a text", V, but(S, (f"{S0}.bboxes.0.fno", "10")), (error("fno"), error("number"))),
    ("fno-twice", "a frame stands twice in an answer", V, but(S, (f"{S0}.bboxes.1.fno", 10)), (error("contiguous"), error("twice"))),
    ("box-reversed", "a box ends before it starts, which the official evaluator takes: it is told", V, but(S, (f"{S0}.bboxes.0.x2", 1.0)), (said("end before they start"), error("x2"))),
    ("video-missing", "a video has no answer", V, but(S, ("results.videos.1", ...)), (error("videos"),)),
    ("videos-turned", "the videos are in another order", V, but(S, ("results.videos", S["results"]["videos"][::-1])), (error("v0"), VQ_RIGHT)),
    ("version-other", "the answers are of another version", V, but(S, ("version", "1.0")), (error("version"),)),
    ("version-number", "the version is a number", but(V, ("version", 1.0)), S, (error("version"),)),
    ("list", "the answers are a list", V, [S], (error("pred.json"),)),
]  # fmt: skip

# ------------------------------------------------------------------------------------ vod

D = samples.cocovid()
BOXES = samples.detection_arrays()
COCO = samples.coco_detections()
FOUND = npz(**BOXES)
AP = {"json": {"AP50": 1.0}}
VOD_NPZ: Rows = [
    ("good", "nothing", D, FOUND, (AP,)),
    ("image-twice", "two images have one id", but(D, ("images.1.id", 1)), FOUND, (error("images[1].id"),)),
    ("category-twice", "two categories have one id", but(D, ("categories.1.id", 1)), FOUND, (error("categories[1].id"),)),
    ("names-twice", "two categories have one name", but(D, ("categories.1.name", "mug")), FOUND, (error("mug"),)),
    ("video-unknown", "an image belongs to a video that is not there", but(D, ("images.0.video_id", 9)), FOUND, (error("video_id"),)),
    ("frame-missing", "an image of a video has no frame_id", but(D, ("images.1.frame_id", ...)), FOUND, (error("frame_id"),)),
    ("image-unknown", "an annotation is of no image", but(D, ("annotations.2.image_id", 77)), FOUND, (error("annotations[2].image_id"),)),
    ("image-id-text", "an image's id is a text", but(D, ("images.0.id", "1")), FOUND, (error("images[0].id"),)),
    ("box-of-three", "a box has three numbers", but(D, ("annotations.2.bbox", [4, 5, 20])), FOUND, (error("annotations[2].bbox"),)),
    ("box-infinite", "a box is infinitely wide", but(D, ("annotations.2.bbox.2", float("inf"))), FOUND, (error("annotations[2].bbox"),)),
    ("area-text", "an area is a text", but(D, ("annotations.2.area", "420")), FOUND, (error("annotations[2].area"),)),
    ("area-negative", "an area is negative", but(D, ("annotations.2.area", -1)), FOUND, (error("annotations[2].area"),)),
    ("crowd-two", "iscrowd is 2", but(D, ("annotations.2.iscrowd", 2)), FOUND, (error("annotations[2].iscrowd"),)),
    ("annotations-null", "annotations is null", but(D, ("annotations", None)), FOUND, (error("annotations"),)),
    ("images-mapping", "images by id instead of a list", but(D, ("images", {"1": D["images"][0]})), FOUND, (error("images"),)),
    ("height-text", "a height is a text", but(D, ("images.0.height", "48")), FOUND, (error("images[0].height"),)),
    ("score-negative", "a score is negative", D, npz(**BOXES | {"score": np.float32([-0.5, 0.9, 0.9, 0.8])}), (error("score"),)),
    ("score-percent", "scores are in per cent", D, npz(**BOXES | {"score": np.float32([90, 90, 90, 80])}), (error("score"), AP)),
    ("label-negative", "a label is -1", D, npz(**BOXES | {"label": np.array([-1, 1, 0, 1])}), (error("label"),)),
    ("label-fraction", "labels are fractions", D, npz(**BOXES | {"label": np.array([0.5, 1, 0, 1])}), (error("label"),)),
    ("box-reversed", "a box ends before it starts", D, npz(**BOXES | {"box": BOXES["box"][:, [2, 1, 0, 3]]}), (error("image 1"),)),
    ("class-lacking", "the results know one class", D, npz(**BOXES | {"class_names": np.array(["mug"]), "label": np.zeros(4, int)}), (error("class"),)),
    ("frame-beyond", "a detection's frame is beyond the images", D, npz(**BOXES | {"frame": np.array([0, 1, 2, 9])}), (error("frame"),)),
    ("objects", "an array holds Python objects", D, npz(**BOXES | {"score": np.array([None, 1, 1, 1], object)}), (error("pred.npz"),)),
    ("truncated", "the archive is cut", D, FOUND[:-200], (error("pred.npz"),)),
]  # fmt: skip
LISTS = samples.detections()
VOD_PICKLE: Rows = [
    ("pickle-wrapped", "as mmtracking wraps it", D, pickle.dumps({"det_bboxes": LISTS}), (AP,)),
    ("pickle-short", "a frame is missing", D, pickle.dumps(LISTS[:3]), (error("3 frames"),)),
    ("pickle-one-class", "a class is missing", D, pickle.dumps([frame[:1] for frame in LISTS]), (error("class"),)),
    ("pickle-nan-box", "a corner is NaN", D, pickle.dumps([[LISTS[0][0] * np.float32("nan"), LISTS[0][1]], *LISTS[1:]]), (error("NaN"),)),
    ("pickle-tensors-of-text", "an array of texts", D, pickle.dumps([[np.array([["a"] * 5]), LISTS[0][1]], *LISTS[1:]]), (error("frame 0"), error("pred.pkl"))),
]  # fmt: skip
VOD_JSON: Rows = [
    ("coco-good", "COCO's list", D, COCO, (AP,)),
    ("coco-shuffled", "COCO's list in another order", D, COCO[::-1], (AP,)),
    ("coco-id-text", "image ids are texts", D, but(COCO, ("0.image_id", "1")), (error("[0].image_id"),)),
    ("coco-image-unknown", "a detection of no image", D, but(COCO, ("0.image_id", 99)), (error("image 99"),)),
    ("coco-category-zero", "categories counted from 0", D, but(COCO, *((f"{i}.category_id", c["category_id"] - 1) for i, c in enumerate(COCO))), (error("category 0"),)),
    ("coco-nan", "a score is NaN", D, but(COCO, ("2.score", float("nan"))), (error("[2].score"),)),
    ("coco-null-box", "a box is null", D, but(COCO, ("2.bbox", None)), (error("[2].bbox"),)),
    ("coco-whole-file", "the annotations instead of results", D, D, (error("list"),)),
]  # fmt: skip
VOD_CASES = [
    *cases_of(VOD_NPZ, "vod", "truth.json", "pred.npz"),
    *cases_of(VOD_PICKLE, "vod", "truth.json", "pred.pkl"),
    *cases_of(VOD_JSON, "vod", "truth.json", "pred.json"),
    Case("vod-coco-gzip", "COCO's list, compressed", {"truth.json": dumped(D), "pred.json.gz": gzip.compress(dumped(COCO))}, pair("evaluate", "vod", "truth.json", "pred.json.gz"), (AP,)),
    Case("vod-coco-lines", "COCO's detections as JSON lines", {"truth.json": dumped(D), "pred.jsonl": lines(COCO)}, pair("evaluate", "vod", "truth.json", "pred.jsonl"), (AP,)),
]  # fmt: skip

# ------------------------------------------------------------------------------------ vlp

MCQ = samples.egomcq()
DUAL = samples.rows(3, 5).astype(np.float64)


def at(place: tuple[int, int], value: float) -> bytes:
    changed = DUAL.copy()
    changed[place] = value
    return npz(dual=changed)


VLP_ROWS: Rows = [
    ("good", "nothing", MCQ, npz(dual=DUAL), (said("dual"),)),
    ("nan", "a score is NaN, which argmax takes for the best", MCQ, at((1, 2), float("nan")), (error("dual"),)),
    ("infinite", "a score is infinite", MCQ, at((1, 2), float("inf")), (error("dual"),)),
    ("rows-lacking", "a question has no scores", MCQ, npz(dual=DUAL[:2]), (error("2 rows"),)),
    ("columns-lacking", "four scores for five choices", MCQ, npz(dual=DUAL[:, :4]), (error("4 columns"),)),
    ("turned", "choices by questions", MCQ, npz(dual=DUAL.T), (error("5 rows"),)),
    ("integers", "scores are integers", MCQ, npz(dual=DUAL.astype(int)), (error("int64"),)),
    ("other-name", "the array has another name", MCQ, npz(scores=DUAL), (error("dual"),)),
    ("answer-beyond", "an answer beyond the choices", but(MCQ, ("1.answer", 5)), npz(dual=DUAL), (error("answer"),)),
    ("answer-text", "an answer is a text", but(MCQ, ("1.answer", "1")), npz(dual=DUAL), (error("answer"),)),
    ("kind-unknown", "a question is of type 3", but(MCQ, ("1.types", 3)), npz(dual=DUAL), (error("types"),)),
    ("choices-null", "a question has no choices", but(MCQ, ("1.choices", None)), npz(dual=DUAL), (error("choices"),)),
    ("choices-fewer", "a question has four choices", but(MCQ, ("1.choices.4", ...)), npz(dual=DUAL), (error("choices"),)),
    ("clip-reversed", "a choice ends before it starts", but(MCQ, ("1.choices.0.clip_end", 0.0)), npz(dual=DUAL), (error("choices"),)),
    ("text-empty", "a choice has no text", but(MCQ, ("1.choices.0.clip_text", "")), npz(dual=DUAL), (error("clip_text"),)),
    ("uid-number", "a video's uid is a number", but(MCQ, ("1.choices.0.video_uid", 12)), npz(dual=DUAL), (error("video_uid"),)),
]  # fmt: skip

# ------------------------------------------------------------------------------------- mq

M, A, R = samples.moments(), samples.moment_submission(), samples.moment_results()
DETECTED = {"version": "EGO4D", "results": R, "external_data": {}}
MQ_RIGHT = said("average mAP", "Recall@1x")
L0 = "videos.0.clips.0.annotations.0.labels.0"
MQ_ROWS: Rows = [
    ("good", "nothing", M, A, (MQ_RIGHT,)),
    ("bom", "a byte order mark", b"\xef\xbb\xbf" + dumped(M), A, (MQ_RIGHT,)),
    ("score-nan", "a score is NaN", M, but(A, ("detect_results.0012.0.score", float("nan"))), (error("score"),)),
    ("score-text", "a score is a text", M, but(A, ("detect_results.0012.0.score", "0.9")), (error("score"),)),
    ("segment-of-three", "a segment has three numbers", M, but(A, ("detect_results.0012.0.segment", [1, 2, 3])), (error("segment"),)),
    ("segment-reversed", "a segment ends before it starts", M, but(A, ("detect_results.0012.0.segment", [8.0, 3.0])), (said("end before they start"), error("segment"))),
    ("segment-infinite", "a segment never ends", M, but(A, ("detect_results.0012.0.segment", [8.0, float("inf")])), (error("segment"),)),
    ("label-number", "a label is a number", M, but(A, ("detect_results.0012.0.label", 3)), (error("label"),)),
    ("class-unknown", "a detection of a class that no truth has is counted", M, but(A, ("detect_results.0012.0.label", "dance")), ({"json": {"unknown class": 1}}, error("dance"))),
    ("clip-missing", "a clip has no retrievals", M, but(A, ("retrieve_results.0012", ...)), (error("0012"),)),
    ("clip-unknown", "detections of a clip that is not there", M, but(A, ("detect_results.zzz", R["0012"])), (error("zzz"), {"json": {"unknown clip": 2}})),
    ("no-retrievals", "a submission without retrievals", M, but(A, ("retrieve_results", ...)), (error("retrieve_results"),)),
    ("results-null", "the results of a clip are null", M, but(A, ("detect_results.0012", None)), (error("0012"),)),
    ("truth-label-null", "a label is null", but(M, (f"{L0}.label", None)), A, (error("labels[0].label"),)),
    ("truth-time-nan", "a time is NaN", but(M, (f"{L0}.start_time", float("nan"))), A, (error("labels[0].start_time"),)),
    ("truth-reversed", "a true moment ends before it starts", but(M, (f"{L0}.end_time", 1.0)), A, (said("ends before it starts"), error("labels[0]"))),
    ("truth-primary-text", "primary is a text", but(M, (f"{L0}.primary", "true")), A, (error("labels[0].primary"),)),
    ("truth-clip-reversed", "a clip stops before it starts", but(M, ("videos.0.clips.0.video_end_sec", -4)), A, (error("videos[0].clips[0]", "video_end_sec"),)),
    ("truth-annotations-null", "a clip of the test file", but(M, *((f"videos.{i}.clips.0.annotations", None) for i in range(3))), A, (error("no moment"),)),
    ("truth-uid-number", "a clip's uid is a number", but(M, ("videos.0.clips.0.clip_uid", 12)), A, (error("clip_uid"),)),
    ("truth-converted", "clip_annotations.json as truth", samples.moment_clips(), A, (MQ_RIGHT,)),
    ("truth-list", "the truth is a list", [M], A, (error("truth.json"),)),
]  # fmt: skip
MQ_RESULTS: Rows = [
    ("results-good", "the official result file", M, DETECTED, (said("average mAP"),)),
    ("results-score-nan", "its score is NaN", M, but(DETECTED, ("results.0012.0.score", float("nan"))), (error("score"),)),
    ("results-label-missing", "its label is missing", M, but(DETECTED, ("results.0012.0.label", ...)), (error("label"),)),
]  # fmt: skip

LINES_CASES = [
    Case("vq2d-lines", "the truth is one line of a .jsonl", {"truth.jsonl": dumped(V) + b"\n", "pred.jsonl": dumped(S)}, pair("evaluate", "vq2d", "truth.jsonl", "pred.jsonl"), (VQ_RIGHT,)),
    Case("vlp-lines", "a question in each line", {"egomcq.jsonl": lines([{key: value} for key, value in MCQ.items()]), "pred.npz": npz(dual=DUAL)}, pair("evaluate", "vlp", "egomcq.jsonl", "pred.npz"), (said("dual"),)),
    Case("vlp-lines-twice", "a question stands in two lines", {"egomcq.jsonl": lines([{"0": MCQ["0"]}, {"0": MCQ["1"]}]), "pred.npz": npz(dual=DUAL)}, pair("evaluate", "vlp", "egomcq.jsonl", "pred.npz"), (error("line 2", "0"),)),
    Case("mq-lines", "truth and results as lines", {"truth.jsonl": dumped(M), "detections_postNMS.jsonl": lines([{"version": "EGO4D"}, {"results": R}])}, pair("evaluate", "mq", "truth.jsonl", "detections_postNMS.jsonl"), (said("average mAP"),)),
]  # fmt: skip

CASES = [
    *NLQ_CASES,
    *LINES_CASES,
    *cases_of(VQ_ROWS, "vq2d", "truth.json", "pred.json"),
    *VOD_CASES,
    *cases_of(VLP_ROWS, "vlp", "egomcq.json", "pred.npz"),
    *cases_of(MQ_ROWS, "mq", "truth.json", "pred.json"),
    *cases_of(MQ_RESULTS, "mq", "truth.json", "detections_postNMS.json"),
]
