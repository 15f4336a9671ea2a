from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.vlp.config import DataConfig, LossConfig
from egolib.vlp.data.egoclip import EgoClip
from egolib.vlp.data.pretraining import EgoClipVideos, PretrainingData
from tests.vlp.small import CONFIG, numbered_video, tokenizer

DATA = DataConfig(
    chunk_sec=2,
    assumed_fps=10.0,
    frame_jitter="inclusive",
    frame_seek="exact",
    segment_sec=2.0,
    text_length=8,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video of four seconds in two chunks."""
    root = tmp_path_factory.mktemp("root")
    for i in range(2):
        numbered_video(root / "ego4d/Ego4D_Chunked/v" / f"{i}.mp4", 20)
    return root


def clips(videos: list[str]) -> EgoClip:
    count = len(videos)
    times = np.linspace(0.5, 3.5, count)
    return EgoClip(
        np.array([["v", "missing"].index(v) for v in videos]),
        ["v", "missing"],
        times,
        times - 0.4,
        times + 0.4,
        np.array(["#C C takes the mug", "#C C puts a pan"] * count, object)[:count],
        np.array(["[3]"] * count, object),
        np.array(["[7, 9]"] * count, object),
        Path("egoclip.csv"),
    )


def data(root: Path, videos: list[str], **changes: object) -> PretrainingData:
    settings = replace(DATA, **changes)  # type: ignore[arg-type]
    reader = EgoClipVideos(root, settings)
    return PretrainingData(clips(videos), reader, tokenizer(), CONFIG, settings, LossConfig())


def test_a_batch_holds_clips_then_their_partners(root: Path) -> None:
    source = data(root, ["v"] * 4)
    items = [source.sample(i, np.random.default_rng(i)) for i in range(3)]
    batch = source.collate(items)
    assert batch.video.shape == (6, 2, 3, 32, 32) and batch.video.dtype == torch.float32
    assert batch.ids.shape == batch.mask.shape == batch.corrupted.shape == (6, 8)
    assert batch.nouns.shape == (6, 582) and batch.verbs.shape == (6, 118)
    assert not batch.black.any()
    for i, (own, partner) in enumerate(items):
        assert torch.equal(batch.video[i], own.video)
        assert torch.equal(batch.video[3 + i], partner.video)


def test_samples_depend_on_index_and_generator_alone(root: Path) -> None:
    source = data(root, ["v"] * 4)
    first, second = (source.sample(1, np.random.default_rng(5)) for _ in range(2))
    for a, b in zip(first, second, strict=False):
        assert torch.equal(a.video, b.video) and (a.corrupted == b.corrupted).all()


def test_without_scene_negatives_there_is_one_clip_a_sample(root: Path) -> None:
    source = data(root, ["v"] * 2, scene_negatives=False)
    assert len(source.sample(0, np.random.default_rng(0))) == 1


def test_unreadable_clips_are_black_left_out_or_an_error(root: Path) -> None:
    rng = np.random.default_rng(0)
    black = data(root, ["missing", "v"], scene_negatives=False)
    item = black.sample(0, rng)
    assert item[0].read_error is not None and black.collate([item]).black.tolist() == [True]
    skipped = data(root, ["missing", "v"], scene_negatives=False, unreadable="skip")
    assert skipped.sample(0, rng)[0].read_error is None
    strict = data(root, ["missing", "v"], scene_negatives=False, unreadable="error")
    with pytest.raises(EgolibError, match="clip 0"):
        strict.sample(0, rng)
    nothing = data(root, ["missing"], scene_negatives=False, unreadable="skip")
    with pytest.raises(EgolibError):
        nothing.sample(0, rng)


def test_a_subset_of_rows_draws_its_partners_inside(root: Path) -> None:
    table, settings = clips(["v"] * 8), DATA
    reader = EgoClipVideos(root, settings)
    rows = np.array([1, 2, 5])
    source = PretrainingData(table, reader, tokenizer(), CONFIG, settings, LossConfig(), rows=rows)
    assert len(source) == 3
    drawn = {source.segments.partner(0, np.random.default_rng(s)) for s in range(50)}
    assert drawn == {0, 1}  # rows 1 and 2 lie in the first two seconds, row 5 does not


def test_texts_and_labels(root: Path) -> None:
    (pair, _) = data(root, ["v"] * 2).sample(0, np.random.default_rng(0))
    assert pair.ids.tolist() == [0, 4, 5, 6, 8, 9, 2, 1]
    assert pair.mask.tolist() == [1] * 7 + [0]
    chosen = pair.labels >= 0
    assert (pair.labels[chosen] == pair.ids[chosen]).all()
    assert (pair.corrupted[~chosen] == pair.ids[~chosen]).all()


def opposed(root: Path, partner: str) -> PretrainingData:
    """Takes, puts and two stirs, each with its own verb class."""
    table = replace(
        clips(["v"] * 4),
        texts=np.array(
            ["#C C takes the mug", "#C C puts a pan", "#C C stirs a pan", "#C C stirs a pan"],
            object,
        ),
        verb_tags=np.array(["[0]", "[1]", "[8]", "[8]"], object),
    )
    config = replace(DATA, scene_partner=partner, segment_sec=60.0)  # type: ignore[arg-type]
    videos = EgoClipVideos(root, config)
    return PretrainingData(table, videos, tokenizer(), CONFIG, config, LossConfig())


def test_a_reversed_partner_shows_and_tells_the_opposite(root: Path) -> None:
    source = opposed(root, "reversed")
    own, partner = source.sample(0, np.random.default_rng(0))
    assert own.verbs.argmax() == 0 and partner.verbs.argmax() == 1
    assert own.nouns.tolist() == partner.nouns.tolist()
    told = partner.ids[: partner.mask.sum()].tolist()[1:-1]  # without start and end
    assert told == source.tokenizer.ids("#C C puts the mug")
    assert source.sample(1, np.random.default_rng(0))[1].verbs.argmax() == 0


def test_a_reversed_partners_frames_run_backwards(root: Path) -> None:
    source = opposed(root, "reversed")
    forward, backward = (pair.video for pair in source.sample(0, np.random.default_rng(3)))
    assert torch.equal(forward.flip(0), backward) and not torch.equal(forward, backward)
    items = [source.sample(i, np.random.default_rng(i)) for i in (2, 1, 0)]
    assert source.collate(items).opposites.tolist() == [[1, 4], [2, 5]]


def test_actions_without_an_opposite_have_another_clip_as_partner(root: Path) -> None:
    source = opposed(root, "reversed")
    assert sorted(source.opposites) == [0, 1]
    for seed in range(10):
        _, reversed_one = source.sample(2, np.random.default_rng(seed))
        _, other = opposed(root, "other").sample(2, np.random.default_rng(seed))
        assert torch.equal(reversed_one.video, other.video)
