"""The object classes of ImageNet VID; other data sets bring their own list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """One class: its id from 1, its name and its WordNet id."""

    id: int
    name: str
    wnid: str | None

    def as_json(self) -> dict[str, object]:
        """The entry of a CocoVID file."""
        return {"id": self.id, "name": self.name, "encode_name": self.wnid}


def make_categories(classes: Sequence[tuple[str, str]]) -> list[Category]:
    """Categories with ids 1, 2, ... from (name, wnid) pairs."""
    return [Category(i, name, wnid) for i, (name, wnid) in enumerate(classes, start=1)]


IMAGENET_VID: tuple[tuple[str, str], ...] = (
    ("airplane", "n02691156"),
    ("antelope", "n02419796"),
    ("bear", "n02131653"),
    ("bicycle", "n02834778"),
    ("bird", "n01503061"),
    ("bus", "n02924116"),
    ("car", "n02958343"),
    ("cattle", "n02402425"),
    ("dog", "n02084071"),
    ("domestic_cat", "n02121808"),
    ("elephant", "n02503517"),
    ("fox", "n02118333"),
    ("giant_panda", "n02510455"),
    ("hamster", "n02342885"),
    ("horse", "n02374451"),
    ("lion", "n02129165"),
    ("lizard", "n01674464"),
    ("monkey", "n02484322"),
    ("motorcycle", "n03790512"),
    ("rabbit", "n02324045"),
    ("red_panda", "n02509815"),
    ("sheep", "n02411705"),
    ("snake", "n01726692"),
    ("squirrel", "n02355227"),
    ("tiger", "n02129604"),
    ("train", "n04468005"),
    ("turtle", "n01662784"),
    ("watercraft", "n04530566"),
    ("whale", "n02062744"),
    ("zebra", "n02391049"),
)
# Objects of DET outside the classes; the spelling is the official file's.
OTHER_NAME = "other_categeries"
