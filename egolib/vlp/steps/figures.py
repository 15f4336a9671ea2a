"""Figures of the vlp pages. No torch here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from egolib.runs.step import Step
from egolib.viz import picture_row, retrieval_grid
from egolib.viz.style import PALETTE, PREDICTED, TRUE, Drawing, look
from egolib.vlp.config import Config
from egolib.vlp.data.egoclip import EgoClip, Question
from egolib.vlp.data.epic import EpicSplit
from egolib.vlp.data.qfvs_videos import QueriedVideo
from egolib.vlp.data.reversal import OppositeClip
from egolib.vlp.data.videos import EgoClipVideos, EpicVideos
from egolib.vlp.summarization.selection import best_shots, summary_length

CHANCE = {"egomcq": 20.0, "reversal": 50.0}


def narrations(clips: EgoClip, most: int = 14) -> Drawing:
    """Lengths of the clips, narrations a minute, and the commonest first words."""
    words = Counter(" ".join(str(t).split()[2:3]) for t in clips.texts).most_common(most)
    minutes = Counter(
        zip(clips.video_uids.tolist(), (clips.narration_time // 60).tolist(), strict=True)
    )
    with look():
        figure = Drawing(2.4)
        lengths, often, said = figure.subplots(1, 3)
        lengths.hist(clips.end_sec - clips.start_sec, 24, color=PALETTE[0])
        lengths.set(xlabel="length of a clip, s", ylabel="clips")
        often.hist(list(minutes.values()), 12, color=PALETTE[1])
        often.set(xlabel="clips of one minute", ylabel="minutes")
        names, values = zip(*reversed(words), strict=True)
        said.barh(range(len(names)), values, color=PALETTE[2])
        said.set_yticks(range(len(names)), names, fontsize=7)
        said.set_xlabel("narrations that begin so")
    return figure


def question(videos: EgoClipVideos, asked: Question, frames: int = 4) -> Drawing:
    """A question's five clips, a row of frames each; the right one is marked.

    Args:
        videos: the clips' frames.
        asked: the question.
        frames: of each clip.
    """
    images, titles = [], []
    for number, choice in enumerate(asked.choices):
        shown = videos.images(choice.video_uid, choice.start_sec, choice.end_sec, frames)
        mark = "✓ " if number == asked.answer else ""
        images += list(shown)
        titles += [f"{mark}clip {number + 1}", *[""] * (frames - 1)]
    return _entitled(picture_row(images, titles, columns=frames), asked.text)


def opposite(videos: EgoClipVideos, clips: Sequence[OppositeClip], frames: int = 6) -> Drawing:
    """An action and its opposite in frames: the first pair of verbs that both occur.

    Args:
        videos: the clips' frames.
        clips: of opposite actions.
        frames: of each clip.
    """
    first = clips[0]
    other = next((c for c in clips if c.verb in first.opposite.split(" the ")[0]), first)
    images, titles = [], []
    for clip in (first, other):
        place = (clip.clip.video_uid, clip.clip.start_sec, clip.clip.end_sec)
        images += list(videos.images(*place, frames))
        titles += [clip.text.removeprefix("#C C "), *[""] * (frames - 1)]
    return picture_row(images, titles, columns=frames)


def relevancy(split: EpicSplit, most: int = 120) -> Drawing:
    """The first clips and sentences of a relevancy matrix, and how common each value is."""
    with look():
        figure = Drawing(2.8)
        matrix, values = figure.subplots(1, 2, width_ratios=(1, 1.2))
        shown = matrix.imshow(split.relevancy[:most, :most], cmap="viridis", vmin=0, vmax=1)
        matrix.set(xlabel="sentence", ylabel="clip")
        figure.colorbar(shown, ax=matrix, label="relevancy")
        values.hist(split.relevancy.ravel(), 21, color=PALETTE[0], log=True)
        values.set(xlabel="relevancy", ylabel="pairs")
    return figure


def training(records: Sequence[Mapping[str, Any]], schedule: Callable[[int], float]) -> Drawing:
    """Each objective over updates, what was evaluated on the way, and the rate's factor.

    Args:
        records: lines of ``metrics.jsonl``.
        schedule: the factor by update.
    """
    own = [r for r in records if r["kind"] == "train"]
    names = [n for n in ("egonce", "mlm", "itm", "order") if own and n in own[0]] or ["loss"]
    with look():
        figure = Drawing(2.5)
        losses, rate = figure.subplots(1, 2, width_ratios=(3, 1))
        for name, tint in zip(names, PALETTE, strict=False):
            losses.plot([r["update"] for r in own], [r[name] for r in own], color=tint, label=name)
        losses.set(xlabel="updates", ylabel="loss", ylim=(0, None))
        losses.legend(fontsize=7)
        last = max((r["update"] for r in own), default=1)
        updates = np.unique(np.linspace(0, last - 1, 200).astype(int))
        rate.plot(updates, [schedule(int(u)) for u in updates], color=PALETTE[2])
        rate.set(xlabel="updates", ylabel="rate, fraction of its base", ylim=(0, None))
    return figure


def accuracies(metrics: Mapping[str, Any]) -> Drawing:
    """EgoMCQ by kind of score and question, and the reversal pairs, with chance dashed."""
    with look():
        figure = Drawing(2.2)
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        scores = metrics["egomcq"]
        kinds = list(next(iter(scores.values())))
        for place, kind in enumerate(kinds):
            x = np.arange(len(scores)) + (place - 0.5) * 0.38
            bars = left.bar(x, [s[kind] for s in scores.values()], 0.36, color=PALETTE[place])
            left.bar_label(bars, fmt="%.0f", fontsize=7)
            bars.set_label(kind)
        left.set_xticks(range(len(scores)), list(scores))
        _finish(left, CHANCE["egomcq"], "right answers, %")
        left.legend(fontsize=7)
        ways = {k.replace("_", " "): v for k, v in metrics.get("reversal", {}).items()}
        bars = right.bar(list(ways), list(ways.values()), 0.6, color=PREDICTED)
        right.bar_label(bars, fmt="%.0f", fontsize=7)
        _finish(right, CHANCE["reversal"], "right one of two opposite actions, %")
    return figure


def answers(metrics: Mapping[str, Any]) -> Drawing:
    """EgoTaskQA accuracies by kind of question, beside answers without a look at the video.

    Args:
        metrics: of ``egotaskqa``, see ``steps.evaluate.answer_metrics``.
    """
    kinds = ("open", "binary", "all")
    rows = {"network": metrics}
    rows |= {k.replace("_", " "): metrics[k] for k in ("most_frequent", "frequent_by_words")}
    with look():
        figure = Drawing(2.2)
        axes = figure.subplots()
        for place, (name, found) in enumerate(rows.items()):
            x = np.arange(len(kinds)) + (place - 1) * 0.28
            bars = axes.bar(x, [found[k] for k in kinds], 0.26, color=PALETTE[place], label=name)
            axes.bar_label(bars, fmt="%.0f", fontsize=7)
        axes.set_xticks(range(len(kinds)), [f"{kind} questions" for kind in kinds])
        axes.set(ylabel="right answers, %", ylim=(0, 105))
        axes.legend(fontsize=7)
    return figure


def summaries(
    video: QueriedVideo, scores: np.ndarray, fraction: float, shot_sec: float, most: int = 4
) -> Drawing:
    """Summaries of a video on a time axis: reference shots, the network's, and its scores.

    Args:
        video: with its queries.
        scores: (queries, shots).
        fraction: of the shots that become a summary.
        shot_sec: length of a shot.
        most: queries that are drawn.
    """
    count = summary_length(len(video.shots), fraction)
    rows = list(zip(video.queries, scores, strict=True))[:most]
    with look():
        figure = Drawing(0.55 * len(rows) + 0.5)
        axes = figure.subplots()
        for row, (query, found) in enumerate(rows):
            for level, shots, tint in (
                (0.3, query.oracle, TRUE),
                (0.0, best_shots(found, count).tolist(), PREDICTED),
            ):
                spans = [(shot * shot_sec, shot_sec) for shot in shots]
                axes.broken_barh(spans, (level - row, 0.25), color=tint)
            spread = max(float(np.ptp(found)), 1e-9)
            curve = (found - found.min()) / spread * 0.2 - row - 0.25
            axes.plot((np.arange(len(found)) + 0.5) * shot_sec, curve, color="#888888", linewidth=1)
        names = [" and ".join(query.concepts) for query, _ in rows]
        axes.set_yticks([0.25 - row for row in range(len(rows))], names, fontsize=7)
        axes.set(xlabel="seconds", xlim=(0, len(video.shots) * shot_sec))
        handles = [Patch(color=TRUE, label="reference"), Patch(color=PREDICTED, label="network")]
        axes.legend(handles=handles, fontsize=7, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure


def _finish(axes: Axes, chance: float, label: str) -> None:
    axes.axhline(chance, color=TRUE, linestyle="--", linewidth=1)
    axes.set(ylabel=label, ylim=(0, 105))


def retrieved(
    step: Step[Config],
    split: EpicSplit,
    similarity: np.ndarray,
    sentences: Sequence[int],
    best: int = 5,
) -> Drawing:
    """The clips that fit some sentences best, by their middle frame; relevant ones are marked.

    Args:
        step: its data root.
        split: clips, sentences and relevancy.
        similarity: (clips, sentences).
        sentences: columns.
        best: clips that are shown for each.
    """
    videos = EpicVideos(step.data_root, step.config.data)
    images, scores, right = [], [], []
    for column in sentences:
        rows = np.argsort(-similarity[:, column], kind="stable")[:best]
        images.append([videos.images(split.clips, int(row), 1)[0] for row in rows])
        scores.append(similarity[rows, column])
        right.append(split.relevancy[rows, column] == 1)
    texts = [split.sentences.narrations[column] for column in sentences]
    return retrieval_grid(texts, images, np.array(scores), np.array(right))


def _entitled(figure: Drawing, text: str) -> Drawing:
    figure.suptitle(text, x=0.01, ha="left", fontsize=8)
    return figure
