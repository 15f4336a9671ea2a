"""Training samples: variants, missing images, negatives."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from egolib.vq2d.data.annotations import Box, from_content, processed
from egolib.vq2d.data.samples import VARIANTS, Limits, Standard, build_samples, standard_box
from tests.vq2d import made


def items() -> list[dict]:
    track = [made.box(3 + i, 10, 10, 10, 10) for i in range(4)]
    track.append(made.box(7, 10, 10, 40, 10))  # four times as long
    return processed(
        from_content(made.content(made.clip("c", [made.annotation("a", made.query(15, track))])))
    )


def everything(name: str):
    return made.SIZE


def build(name: str, image_size=everything, **changes):
    return build_samples(items(), replace(VARIANTS[name], **changes), image_size, seed=0)


def test_nothing_without_items_or_images() -> None:
    assert build_samples([], VARIANTS["visual_query"], everything) == []
    assert build("visual_query", lambda name: None) == []


def test_no_reference_no_samples() -> None:
    crop = "c/frame_0000017.jpg"
    assert build("visual_query", lambda name: None if name == crop else made.SIZE) == []


def test_plain_and_clean() -> None:
    assert len(build("visual_query")) == 5
    clean = build("visual_query_clean")
    assert [s.image_id[-1] for s in clean] == ["0", "1", "2", "3"]  # the long box is left out


def test_pairs_come_after_the_plain_samples() -> None:
    samples = build("visual_query_clean_aug")
    assert len(samples) == 4 + 4 * 4
    assert {s.reference.file for s in samples[:4]} == {"c/frame_0000017.jpg"}
    assert len(build("visual_query_clean_aug", pairs_limit=1)) == 4 + 4


def test_negatives_follow_their_samples() -> None:
    samples = build("visual_query_clean_aug_neg", pairs=False)
    assert [s.image_id[-4:] for s in samples[:2]] == ["dx_0", "_neg"]
    negative = samples[1]
    assert negative.frame.box_xyxy is None
    assert negative.frame.file == "c/frame_0000009.jpg"  # frame 3, five frames on
    json.dumps(negative.as_dict())


def test_negatives_stop_at_the_query() -> None:
    late = items()
    late[0]["query_frame"] = 9
    samples = build_samples(
        late, replace(VARIANTS["visual_query_clean_aug_neg"], pairs=False), everything
    )
    assert sum(s.image_id.endswith("_neg") for s in samples) == 1


def test_other_sizes_are_marked() -> None:
    assert not build("visual_query")[0].frame.resize
    assert build("visual_query", lambda name: (32, 24))[0].frame.resize


def test_a_seed_fixes_the_pairs() -> None:
    one, two = ([s.reference.file for s in build("visual_query_clean_aug")] for _ in range(2))
    assert one == two


def test_standard_box_is_a_median_of_the_five_largest() -> None:
    boxes = [Box(i, 0, 0, side, side, made.SIZE) for i, side in enumerate([1, 2, 3, 4, 5, 6, 7])]
    standard = standard_box(boxes)
    assert standard.area == 25 and standard.aspect == pytest.approx(1)
    assert standard_box([]) == Standard(0.0, 0.0)


def test_limits() -> None:
    standard = Standard(1.0, 100.0)
    box = Box(0, 0, 0, 20, 10, made.SIZE)
    assert standard.admits(box, Limits(aspect=(0.5, 2.0), area=(0.5, 2.0)))
    assert not standard.admits(box, Limits(aspect=(0.5, 1.9)))
    assert not standard.admits(box, Limits(area=(0.5, 1.9)))
