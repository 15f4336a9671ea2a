"""Every alternative of vq2d's options is accepted, or refused when the configuration is built with
the fields named. (``python -m tests.options vq2d`` also trains and answers with each.)"""

from __future__ import annotations

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.vq2d.config import Config
from tests.options.vq2d import PRESET, alternatives, overrides


def test_refusals_name_fields_and_say_what_fits():
    refused = []
    chosen = [a for a in alternatives() if a.field]
    for alternative in chosen:
        try:
            configs.resolve(Config, "vq2d", alternative.variant, PRESET, overrides(alternative))
        except EgolibError as error:
            assert alternative.field.split(".")[-1] in error.what and error.remedy, error.what
            refused.append(alternative.field)
    assert len(chosen) > 90 and 5 < len(refused) < 30
