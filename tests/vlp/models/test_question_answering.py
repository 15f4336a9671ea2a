from __future__ import annotations

import torch

from egolib.vlp.models.question_answering import AnswerHead, reset_head
from tests.vlp.questions import ANSWERS, answering_model, question_batch


def test_the_hidden_layer_is_as_wide_as_there_are_answers() -> None:
    head = AnswerHead(7, 3)
    assert head.hidden.weight.shape == (3, 7) and head.score.weight.shape == (3, 3)


def test_prefixes_give_the_same_answers() -> None:
    model, batch = answering_model(), question_batch()
    with torch.no_grad():
        whole = model(batch.video, batch.ids, batch.mask)
        video, text = model.video_prefix(batch.video), model.text_prefix(batch.ids, batch.mask)
        shared = model.answer_prefixes(video, text, batch.mask)
        repeated = model.answer_prefixes(video[:1].expand(6, -1, -1), text, batch.mask)
        one_clip = model(batch.video[:1].expand(6, -1, -1, -1, -1), batch.ids, batch.mask)
    assert whole.shape == (6, ANSWERS)
    torch.testing.assert_close(shared, whole)
    torch.testing.assert_close(repeated, one_clip)


def test_both_sides_change_the_answer() -> None:
    model, batch = answering_model(), question_batch()
    with torch.no_grad():
        whole = model(batch.video, batch.ids, batch.mask)
        other_text = model(batch.video, batch.ids.flip(0), batch.mask.flip(0))
        other_video = model(batch.video.flip(0), batch.ids, batch.mask)
    assert (whole - other_text).abs().max() > 1e-3
    assert (whole - other_video).abs().max() > 1e-3


def test_dropout_acts_in_training_only() -> None:
    head, token = AnswerHead(8, 50), torch.randn(4, 8)
    assert not torch.equal(head.train()(token), head(token))
    assert torch.equal(head.eval()(token), head(token))


def test_a_start_by_generator_within_its_bounds() -> None:
    head, again = AnswerHead(16, 4), AnswerHead(16, 4)
    for h in (head, again):
        reset_head(h, torch.Generator().manual_seed(1))
    assert all(
        torch.equal(a, b) for a, b in zip(head.parameters(), again.parameters(), strict=False)
    )
    assert 0.2 < head.hidden.weight.abs().max() <= 0.25  # one over the root of 16
    assert head.hidden.bias.abs().max() <= 0.25 and head.score.bias.abs().max() <= 0.5


def test_gradients_reach_both_encoders_and_the_head() -> None:
    model, batch = answering_model(), question_batch()
    model(batch.video, batch.ids, batch.mask).square().sum().backward()
    for name in ("video.patches.weight", "text.embeddings.words.weight", "answer.hidden.weight"):
        grad = model.get_parameter(name).grad
        assert grad is not None and grad.norm() > 0, name
