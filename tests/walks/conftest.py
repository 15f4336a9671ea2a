"""Walks take a minute each: of every walk the first two cases, all with ``EGOLIB_WALKS=all``."""

from __future__ import annotations

import os
from collections import Counter

import pytest

ALWAYS = 2
#: What a cheaper walk goes too for the most part; these run by ``make walks`` alone.
FURTHER = {
    "test_the_ensemble_of_the_challenge",
    "test_every_form_of_a_checkpoint_answers_alike",
    "test_every_form_of_a_checkpoint",
    "test_fine_tuning_from_the_authors_pre_training",
    "test_actionformer_from_annotations_to_numbers",
    "test_pre_training_starts_from_image_and_language_models",
    "test_a_chain_in_bfloat16",
    "test_both_trained_networks_are_exported_and_read_back",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("EGOLIB_WALKS") == "all":
        return
    seen: Counter[str] = Counter()
    for item in items:
        if "/walks/" not in item.path.as_posix():
            continue
        name = getattr(item, "originalname", item.name)
        walk = f"{item.path}::{name}"
        seen[walk] += 1
        if seen[walk] > ALWAYS or name in FURTHER:
            item.add_marker(pytest.mark.skip(reason="a further case of a walk: `make walks`"))
