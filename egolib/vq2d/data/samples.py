"""Lists of training samples: a frame with the object, and a picture of it as reference."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from egolib.vq2d.data.annotations import Box
from egolib.vq2d.data.images import image_name, negative_frames

EPSILON = 1e-10
ImageSize = Callable[[str], tuple[int, int] | None]


@dataclass(frozen=True)
class Limits:
    """Which boxes are typical of their track, as ratios to its standard box.

    Args:
        aspect: lowest and highest ratio of the aspect ratios (width / height).
        area: the same for areas.
    """

    aspect: tuple[float, float] = (0.0, float("inf"))
    area: tuple[float, float] = (0.0, float("inf"))


@dataclass(frozen=True)
class SampleVariant:
    """One published way to make samples.

    Args:
        limits: boxes of the frames.
        pairs: also use other frames of the track as references.
        pairs_limit: at most so many references of that kind for a query.
        negatives: after each kept sample one of a frame without the object.
    """

    limits: Limits = Limits()
    pairs: bool = False
    pairs_limit: int = 10
    negatives: bool = False


CLEAN = Limits(aspect=(0.5, 2.0), area=(0.25, 4.0))
CLEAN_PLUS = Limits(aspect=(0.75, 1 / 0.75), area=(0.5, 2.0))
REFERENCE_LIMITS = Limits(aspect=(0.85, 1 / 0.85), area=(0.5, 2.0))

VARIANTS = {
    "visual_query": SampleVariant(),
    "visual_query_clean": SampleVariant(CLEAN),
    "visual_query_clean_plus": SampleVariant(CLEAN_PLUS),
    "visual_query_clean_aug": SampleVariant(CLEAN, pairs=True),
    "visual_query_clean_aug_neg": SampleVariant(CLEAN, pairs=True, negatives=True),
}


@dataclass(frozen=True)
class BoxedImage:
    """A stored image with one box.

    Args:
        file: name below the image folder.
        size: width and height that the box refers to.
        resize: the stored image has another size and must be resized first.
        box_xyxy: corners in pixels; None on an image without the object.
    """

    file: str
    size: tuple[int, int]
    resize: bool
    box_xyxy: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class Sample:
    """One training sample.

    Args:
        image_id: the official name.
        frame: the image to search.
        reference: the picture of the object.
        info: aspect ratio and area of the box and of the track's standard box.
    """

    image_id: str
    frame: BoxedImage
    reference: BoxedImage
    info: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for lists stored as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Standard:
    """The usual look of a track: medians over its five largest boxes."""

    aspect: float
    area: float

    def admits(self, box: Box, limits: Limits) -> bool:
        """True where the box is as the standard, within limits."""
        aspect = box.aspect_ratio / (self.aspect + EPSILON)
        area = box.area / (self.area + EPSILON)
        return (
            limits.aspect[0] <= aspect <= limits.aspect[1]
            and limits.area[0] <= area <= limits.area[1]
        )


def build_samples(
    items: Sequence[Mapping[str, Any]],
    variant: SampleVariant,
    image_size: ImageSize,
    *,
    seed: int | None = None,
    suffix: str = ".jpg",
) -> list[Sample]:
    """All samples of a processed annotation list, query after query.

    Args:
        items: the processed list (``annotations.processed``).
        variant: which samples.
        image_size: width and height of a stored image by name, None where it is absent;
            samples without their images are left out.
        seed: for the choice of references from tracks (Python's generator, as in the
            official code, which leaves it unseeded).
        suffix: of image names.
    """
    rng = random.Random(seed)
    samples: list[Sample] = []
    for index, item in enumerate(items):
        samples += _samples_of_query(index, item, variant, image_size, rng, suffix)
    return samples


def _samples_of_query(
    index: int,
    item: Mapping[str, Any],
    variant: SampleVariant,
    image_size: ImageSize,
    rng: random.Random,
    suffix: str,
) -> list[Sample]:
    """Plain samples of one query first, then its pairs of track frames."""

    def stored(box: Box) -> BoxedImage | None:
        return _stored_image(item["clip_uid"], box, image_size, suffix)

    reference = stored(Box.from_record(item["visual_crop"]))
    if reference is None:
        return []
    records = sorted(item["response_track"], key=lambda record: record["frame_number"])
    track = [Box.from_record(record) for record in records]
    standard = standard_box(track)
    name = f"clip-uid_{item['clip_uid']}_idx_{index}_query-set_{item['query_set']}"
    plain = [
        Sample(f"{name}_response-idx_{i}", image, reference, _info(box, standard))
        for i, box in enumerate(track)
        if (image := stored(box)) and standard.admits(box, variant.limits)
    ]
    samples = plain
    if variant.pairs:
        others = [
            image
            for box in track
            if standard.admits(box, REFERENCE_LIMITS) and (image := stored(box))
        ]
        rng.shuffle(others)
        chosen = others[: variant.pairs_limit]
        pairs = [Sample(s.image_id, s.frame, other, s.info) for s in plain for other in chosen]
        samples = plain + pairs
    if not variant.negatives:
        return samples
    return _with_negatives(samples, track, item, stored)


def _with_negatives(
    samples: list[Sample],
    track: list[Box],
    item: Mapping[str, Any],
    stored: Callable[[Box], BoxedImage | None],
) -> list[Sample]:
    """Each sample followed by its negative, where that frame is stored."""
    frames = [box.frame for box in track]
    length = max(frames) - min(frames) + 1 if frames else 0
    allowed = set(negative_frames(frames, item["query_frame"]))
    result: list[Sample] = []
    for sample in samples:
        result.append(sample)
        box = track[int(sample.image_id.rsplit("_", 1)[1])]
        moved = replace(box, frame=box.frame + length)
        if moved.frame in allowed and (image := stored(moved)):
            empty = BoxedImage(image.file, image.size, image.resize, None)
            result.append(Sample(f"{sample.image_id}_neg", empty, sample.reference, sample.info))
    return result


def _stored_image(
    clip_uid: str | None, box: Box, image_size: ImageSize, suffix: str
) -> BoxedImage | None:
    name = image_name(clip_uid, box.frame, suffix)
    size = image_size(name)
    if size is None:
        return None
    return BoxedImage(name, box.frame_size, tuple(size) != box.frame_size, box.xyxy)


def standard_box(track: Sequence[Box]) -> Standard:
    """Median aspect ratio and area of the five largest boxes."""
    areas = np.array([box.area for box in track])
    aspects = np.array([box.aspect_ratio for box in track])
    largest = np.argsort(-areas)[:5]
    if not len(largest):
        return Standard(0.0, 0.0)
    return Standard(float(np.median(aspects[largest])), float(np.median(areas[largest])))


def _info(box: Box, standard: Standard) -> dict[str, float]:
    return {
        "aspect_ratio": box.aspect_ratio,
        "bbox_area": box.area,
        "std_aspect_ratio": standard.aspect,
        "std_bbox_area": standard.area,
    }
