from __future__ import annotations

import pytest
import torch

from egolib.errors import EgolibError
from egolib.vlp.summarization.encoder import ShotEncoder, build_empty_encoder
from tests.vlp.small import CONFIG, batch, small_model
from tests.vlp.summaries import shot_encoder

TEXT = batch(4)
SHOTS = torch.randn(3, 5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def features(model: ShotEncoder) -> torch.Tensor:
    with torch.no_grad():
        text = model.text_prefix(TEXT.ids, TEXT.mask)
        return model.shot_features(model.video_prefix(SHOTS), text, TEXT.mask)


def test_blocks_are_counted_as_the_number_of_layers_says() -> None:
    """The network has 3 blocks, 2 of them fused."""
    intended, official = shot_encoder(), shot_encoder(1)
    assert (list(intended.prefix_blocks), list(intended.fused)) == ([0], [1, 2])
    assert (list(official.prefix_blocks), list(official.fused)) == ([0, 1], [])
    with pytest.raises(EgolibError, match="no block runs: 2 layers are read"):
        shot_encoder(2)


def test_the_query_has_no_effect_officially() -> None:
    official, intended = features(shot_encoder(1)), features(shot_encoder())
    assert official.shape == intended.shape == (4, 3, 48)
    assert (official == official[:1]).all()
    assert (intended - intended[:1]).abs().max() > 1e-3
    assert (intended[:, 0] - intended[:, 1]).abs().max() > 1e-3


def test_intended_features_are_those_of_the_whole_network() -> None:
    found, model = features(shot_encoder()), small_model(frames=5)
    with torch.no_grad():
        for q in range(4):
            ids, mask = (t[q : q + 1].expand(3, -1) for t in (TEXT.ids, TEXT.mask))
            expected = model.video_transform(model.fuse_pairs(SHOTS, ids, mask).video_class)
            torch.testing.assert_close(found[q], expected, atol=1e-5, rtol=1e-4)


def test_an_empty_shot_has_a_feature() -> None:
    for model, different in ((shot_encoder(1), False), (shot_encoder(), True)):
        with torch.no_grad():
            empty = model.empty_features(model.text_prefix(TEXT.ids, TEXT.mask), TEXT.mask)
        assert empty.shape == (4, 48) and empty.abs().max() > 1e-3
        assert ((empty - empty[:1]).abs().max() > 1e-4).item() == different


def test_there_are_no_projectors() -> None:
    names = build_empty_encoder(CONFIG).state_dict().keys()
    assert not any("projector" in name for name in names)
    with_projectors = small_model().state_dict().keys()
    assert {n for n in with_projectors if "projector" not in n} == set(names)
