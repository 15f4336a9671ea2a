"""The kinds of things in the world: objects, textures, colours, verbs, stations, people.

Positions in these tuples are the class indices of the exported files.
"""

from __future__ import annotations

from dataclasses import dataclass

SILHOUETTES = ("mug", "jar", "pan", "box", "ball", "plate")
TEXTURES = ("striped", "dotted")
CONTAINERS = ("jar", "box")
FIXTURES = ("tap", "lamp")
STATIONS = ("sink", "stove", "table", "shelf", "window")
PEOPLE = ("man", "woman", "boy")

# name: (red, green, blue) of the middle of the palette
HUES = {
    "red": (196, 70, 62),
    "orange": (214, 138, 60),
    "yellow": (206, 186, 76),
    "green": (84, 156, 88),
    "blue": (72, 118, 196),
    "purple": (146, 88, 178),
}

VERBS = (
    "take",
    "put",
    "move",
    "open",
    "close",
    "pour",
    "cut",
    "wash",
    "stir",
    "shake",
    "turn-on",
    "turn-off",
)
REVERSAL = {"take": "put", "open": "close", "turn-on": "turn-off"}
SECOND_VERBS = tuple(REVERSAL.values())
PARTNER = REVERSAL | {second: first for first, second in REVERSAL.items()}
IN_PLACE = ("pour", "cut", "wash", "stir", "shake")
TOOLS = {"cut": "knife", "wash": "sponge", "stir": "spoon"}

# Nouns that go with a verb when ``bias`` is above 0.
TYPICAL = {
    "take": ("mug", "plate"),
    "put": ("mug", "plate"),
    "move": ("pan", "box"),
    "pour": ("mug", "jar"),
    "cut": ("ball",),
    "wash": ("plate", "pan"),
    "stir": ("pan", "mug"),
    "shake": ("jar", "box"),
}

NOUNS = SILHOUETTES + FIXTURES + STATIONS + PEOPLE
VERB_SPACE, NOUN_SPACE = 118, 582  # the official tag spaces; ours use the first entries


@dataclass(frozen=True)
class ObjectClass:
    """One detection class: a silhouette with a texture, and a made-up WordNet-shaped id."""

    index: int
    silhouette: str
    texture: str

    @property
    def name(self) -> str:
        """For instance ``striped_mug``."""
        return f"{self.texture}_{self.silhouette}"

    @property
    def wnid(self) -> str:
        """For instance ``n09900001``."""
        return f"n099{self.index + 1:05d}"


CLASSES = tuple(
    ObjectClass(2 * s + t, silhouette, texture)
    for s, silhouette in enumerate(SILHOUETTES)
    for t, texture in enumerate(TEXTURES)
)
OTHER_WNIDS = {name: f"n098{i + 1:05d}" for i, name in enumerate(FIXTURES + PEOPLE)}
"""Ids of things outside the class list, annotated in still images only."""


def metamer(class_index: int) -> int:
    """The class of the same silhouette and the other texture."""
    return class_index ^ 1
