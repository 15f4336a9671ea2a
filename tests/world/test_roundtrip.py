"""Every file passes the loader for real data, and true answers score full marks.

The official formats are read by the tasks' own readers here, never by the world.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.io.features import open_store
from egolib.io.records import read_json, read_text
from egolib.metrics.detection import Boxes, evaluate_vid, truths
from egolib.metrics.motion_speed import motion_from_tracks
from egolib.metrics.multiple_choice import egomcq_accuracy
from egolib.metrics.retrieval import charades_metrics, retrieval_metrics
from egolib.metrics.visual_query import evaluate
from egolib.nlq import evaluation as nlq_scores
from egolib.nlq.data import narrations as nlq_narrations
from egolib.nlq.data import stores as nlq_stores
from egolib.nlq.data.annotations import check_queries, from_official, read_official
from egolib.nlq.formats import submission as nlq_submission
from egolib.video import VideoReader
from egolib.video.timing import clip_frames, clip_to_video, frame_step
from egolib.vlp.data import charades, egoclip, epic, moments
from egolib.vod.data.classes import make_categories
from egolib.vod.data.cocovid import check_cocovid, convert_det, convert_vid
from egolib.vod.data.lists import find_list, read_images, read_videos
from egolib.vq2d.data.annotations import find_annotations, read_annotations
from egolib.vq2d.data.frames import right_duration
from egolib.vq2d.evaluation import load_queries
from egolib.vq2d.formats.submission import build_submission, validate
from egolib.vq2d.localization.tracks import Track
from egolib.world.library import World

SPLITS = ("train", "val", "test")
ANNOTATIONS = Path("ego4d") / "v2" / "annotations"


# --------------------------------------------------------------------------- videos


def test_videos_have_the_frames_that_the_manifest_says(tiny: World) -> None:
    for video in tiny.videos:
        reader = VideoReader(video.file)
        settings = video.settings
        assert (len(reader), reader.fps) == (settings.frames, settings.fps)
        assert tuple(reader.size) == (settings.view_width, settings.view_height)
        assert reader.timestamp(50) == pytest.approx(50 / settings.fps, abs=1e-6)


def test_links_are_the_same_file(tiny: World) -> None:
    uid = tiny.videos[0].uid
    for path in (
        tiny.path("ego4d", "v1", "full_scale", f"{uid}.mp4"),
        tiny.path("ego4d", "Ego4D_256", f"{uid}.mp4"),
        tiny.path("ego4d", "Ego4D_Chunked", uid, "0.mp4"),
        tiny.path("EK100", "video_ht256px", "P01", "P01_01.MP4"),
    ):
        assert path.samefile(tiny.videos[0].file)


# --------------------------------------------------------------------------- VQ2D


@pytest.mark.parametrize("split", SPLITS)
def test_vq2d_reads_and_frames_agree(tiny: World, split: str) -> None:
    found = read_annotations(find_annotations(tiny.path(), split))
    assert len(found.skipped) == 0 and found.version == "1.0.5"
    wanted = tiny.settings.vq_queries[SPLITS.index(split)]
    sets = [
        q
        for video in found.videos
        for clip in video["clips"]
        for a in clip["annotations"]
        for q in a["query_sets"].values()
    ]
    assert len(sets) == wanted
    assert sum(not q["is_valid"] for q in sets) == wanted // tiny.settings.vq_invalid_every
    frames = {v.uid: len(VideoReader(v.file)) for v in tiny.of(split)}
    for video in found.videos:
        assert frames[video["video_uid"]] == tiny.settings.frames
        for clip in video["clips"]:
            check_clip(tiny, clip, frames[video["video_uid"]])


def check_clip(world: World, clip: dict, frames: int) -> None:
    fps = world.settings.fps
    skip = frame_step(fps, clip["clip_fps"])
    numbers = clip_frames(clip["video_start_frame"], clip["video_end_frame"], skip)
    assert numbers[-1] < frames
    assert clip["video_start_sec"] == clip["video_start_frame"] / fps
    assert clip["video_end_sec"] == clip["video_end_frame"] / fps
    assert right_duration(
        len(numbers), clip["clip_fps"], clip["video_start_sec"], clip["video_end_sec"]
    )
    for annotation in clip["annotations"]:
        for query in annotation["query_sets"].values():
            if query["is_valid"]:
                check_query(world, clip, query, len(numbers), skip)


def check_query(world: World, clip: dict, query: dict, length: int, skip: int) -> None:
    start = clip["video_start_frame"]
    assert 0 < query["query_frame"] < length
    assert query["query_video_frame"] == clip_to_video(query["query_frame"], start, skip)
    track = [b["frame_number"] for b in query.get("response_track", [])]
    assert track == list(range(track[0], track[-1] + 1)) if track else True
    assert not track or track[-1] < query["query_frame"]
    assert query["visual_crop"]["frame_number"] not in track
    for box in [query["visual_crop"], *query.get("response_track", [])]:
        assert box["video_frame_number"] == clip_to_video(box["frame_number"], start, skip)
        assert box["frame_number"] < length
        assert box["x"] >= 0 and box["x"] + box["width"] <= world.settings.view_width
        assert box["y"] >= 0 and box["y"] + box["height"] <= world.settings.view_height
        assert box["width"] * box["height"] >= world.settings.visible_area_px


def test_vq2d_answers_are_the_last_visible_run(tiny: World) -> None:
    found = read_annotations(find_annotations(tiny.path(), "val"))
    videos = {v.uid: v for v in tiny.videos}
    for query in found.queries:
        truth = videos[query.video["video_uid"]]
        start = query.clip["video_start_frame"]
        boxes = {b.frame: b for b in query.track}
        first = query.track[0]
        frame = start + 2 * first.frame
        obj = match(truth.truth.boxes[frame], query.record["response_track"][0])
        visible = truth.visible[start::2, obj]
        assert [f for f in range(query.record["query_frame"]) if visible[f]][-1] == max(boxes)
        assert first.frame == 0 or not visible[first.frame - 1]
        title = query.record["object_title"].replace(" ", "_")
        assert truth.truth.log["entities"][obj] == title


def match(boxes: np.ndarray, record: dict) -> int:
    x, y = record["x"], record["y"]
    corners = [x, y, x + record["width"], y + record["height"]]
    return int(np.flatnonzero((boxes == corners).all(1))[0])


def test_vq2d_oracle(tiny: World) -> None:
    for path in (find_annotations(tiny.path(), "val"), tiny.path("truth", "vq_test.json")):
        found = read_annotations(path)
        tracks = {
            q.key: Track(
                np.array([b.frame for b in q.track]),
                np.array([b.xyxy for b in q.track], float),
            )
            for q in found.queries
        }
        submission = build_submission(found, tracks)
        validate(submission, found)
        scores = evaluate(load_queries(found, submission), ties="expected")
        assert scores.temporal.values == pytest.approx(1, abs=1e-6)
        assert scores.spatio_temporal.values == pytest.approx(1, abs=1e-6)
        assert scores.recovery == pytest.approx(100, abs=1e-4)
        assert scores.success == pytest.approx(100, abs=1e-4)


# ---------------------------------------------------------------------------- NLQ


@pytest.mark.parametrize("split", SPLITS)
def test_nlq_reads_with_its_features(tiny: World, split: str) -> None:
    name = "nlq_test_unannotated.json" if split == "test" else f"nlq_{split}.json"
    queries = from_official(read_official(tiny.path(str(ANNOTATIONS / name))))
    assert len(queries) == tiny.settings.nlq_queries[SPLITS.index(split)]
    assert check_queries(queries) == []
    video = nlq_stores.check_video_store(
        open_store(tiny.path("nlq", "features", "symbolic_video")), queries, width=128
    )
    text = nlq_stores.check_text_store(
        open_store(tiny.path("nlq", "features", "symbolic_text")), queries, width=64
    )
    assert video.problems == [] and text.problems == []
    if split != "test":
        low, high = tiny.settings.nlq_interval_sec
        spans = np.array([q.windows_sec[0] for q in queries])
        assert (spans >= 0).all() and (spans <= tiny.settings.video_sec).all()
        assert ((spans[:, 1] - spans[:, 0] >= low) & (spans[:, 1] - spans[:, 0] <= high)).all()


def test_nlq_oracle(tiny: World) -> None:
    for path in (tiny.path(str(ANNOTATIONS / "nlq_val.json")), tiny.path("truth", "nlq_test.json")):
        queries = from_official(read_official(path))
        records = [
            nlq_submission.prediction(q, np.array(q.windows_sec), np.ones(1)) for q in queries
        ]
        truth = nlq_scores.read_truth(path)
        scores = nlq_scores.evaluate(records, truth, missing="strict")
        assert scores.coverage == 1
        assert set(scores.recall.table().values()) == {100.0}
        assert scores.recall.mean_iou == pytest.approx(1, abs=1e-6)


def test_narrations_become_pretraining_questions(tiny: World) -> None:
    said = nlq_narrations.read_egoclip(tiny.path("egoclip", "egoclip.csv"))
    assert set(said) == {v.uid for v in tiny.of("train")}
    files = [
        tiny.path(str(ANNOTATIONS / f"{kind}_train.json")) for kind in ("nlq", "moments", "vq")
    ]
    contents = nlq_narrations.read_training_clips(*files)
    queries = nlq_narrations.narration_queries(said, contents)
    lines = sum(len(n.texts) for n in said.values())
    assert len(queries) >= lines  # every line at least in the whole-video clip
    store = open_store(tiny.path("nlq", "features", "symbolic_text"))
    assert nlq_stores.check_text_store(store, queries, width=64).problems == []
    assert len(nlq_narrations.naq_annotations(said, contents)["videos"]) > 0


# ---------------------------------------------------------------------------- vlp


def test_egoclip_and_moments_read(tiny: World) -> None:
    table = egoclip.read_egoclip(tiny.path("egoclip", "egoclip.csv"))
    starts, ends = np.asarray(table.start_sec), np.asarray(table.end_sec)
    assert len(starts) >= 40 and table.lost_lines == 0
    lengths = ends - starts
    low, high = tiny.settings.clip_sec
    assert (lengths > low - 1e-3).all() and (lengths < high + 1e-3).all()
    files = ("moments_train.json", "moments_val.json", "moments_test_unannotated.json")
    clips = moments.read_moment_clips([tiny.path(str(ANNOTATIONS / f)) for f in files])
    assert len(clips) == len(tiny.videos)


def test_egomcq_oracle(tiny: World) -> None:
    path = tiny.path("egomcq", "egomcq.json")
    questions = egoclip.read_egomcq(path)
    assert len(questions) == tiny.settings.mcq_questions
    raw = read_json(path)
    shows = np.array(
        [
            [
                float(all(choice[tag] == entry["query"][tag] for tag in ("tag_verb", "tag_noun")))
                for choice in entry["choices"].values()
            ]
            for entry in raw.values()
        ]
    )
    assert (shows.sum(1) == 1).all()  # exactly one choice shows what the text says
    answers = np.array([q.answer for q in questions])
    kinds = np.array([q.kind for q in questions])
    scores = egomcq_accuracy(shows, shows, answers, kinds)
    assert all(v == 100 for table in scores.values() for v in table.values())
    for q in questions:
        uids = {c.video_uid for c in q.choices}
        assert len(uids) == (5 if q.kind == 1 else 1)


@pytest.mark.parametrize("split", ["train", "test"])
def test_epic_oracle(tiny: World, split: str) -> None:
    data = epic.read_epic_split(tiny.path(), split)
    assert data.source.endswith(".pkl")
    computed = epic.relevancy_matrix(data.clips, data.sentences)
    np.testing.assert_allclose(data.relevancy, computed, atol=1e-12)
    ours = epic.make_sentences(data.clips)
    assert ours.narrations == data.sentences.narrations
    scores = retrieval_metrics(data.relevancy, data.relevancy)
    assert list(scores.values()) == pytest.approx([100] * len(scores), abs=1e-4)


@pytest.mark.parametrize("split", ["train", "test"])
def test_charades_oracle(tiny: World, split: str) -> None:
    folder = tiny.path("CharadesEgo", "CharadesEgo")
    table, classes = (
        folder / f"CharadesEgo_v1_{split}_only1st.csv",
        folder / "Charades_v1_classes.txt",
    )
    assert charades.action_table(table, classes) == read_text(folder / f"metadata_{split}.csv")
    names = charades.read_classes(classes)
    assert len(names) == tiny.settings.charades_classes
    videos = charades.read_videos(table)
    assert len(videos) == tiny.settings.charades_clips[0 if split == "train" else 1]
    targets = charades.targets(videos, len(names))
    assert (targets.sum(1) > 0).all()
    assert charades_metrics(targets.astype(float), targets)["mAP"] == pytest.approx(1, abs=1e-6)
    length = tiny.settings.charades_sec * tiny.settings.fps
    for video in videos:
        path = tiny.path("CharadesEgo", "CharadesEgo_v1_480", f"{video.video}.mp4")
        assert len(VideoReader(path)) == length


def test_charades_cuts_are_exact(tiny: World) -> None:
    """A cut shows the very frames of its source."""
    video = tiny.videos[0]
    cuts = sorted(tiny.path("CharadesEgo", "CharadesEgo_v1_480").glob("TR000*.mp4"))
    start = int(cuts[0].stem[5:8]) * video.settings.fps
    source, cut = VideoReader(video.file), VideoReader(cuts[0])
    for frame in (0, 1, 9, 77, len(cut) - 1):
        assert (cut[frame] == source[start + frame]).all()


# ---------------------------------------------------------------------------- VOD


def categories(root: Path) -> list:
    pairs = [tuple(line.split()) for line in read_text(root / "classes.txt").splitlines()]
    return make_categories(pairs)


@pytest.mark.parametrize("part", ["train", "val"])
def test_vid_converts_to_the_shipped_file(tiny: World, part: str) -> None:
    """The task's converter makes of lists and XML exactly the CocoVID file of the world."""
    root = tiny.path("ILSVRC")
    listed = read_videos(
        find_list(root, "VID_train_15frames" if part == "train" else "VID_val_videos")
    )
    made = convert_vid(
        root / "Annotations" / "VID", listed, categories(root), train=part == "train"
    )
    shipped = read_json(root / "annotations" / f"imagenet_vid_{part}.json", dict)
    assert made == shipped and len(shipped["annotations"]) > 50
    assert check_cocovid(shipped, "world", videos=listed) == []
    sizes = {(i["width"], i["height"]) for i in shipped["images"]}
    assert sizes == {(tiny.settings.view_width, tiny.settings.view_height)}
    for image in shipped["images"]:
        assert (root / "Data" / "VID" / image["file_name"]).is_file()


def test_vid_oracle(tiny: World) -> None:
    content = read_json(tiny.path("ILSVRC", "annotations", "imagenet_vid_val.json"), dict)
    rows = content["annotations"]
    owner = np.array([a["image_id"] - 1 for a in rows])
    label = np.array([a["category_id"] - 1 for a in rows])
    box = np.array([[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in rows)], np.float32)
    motion = motion_from_tracks(
        np.array([i["frame_id"] for i in content["images"]]),
        np.array([i["video_id"] for i in content["images"]]),
        owner,
        np.array([a["instance_id"] for a in rows]),
        box,
    )
    perfect = Boxes(owner, label, box, np.ones(len(rows), np.float32))
    names = [c["name"] for c in content["categories"]]
    result = evaluate_vid(truths(owner, label, box), perfect, motion, names)
    assert result.means()["all"] == pytest.approx(1, abs=1e-6)


def test_det_stills(tiny: World) -> None:
    root = tiny.path("ILSVRC")
    content = read_json(root / "annotations" / "imagenet_det_30plus1cls.json", dict)
    listed = read_images(find_list(root, "DET_train_30classes"))
    assert convert_det(root / "Annotations" / "DET", listed, categories(root)) == content
    lines = read_text(root / "ImageSets" / "DET_train_30classes.txt").split()[::2]
    assert [i["file_name"] for i in content["images"]] == [f"{name}.JPEG" for name in lines]
    assert len(lines) == tiny.settings.det_stills
    assert content["categories"][-1]["name"] == "other_categeries"
    for image in content["images"]:
        assert (root / "Data" / "DET" / image["file_name"]).is_file()
