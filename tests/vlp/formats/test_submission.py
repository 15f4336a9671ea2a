from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.vlp.formats import submission


def test_scores_go_through_a_file(tmp_path: Path) -> None:
    path = submission.write(tmp_path / "scores.npz", {"dual": np.eye(2), "fusion": None})
    found = submission.read(path)
    assert list(found) == ["dual"]
    np.testing.assert_array_equal(found["dual"], np.eye(2))


def test_unreadable_scores(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"nothing")
    for path in (tmp_path / "x.npz", tmp_path / "none.npz"):
        with pytest.raises(EgolibError, match="score file"):
            submission.read(path)
