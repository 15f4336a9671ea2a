"""Where a comparison trained from scratch starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.video.images import save_image
from egolib.vq2d.data.dataset import TrainingSet
from egolib.vq2d.data.samples import BoxedImage, Sample
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.models.warm_start import fit_comparison
from tests.vq2d import made


@pytest.fixture
def data(tmp_path: Path) -> TrainingSet:
    samples = []
    for i, frame in enumerate(made.moving_square(6)):
        save_image(tmp_path / f"{i}.png", frame)
        boxed = BoxedImage(f"{i}.png", made.SIZE, False, (10 + i, 12, 26 + i, 24))
        samples.append(Sample(str(i), boxed, boxed, {}))
    return TrainingSet(samples, tmp_path, None, (48, 96), (32, 2))


def test_equal_vectors_start_above_others(data: TrainingSet) -> None:
    torch.manual_seed(0)
    model = SiameseRcnn(made.tiny_detector())
    fit_comparison(model, data, seed=0)
    item = data.sample(0, np.random.default_rng(0))
    batch = model.batch([item.frame])
    boxes = torch.tensor([[10.0, 12, 26, 24], [40, 30, 60, 46], [0, 30, 20, 46]])
    with torch.no_grad():
        maps = model.maps(batch.images)
        vectors = model.head.projectors.region(model.pooled(maps, [boxes]))
        logits = model.head.compare(vectors[None], vectors).regions
    others = logits[~torch.eye(3, dtype=torch.bool)]
    assert logits.diagonal().mean() > others.mean() + 0.5


def test_the_same_seed_gives_the_same_start(data: TrainingSet) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        model = SiameseRcnn(made.tiny_detector())
        fit_comparison(model, data, seed=1)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_other_heads_are_refused(data: TrainingSet) -> None:
    model = SiameseRcnn(made.tiny_detector(compare="dot"))
    with pytest.raises(EgolibError, match="shared projector"):
        fit_comparison(model, data, seed=0)
