"""Multiple choice between videos (EgoMCQ): accuracy by kind of question.

Legend: Q questions, K choices.

Lin et al. (arXiv 2206.01670, section 3.2): a text and five clips, either of different
videos (*inter*) or of one video (*intra*).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

#: The kinds of questions by the number that ``egomcq.json`` gives them.
KINDS = {1: "Inter-video", 2: "Intra-video"}

Names = Literal["official", "by_value"]


def accuracy_by_kind(
    scores: np.ndarray, answers: np.ndarray, kinds: np.ndarray, names: Names = "official"
) -> dict[str, float]:
    """Per cent of questions whose highest score is the answer's; the first maximum counts.

    Official behaviour: the kinds that occur are sorted and named in order, so that a
    file with intra-video questions alone reports them as Inter-video. ``by_value``
    names them by their number.

    Args:
        scores: (Q, K).
        answers: (Q,) int, the right choice.
        kinds: (Q,) int, 1 or 2.
        names: of the two kinds.

    >>> accuracy_by_kind(np.eye(2), np.array([0, 0]), np.array([1, 2]))
    {'Inter-video': 100.0, 'Intra-video': 0.0}
    """
    right = np.argmax(scores, 1) == answers if len(scores) else np.zeros(0, bool)
    present = np.unique(kinds).tolist()
    labels = (
        dict(zip(present, KINDS.values(), strict=False))
        if names == "official"
        else {kind: KINDS.get(kind, f"kind {kind}") for kind in present}
    )
    return {label: 100.0 * float(right[kinds == kind].mean()) for kind, label in labels.items()}


def egomcq_accuracy(
    dual: np.ndarray,
    fusion: np.ndarray | None,
    answers: np.ndarray,
    kinds: np.ndarray,
    names: Names = "official",
) -> dict[str, dict[str, float]]:
    """Accuracies of each kind of score, named for what it is.

    ``dual`` compares embeddings, ``fusion`` asks the matching head, ``ensemble`` adds
    both: the published 91.0 / 60.9 of EgoVLPv2.

    Args:
        dual: (Q, K) cosines of text and videos.
        fusion: (Q, K) probabilities of a match; None where they were not computed.
        answers: (Q,) int, the right choice.
        kinds: (Q,) int, 1 or 2.
        names: of the two kinds.
    """
    scores = {"dual": dual}
    if fusion is not None:
        scores |= {"fusion": fusion, "ensemble": dual + fusion}
    return {name: accuracy_by_kind(s, answers, kinds, names) for name, s in scores.items()}
