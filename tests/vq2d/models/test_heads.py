"""Comparison heads."""

from __future__ import annotations

import pytest
import torch

from egolib.errors import EgolibError
from egolib.vq2d.config import HeadConfig
from egolib.vq2d.config.siamese import SET_COMPARISONS
from egolib.vq2d.models.heads import UNSEEN_LOGIT, Compared, make_head

SMALL = {"hidden": 16, "residual_layers": 1}
SET_HEADS = [(compare, t) for compare, kinds in SET_COMPARISONS.items() for t in kinds]


def compared(**options) -> Compared:
    torch.manual_seed(0)
    head = make_head(8, HeadConfig(**(SMALL | options))).eval()
    return head.compare(torch.randn(1, 5, 16), torch.randn(3, 16))


@pytest.mark.parametrize("compare", ["bilinear", "dot"])
def test_one_frame_and_several_references(compare: str) -> None:
    found = compared(compare=compare)
    assert found.regions.shape == (3, 5) and found.frames is None
    if compare == "dot":
        assert found.regions.abs().max() <= 1


@pytest.mark.parametrize(("compare", "transformer"), SET_HEADS)
def test_set_heads(compare: str, transformer: str) -> None:
    found = compared(kind="set", compare=compare, transformer=transformer)
    assert found.regions.shape == (3, 5)
    assert (found.frames is not None) == (transformer != "mab")
    assert ((found.scores() > 0) & (found.scores() < 1)).all()


def test_frame_logits_enter_the_scores() -> None:
    low = Compared(torch.zeros(1, 2), torch.tensor([-20.0])).scores()
    high = Compared(torch.zeros(1, 2), torch.tensor([20.0])).scores()
    assert low[0].tolist() == pytest.approx([0.25, 0.25])
    assert high[0].tolist() == pytest.approx([0.75, 0.75])


def test_regions_beyond_the_tokens_are_unlikely() -> None:
    found = compared(kind="set", tokens=2)
    assert (found.regions[:, 2:] == UNSEEN_LOGIT).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compare": "token"}, "one of bilinear, dot"),
        ({"transformer": "isab"}, "needs head.kind: set"),
        ({"kind": "set", "compare": "dot"}, "does not go with head.kind: set"),
        ({"kind": "set", "compare": "concat", "transformer": "isab"}, "does not go with"),
    ],
)
def test_what_does_not_exist(options: dict, message: str) -> None:
    with pytest.raises(EgolibError, match=message):
        compared(**options)


def test_shared_and_separate_projectors() -> None:
    shared = make_head(8, HeadConfig(**SMALL)).projectors
    assert shared.reference is shared.region
    apart = make_head(8, HeadConfig(**SMALL, shared=False)).projectors
    assert apart.reference is not apart.region


@pytest.mark.parametrize("projector", ["residual", "basic"])
def test_projectors_give_equal_values_with_and_without_gradients(projector: str) -> None:
    torch.manual_seed(0)
    project = make_head(8, HeadConfig(**SMALL, projector=projector)).projectors.region
    x = torch.randn(3, 8, 4, 4)
    with torch.no_grad():
        expected = project(x)
    found = project(x)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert all(p.grad is not None for p in project.parameters())
