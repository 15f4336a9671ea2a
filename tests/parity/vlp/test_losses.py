"""Loss functions and their gradients with respect to similarities or embeddings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from egolib.vlp.losses.contrastive import egonce, norm_softmax
from egolib.vlp.losses.margin import max_margin, sms
from egolib.vlp.losses.similarity import cosine_similarity
from tests.parity.recordings import read
from tests.parity.vlp.cases import cases
from tests.parity.vlp.networks import assert_close

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def tensors(case: dict) -> dict[str, Tensor]:
    return {k: torch.from_numpy(v) for k, v in case.items() if v.ndim}


@pytest.mark.recordings("losses")
def test_losses(recording: Path) -> None:
    for case in cases(read(recording)).values():
        t = tensors(case)
        pairs = torch.eye(len(t["x"])) > 0
        weight = t.get("weight", torch.ones(len(pairs)))

        verbs, nouns = (t.get(k, torch.zeros_like(t["x"])) for k in ("mask_v", "mask_n"))

        def nce(shared: Tensor, pairs: Tensor = pairs) -> Callable[[Tensor], Tensor]:
            return lambda s: egonce(s, shared + pairs.float() > 0)

        losses: dict[str, Callable[[Tensor], Tensor]] = {
            "egonce": nce(verbs * nouns),
            "egonce_noun": nce(nouns),
            "egonce_verb": nce(verbs),
            "egonce_plain": nce(torch.zeros_like(t["x"])),
            "normsoftmax": norm_softmax,
            "maxmargin": max_margin,
            "maxmargin_nofix": lambda s: max_margin(s, include_diagonal=True),
            "adaptive": lambda s, w=weight: max_margin(s, 0.2, w),
            "adaptive_default": lambda s, w=weight: max_margin(s, 0.4, w),
            "adaptive_nofix": lambda s, w=weight: max_margin(s, 0.2, w, include_diagonal=True),
        }
        recorded = case.keys() & losses.keys()  # a batch of one has no margins
        assert recorded and all(
            k.removesuffix(".grad") in recorded for k in case if k.endswith(".grad")
        )
        for name in sorted(recorded):
            loss = losses[name]
            similarity = t["x"].clone().requires_grad_()
            value = loss(similarity)
            value.backward()
            assert_close(value, case[name], what=name, **TOLERANCE)
            if f"{name}.grad" in case:
                assert_close(similarity.grad, case[f"{name}.grad"], what=name, **TOLERANCE)
        if "sim_matrix" in case:
            similarity = cosine_similarity(t["sim_in"], t["sim_in_b"])
            assert_close(similarity, case["sim_matrix"], what="similarity", **TOLERANCE)


@pytest.mark.recordings("losses_sms")
def test_sms(recording: Path) -> None:
    for case in cases(read(recording)).values():
        t = tensors(case)
        video, text = (t[k].clone().requires_grad_() for k in ("video", "text"))
        relevancy = t["relevancy"][t["clip_rows"]][:, t["caption_cols"]]
        own = relevancy.diagonal()
        np.testing.assert_allclose(own.numpy(), case.get("weight", own.numpy()), rtol=1e-6)
        loss = sms(cosine_similarity(text, video), relevancy, t.get("weight", own))
        loss.backward()
        assert_close(loss, case["loss"], what="loss", **TOLERANCE)
        for name, leaf in (("video", video), ("text", text)):
            if f"grad_{name}" in case:
                assert_close(leaf.grad, case[f"grad_{name}"], what=name, **TOLERANCE)
