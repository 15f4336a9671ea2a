from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn import functional as F

from egolib.vlp.losses.question_answering import AnswerLoss, QuestionBatch, answer_loss
from tests.vlp.questions import answering_model, question_batch

WORLD = 2


def test_the_mean_over_questions() -> None:
    logits, answer = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    torch.testing.assert_close(answer_loss(logits, answer), F.cross_entropy(logits, answer))


def test_loss_and_accuracy_of_a_batch() -> None:
    model, batch = answering_model(), question_batch()
    with torch.no_grad():
        logits = model(batch.video, batch.ids, batch.mask)
        batch.answer = logits.argmax(1)
        batch.answer[0] = (batch.answer[0] + 1) % logits.shape[1]
        found = AnswerLoss()(model, batch)
    assert found["accuracy"] == pytest.approx(5 / 6)
    torch.testing.assert_close(found["loss"], F.cross_entropy(logits, batch.answer))


def gradients(mode: str, rank: int = 0, world: int = 1) -> dict[str, torch.Tensor]:
    """Loss and gradients of one step, averaged over the processes as data parallel does."""
    model, whole = answering_model(seed=4), question_batch()
    size = len(whole.answer) // world
    share = {k: v[rank * size : (rank + 1) * size] for k, v in vars(whole).items()}
    loss = AnswerLoss(mode)(model, QuestionBatch(**share))["loss"]  # type: ignore[arg-type]
    loss.backward()
    found = {"loss": loss.detach()}
    for name, parameter in model.answer.named_parameters():
        assert parameter.grad is not None
        if world > 1:
            dist.all_reduce(parameter.grad)
        found[name] = parameter.grad / world
    return found


def work(rank: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORLD)
    try:
        results = {mode: gradients(mode, rank, WORLD) for mode in ("official", "exact")}
        if rank == 0:
            torch.save(results, out)
    finally:
        dist.destroy_process_group()


def test_two_processes_against_one(tmp_path: Path) -> None:
    """``exact`` equals one process on the whole batch; ``official`` is 1 / W of it."""
    mp.spawn(work, (str(tmp_path / "store"), str(tmp_path / "out.pt")), nprocs=WORLD)
    found = torch.load(tmp_path / "out.pt")
    for mode, factor in (("official", 1 / WORLD), ("exact", 1.0)):
        expected = gradients(mode)
        torch.testing.assert_close(found[mode].pop("loss"), expected.pop("loss"))
        for name, grad in expected.items():
            torch.testing.assert_close(found[mode][name], factor * grad, msg=f"{mode} {name}")
