"""Whatever a foreign file holds: an error that names it, the same result, or a listed skip.

A result that differs without a word is another meaning of the file: each kind of these stands
in ``known.yaml`` with the reason why nobody can know that it was not meant.
"""

from __future__ import annotations

import os

import pytest

from tests.fuzz.judging import GOOD, judged
from tests.fuzz.readers import READERS
from tests.fuzz.trial import LATEST_SEC

COUNT = int(os.environ.get("EGOLIB_FUZZ", "50"))


@pytest.mark.parametrize("name", READERS)
def test_no_file_is_misunderstood_in_silence(name: str) -> None:
    found = judged(READERS[name], COUNT)
    bad = [trial for trial in found if trial["outcome"] not in GOOD]
    assert len(found) == COUNT
    assert not bad
    assert max(trial["seconds"] for trial in found) < LATEST_SEC
