"""The precision of an inference: what is switched, where, and that it comes back."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from egolib.engine.precision import computing, in_precision_of_infer, set_matmul_precision


def switches() -> tuple[str, bool]:
    """torch's two switches for TensorFloat-32: products, convolutions."""
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.fixture(autouse=True)
def as_before():
    products, convolutions = switches()
    yield
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions


def test_float32_means_float32_in_convolutions_too():
    set_matmul_precision("highest")
    assert switches() == ("highest", False)
    set_matmul_precision("high")
    assert switches() == ("high", True)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_products_are_computed_in_the_precision(precision: str):
    before = switches()
    with computing("cpu", precision, "high"):  # type: ignore[arg-type]
        assert switches() == ("high", True)
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == getattr(torch, precision)
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    assert switches() == before


def test_switches_come_back_after_an_error():
    before = switches()
    with pytest.raises(RuntimeError), computing("cpu", "float32", "high"):
        raise RuntimeError
    assert switches() == before


def test_a_step_is_computed_as_its_section_infer_says():
    @dataclass(frozen=True)
    class Infer:
        device: str = "cpu"
        precision: str = "bfloat16"
        matmul_precision: str = "high"

    @in_precision_of_infer
    def predict(step: object) -> tuple[torch.dtype, tuple[str, bool]]:
        """Something."""
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype, switches()

    step = SimpleNamespace(config=SimpleNamespace(infer=Infer()))
    assert predict(step) == (torch.bfloat16, ("high", True))
    assert predict.__doc__ == "Something."
