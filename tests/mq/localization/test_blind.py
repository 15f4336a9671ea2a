"""Fixed intervals."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.mq.evaluation import evaluate
from egolib.mq.localization import blind
from tests.mq.small import clip

CLIPS = [clip(i, ("open", 10, 14), ("wash", 0, 30)) for i in range(4)]


@pytest.mark.parametrize("family", blind.FAMILIES)
def test_what_always_happens_is_found(family):
    prior = blind.fit(CLIPS, family, count=3)
    assert set(prior.intervals) == {"open", "wash"}
    found = evaluate(CLIPS, blind.detect(prior, CLIPS), blind.retrieve(prior, CLIPS))
    assert found.retrieval is not None and found.retrieval.at(1, 0.7) == 1
    assert found.detection is not None and found.detection.values[:, 0].min() > 0


def test_each_interval_adds_hits():
    clips = [*CLIPS, clip(9, ("open", 20, 24))]
    prior = blind.fit(clips)
    first, second, *_ = prior.segments_sec("open", 30.0)
    assert first[0] < 14 < 20 < second[1]
    assert (np.diff(prior.scores["open"]) <= 0).all()


def test_intervals_are_cut_at_the_clips_ends():
    prior = blind.Prior("mixed", {"open": np.array([[0.0, 10.0]])}, {"open": np.ones(1)})
    assert prior.segments_sec("open", 30.0).tolist() == [[0, 5]]


def test_limits_and_unknown_classes():
    prior = blind.fit(CLIPS)
    assert all(len(r) == 1 for r in blind.detect(prior, CLIPS, limit=1).values())
    assert blind.retrieve(prior, [clip(8, ("sing", 0, 1))]) == {"c8": []}
    with pytest.raises(EgolibError, match="needs clips with moments"):
        blind.fit([clip(1)])
