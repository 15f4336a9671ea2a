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

from egolib.errors import EgolibError
from egolib.io.records import Skipped
from egolib.metrics.multiple_choice import KINDS
from egolib.runs.step import Step
from egolib.vlp.config import Config, DataConfig
from egolib.vlp.data import charades, egoclip, epic, moments
from egolib.vlp.data.cache import FRAMES, write_cache
from egolib.vlp.data.charades import Action, CharadesVideo
from egolib.vlp.data.egoclip import EgoClip, Question
from egolib.vlp.data.epic import EpicSplit
from egolib.vlp.data.readers import chunk_numbers, egoclip_intervals

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
        absent: data set to what is wrong with it.
    """

    clips: EgoClip | None = None
    questions: list[Question] = field(default_factory=list)
    epic: dict[str, EpicSplit] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    videos: list[CharadesVideo] = field(default_factory=list)
    absent: Skipped = field(default_factory=Skipped)


def read_inventory(step: Step[Config]) -> Inventory:
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
    return found


def require_training_data(step: Step[Config], inventory: Inventory) -> None:
    """Raises EgolibError when what this configuration trains on is not there."""
    here = {
        "egoclip": inventory.clips is not None,
        "epic": "train" in inventory.epic,
        "charades": bool(inventory.actions),
    }
    if not here[step.config.data.train]:
        raise EgolibError(
            f"the data to train on ({step.config.data.train}) is not there",
            file=step.data_root,
            remedy="see the table of sources, and --data-root",
        )


# ---------------------------------------------------------------------------- tables


def inventory_table(inventory: Inventory) -> pd.DataFrame:
    """What was found: counts by data set."""
    import pandas as pd

    clips, rows = inventory.clips, {}
    if clips is not None:
        about = f"{len(clips.videos)} videos, {clips.lost_lines} malformed lines left out"
        rows["EgoClip, clips"] = (len(clips), about)
    kinds = Counter(KINDS[q.kind] for q in inventory.questions)
    about = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    rows["EgoMCQ, questions"] = (len(inventory.questions), about)
    for name, split in inventory.epic.items():
        rows[f"EPIC-KITCHENS {name}, clips"] = (
            len(split.clips),
            f"{len(split.sentences.narrations)} sentences",
        )
    classes = len({action.cls for action in inventory.actions})
    rows["Charades-Ego train, actions"] = (len(inventory.actions), f"{classes} classes occur")
    rows["Charades-Ego test, videos"] = (len(inventory.videos), "")
    return pd.DataFrame(rows, index=["count", "of which"]).T


def relevancy_table(inventory: Inventory) -> pd.DataFrame:
    """Each relevancy matrix, and whether a shipped one equals what we compute."""
    import pandas as pd

    rows = {}
    for name, split in inventory.epic.items():
        computed = epic.relevancy_matrix(split.clips, split.sentences)
        equal = bool(np.array_equal(computed, split.relevancy))
        about = epic.describe_relevancy(split.relevancy)
        about["sha256"] = str(about["sha256"])[:12]
        rows[name] = about | {"source": split.source, "equals ours": equal}
    return pd.DataFrame(rows).T


def short_clips(clips: EgoClip, data: DataConfig, frames: Sequence[int]) -> pd.DataFrame:
    """How many training clips the official random sampling cannot read.

    It fails where an interval has one frame or none; officially such clips are black.
    """
    import pandas as pd

    spans = list(zip(np.maximum(clips.start_sec, 0), np.maximum(clips.end_sec, 0)))
    rows = {}
    for count in frames:
        bad = sum(
            any(high <= low for low, high in egoclip_intervals(s, e, count, data.assumed_fps))
            for s, e in spans
        )
        rows[count] = {"clips": bad, "share, %": 100 * bad / max(len(spans), 1)}
    return pd.DataFrame(rows).T.rename_axis("frames of a clip")


# --------------------------------------------------------------------- files of videos


def missing_videos(step: Step[Config], inventory: Inventory) -> Skipped:
    """Videos that the annotations name and that are not there, each with one clip of it."""
    root, missing = step.data_root, Skipped()
    for path, record in _wanted(step, inventory):
        if not (root / path).is_file():
            missing.add(path, f"needed by {record}")
    return missing


def make_cache(step: Step[Config], inventory: Inventory) -> Skipped:
    """Decodes the videos of EgoClip, EgoMCQ and EPIC-KITCHENS where the configuration asks for it.

    Returns:
        Videos that could not be read.
    """
    height = step.config.data.cache_height
    if not height:
        return Skipped()
    root = step.data_root
    wanted = (root / path for path, _ in _wanted(step, inventory))
    files = {path for path in wanted if path.is_file()}
    files |= set((root / moments.VIDEOS).glob("*.mp4"))
    return write_cache(root, files, step.out / FRAMES, height)


def _wanted(step: Step[Config], inventory: Inventory) -> list[tuple[Path, str]]:
    """Videos below the data root, each with a record that needs it."""
    found: dict[Path, str] = {}
    chunk_sec, clips = step.config.data.chunk_sec, inventory.clips
    if clips is not None:
        for row in range(len(clips)):
            for n in chunk_numbers(clips.start_sec[row], clips.end_sec[row], chunk_sec):
                found.setdefault(egoclip.CHUNKS / clips.video(row) / f"{n}.mp4", f"clip {row}")
    for question in inventory.questions:
        for c in question.choices:
            for n in chunk_numbers(c.start_sec, c.end_sec, chunk_sec):
                path = egoclip.CHUNKS / c.video_uid / f"{n}.mp4"
                found.setdefault(path, f"question {question.number}")
    for split in inventory.epic.values():
        for row, name in enumerate(split.clips.narration_ids):
            found.setdefault(epic.VIDEOS / split.clips.video(row), name)
    return list(found.items())


def counts(inventory: Inventory, missing: Skipped) -> dict[str, Any]:
    """Counts for ``result.json``."""
    found: dict[str, Any] = {
        "clips": 0 if inventory.clips is None else len(inventory.clips),
        "questions": len(inventory.questions),
        "charades actions": len(inventory.actions),
        "charades videos": len(inventory.videos),
        "missing videos": len(missing),
    }
    for name, split in inventory.epic.items():
        found[f"epic {name}"] = epic.describe_relevancy(split.relevancy) | {"source": split.source}
    return found
