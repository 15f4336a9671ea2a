"""A small data set on disk in the official layout."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from egolib.io.records import write_json, write_text
from egolib.vod.config.data import DataConfig
from egolib.vod.data.classes import make_categories
from egolib.vod.data.cocovid import convert_det, convert_vid
from egolib.vod.data.lists import ListedVideo, read_images, read_videos

CLASSES = (("mug", "n09900001"), ("jar", "n09900002"))
SIZE = (48, 64)  # rows, columns
XML = "<annotation><size><width>{1}</width><height>{0}</height></size>{2}</annotation>"
OBJECT = (
    "<object>{track}<name>{name}</name><bndbox><xmax>{b[2]}</xmax><xmin>{b[0]}</xmin>"
    "<ymax>{b[3]}</ymax><ymin>{b[1]}</ymin></bndbox>{flags}</object>"
)


def xml_object(name: str, box: tuple[int, int, int, int], track: int | None = None) -> str:
    """One <object> element; stills have neither track nor flags."""
    flags = "" if track is None else "<occluded>0</occluded><generated>1</generated>"
    mark = "" if track is None else f"<trackid>{track}</trackid>"
    return OBJECT.format(name=name, b=box, track=mark, flags=flags)


def write_image(root: Path, name: str, seed: int, objects: str) -> None:
    """An image and its XML, below ``Data`` and ``Annotations``."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), SIZE[::-1])
    path = root / "Data" / f"{name}.JPEG"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
    write_text(root / "Annotations" / f"{name}.xml", XML.format(*SIZE, objects))


def make_videos(root: Path, part: str, lengths: list[int]) -> list[ListedVideo]:
    """Videos of a moving mug and a standing jar."""
    folder = (
        "train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_"
        if part == "train"
        else ("val/ILSVRC2015_val_")
    )
    lines = []
    for v, length in enumerate(lengths):
        name = f"{folder}{v:08d}"
        for f in range(length):
            mug = xml_object(CLASSES[0][1], (2 + 3 * f, 5, 22 + 3 * f, 30), 0)
            jar = xml_object(CLASSES[1][1], (30, 10, 50, 40), 1)
            write_image(root, f"VID/{name}/{f:06d}", 100 * v + f, mug + jar)
            if part == "train":
                lines.append(f"{name} 1 {f} {length}")
        if part == "val":
            lines.append(f"{name} {sum(lengths[:v]) + 1} 0 {length}")
    list_name = "VID_train_15frames" if part == "train" else "VID_val_videos"
    path = write_text(root / "ImageSets" / f"{list_name}.txt", "\n".join(lines) + "\n")
    return read_videos(path)


def make_data(root: Path) -> DataConfig:
    """Two training videos, three stills, two test videos, converted; paths are absolute."""
    root = root / "ILSVRC"
    train, val = make_videos(root, "train", [4, 3]), make_videos(root, "val", [5, 3])
    names = [f"train/ILSVRC2014_train_0000/ILSVRC2014_train_{i:08d}" for i in range(3)]
    for i, name in enumerate(names):
        write_image(root, f"DET/{name}", 900 + i, xml_object(CLASSES[i % 2][1], (5, 5, 40, 40)))
    listed = write_text(root / "ImageSets/DET_train_30classes.txt", f"{names[0]} 1\n{names[1]} 1\n")
    categories, annotations = make_categories(CLASSES), root / "annotations"
    content = {
        "imagenet_vid_train": convert_vid(
            root / "Annotations/VID", train, categories, train=True, frame_offset="zero_based"
        ),
        "imagenet_vid_val": convert_vid(root / "Annotations/VID", val, categories, train=False),
        "imagenet_det_30plus1cls": convert_det(
            root / "Annotations/DET", read_images(listed), categories
        ),
    }
    for name, value in content.items():
        write_json(annotations / f"{name}.json", value)
    return DataConfig(
        train_vid=str(annotations / "imagenet_vid_train.json"),
        train_det=str(annotations / "imagenet_det_30plus1cls.json"),
        evaluation=str(annotations / "imagenet_vid_val.json"),
        images_vid=str(root / "Data/VID"),
        images_det=str(root / "Data/DET"),
        classes=CLASSES,
    )
