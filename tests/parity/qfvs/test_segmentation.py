"""Kernel temporal segmentation: scatters, costs and points of every recorded case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.ops.segmentation import scatters, segment_kernel
from tests.parity.recordings import normal, read, stream


def descriptors(tag: str, case: dict[str, Any]) -> np.ndarray:
    """Integers in float32: means that change at random cuts, plus noise."""
    name, shots, width, pieces = (case[k] for k in ("case", "shots", "width", "pieces"))
    means = normal(f"{tag}/segment/{name}/means", (pieces, width))
    cuts = np.zeros(0, np.int64)
    if pieces > 1:
        rng = stream(f"{tag}/segment/{name}/cuts")
        cuts = np.sort(rng.choice(np.arange(1, shots), pieces - 1, replace=False))
    noise = normal(f"{tag}/segment/{name}/noise", (shots, width))
    piece = np.searchsorted(cuts, np.arange(shots), "right")
    scaled = np.rint((means[piece] + 0.3 * noise) * case.get("scale", 8))
    return (scaled + case.get("offset", 0)).astype(np.float32)


def kernels(case: dict[str, Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In float32, and in double."""
    double = x.astype(np.float64) @ x.astype(np.float64).T
    exact = not case["case"].startswith("rounding")
    return (x @ x.T if exact else double.astype(np.float32)), double


@pytest.mark.recordings("segment")
def test_segmentation(recording: Path) -> None:
    recorded = read(recording)
    meta = json.loads(str(recorded["meta"]))
    assert meta["cases"]
    for case in meta["cases"]:
        x = descriptors(meta["tag"], case)
        settings = {"longest": case["lmax"], "penalty": case["vmax"]}
        kernel, double = kernels(case, x)
        arrays = {
            key.partition("|")[2]: value
            for key, value in recorded.items()
            if key.startswith(f"{case['case']}|")
        }
        if "x_first_rows" in arrays:
            np.testing.assert_array_equal(x[:3], arrays["x_first_rows"])
        if "error" in case:
            assert case["error"] == "AssertionError"
            with pytest.raises(EgolibError):
                segment_kernel(kernel, case["ncp"], **settings)
            continue
        compare_points(case, kernel, double, settings, arrays)
        compare_scatters(case, kernel, arrays)


def compare_points(
    case: dict[str, Any], kernel: np.ndarray, double: np.ndarray, settings: dict, arrays: dict
) -> None:
    found = segment_kernel(kernel, case["ncp"], **settings)
    np.testing.assert_array_equal(found.points, arrays["cps"], err_msg=case["case"])
    np.testing.assert_allclose(found.costs, arrays["costs"], rtol=1e-6, atol=1e-9)
    exact = segment_kernel(double, case["ncp"], **settings)
    np.testing.assert_array_equal(exact.points, arrays["cps_double_kernel"])
    if not case["case"].startswith("rounding"):
        corrected = segment_kernel(kernel, case["ncp"], **settings, sums="double")
        np.testing.assert_array_equal(corrected.points, arrays["cps_double_kernel"])
    few = min(3, case["ncp"])
    longest = max(case["lmax"], case["shots"] // 3)
    fixed = segment_kernel(kernel, points=few, longest=longest)
    np.testing.assert_array_equal(fixed.points, arrays["cps_of_3"])
    np.testing.assert_allclose(fixed.costs, arrays["scores_of_3"], rtol=1e-6, atol=1e-6)


def compare_scatters(case: dict[str, Any], kernel: np.ndarray, arrays: dict) -> None:
    found = scatters(kernel)
    scale = max(np.abs(arrays["scatters"]).max(), 1.0)
    np.testing.assert_allclose(
        found[::7, ::5], arrays["scatters"], rtol=1e-6, atol=1e-9 * scale, err_msg=case["case"]
    )
    assert found.sum() == pytest.approx(case["scatter_sum"], rel=1e-6, abs=1e-6)
    assert found.min() == pytest.approx(case["scatter_minimum"], rel=1e-6, abs=1e-6)
