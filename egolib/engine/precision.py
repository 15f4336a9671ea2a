"""The precision of an inference: autocast, and float32 products with or without TensorFloat-32.

A training states its own (``fit.precision``, ``fit.matmul_precision``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import torch

from egolib.engine.device import resolve_device

Precision = Literal["float32", "bfloat16", "float16"]
MatmulPrecision = Literal["highest", "high"]
Result = TypeVar("Result")


def set_matmul_precision(precision: MatmulPrecision) -> None:
    """How a GPU multiplies float32 numbers from now on, in matrix products and convolutions.

    torch keeps two switches, and by default only convolutions take TensorFloat-32.

    Args:
        precision: ``highest`` is float32 itself, ``high`` TensorFloat-32 (10 bits of fraction).
    """
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = precision == "high"


@contextmanager
def computing(
    device: str = "auto",
    precision: Precision = "float32",
    matmul_precision: MatmulPrecision = "highest",
) -> Iterator[None]:
    """Everything inside is computed in this precision; afterwards it is as before.

    Args:
        device: what computes, for autocast.
        precision: ``float32``, or the type that autocast takes for products and convolutions;
            sums, softmax, norms and coordinates stay float32.
        matmul_precision: of what stays float32, on a GPU.
    """
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    set_matmul_precision(matmul_precision)
    low = precision != "float32"
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float16
    try:
        if low:
            with torch.autocast(resolve_device(device).type, kind):
                yield
        else:
            yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


def in_precision_of_infer(work: Callable[..., Result]) -> Callable[..., Result]:
    """The function of a step, computed in the precision that its section ``infer`` states.

    Args:
        work: takes the step first.
    """

    @functools.wraps(work)
    def inner(step: Any, *rest: Any) -> Result:
        infer = step.config.infer
        precision: Precision = getattr(infer, "precision", "float32")
        with computing(infer.device, precision, infer.matmul_precision):
            return work(step, *rest)

    return inner
