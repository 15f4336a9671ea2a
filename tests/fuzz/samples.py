"""Small good files of every foreign format, as their owners write them."""

# ruff: noqa: E501

from __future__ import annotations

import gzip
import io
from typing import Any

import numpy as np

UIDS = ("0012", "4f2c-b", "a1")


def nlq() -> dict[str, Any]:
    return {"version": "2.0", "videos": [
        {"video_uid": f"v{n}", "split": "val", "clips": [
            {"clip_uid": uid, "video_start_sec": 10.0 * n, "video_end_sec": 10.0 * n + 480.0,
             "annotations": [{"annotation_uid": f"ann{n}", "language_queries": [
                 {"query": "where was the mug?", "clip_start_sec": 3.0, "clip_end_sec": 9.5},
                 {"query": "what did I take?", "clip_start_sec": 60.0, "clip_end_sec": 64.0},
                 {}]}]}]} for n, uid in enumerate(UIDS)]}  # fmt: skip


def nlq_lines() -> list[dict[str, Any]]:
    return [{"query": "where was the mug?", "query_id": f"ann{n}_0", "duration": 480.0,
             "video_id": uid, "query_type": "nlq", "timestamps": [[3.0, 9.5]]}
            for n, uid in enumerate(UIDS)]  # fmt: skip


def nlq_submission() -> dict[str, Any]:
    return {"version": "1.0", "challenge": "ego4d_nlq_challenge", "results": [
        {"clip_uid": uid, "annotation_uid": f"ann{n}", "query_idx": q,
         "predicted_times": [[3.0, 9.0, 0.9], [50.0, 70.0, 0.5]]}
        for n, uid in enumerate(UIDS) for q in (0, 1)]}  # fmt: skip


def vq() -> dict[str, Any]:
    def box(frame: int) -> dict[str, Any]:
        return {"frame_number": frame, "x": 10.0, "y": 20.0, "width": 30.0, "height": 40.0,
                "original_width": 1440.0, "original_height": 1080.0}  # fmt: skip

    def query(n: int) -> dict[str, Any]:
        return {"is_valid": True, "query_frame": 40, "object_title": "mug",
                "visual_crop": box(5), "response_track": [box(f) for f in range(10, 14)]}  # fmt: skip

    return {"version": "1.0.5", "date": "x", "videos": [
        {"video_uid": f"v{n}", "split": "val", "clips": [
            {"clip_uid": uid, "video_start_sec": 0.0, "video_end_sec": 300.0, "clip_fps": 5.0,
             "annotations": [{"annotation_uid": f"ann{n}", "query_sets": {"1": query(n)}}]}]}
        for n, uid in enumerate(UIDS)]}  # fmt: skip


def vq_submission() -> dict[str, Any]:
    boxes = [{"fno": f, "x1": 10.0, "y1": 20.0, "x2": 40.0, "y2": 61.0} for f in range(10, 14)]
    return {"version": "1.0.5", "challenge": "ego4d_vq2d_challenge", "results": {"videos": [
        {"video_uid": f"v{n}", "clips": [{"clip_uid": uid, "predictions": [
            {"annotation_uid": f"ann{n}", "query_sets": {
                "1": {"bboxes": boxes, "score": 0.9 - n / 10}}}]}]}
        for n, uid in enumerate(UIDS)]}}  # fmt: skip


def cache() -> dict[str, Any]:
    return {"frames": [{"boxes": [[1.0, 2.0, 30.0, 40.0], [5.0, 5.0, 9.0, 9.0]],
                        "scores": [0.9, 0.3]}, {"boxes": [], "scores": []},
                       {"boxes": [[2.0, 3.0, 31.0, 41.0]], "scores": [0.8]}]}  # fmt: skip


def cocovid() -> dict[str, Any]:
    images = [{"id": 2 * v + f + 1, "video_id": v + 1, "frame_id": f, "file_name": f"v{v}/{f}.jpg",
               "height": 48, "width": 64, "is_vid_train_frame": True}
              for v in range(2) for f in range(2)]  # fmt: skip
    return {
        "categories": [{"id": 1, "name": "mug"}, {"id": 2, "name": "jar"}],
        "videos": [{"id": 1, "name": "v0"}, {"id": 2, "name": "v1"}],
        "images": images,
        "annotations": [
            {"id": i["id"], "image_id": i["id"], "category_id": 1 + i["frame_id"],
             "bbox": [4, 5, 20, 21], "area": 420, "instance_id": i["video_id"], "iscrowd": False}
            for i in images],
    }  # fmt: skip


def detections() -> list[list[np.ndarray]]:
    """The official pickle: for every frame and class (n, 5)."""
    one = np.array([[4, 5, 24, 26, 0.9]], np.float32)
    none = np.zeros((0, 5), np.float32)
    return [[one, none], [none, one], [one, none], [none, one - 0.1]]


def detection_arrays() -> dict[str, np.ndarray]:
    box = np.tile(np.array([4, 5, 24, 26], np.float32), (4, 1))
    return {"version": np.array(1), "frame": np.arange(4), "label": np.array([0, 1, 0, 1]),
            "box": box, "score": np.array([0.9, 0.9, 0.9, 0.8], np.float32),
            "image_id": np.arange(1, 5), "class_names": np.array(["mug", "jar"])}  # fmt: skip


def coco_detections() -> list[dict[str, Any]]:
    return [{"image_id": i, "category_id": 2 - i % 2, "bbox": [4.0, 5.0, 20.0, 21.0],
             "score": 0.9} for i in range(1, 5)]  # fmt: skip


XML = (
    "<annotation><folder>x</folder><size><width>64</width><height>48</height></size>"
    "<object><trackid>0</trackid><name>n02691156</name><bndbox><xmax>40</xmax><xmin>4</xmin>"
    "<ymax>30</ymax><ymin>5</ymin></bndbox><occluded>0</occluded><generated>1</generated></object>"
    "<object><trackid>1</trackid><name>n02419796</name><bndbox><xmax>20</xmax><xmin>2</xmin>"
    "<ymax>20</ymax><ymin>3</ymin></bndbox><occluded>1</occluded><generated>0</generated></object>"
    "</annotation>\n"
)
VIDEO_LIST = "train/a 1 0 30\ntrain/a 1 2 30\ntrain/b 1 0 12\n"
IMAGE_LIST = "train/x/n1 1\ntrain/x/n2 1\n"


def moments() -> dict[str, Any]:
    labels = [{"label": "open", "start_time": 3.0, "end_time": 9.0, "primary": True},
              {"label": "wash", "start_time": 12.0, "end_time": 30.0, "primary": True}]  # fmt: skip
    return {"version": "1", "videos": [
        {"video_uid": f"v{n}", "split": "val", "clips": [
            {"clip_uid": uid, "video_start_sec": 0.0, "video_end_sec": 480.0,
             "annotations": [{"annotator_uid": "x", "labels": labels}]}]}
        for n, uid in enumerate(UIDS)]}  # fmt: skip


def moment_clips() -> dict[str, Any]:
    return {uid: {"video_id": f"v{n}", "clip_id": uid, "duration": 480.0, "parent_start_sec": 0.0,
                  "parent_end_sec": 480.0, "subset": "val", "fps": 1.875,
                  "annotations": [{"label": "open", "start_time": 3.0, "end_time": 9.0}]}
            for n, uid in enumerate(UIDS)}  # fmt: skip


def moment_results() -> dict[str, Any]:
    return {uid: [{"label": "open", "score": 0.9, "segment": [3.0, 8.0]},
                  {"label": "wash", "score": 0.4, "segment": [12.0, 29.0]}] for uid in UIDS}  # fmt: skip


def moment_submission() -> dict[str, Any]:
    return {"version": "1.0", "challenge": "ego4d_moment_queries",
            "detect_results": moment_results(), "retrieve_results": moment_results()}  # fmt: skip


EGOCLIP = (
    "\t".join(
        (
            "video_uid",
            "video_dur",
            "narration_source",
            "narration_ind",
            "narration_time",
            "clip_start",
            "clip_end",
            "clip_text",
            "tag_verb",
            "tag_noun",
        )
    )
    + "\n"
    + "".join(
        f"{uid}\t480.0\tnarration_pass_1\t{n}\t{10.0 + n}\t{9.0 + n}\t{11.0 + n}\t"
        f"#C C takes the mug {n}\t[3, {n}]\t[17]\n"
        for uid in UIDS
        for n in range(3)
    )
)


def egomcq() -> dict[str, Any]:
    def choice(n: int) -> dict[str, Any]:
        return {"video_uid": f"v{n}", "clip_start": 3.0 + n, "clip_end": 5.0 + n,
                "clip_text": f"#C C takes {n}"}  # fmt: skip

    return {str(q): {"answer": q, "types": 1 + q % 2, "query": choice(q),
                     "choices": {str(c): choice(c) for c in range(5)}} for q in range(3)}  # fmt: skip


EPIC = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,"
    "start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
    "P01_11_0,P01,P01_11,00:00:01.10,00:00:00.00,00:00:03.37,1,202,take plate,take,0,plate,2,"
    "\"['plate']\",[2]\n"
    "P01_11_1,P01,P01_11,00:00:04.10,00:00:03.50,00:00:06.37,210,382,wash mug,wash,2,mug,13,"
    "\"['mug']\",[13]\n"
    "P02_01_0,P02,P02_01,00:01:01.10,00:01:00.00,00:01:03.37,1,202,take mug and plate,take,0,mug,"
    "13,\"['mug', 'plate']\",\"[13, 2]\"\n"
)
EPIC_SENTENCES = "narration_id,narration\nP01_11_0,take plate\nP01_11_1,wash mug\n"
CLASSES = "c000 Holding some clothes\nc001 Putting clothes somewhere\nc002 Taking, again\n"
CHARADES = (
    "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length,egocentric\n"
    "0BNMLEGO,5J3G,Kitchen,5,,Yes,a person,mug,takes,c000 1.00 12.30;c001 4.00 9.00,30.96,Yes\n"
    'A1B2CEGO,5J3G,Bedroom,5,,Yes,"a person, again",jar,takes,c002 0.00 3.30,12.00,Yes\n'
    "A1B3CEGO,5J3G,Bedroom,5,,Yes,a person,jar,takes,,12.00,Yes\n"
)
CHARADES_ACTIONS = (
    "id\tcls\tt_start\tt_end\tnarration\n0BNMLEGO\t0\t1.0\t12.3\tHolding\nA1\t2\t0.0\t3.3\tTaking\n"
)


def questions() -> list[dict[str, Any]]:
    return [{"question_id": f"q{n}", "interval": f"v|{n}", "question": "what is open?",
             "answer": "the mug", "answer_encode": 2, "type": ["query"], "category": ["world"],
             "reasoning_type": "query$world"} for n in range(3)]  # fmt: skip


def raw_questions() -> list[dict[str, Any]]:
    return [{"sample_id": n, "interval": f"v|{n}", "question": "what is open?", "answer": "the mug",
             "type": ["query"], "category": ["world"], "semantic": "x", "structural": "y",
             "reference": "direct", "program": "query([x])", "reasoning_type": "query$world", "question_id": f"q{n}"} for n in range(3)]  # fmt: skip


def prepared_questions() -> dict[str, Any]:
    return {uid: {"timestamps": [[1.0, 2.0]], "exact_times": [[1.0, 2.0]],
                  "sentences": ["where is the mug?"], "annotation_uids": [f"ann{n}"],
                  "query_idx": [0], "duration": 480.0, "fps": 30}
            for n, uid in enumerate(UIDS)}  # fmt: skip


def durations() -> dict[str, Any]:
    return {"videos": [{"video_uid": f"v{n}", "duration_sec": 500.0 + n} for n in range(3)]}


def rows(count: int = 6, width: int = 4) -> np.ndarray:
    return np.random.default_rng(count).random((count, width)).astype(np.float32)


def words() -> dict[str, int]:
    names = ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "the", "mug", "takes", "c", "#c")
    return {name: place for place, name in enumerate(names)}


def clip_bpe() -> bytes:
    """CLIP's own file, cut to a few merges."""
    return gzip.compress(b"#version: 0.2\nt h\nth e</w>\nm u\nmu g</w>\n", mtime=0)


def letters() -> dict[str, int]:
    from egolib.text.tokens import byte_symbols

    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *byte_symbols(), "th", "the"]
    return {name: place for place, name in enumerate(names)}


MERGES = "#version: 0.2\nt h\nth e\n"


def picture() -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)).save(
        stream, "JPEG"
    )
    return stream.getvalue()
