"""Every alternative of nlq's options is accepted, or refused when the configuration is built with
the fields named. (``python -m tests.options nlq`` also trains and answers with each.)"""

from __future__ import annotations

import pytest

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.nlq.config import Config
from tests.options.nlq import PRESET, alternatives, texts


def test_refusals_name_fields_and_say_what_fits():
    refused = []
    chosen = [a for a in alternatives() if a.field]
    for alternative in chosen:
        try:
            configs.resolve(Config, "nlq", alternative.variant, PRESET, texts(alternative))
        except EgolibError as error:
            assert alternative.field in error.what, error.what
            assert error.remedy, error.what
            refused.append(alternative)
    assert len(chosen) > 140 and 10 < len(refused) < 50


COMBINATIONS = {
    "infer.compare": ["fit.ema_decay=null", "infer.compare=[averaged]"],
    "infer.weights": ["infer.weights=best"],
    "fit.evaluate_weights": ["fit.ema_decay=null", "infer.compare=[]", "fit.evaluate_weights=ema"],
    "fit.monitor": ["fit.monitor=recall:max"],
    "data.text_stores": ["data.text_stores=[a,b]"],
    "data.evaluation_text_stores": ["data.evaluation_text_stores=[a,b]"],
    "optim.milestones": ["optim.schedule=multistep"],
    "loss.regression_ranges": ["model.plain_branch_blocks=9"],
    "model.heads": ["model.heads=5"],
    "model.text_streams": ["model.text_streams=[[a,4],[a,4]]", "data.text_stores=[a,b]"],
}


@pytest.mark.parametrize("field", COMBINATIONS)
def test_combinations_that_cannot_work_are_refused(field):
    with pytest.raises(EgolibError) as found:
        configs.resolve(Config, "nlq", "scratch", "tiny", COMBINATIONS[field])
    assert field in found.value.what and found.value.remedy
