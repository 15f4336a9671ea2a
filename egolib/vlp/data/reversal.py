"""Opposite actions that show the same frames in opposite order: take and put, open and close.

The clips are the choices of EgoMCQ, whose texts name the action. Each is compared with
two short texts that differ in the verb alone, so that neither text's other words tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from egolib.vlp.data.egoclip import Choice, Question

#: Pairs of opposite actions; each side has one or more ways to say it, the first one is used.
OPPOSITES = (
    (("takes", "picks up", "grabs"), ("puts", "puts down", "places")),
    (("opens",), ("closes", "shuts")),
    (("turns on", "switches on"), ("turns off", "switches off")),
)
#: The verb that undoes each of these verbs.
OPPOSITE_VERB = {verb[0]: other[0] for pair in OPPOSITES for verb, other in (pair, pair[::-1])}
WEARER = "#C C "
_ENDS = re.compile(r" (?:from|in|into|on|onto|out|of|off|at|to|with|under|over|and) .*")


@dataclass(frozen=True)
class OppositeClip:
    """A clip of one of two opposite actions.

    Args:
        clip: where it is.
        text: what it shows, in few words.
        opposite: the same with the opposite verb.
        verb: the verb of ``text``.
    """

    clip: Choice
    text: str
    opposite: str
    verb: str


def opposite_clips(questions: Sequence[Question]) -> list[OppositeClip]:
    """The different clips among all choices whose text begins with such an action."""
    found: dict[tuple[str, float, float], OppositeClip] = {}
    for choice in (c for question in questions for c in question.choices):
        place = (choice.video_uid, choice.start_sec, choice.end_sec)
        phrases = opposite_texts(choice.text)
        if phrases is not None and place not in found:
            found[place] = OppositeClip(choice, *phrases)
    return list(found.values())


def opposite_texts(text: str) -> tuple[str, str, str] | None:
    """A short text, the same with the opposite verb, and the verb; None for other actions.

    >>> opposite_texts("#C C picks up the red mug from the table")
    ('#C C takes the red mug', '#C C puts the red mug', 'takes')
    """
    if not text.startswith(WEARER):
        return None
    said = text.removeprefix(WEARER)
    for ways, verb, opposite in _actions():
        for way in sorted(ways, key=len, reverse=True):
            if said.startswith(way + " "):
                thing = _thing(said.removeprefix(way + " "))
                return f"{WEARER}{verb} {thing}", f"{WEARER}{opposite} {thing}", verb
    return None


def _actions() -> list[tuple[tuple[str, ...], str, str]]:
    """Ways to say each action, its verb and the opposite one."""
    both = [pair for a, b in OPPOSITES for pair in ((a, b), (b, a))]
    return [(ways, ways[0], others[0]) for ways, others in both]


def _thing(words: str) -> str:
    """What stands before the first preposition."""
    return _ENDS.sub("", words)
