from __future__ import annotations

import pytest
import torch

from egolib.errors import EgolibError
from egolib.vlp.config import LossConfig
from egolib.vlp.losses.contrastive import norm_softmax
from egolib.vlp.losses.margin import max_margin, sms
from egolib.vlp.losses.retrieval import RetrievalLoss
from egolib.vlp.losses.similarity import cosine_similarity
from tests.vlp.small import small_model
from tests.vlp.workers import retrieval_batch


@pytest.mark.parametrize("name", ["norm_softmax", "max_margin", "adaptive_margin", "sms"])
def test_each_objective_is_that_of_the_similarities(name: str) -> None:
    model, (batch, relevancy) = small_model(), retrieval_batch()
    with torch.no_grad():
        found = RetrievalLoss(LossConfig(objectives=(name,)), relevancy.numpy())(model, batch)  # type: ignore[arg-type]
        s = cosine_similarity(
            model.encode_text(batch.ids, batch.mask), model.encode_video(batch.video)
        )
        chosen = relevancy[batch.clip_row][:, batch.caption_column]
        expected = {
            "norm_softmax": norm_softmax(s),
            "max_margin": max_margin(s, 0.2),
            "adaptive_margin": max_margin(s, 0.2, batch.weight),
            "sms": sms(s, chosen, batch.weight),
        }
    torch.testing.assert_close(found["loss"], expected[name])
    assert found["black"].item() == 0


def test_sms_needs_its_matrix_and_captions_in_it() -> None:
    with pytest.raises(EgolibError, match="relevancy matrix"):
        RetrievalLoss(LossConfig(objectives=("sms",)))
    batch, relevancy = retrieval_batch()
    batch.caption_column[2] = -1
    with pytest.raises(EgolibError, match="stand in"):
        RetrievalLoss(LossConfig(objectives=("sms",)), relevancy.numpy())(small_model(), batch)
