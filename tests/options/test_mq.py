"""Every alternative of mq's options is accepted, or refused when the configuration is built with
the fields named. (``python -m tests.options mq`` also trains and detects with each.)"""

from __future__ import annotations

import pytest

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.mq.config import Config
from tests.options.mq import PRESET, alternatives, texts


def test_refusals_name_fields_and_say_what_fits():
    refused = []
    chosen = [a for a in alternatives() if a.field]
    for alternative in chosen:
        try:
            configs.resolve(Config, "mq", alternative.variant, PRESET, texts(alternative))
        except EgolibError as error:
            assert alternative.field in str(error), error
            refused.append(alternative)
    assert len(chosen) > 150 and 20 < len(refused) < 40


COMBINATIONS = {
    "infer.weights": ["infer.weights=ema"],
    "model.edge_weights": ["model.edge_weights=true", "model.edge_features=difference"],
    "model.neighbors": ["model.neighbors=33"],
    "model.stitched_neighbors": ["model.stitched_neighbors=true", "model.graph=false"],
}


@pytest.mark.parametrize("field", COMBINATIONS)
def test_combinations_that_cannot_work_are_refused(field):
    with pytest.raises(EgolibError) as found:
        configs.resolve(Config, "mq", "vsgn_egovlpv2", "tiny", COMBINATIONS[field])
    assert field in found.value.what and found.value.remedy
