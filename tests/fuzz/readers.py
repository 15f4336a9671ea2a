"""Every reader of a foreign file: what it reads, and a good sample of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz import forms, samples
from tests.fuzz.forms import Form


@dataclass(frozen=True)
class Reader:
    """A reader with its sample.

    Args:
        name: of the format.
        file: name of the file that is changed.
        form: of the file.
        sample: the file's bytes.
        read: from the file's path to what was read; what it passed over comes second.
        beside: other files of the folder, by name, which stay as they are.
    """

    name: str
    file: str
    form: Form
    sample: Callable[[], bytes]
    read: Callable[[Path], Any]
    beside: dict[str, Callable[[], bytes]] = field(default_factory=dict)


def _dumped(value: Any) -> Callable[[], bytes]:
    return lambda: json.dumps(value).encode()


def _encoded(form: Form, value: Callable[[], Any]) -> Callable[[], bytes]:
    assert form.encode is not None
    encode = form.encode
    return lambda: encode(value())


def _text(value: str) -> Callable[[], bytes]:
    return lambda: value.encode()


# --------------------------------------------------------------------------------- nlq


def _nlq_queries(path: Path) -> Any:
    from egolib.nlq.data.annotations import check_queries, read_queries, without_text

    queries = read_queries(path)
    return queries, check_queries(queries, path) + without_text(path)


def _nlq_truth(path: Path) -> Any:
    from egolib.nlq.data.truth import oddities, read_truth

    truth = read_truth(path)
    return truth, oddities(truth)


def _nlq_evaluated(path: Path) -> Any:
    from egolib.nlq.evaluation import evaluate_files
    from egolib.nlq.formats.submission import validate_file

    found = evaluate_files(path.parent / "truth.json", path)
    said = validate_file(path, path.parent / "truth.json")
    return found, [*said.splitlines()[1:], *found["warnings"]]


def _episodic(path: Path) -> Any:
    from egolib.nlq.data.annotations import read_episodic_memory, walk_clips

    fields = ("clip_uid", "video_start_sec", "video_end_sec")
    clips = walk_clips(read_episodic_memory(path))
    return [(video["video_uid"], *(clip[name] for name in fields)) for video, clip in clips]


def _narrations(path: Path) -> Any:
    from egolib.io.records import Skipped
    from egolib.nlq.data.narrations import read_egoclip

    skipped = Skipped()
    return read_egoclip(path, skipped), list(skipped.reasons.items())


NLQ = [
    Reader("nlq annotations", "nlq_val.json", forms.JSON, _dumped(samples.nlq()), _nlq_queries),
    Reader("nlq JSON lines", "val.jsonl", forms.LINES,
           _encoded(forms.LINES, samples.nlq_lines), _nlq_queries),
    Reader("nlq truth", "nlq_val.json", forms.JSON, _dumped(samples.nlq()), _nlq_truth),
    Reader("nlq submission", "pred.json", forms.JSON, _dumped(samples.nlq_submission()),
           _nlq_evaluated, {"truth.json": _dumped(samples.nlq())}),
    Reader("episodic memory", "vq.json", forms.JSON, _dumped(samples.vq()), _episodic),
    Reader("narrations", "egoclip.csv", forms.TSV, _text(samples.EGOCLIP), _narrations),
]  # fmt: skip


# -------------------------------------------------------------------------------- vq2d


def _vq(path: Path) -> Any:
    from egolib.vq2d.data.annotations import processed, read_annotations

    found = read_annotations(path)
    return processed(found), [*found.skipped.reasons.items(), *found.oddities()]


def _vq_evaluated(path: Path) -> Any:
    from egolib.vq2d.evaluation import evaluate_files
    from egolib.vq2d.formats.submission import validate_file

    validate_file(path)
    validate_file(path, path.parent / "truth.json")
    found = evaluate_files(path.parent / "truth.json", path)
    return found, found["warnings"]


def _detections(path: Path) -> Any:
    from egolib.vq2d.formats.detections import read

    return read(path.parent, path.stem, 3)


def _official_config(path: Path) -> Any:
    from egolib.vq2d.formats.official_config import read_official_config

    found = read_official_config(path)
    return found, list(found.unknown)


def _calibration(path: Path) -> Any:
    from egolib.vq2d.localization.confidence import Calibration

    return Calibration.read(path)


def _cache_arrays() -> dict[str, np.ndarray]:
    return {"counts": np.array([2, 0, 1]), "scores": np.array([0.9, 0.3, 0.8]),
            "boxes_xyxy": samples.rows(3) * 10 + np.array([0, 0, 20, 20], np.float32)}  # fmt: skip


def _official_cache() -> dict[str, Any]:
    return {"ret_bboxes": [[], [], []], "ret_scores": [[], [], []], "ret_imgs": None}


VQ2D = [
    Reader("vq annotations", "vq_val.json", forms.JSON, _dumped(samples.vq()), _vq),
    Reader("vq submission", "pred.json", forms.JSON, _dumped(samples.vq_submission()),
           _vq_evaluated, {"truth.json": _dumped(samples.vq())}),
    Reader("detection cache (json)", "q.json", forms.JSON, _dumped(samples.cache()), _detections),
    Reader("detection cache (npz)", "q.npz", forms.NPZ, _encoded(forms.NPZ, _cache_arrays),
           _detections),
    Reader("detection cache (pt)", "q.pt", forms.TORCH, _encoded(forms.TORCH, _official_cache),
           _detections),
    Reader("calibration", "c.json", forms.JSON, _dumped({
        "mean": [0.1, 0.2], "scale": [1.0, 2.0], "weights": [0.5, -0.5], "bias": 0.1}),
        _calibration),
    Reader("config.yaml", "config.yaml", forms.YAML, _encoded(forms.YAML, lambda: {
        "MODEL": {"ROI_HEADS": {"NUM_CLASSES": 1}, "META_ARCHITECTURE": "SiameseRCNN"},
        "INPUT": {"MIN_SIZE_TEST": 800}, "VERSION": 2}), _official_config),
]  # fmt: skip


# --------------------------------------------------------------------------------- vod


def _index(path: Path) -> Any:
    from egolib.errors import EgolibError
    from egolib.io.records import read_json
    from egolib.vod.data.cocovid import check_cocovid
    from egolib.vod.data.index import read_index

    found = read_index(path)
    path.with_name(path.name + ".index.npz").unlink(missing_ok=True)
    try:  # as ``1_data`` lists or refuses it
        return found, check_cocovid(read_json(path, dict), path)
    except EgolibError as error:
        return found, [str(error)]


def _results(path: Path) -> Any:
    from egolib.vod.evaluation import evaluate_files
    from egolib.vod.formats.submission import read, validate_file

    truth = path.parent / "truth.json"
    scores = evaluate_files(truth, path)
    validate_file(path, truth)
    return scores, read(path, np.arange(1, 5), ("mug", "jar"), (1, 2))


def _motion(path: Path) -> Any:
    from egolib.metrics.motion_speed import read_motion

    return read_motion(path)


def _xml(path: Path) -> Any:
    from egolib.vod.data.cocovid import read_annotation

    return read_annotation(path)


def _video_list(path: Path) -> Any:
    from egolib.vod.data.lists import read_videos

    return read_videos(path)


def _image_list(path: Path) -> Any:
    from egolib.vod.data.lists import read_images

    return read_images(path)


def _motion_mat() -> bytes:
    import io

    from scipy.io import savemat

    cells = np.empty((3, 1), object)
    for place in range(3):
        cells[place, 0] = np.array([[0.9, 0.7]])
    stream = io.BytesIO()
    savemat(stream, {"motion_iou": cells})
    return stream.getvalue()


_COCOVID = {"truth.json": _dumped(samples.cocovid())}
VOD = [
    Reader("CocoVID", "vid.json", forms.JSON, _dumped(samples.cocovid()), _index),
    Reader("results.pkl", "results.pkl", forms.PICKLE,
           _encoded(forms.PICKLE, samples.detections), _results, _COCOVID),
    Reader("results.npz", "results.npz", forms.NPZ,
           _encoded(forms.NPZ, samples.detection_arrays), _results, _COCOVID),
    Reader("results.json", "results.json", forms.JSON, _dumped(samples.coco_detections()),
           _results, _COCOVID),
    Reader("motion (npz)", "motion.npz", forms.NPZ, _encoded(forms.NPZ, lambda: {
        "values": np.array([0.9, 0.7, 0.8]), "counts": np.array([2, 0, 1])}), _motion),
    Reader("motion (mat)", "motion.mat", forms.BYTES, _motion_mat, _motion),
    Reader("ILSVRC XML", "0.xml", forms.TEXT, _text(samples.XML), _xml),
    Reader("list of videos", "l.txt", forms.COLUMNS, _text(samples.VIDEO_LIST), _video_list),
    Reader("list of images", "l.txt", forms.COLUMNS, _text(samples.IMAGE_LIST), _image_list),
]  # fmt: skip


# ---------------------------------------------------------------------------------- mq


def _moments(path: Path) -> Any:
    from egolib.mq.data.annotations import moment_oddities, read_annotations, read_official

    if path.name.startswith("moments"):
        read_official(path)
    clips = read_annotations(path)
    return clips, moment_oddities(clips)


def _moment_classes(path: Path) -> Any:
    from egolib.mq.data.classes import read_classes

    return read_classes(path)


def _durations(path: Path) -> Any:
    from egolib.mq.data.conversion import read_durations

    return read_durations(path)


def _moment_answers(path: Path) -> Any:
    from egolib.mq.evaluation import evaluate_files
    from egolib.mq.formats import submission

    found = evaluate_files(path.parent / "truth.json", path)
    strangers = [f"{name}: {n}" for name, n in found.items() if name.startswith("unknown") and n]
    strangers += found["warnings"]
    if path.name != "submission.json":
        return found, strangers
    said = submission.validate_file(path, path.parent / "truth.json")
    return found, [*said.splitlines()[1:], *strangers]


_MOMENTS = {"truth.json": _dumped(samples.moments())}
MQ = [
    Reader("moments", "moments_val.json", forms.JSON, _dumped(samples.moments()), _moments),
    Reader("clip_annotations.json", "clips.json", forms.JSON, _dumped(samples.moment_clips()),
           _moments),
    Reader("moment classes", "c.json", forms.JSON,
           _dumped({"Background": 0, "open": 1, "wash": 2}), _moment_classes),
    Reader("ego4d.json", "ego4d.json", forms.JSON, _dumped(samples.durations()), _durations),
    Reader("mq submission", "submission.json", forms.JSON, _dumped(samples.moment_submission()),
           _moment_answers, _MOMENTS),
    Reader("mq results", "detections_postNMS.json", forms.JSON,
           _dumped({"version": "EGO4D", "results": samples.moment_results(),
                    "external_data": {}}), _moment_answers, _MOMENTS),
]  # fmt: skip


# --------------------------------------------------------------------------------- vlp


def _moment_clips(path: Path) -> Any:
    from egolib.vlp.data.moments import read_moment_clips

    return read_moment_clips([path])


def _egoclip(path: Path) -> Any:
    from egolib.vlp.data.egoclip import read_egoclip

    found = read_egoclip(path)
    rows = [(found.video(i), found.verbs(i), found.nouns(i)) for i in range(len(found))]
    listed = list(getattr(getattr(found, "skipped", None), "reasons", {}).items())
    told = listed or ([found.lost_lines] if found.lost_lines else [])
    return (rows, found.start_sec, found.end_sec, found.narration_time, found.texts), told


def _egomcq(path: Path) -> Any:
    from egolib.vlp.data.egoclip import read_egomcq

    return read_egomcq(path)


def _scores(path: Path) -> Any:
    from egolib.vlp.evaluation import evaluate_files
    from egolib.vlp.formats.submission import read, validate_file

    validate_file(path, path.parent / "egomcq.json")
    return evaluate_files(path.parent / "egomcq.json", path), read(path)


def _epic(path: Path) -> Any:
    from egolib.vlp.data.epic import read_epic_clips

    return read_epic_clips(path)


def _sentences(path: Path) -> Any:
    from egolib.vlp.data.epic import read_epic_clips, read_sentences

    return read_sentences(path, read_epic_clips(path.parent / "clips.csv"))


def _relevancy(path: Path) -> Any:
    from egolib.vlp.data.epic import read_epic_table

    return read_epic_table(path.parents[1] / "EPIC_100_retrieval_test.csv").relevancy


def _charades(path: Path) -> Any:
    from egolib.vlp.data import charades

    if path.suffix == ".txt":
        return charades.read_classes(path)
    if path.name.startswith("metadata"):
        return charades.read_action_table(path)
    return charades.read_actions(path)


def _questions(path: Path) -> Any:
    from egolib.vlp.data.egotaskqa import read_answers, read_question_file

    folder = path.parent
    return read_question_file(folder / "formatted_val_qas_encode.json"), read_answers(folder)


def _raw_questions(path: Path) -> Any:
    from egolib.vlp.data.egotaskqa_splits import prepare, read_raw

    return prepare(read_raw(path), "direct")


def _reasoning(path: Path) -> Any:
    from egolib.vlp.data.egotaskqa import read_reasoning_index

    return read_reasoning_index(path.parent)


def _oracle(path: Path) -> Any:
    from egolib.vlp.data.qfvs import read_oracle

    return read_oracle(path, 40, 40, "strict")


def _dense(path: Path) -> Any:
    from egolib.vlp.data.qfvs import DENSE, read_dense_tags

    place = path.parent / DENSE / "P01" / "P01.txt"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(path.read_bytes())
    return read_dense_tags(path.parent, 1)


def _tags(path: Path) -> Any:
    from egolib.vlp.data.qfvs import read_tags

    return read_tags(path)


def _tags_mat() -> bytes:
    import tempfile

    from tests.vlp.summaries import write_tags

    with tempfile.TemporaryDirectory() as folder:
        matrix = (samples.rows(6) > 0.5).astype(np.uint8)
        return write_tags(Path(folder) / "Tags.mat", matrix, matrix[:4]).read_bytes()


def _prepared_questions(path: Path) -> Any:
    from egolib.vlp.features.questions import read_questions

    return read_questions(path)


def _manifest(path: Path) -> Any:
    from egolib.vlp.data.chunks import read_manifest

    return read_manifest(path)


_QUESTIONS = {
    "formatted_val_qas_encode.json": _dumped(samples.questions()),
    "answer_set.txt": _text("<unk>\n<pad>\nthe mug\nyes\n"),
    "all_reasoning_types.txt": _text("query\nworld\n"),
}
_SCORES = {"egomcq.json": _dumped(samples.egomcq())}
VLP = [
    Reader("moments for features", "moments_val.json", forms.JSON, _dumped(samples.moments()),
           _moment_clips),
    Reader("EgoClip", "egoclip.csv", forms.TSV, _text(samples.EGOCLIP), _egoclip),
    Reader("EgoMCQ", "egomcq.json", forms.JSON, _dumped(samples.egomcq()), _egomcq),
    Reader("scores of EgoMCQ", "scores.npz", forms.NPZ, _encoded(forms.NPZ, lambda: {
        "dual": samples.rows(3, 5).astype(np.float64)}), _scores, _SCORES),
    Reader("EPIC clips", "EPIC_100_retrieval_test.csv", forms.CSV, _text(samples.EPIC), _epic),
    Reader("EPIC sentences", "s.csv", forms.CSV, _text(samples.EPIC_SENTENCES), _sentences,
           {"clips.csv": _text(samples.EPIC)}),
    Reader("relevancy", "relevancy/caption_relevancy_EPIC_100_retrieval_test.pkl", forms.PICKLE,
           _encoded(forms.PICKLE, lambda: samples.rows(3, 3)), _relevancy,
           {"EPIC_100_retrieval_test.csv": _text(samples.EPIC)}),
    Reader("Charades classes", "classes.txt", forms.TEXT, _text(samples.CLASSES), _charades),
    Reader("Charades-Ego", "c.csv", forms.CSV, _text(samples.CHARADES), _charades),
    Reader("Charades-Ego actions", "metadata.csv", forms.TSV, _text(samples.CHARADES_ACTIONS),
           _charades),
    Reader("EgoTaskQA", "formatted_val_qas_encode.json", forms.JSON,
           _dumped(samples.questions()), _questions, _QUESTIONS),
    Reader("EgoTaskQA answers", "answer_set.txt", forms.TEXT, _QUESTIONS["answer_set.txt"],
           _questions, _QUESTIONS),
    Reader("EgoTaskQA raw", "qas.json", forms.JSON, _dumped(samples.raw_questions()),
           _raw_questions),
    Reader("EgoTaskQA reasoning", "reasoning_unique_cat.pth", forms.TORCH,
           _encoded(forms.TORCH, lambda: {"query": 0, "world": 1}), _reasoning),
    Reader("QFVS oracle", "o.txt", forms.TEXT, _text("1\n5\n9\n12\n"), _oracle),
    Reader("QFVS dense tags", "t.txt", forms.CSV, _text("Book,Hands\nFood\n\nBook\n"), _dense),
    Reader("QFVS Tags.mat", "Tags.mat", forms.BYTES, _tags_mat, _tags),
    Reader("prepared questions", "val.json", forms.JSON, _dumped(samples.prepared_questions()),
           _prepared_questions),
    Reader("manifest of videos", "m.csv", forms.CSV,
           _text("video_uid,x\n0012,1\n4f2c-b,2\n"), _manifest),
]  # fmt: skip


# ------------------------------------------------------------------- features, weights


def _store(path: Path) -> Any:
    from egolib.io.features import open_store

    whole = path.parent.name == "folder" or path.name in ("data.mdb", "store.json")
    store = open_store(path.parent if whole else path)
    return {uid: store.get(uid) for uid in store.uids()}, store.provenance


def _weights(path: Path) -> Any:
    from egolib.io.checkpoint import find_weights, read_foreign

    found = find_weights(read_foreign(path), file=path)
    return found.state, list(found.notes)


def _own_weights(path: Path) -> Any:
    from egolib.io.checkpoint import load

    return load(path.with_suffix(".safetensors"))


def _lmdb() -> bytes:
    import tempfile

    from egolib.io.foreign_features import write_lmdb

    with tempfile.TemporaryDirectory() as folder:
        write_lmdb(folder, ((f"u{n}", samples.rows(n + 3, 300)) for n in range(6)))
        return (Path(folder) / "data.mdb").read_bytes()


@cache
def _own_store() -> dict[str, bytes]:
    import tempfile

    from egolib.io.features import FeatureWriter, Provenance

    with tempfile.TemporaryDirectory() as folder:
        writer = FeatureWriter(folder, Provenance("video", 4, stride_frames=16.0, fps=30.0))
        for uid in samples.UIDS:
            writer.write(uid, samples.rows())
        return {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}


@cache
def _own_checkpoint() -> dict[str, bytes]:
    import tempfile

    import torch

    from egolib.io.checkpoint import save

    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "w", {"a.weight": torch.from_numpy(samples.rows())},
             {"model": "x", "config": {"width": 4}})  # fmt: skip
        return {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}


def _tensor() -> Any:
    import torch

    return torch.from_numpy(samples.rows())


def _state() -> Any:
    import torch

    return {"state_dict": {"module.a.weight": _tensor(), "module.a.bias": torch.arange(3.0)},
            "epoch": 3, "config": {"lr": 0.1}}  # fmt: skip


def _arrays() -> dict[str, Any]:
    return {"model": {"a.weight": samples.rows(), "a.bias": samples.rows(1)[0]},
            "__author__": "x"}  # fmt: skip


def _made(make: Callable[[], dict[str, bytes]], name: str) -> Callable[[], bytes]:
    return lambda: make()[name]


_OWN_FILES = ("store.json", *(f"{uid}.safetensors" for uid in samples.UIDS))
_OWN = {name: _made(_own_store, name) for name in _OWN_FILES}
_CHECKPOINT = {name: _made(_own_checkpoint, name) for name in ("w.json", "w.safetensors")}
FILES = [
    Reader("features (pt)", "folder/0012.pt", forms.TORCH, _encoded(forms.TORCH, _tensor), _store),
    Reader("features (pt, dictionary)", "folder/a.pt", forms.TORCH, _encoded(forms.TORCH, lambda: {
        "features": _tensor(), "fps": 30}), _store),
    Reader("features (npy)", "folder/0012.npy", forms.NPY, _encoded(forms.NPY, samples.rows),
           _store),
    Reader("features (npz)", "folder/0012.npz", forms.NPZ, _encoded(forms.NPZ, lambda: {
        "features": samples.rows()}), _store),
    Reader("features (safetensors)", "folder/a.safetensors", forms.TENSORS,
           _encoded(forms.TENSORS, lambda: {"features": samples.rows()}), _store),
    Reader("feature archive", "all.npz", forms.NPZ, _encoded(forms.NPZ, lambda: {
        uid: samples.rows() for uid in samples.UIDS}), _store),
    Reader("feature archive (pt)", "all.pt", forms.TORCH, _encoded(forms.TORCH, lambda: {
        uid: _tensor() for uid in samples.UIDS}), _store),
    Reader("LMDB", "data.mdb", forms.BYTES, _lmdb, _store),
    Reader("feature sidecar", "store.json", forms.JSON, _OWN["store.json"], _store, _OWN),
    Reader("egolib features", "a1.safetensors", forms.BYTES, _OWN["a1.safetensors"],
           lambda path: _store(path.with_name("store.json")), _OWN),
    Reader("weights (pth)", "w.pth", forms.TORCH, _encoded(forms.TORCH, _state), _weights),
    Reader("weights (old pth)", "w.pth", forms.TORCH_OLD, _encoded(forms.TORCH_OLD, _state),
           _weights),
    Reader("weights (pkl)", "w.pkl", forms.PICKLE, _encoded(forms.PICKLE, _arrays), _weights),
    Reader("weights (safetensors)", "w.safetensors", forms.TENSORS,
           _encoded(forms.TENSORS, lambda: {"a.weight": samples.rows()}), _weights),
    Reader("egolib checkpoint", "w.safetensors", forms.BYTES, _CHECKPOINT["w.safetensors"],
           _own_weights, _CHECKPOINT),
    Reader("egolib sidecar", "w.json", forms.JSON, _CHECKPOINT["w.json"], _own_weights,
           _CHECKPOINT),
]  # fmt: skip


# ----------------------------------------------------------- vocabularies, media, runs


def _vocabulary(path: Path) -> Any:
    from egolib.text.tokens import load_tokenizer

    named = path.with_name("vocab.json") if path.name == "merges.txt" else path
    found = load_tokenizer(named)
    return found.size, found.special, found.ids("the mug takes #C C"), found.hash


def _parameters(path: Path) -> Any:
    from egolib import config
    from egolib.cli.app import schema

    return config.resolve(schema("nlq"), "nlq", "scratch", "tiny", (), path)


def _stamp(path: Path) -> Any:
    from egolib.runs.stamps import read_stamp

    return read_stamp(path.parent)


def _result(path: Path) -> Any:
    from egolib.report.results import read_result

    return read_result(path)


def _node(path: Path) -> Any:
    from egolib.runs.node import Node

    return Node.read(path)


def _image(path: Path) -> Any:
    from egolib.video.images import image_size, read_image

    return image_size(path), read_image(path)


def _video(path: Path) -> Any:
    from egolib.video import VideoReader

    with VideoReader(path) as video:
        return len(video), [video[place].tobytes() for place in range(len(video))]


@cache
def _movie() -> bytes:
    import tempfile

    from tests.helpers.video_files import encode

    with tempfile.TemporaryDirectory() as folder:
        encode(Path(folder) / "v.mp4", range(8), size=(64, 48))
        return (Path(folder) / "v.mp4").read_bytes()


_TOKENIZER = {"model": {"type": "BPE", "vocab": samples.letters(), "merges": ["t h", "th e"]}}
_VOCABULARY = {"vocab.json": _dumped(samples.letters()), "merges.txt": _text(samples.MERGES)}
_RESULT = {"task": "nlq", "step": "3_infer", "metrics": {"r1": 12.5}, "counts": {"questions": 3}}
OTHER = [
    Reader("words", "vocabulary.json", forms.JSON, _dumped(samples.words()), _vocabulary),
    Reader("vocab.json", "vocab.json", forms.JSON, _VOCABULARY["vocab.json"], _vocabulary,
           _VOCABULARY),
    Reader("merges.txt", "merges.txt", forms.COLUMNS, _VOCABULARY["merges.txt"], _vocabulary,
           _VOCABULARY),
    Reader("tokenizer.json", "tokenizer.json", forms.JSON, _dumped(_TOKENIZER), _vocabulary),
    Reader("CLIP vocabulary", "bpe_simple_vocab_16e6.txt.gz", forms.BYTES, samples.clip_bpe,
           _vocabulary),
    Reader("parameters", "p.yaml", forms.YAML, _encoded(forms.YAML, lambda: {
        "fit": {"epochs": 3, "batch_size": 4}, "infer": {"decode_offset": "official"}, "seed": 3}),
        _parameters),
    Reader("stamp.json", "stamp.json", forms.JSON, _dumped({
        "parts": {"code": "a", "parameters": {"x": 1}}, "upstream": {"a": "b"}}), _stamp),
    Reader("result.json", "result.json", forms.JSON, _dumped(_RESULT), _result),
    Reader("node.json", "node.json", forms.JSON, _dumped({
        "key": "nlq/scratch/2_train", "notebook": "n.ipynb", "out": "o", "parameters": {"a": 1},
        "upstream": {"x": "y"}, "parts": {"code": "a"}, "resources": {}, "force": False}), _node),
    Reader("image", "i.jpg", forms.BYTES, samples.picture, _image),
    Reader("video", "v.mp4", forms.BYTES, _movie, _video),
]  # fmt: skip

READERS = {r.name: r for r in [*NLQ, *VQ2D, *VOD, *MQ, *VLP, *FILES, *OTHER]}
