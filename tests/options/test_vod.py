"""Every alternative of vod's options is accepted, or refused when the configuration is built with
the fields named. (``python -m tests.options vod`` also trains and infers with each.)"""

from __future__ import annotations

import json

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.vod.config import Config
from tests.options.vod import PRESET, alternatives


def test_refusals_name_fields_and_say_what_fits():
    refused = []
    chosen = [a for a in alternatives() if a.field]
    for alternative in chosen:
        text = f"{alternative.field}={json.dumps(alternative.value)}"
        try:
            configs.resolve(Config, "vod", alternative.variant, PRESET, [text])
        except EgolibError as error:
            section, *_, last = alternative.field.split(".")
            assert section in error.what and (last in error.what or "references" in error.what)
            assert error.remedy, error.what
            refused.append(alternative)
    assert len(chosen) > 120 and 10 < len(refused) < 40
