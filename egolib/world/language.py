"""Words of the world: narrations, questions, and the vocabulary with its vectors.

One word is one token, lower-case; ``#C C`` gives the two tokens ``#c`` and ``c``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from egolib.io.records import write_json
from egolib.text.tokens import WordTokenizer, words
from egolib.world.catalog import (
    FIXTURES,
    HUES,
    NOUNS,
    PEOPLE,
    SILHOUETTES,
    STATIONS,
    TEXTURES,
    VERBS,
)
from egolib.world.room import Instance
from egolib.world.streams import stream

# third person (the first is the commonest), base form, past
FORMS = {
    "take": (("takes", "picks up", "grabs"), "take", "took"),
    "put": (("puts", "places", "puts down"), "put", "put"),
    "move": (("moves", "slides"), "move", "moved"),
    "open": (("opens",), "open", "opened"),
    "close": (("closes", "shuts"), "close", "closed"),
    "pour": (("pours", "tips"), "pour", "poured"),
    "cut": (("cuts", "chops"), "cut", "cut"),
    "wash": (("washes", "cleans"), "wash", "washed"),
    "stir": (("stirs", "mixes"), "stir", "stirred"),
    "shake": (("shakes",), "shake", "shook"),
    "turn-on": (("turns on", "switches on"), "turn on", "turned on"),
    "turn-off": (("turns off", "switches off"), "turn off", "turned off"),
}
SYNONYMS = {"striped": "lined", "dotted": "spotted"}
PLURALS = {s: "boxes" if s == "box" else f"{s}s" for s in SILHOUETTES}
PLACES = {
    "sink": "in the sink",
    "stove": "on the stove",
    "table": "on the table",
    "shelf": "on the shelf",
    "window": "at the window",
}
QUESTION_WORDS = (
    "where what how many who did i was is the put in see before after when location "
    "there a an it my on off open closed leave walked past which near to from of and or "
    "at last were do does have had look looked this that with kitchen room side left right"
)
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
MASK = "<mask>"
CHARADES_GROUPS = (
    (("take",), "takes a {}"),
    (("put",), "puts a {}"),
    (("cut", "wash"), "cuts or washes a {}"),
    (("stir", "shake"), "stirs or shakes a {}"),
)


# ------------------------------------------------------------------------- phrases


@dataclass(frozen=True)
class Mention:
    """What a phrase says about an object: silhouette, and texture or colour or both."""

    silhouette: str
    texture: str = ""
    hue: str = ""

    def fits(self, instance: Instance) -> bool:
        """Does the phrase describe this object?"""
        return (
            instance.silhouette == self.silhouette
            and self.texture in ("", instance.texture)
            and self.hue in ("", instance.hue)
        )

    def __str__(self) -> str:
        return " ".join(part for part in (self.hue, self.texture, self.silhouette) if part)


def mentions(instance: Instance) -> list[Mention]:
    """All ways to name an object, the fullest first."""
    kind, texture, hue = instance.silhouette, instance.texture, instance.hue
    return [
        Mention(kind, texture, hue),
        Mention(kind, texture),
        Mention(kind, "", hue),
        Mention(kind),
    ]


def unique_mentions(instances: tuple[Instance, ...], index: int) -> list[Mention]:
    """Ways to name one object that fit no other object of the room."""
    return [m for m in mentions(instances[index]) if sum(m.fits(other) for other in instances) == 1]


def narrate(
    rng: np.random.Generator,
    verb: str,
    thing: Instance | str,
    container: Instance | None,
    station: str,
) -> str:
    """One narration line: a paraphrase with some adjectives dropped.

    Args:
        rng: random numbers.
        verb: of the action.
        thing: an object, or the name of a fixture.
        container: what the object is put into or taken out of.
        station: where it happens.
    """
    said = f"#C C {_pick(rng, FORMS[verb][0])} the {_phrase(rng, thing)}"
    if container is not None:
        return f"{said} {'in' if verb == 'put' else 'from'} the {_phrase(rng, container)}"
    if verb in ("take", "put", "move") and rng.random() < 0.4:
        place = PLACES[station]
        return f"{said} {'from the ' + station if verb == 'take' else place}"
    return said


def narrate_person(rng: np.random.Generator, kind: str) -> str:
    """A line about somebody else."""
    return f"#O A {kind} {_pick(rng, ('walks past', 'walks by', 'passes'))}"


def _phrase(rng: np.random.Generator, thing: Instance | str) -> str:
    if isinstance(thing, str):
        return thing
    mention = mentions(thing)[int(rng.choice(4, p=(0.45, 0.25, 0.2, 0.1)))]
    text = str(mention)
    if mention.texture and rng.random() < 0.25:
        text = text.replace(mention.texture, SYNONYMS[mention.texture])
    return text


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    """The first option most often."""
    weights = np.array([2.0] + [1.0] * (len(options) - 1))
    return options[int(rng.choice(len(options), p=weights / weights.sum()))]


def charades_classes() -> list[tuple[tuple[str, ...], str, str]]:
    """The 24 action classes: verbs, silhouette, text."""
    return [
        (verbs, silhouette, text.format(silhouette))
        for verbs, text in CHARADES_GROUPS
        for silhouette in SILHOUETTES
    ]


# ---------------------------------------------------------------------- vocabulary


@cache
def vocabulary() -> dict[str, int]:
    """Token to id: ``<s>`` 0, ``<pad>`` 1, ``</s>`` 2, ``<unk>`` 3, words by frequency, ``<mask>``.

    Frequencies are those of a fixed sample of narrations, so that all worlds share
    one vocabulary; words of the grammar that the sample lacks come last, by name.
    """
    counts = Counter(dict.fromkeys(_grammar(), 0))
    counts.update(_sample())
    order = sorted(counts, key=lambda word: (-counts[word], word))
    return {token: i for i, token in enumerate([*SPECIAL, *order, MASK])}


def vocabulary_hash() -> str:
    """SHA-256 of the vocabulary; stores and checkpoints carry it."""
    return WordTokenizer(vocabulary()).hash


def write_vocabulary(path: Path) -> Path:
    """Writes token to id as JSON."""
    return write_json(path, vocabulary(), indent=0)


def encode(text: str, width: int = 64) -> np.ndarray:
    """(L, width) float32: a fixed random vector for each word of a text."""
    known = vocabulary()
    rows = [_vector(w if w in known else "<unk>", width) for w in words(text)]
    return np.stack(rows) if rows else np.zeros((0, width), np.float32)


@cache
def _vector(word: str, width: int) -> np.ndarray:
    return stream("word", word, width).standard_normal(width).astype(np.float32)


def _grammar() -> set[str]:
    """Every word that the world can say."""
    phrases = [f for third, base, past in FORMS.values() for f in (*third, base, past)]
    phrases += [*HUES, *TEXTURES, *SYNONYMS.values(), *NOUNS, *PLURALS.values(), QUESTION_WORDS]
    phrases += [*PLACES.values(), "#C C #O A walks past walks by passes", "from the"]
    phrases += [text for _, _, text in charades_classes()]
    return {word for phrase in phrases for word in words(phrase)}


def _sample() -> Counter[str]:
    """Word counts of 2,000 narrations about objects drawn at random."""
    rng = stream("vocabulary")
    hues, counts = list(HUES), Counter[str]()
    for _ in range(2000):
        verb = VERBS[rng.integers(len(VERBS))]
        drawn = Instance(0, int(rng.integers(12)), hues[rng.integers(len(hues))], 0, 1.0)
        thing = FIXTURES[rng.integers(2)] if verb.startswith("turn") else drawn
        counts.update(words(narrate(rng, verb, thing, None, STATIONS[rng.integers(5)])))
        if rng.random() < 0.08:
            counts.update(words(narrate_person(rng, PEOPLE[rng.integers(3)])))
    return counts
