from __future__ import annotations

import pytest
import torch

from egolib.errors import EgolibError
from egolib.vlp.config import SummarizerConfig
from egolib.vlp.formats import checkpoint
from egolib.vlp.formats import qfvs as formats
from egolib.vlp.summarization.network import Summarizer, build_summarizer
from tests.vlp.small import small_model
from tests.vlp.summaries import shot_encoder


def test_a_pretrained_file_gives_its_backbone() -> None:
    """Its projectors are passed over, its two frames become five."""
    source, model = small_model(seed=3), shot_encoder(seed=1)
    report = formats.load_backbone(model, checkpoint.to_official(source))
    assert report.complete
    assert torch.equal(model.video.times[:, [0, -1]], source.video.times)
    assert torch.equal(model.video_transform.weight, source.video_transform.weight)


def test_a_backbone_converts_back() -> None:
    model = shot_encoder(seed=2)
    state = formats.backbone_to_official(model)
    found = shot_encoder(seed=5)
    formats.load_backbone(found, state)
    back = formats.backbone_to_official(found)
    assert back.keys() == state.keys() and all(torch.equal(back[k], state[k]) for k in back)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("norm.weight"), "1 missing: fusion_norm.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), "1 unexpected: extra"),
        (lambda s: s.update({"norm.weight": torch.zeros(3)}), "1 reshaped"),
    ],
)
def test_loading_is_strict(change, message: str) -> None:
    state = checkpoint.to_official(small_model())
    change(state)
    with pytest.raises(EgolibError, match=message):
        formats.load_backbone(shot_encoder(), state, file="EgoVLPv2.pth")


CONFIG = SummarizerConfig(width=12, hidden=20, layers=3, longest=9, head_width=4)


def test_a_summariser_converts_both_ways() -> None:
    model = build_summarizer(CONFIG, torch.Generator().manual_seed(0))
    state = formats.summary_to_official(model)
    assert formats.recognise_summary(state) == CONFIG
    found = Summarizer(CONFIG)
    assert formats.load_summary(found, state).complete
    for name, value in model.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    del state["encoder_layer.linear1.bias"]
    with pytest.raises(EgolibError, match="1 missing: template.expand.bias"):
        formats.load_summary(found, state)


def test_other_weights_are_no_summariser() -> None:
    with pytest.raises(EgolibError, match="not a summariser"):
        formats.recognise_summary(checkpoint.to_official(small_model()))
