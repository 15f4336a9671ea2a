"""ActionFormer: sizes, padding, starts, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.errors import EgolibError
from egolib.mq.config import ActionFormerConfig, ModelConfig
from egolib.mq.models.actionformer import ActionFormer, padded_length
from egolib.mq.models.build import build
from egolib.mq.models.vsgn import VSGN
from tests.mq.small import POINTS, SMALL


def test_published_sizes():
    with torch.device("meta"):
        for name, width, length, levels in (
            ("egovlp", 256, 1024, 9),
            ("internvideo", 1024, 2048, 10),
        ):
            own = ActionFormerConfig.builders[name]()
            model = ActionFormer(ModelConfig(feature_width=width, length=length, actionformer=own))
            assert len(model.level_norms) == levels == own.levels
            assert model.classification.output.out_channels == 110


def test_padding_changes_nothing_from_one_position_on():
    model = build(POINTS, 0).eval()
    features = torch.randn(1, 21, POINTS.feature_width)
    found = []
    for length in (padded_length(21, POINTS), POINTS.length):
        padded = torch.zeros(1, length, POINTS.feature_width)
        padded[:, :21] = features
        mask = (torch.arange(length) < 21)[None]
        with torch.no_grad():
            out = model(padded, mask)
        found.append((out.logits[out.mask], out.offsets[out.mask]))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)


def test_classes_start_at_their_prior_probability():
    model = build(POINTS, 0).eval()
    mask = torch.ones(1, 64, dtype=torch.bool)
    with torch.no_grad():
        bias = model.classification.output.bias.sigmoid()
        assert model(torch.zeros(1, 64, POINTS.feature_width), mask).logits.isfinite().all()
    torch.testing.assert_close(bias, torch.full_like(bias, 0.01))


def test_a_configuration_says_which_network():
    assert isinstance(build(SMALL), VSGN) and isinstance(build(POINTS), ActionFormer)
    first, second = (build(POINTS, 3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_input_dropout_takes_whole_channels():
    own = replace(POINTS.actionformer, input_dropout=0.5, dropout=0.0, drop_path=0.0)
    model = build(replace(POINTS, actionformer=own), 0).train()
    seen = []
    model.embedding.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(torch.ones(1, 64, POINTS.feature_width), torch.ones(1, 64, dtype=torch.bool))
    gone = seen[0][0] == 0
    assert (gone.all(0) | (~gone).all(0)).all()


def test_what_cannot_be_built():
    with pytest.raises(EgolibError, match="windows has 2 entries"):
        ActionFormerConfig(windows=(9, 9))
    with pytest.raises(EgolibError, match="taken from the data"):
        ActionFormer(replace(POINTS, feature_width=0))
    with pytest.raises(EgolibError, match="D = 6"):
        build(POINTS)(torch.zeros(1, 64, 5), torch.ones(1, 64, dtype=torch.bool))
