"""Items: layouts, cutting, stitching, and what is refused before training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.mq.config import DataConfig
from egolib.mq.data.classes import make_classes
from egolib.mq.data.dataset import MomentsData, clip_features
from tests.mq.small import CLIPS, SMALL, Memory, clip, data, store


def test_features_are_padded_with_zeros():
    item = data()[0]
    assert item.features.shape == (6, 64)
    assert (item.valid, item.fps) == (60, 2.0)
    assert not item.features[:, 60:].any()
    np.testing.assert_array_equal(item.features[:, 3], store().get("c0")[3])


def test_targets_follow_the_rate_of_the_features():
    targets = data()[0].targets
    assert targets is not None
    np.testing.assert_allclose(targets.moments, [[4, 12], [20, 50]], rtol=1e-6)
    assert targets.labels.tolist() == [2, 3]


def test_a_long_clip_is_cut():
    item = data(model=replace(SMALL, length=32))[0]
    assert item.valid == 32
    assert item.targets is not None
    np.testing.assert_allclose(item.targets.moments[1], [20, 31], rtol=1e-6)


def test_batches():
    batch = data().collate([data()[i] for i in range(3)])
    assert batch.features.shape == (3, 6, 64)
    assert batch.lengths.tolist() == [60, 60, 60]
    assert batch.targets is not None and batch.targets.action.shape == (3, 64)
    inference = data(training=False)
    assert inference.collate([inference[0]]).targets is None


def test_rows_of_a_video_are_cut_by_time():
    part = replace(CLIPS[0], start_sec=5.2, end_sec=15.2, fps=2.0)
    video = Memory({"v0": np.arange(100 * 6).reshape(100, 6)})
    rows, fps = clip_features(part, video, DataConfig(layout="ego4d"))
    np.testing.assert_array_equal(rows, video.get("v0")[10:31])  # the last one inclusive
    assert fps == 2.0
    late = replace(part, start_sec=90.0, end_sec=99.0)
    with pytest.raises(EgolibError, match="record c0: the clip has no features"):
        clip_features(late, video, DataConfig(layout="ego4d"))
    with pytest.raises(EgolibError, match="fps"):
        clip_features(replace(part, fps=None), video, DataConfig(layout="ego4d"))


def test_nan_in_features_is_refused():
    broken = store()
    broken.arrays["c0"][3, 2] = np.nan
    with pytest.raises(EgolibError, match="record c0: the features hold NaN"):
        clip_features(CLIPS[0], broken, DataConfig())


def test_another_width_is_refused():
    with pytest.raises(EgolibError, match="6 wide, the network expects 7"):
        data(model=replace(SMALL, feature_width=7))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (clip(5), r"record c5: a clip without moments"),
        (clip(5, ("open", 1, 2), ("sing", 1, 2)), r"record c5\.annotations\[1\]\.label: .*'sing'"),
        (clip(5, ("open", 3, 2)), r"record c5\.annotations\[0\]: .* ends at 2 s before"),
    ],
)
def test_bad_clips_are_refused_before_training(bad, message):
    with pytest.raises(EgolibError, match=message):
        data([*CLIPS, bad])
    assert len(data([*CLIPS, bad], training=False)) == 4


def test_moments_without_length_are_listed():
    late = [*CLIPS, clip(5, ("open", 1, 1), ("wash", 2, 9), ("wash", 29.6, 31))]
    assert data(late).vanished() == ["c5.annotations[0]", "c5.annotations[2]"]
    assert data(late, model=replace(SMALL, length=16)).vanished()[0] == "c0.annotations[1]"


def test_stitching_makes_windows():
    model = replace(SMALL, stitch_gap=4)
    training = data(stitching="vsgn", model=model)
    items = [training[i] for i in range(len(training))]
    short = [item for item in items if item.stitched]
    assert short and len(short) < len(items)
    for item in short:
        assert item.valid <= 0.4 * 64
        assert item.features[:, item.valid + 4 :].any()
        assert item.targets is not None and len(item.targets.labels) % 2 == 0
    again = data(stitching="vsgn", model=model)
    assert again.windows == training.windows  # the seed decides
    inference = data(stitching="vsgn", model=model, training=False)
    assert [w for _, w in inference.windows[:4]] == [(0, 59), (16, 59), (32, 59), (48, 59)]
    assert inference[3].stitched and inference[3].first_feat == 48


def test_a_class_table_without_a_used_class(tmp_path):
    table = make_classes(CLIPS[2:], DataConfig())
    with pytest.raises(EgolibError, match=r"a\.json, record c0\.annotations\[0\]\.label"):
        MomentsData(CLIPS, store(), table, SMALL, DataConfig(), training=True, file="a.json")
