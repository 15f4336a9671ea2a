"""Questions about the drawn actions: one right answer each, read by the task's own reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from egolib.io.records import read_json
from egolib.metrics.question_answering import accuracy_table
from egolib.text.tokens import words
from egolib.video import VideoReader
from egolib.vlp.benchmarks.question_scores import frequent_answers
from egolib.vlp.data import egotaskqa, egotaskqa_splits
from egolib.world.exports import egotaskqa as export
from egolib.world.language import FORMS, vocabulary
from egolib.world.library import World

MIDDLE = {base: verb for verb, (_, base, _) in FORMS.items()}


@pytest.mark.parametrize("split", egotaskqa.SPLITS)
def test_every_file_passes_the_reader(tiny: World, split: str) -> None:
    folder = tiny.path(str(egotaskqa.ANNOTATIONS), split)
    known = egotaskqa.read_reasoning_index(folder.parent)
    count = 0
    for part in egotaskqa.PARTS:
        questions = egotaskqa.read_questions(folder, part, known)
        egotaskqa.check_videos(questions, tiny.path(str(egotaskqa.VIDEOS)))
        uids = {video.uid for video in tiny.of(part)}
        assert {q.interval.rpartition("_")[0] for q in questions} <= uids
        count += len(questions)
    assert count > 20


def test_answers_are_numbered_as_the_official_script_does(tiny: World) -> None:
    for split in egotaskqa.SPLITS:
        folder = tiny.path(str(egotaskqa.ANNOTATIONS), split)
        train = egotaskqa.read_questions(folder, "train")
        answers = egotaskqa.read_answers(folder)
        assert egotaskqa_splits.answer_set(q.answer for q in train) == answers
        assert all(answers[q.answer_index] == q.answer for q in train)


def test_the_raw_file_can_be_divided_officially(tiny: World) -> None:
    rows = egotaskqa_splits.read_raw(tiny.path(str(egotaskqa.ANNOTATIONS), "qas.json"))
    for split in egotaskqa.SPLITS:
        prepared = egotaskqa_splits.prepare(rows, split)
        assert sum(len(found) for found in prepared.rows.values()) == len(rows)


def test_indirect_trains_on_direct_references(tiny: World) -> None:
    folder = tiny.path(str(egotaskqa.ANNOTATIONS), "indirect")
    rows = {part: read_json(egotaskqa.part_file(folder, part)) for part in egotaskqa.PARTS}
    kinds = {
        part: Counter(row["reasoning_type"].rpartition("$")[2] for row in found)
        for part, found in rows.items()
    }
    assert kinds["train"]["direct"] > kinds["train"]["indirect"]
    assert not kinds["val"]["direct"] and not kinds["test"]["direct"]


def test_an_interval_shows_the_very_frames_of_its_video(tiny: World) -> None:
    interval = export.intervals(tiny.videos[0])[-1]
    file = tiny.path("EgoTaskQA", "qa_videos", f"{interval.name}.mp4")
    source, cut = VideoReader(tiny.videos[0].file), VideoReader(file)
    assert len(cut) == interval.end - interval.first == export.SECONDS * tiny.settings.fps
    for frame in (0, 33, len(cut) - 1):
        assert (cut[frame] == source[interval.first + frame]).all()


def test_the_truth_is_right_in_everything(tiny: World) -> None:
    folder = tiny.path(str(egotaskqa.ANNOTATIONS), "direct")
    questions = egotaskqa.read_questions(folder, "train")
    answers = np.array([q.answer_index for q in questions])
    table = accuracy_table(answers, answers, [q.reasoning for q in questions])
    assert table == {"open": 100.0, "binary": 100.0, "all": 100.0}


# ------------------------------------------------------------------- many more questions


@pytest.fixture(scope="module")
def many(logs: Callable[..., World]) -> list[tuple[export.Interval, export.Draft]]:
    """The questions about forty videos that exist as logs."""
    return export.questions(logs(train_videos=40), "train")


def test_every_word_is_in_the_vocabulary(many: list) -> None:
    known = vocabulary()
    assert {w for _, draft in many for w in words(draft.question)} <= set(known)


def test_a_question_about_an_interval_has_one_answer(many: list) -> None:
    answers: dict[tuple[str, str], set[str]] = {}
    for interval, draft in many:
        answers.setdefault((interval.name, draft.question), set()).add(draft.answer)
    assert len(answers) > 1000 and all(len(found) == 1 for found in answers.values())


def test_answers_follow_the_log(many: list) -> None:
    """Asked again of the log, without the code that made the questions."""
    checked = Counter()
    for interval, draft in many:
        events = [
            e
            for e in interval.video.episode.events
            if e.start < interval.end and e.end > interval.first
        ]
        if draft.template == "object":
            verb = MIDDLE[draft.question.removeprefix("What did I ").removesuffix("?")]
            (event,) = (e for e in events if e.verb == verb)
            kind = event.fixture or interval.instances[event.obj].silhouette
            assert kind == draft.answer
        elif draft.template == "action":
            name = draft.question.removeprefix("What did I do to the ").removesuffix("?")
            (event,) = (e for e in events if names(interval, e, name))
            assert MIDDLE[draft.answer] == event.verb
        elif draft.template == "next":
            later = [e for e in interval.video.episode.events if e.start >= interval.end]
            assert MIDDLE[draft.answer] == later[0].verb
        else:
            continue
        checked[draft.template] += 1
    assert min(checked.values()) > 30 and len(checked) == 3


def names(interval: export.Interval, event: object, name: str) -> bool:
    """Whether a name fits what an action is about."""
    if event.fixture:  # type: ignore[attr-defined]
        return event.fixture == name  # type: ignore[attr-defined]
    thing = interval.instances[event.obj]  # type: ignore[attr-defined]
    return set(name.split()) <= {thing.silhouette, thing.texture, thing.hue}


def test_yes_is_as_frequent_as_no_in_every_template(many: list) -> None:
    counts = Counter((d.template, d.answer) for _, d in many if d.structural == "verify")
    templates = {template for template, _ in counts}
    assert templates >= {"did", "order", "state", "will", "there", "did to what"}
    for template in templates:
        yes, no = counts[template, "yes"], counts[template, "no"]
        assert abs(yes - no) <= 4 * np.sqrt(yes + no)


def test_questions_without_their_video_tell_little(logs: Callable[..., World]) -> None:
    """The most frequent training answer to the same words, on other rooms."""
    world = logs(train_videos=40, val_videos=40)
    parts = {}
    for part in ("train", "val"):
        parts[part] = [
            egotaskqa.Question(
                i.name, d.question, d.answer, hash(d.answer) % 10**9, (d.structural,), ""
            )
            for i, d in export.questions(world, part)
        ]
    predicted = frequent_answers(parts["train"], parts["val"])
    right = np.array([q.answer_index for q in parts["val"]])
    table = accuracy_table(predicted, right, [q.reasoning for q in parts["val"]])
    assert table["binary"] < 62 and table["open"] < 30
