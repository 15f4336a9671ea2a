"""``1_data``: what there is, whether it can be read, and decoded frames kept for training.

No torch here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.io.records import Skipped
from egolib.io.sources import sources as sources
from egolib.metrics.multiple_choice import KINDS
from egolib.report.source import show as show
from egolib.runs.step import Step
from egolib.vlp.config import Config, SummarizerConfig
from egolib.vlp.config.benchmarks import VIDEOS
from egolib.vlp.data import charades, egoclip, egotaskqa, epic, moments
from egolib.vlp.data.cache import FRAMES, write_cache
from egolib.vlp.data.charades import Action, CharadesVideo
from egolib.vlp.data.egoclip import EgoClip, Question
from egolib.vlp.data.egotaskqa import QuestionSplit, read_split, video_file
from egolib.vlp.data.epic import EpicSplit
from egolib.vlp.data.epic import relevancy_parts as relevancy_parts
from egolib.vlp.data.qfvs_videos import QueriedVideo, read_videos, warnings_of
from egolib.vlp.data.readers import chunk_numbers, egoclip_intervals
from egolib.vlp.data.videos import EgoClipVideos

if TYPE_CHECKING:
    import pandas as pd

Read = TypeVar("Read")


@dataclass
class Inventory:
    """The annotations of a data root; what is absent is None or empty, and listed.

    Args:
        clips: EgoClip.
        questions: EgoMCQ.
        epic: EPIC-KITCHENS splits by name.
        actions: Charades-Ego's training actions.
        videos: its test videos.
        answered: EgoTaskQA's questions of the configured split.
        queried: QFVS's videos.
        absent: data set to what is wrong with it.
    """

    clips: EgoClip | None = None
    questions: list[Question] = field(default_factory=list)
    epic: dict[str, EpicSplit] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    videos: list[CharadesVideo] = field(default_factory=list)
    answered: QuestionSplit | None = None
    queried: list[QueriedVideo] = field(default_factory=list)
    absent: Skipped = field(default_factory=Skipped)


@dataclass
class Prepared:
    """What ``prepare`` found and made.

    Args:
        inventory: the annotations.
        missing: videos that they name and that are not there, each with one clip of it.
        unreadable: videos that could not be decoded.
    """

    inventory: Inventory
    missing: Skipped
    unreadable: Skipped


def prepare(step: Step[Config]) -> Prepared:
    """Reads all annotations, looks for their videos, and decodes them where that is asked for."""
    found = inventory(step)
    return Prepared(found, missing_videos(step, found), make_cache(step, found))


def inventory(step: Step[Config]) -> Inventory:
    """All annotations that are there; unreadable ones are listed, not raised."""
    root, found = step.data_root, Inventory()

    def tried(name: str, read: Callable[[], Read]) -> Read | None:
        try:
            return read()
        except EgolibError as error:
            found.absent.add(name, error)
            return None

    found.clips = tried(
        "EgoClip", lambda: egoclip.read_egoclip(egoclip.data_file(root, egoclip.TABLE))
    )
    questions = egoclip.data_file(root, egoclip.QUESTIONS)
    found.questions = tried("EgoMCQ", lambda: egoclip.read_egomcq(questions)) or []
    for split in ("train", "test"):
        name = f"EPIC-KITCHENS {split}"
        one = tried(name, lambda split=split: epic.read_epic_split(root, split))  # type: ignore[misc]
        if one is not None:
            found.epic[split] = one
    folder = root / charades.FOLDER
    actions = tried(
        "Charades train", lambda: charades.read_action_table(folder / "metadata_train.csv")
    )
    tests = folder / "CharadesEgo_v1_test_only1st.csv"
    found.actions = actions or []
    found.videos = tried("Charades test", lambda: charades.read_videos(tests)) or []
    asked, how = step.config.data.questions, step.config.data.summaries
    found.answered = tried(
        f"EgoTaskQA {asked.split}", lambda: read_split(root, asked.split, asked.answer_case)
    )
    summarizer = step.config.model.summarizer or SummarizerConfig()
    places = how.segments * summarizer.longest
    found.queried = tried("QFVS", lambda: read_videos(root, how, places, VIDEOS)) or []
    return found


def check(step: Step[Config], prepared: Prepared) -> None:
    """Raises where the outcome is impossible.

    Raises:
        EgolibError: what this variant trains on is not there, videos cannot be decoded, or
            videos of the built-in world are missing.
    """
    found, train = prepared.inventory, step.config.data.train
    here = {
        "egoclip": found.clips is not None,
        "epic": "train" in found.epic,
        "charades": bool(found.actions),
        "egotaskqa": found.answered is not None,
        "qfvs": bool(found.queried),
    }
    if _trains(step) and not here[train]:
        raise EgolibError(
            f"the data to train on ({train}) is not there",
            file=step.data_root,
            remedy="see the table of sources, and --data-root",
        )
    real = step.preset == "paper"
    for what, lost in (("decoded", prepared.unreadable), ("found", prepared.missing)):
        if lost and not (real and what == "found"):
            raise EgolibError(f"videos that cannot be {what}: {lost.summary()}")
    for name, split in found.epic.items():
        low, high = split.relevancy.min(initial=0), split.relevancy.max(initial=0)
        if not 0 <= low <= high <= 1:
            raise EgolibError(f"relevancies from {low} to {high}", record=name)


def _trains(step: Step[Config]) -> bool:
    return "2_train" in configs.read_variant(step.task, step.variant).steps


# ---------------------------------------------------------------------------- tables


def table(prepared: Prepared) -> pd.DataFrame:
    """What was found: counts by data set."""
    import pandas as pd

    found = prepared.inventory
    clips, rows = found.clips, {}
    if clips is not None:
        about = f"{len(clips.videos)} videos, {clips.lost_lines} malformed lines skipped"
        rows["EgoClip, clips"] = (len(clips), about)
    kinds = Counter(KINDS[q.kind] for q in found.questions)
    about = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    rows["EgoMCQ, questions"] = (len(found.questions), about)
    for name, split in found.epic.items():
        rows[f"EPIC-KITCHENS {name}, clips"] = (
            len(split.clips),
            f"{len(split.sentences.narrations)} sentences",
        )
    classes = len({action.cls for action in found.actions})
    rows["Charades-Ego train, actions"] = (len(found.actions), f"{classes} classes occur")
    rows["Charades-Ego test, videos"] = (len(found.videos), "")
    if found.answered is not None:
        sizes = {part: len(asked) for part, asked in found.answered.parts.items()}
        about = ", ".join(f"{n} {part}" for part, n in sizes.items())
        about += f"; {len(found.answered.answers)} answers"
        rows["EgoTaskQA, questions"] = (sum(sizes.values()), about)
    if found.queried:
        shots = ", ".join(str(len(video.shots)) for video in found.queried)
        queries = sum(len(video.queries) for video in found.queried)
        rows["QFVS, queries"] = (queries, f"videos of {shots} shots")
    return pd.DataFrame(rows, index=["count", "of which"]).T


def relevancy_table(prepared: Prepared) -> pd.DataFrame:
    """Each relevancy matrix, and whether a shipped one equals what we compute."""
    import pandas as pd

    rows = {}
    for name, split in prepared.inventory.epic.items():
        computed = epic.relevancy_matrix(split.clips, split.sentences)
        equal = bool(np.array_equal(computed, split.relevancy))
        about = epic.describe_relevancy(split.relevancy)
        about["sha256"] = str(about["sha256"])[:12]
        rows[name] = about | {"source": split.source, "equals ours": equal}
    return pd.DataFrame(rows).T


def short_clips(step: Step[Config], prepared: Prepared, frames: Sequence[int]) -> pd.DataFrame:
    """How many training clips the official random sampling cannot read; empty without EgoClip.

    It fails where an interval has one frame or none; such clips are black, matching the
    official code.

    Args:
        step: its configuration says how times become frames.
        prepared: holds the clips.
        frames: of a clip; one row of the table each.
    """
    import pandas as pd

    clips, fps = prepared.inventory.clips, step.config.data.assumed_fps
    if clips is None:
        return pd.DataFrame()
    spans = list(zip(np.maximum(clips.start_sec, 0), np.maximum(clips.end_sec, 0), strict=True))
    rows = {}
    for count in frames:
        bad = sum(
            any(high <= low for low, high in egoclip_intervals(s, e, count, fps)) for s, e in spans
        )
        rows[count] = {"clips": bad, "fraction": bad / max(len(spans), 1)}
    return pd.DataFrame(rows).T.rename_axis("frames of a clip")


def passed_over(step: Step[Config], prepared: Prepared) -> list[str]:
    """What is odd in QFVS's annotations and is passed over, matching the official code."""
    videos = prepared.inventory.queried
    return [f"video {v.number}: {line}" for v in videos for line in warnings_of(step.data_root, v)]


# --------------------------------------------------------------------- files of videos


def missing_videos(step: Step[Config], found: Inventory) -> Skipped:
    """Videos that the annotations name and that are not there, each with one clip of it."""
    root, missing = step.data_root, Skipped()
    names = {a.video: f"action at {a.start_sec} s" for a in found.actions}
    names |= {video.video: "test" for video in found.videos}
    wanted = [(charades.VIDEOS / f"{name}.mp4", record) for name, record in names.items()]
    asked = [q for part in found.answered.parts.values() for q in part] if found.answered else []
    intervals = {q.interval: f"question {q.name}" for q in asked}
    wanted += [(video_file(egotaskqa.VIDEOS, name), record) for name, record in intervals.items()]
    for path, record in [*_wanted(step, found), *wanted]:
        if not (root / path).is_file():
            missing.add(path, f"needed by {record}")
    return missing


def make_cache(step: Step[Config], found: Inventory) -> Skipped:
    """Decodes the videos of EgoClip, EgoMCQ and EPIC-KITCHENS where the configuration asks for it.

    Returns:
        Videos that could not be read.
    """
    height = step.config.data.cache_height
    if not height:
        return Skipped()
    root = step.data_root
    wanted = (root / path for path, _ in _wanted(step, found))
    files = {path for path in wanted if path.is_file()}
    files |= set((root / moments.VIDEOS).glob("*.mp4"))
    backend = step.config.data.backend
    return write_cache(root, files, step.out / FRAMES, height, backend=backend)


def _wanted(step: Step[Config], found: Inventory) -> list[tuple[Path, str]]:
    """Videos below the data root, each with a record that needs it."""
    places: dict[Path, str] = {}
    chunk_sec, clips = step.config.data.chunk_sec, found.clips
    if clips is not None:
        for row in range(len(clips)):
            for n in chunk_numbers(clips.start_sec[row], clips.end_sec[row], chunk_sec):
                places.setdefault(egoclip.CHUNKS / clips.video(row) / f"{n}.mp4", f"clip {row}")
    for question in found.questions:
        for c in question.choices:
            for n in chunk_numbers(c.start_sec, c.end_sec, chunk_sec):
                path = egoclip.CHUNKS / c.video_uid / f"{n}.mp4"
                places.setdefault(path, f"question {question.number}")
    for split in found.epic.values():
        for row, name in enumerate(split.clips.narration_ids):
            places.setdefault(epic.VIDEOS / split.clips.video(row), name)
    return list(places.items())


def counts(prepared: Prepared) -> dict[str, Any]:
    """Counts and fingerprints for ``result.json``."""
    found = prepared.inventory
    about: dict[str, Any] = {
        "clips": 0 if found.clips is None else len(found.clips),
        "questions": len(found.questions),
        "charades actions": len(found.actions),
        "charades videos": len(found.videos),
        "missing videos": len(prepared.missing),
    }
    if found.answered is not None:
        about["answered questions"] = {k: len(v) for k, v in found.answered.parts.items()}
    for video in found.queried:
        about[f"qfvs video {video.number}"] = {
            "shots": len(video.shots), "queries": len(video.queries)
        }  # fmt: skip
    for name, split in found.epic.items():
        about[f"epic {name}"] = epic.describe_relevancy(split.relevancy) | {"source": split.source}
    return about


def metrics(prepared: Prepared) -> dict[str, float]:
    """Numbers for ``result.json``."""
    return {"absent": len(prepared.inventory.absent), "missing_videos": len(prepared.missing)}


# ------------------------------------------------------------------------- for figures


def videos(step: Step[Config]) -> EgoClipVideos:
    """The clips of EgoClip and EgoMCQ, read from their files."""
    return EgoClipVideos(step.data_root, step.config.data)


def intra_question(prepared: Prepared) -> Question | None:
    """A question about one video whose clips are there; None without one."""
    asked = [q for q in prepared.inventory.questions if q.kind == 2]
    return asked[0] if asked and not prepared.missing else None
