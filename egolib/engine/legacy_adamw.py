"""AdamW as the older Hugging Face library has it: EgoVLPv2 and its heads were trained with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class LegacyAdamW(torch.optim.Optimizer):
    """AdamW with decoupled decay *after* the step, by the rate times the decay.

    Unlike ``torch.optim.AdamW``, epsilon is added to the root of the second moment
    before its bias is corrected.

    Args:
        params: parameters or groups.
        lr: rate.
        betas: decay of the two moments.
        eps: added to the root of the second moment.
        weight_decay: share of a weight that a step at rate 1 would take away.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(group, parameters)
        return loss

    def _update(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        states = [self._state(p) for p in parameters]
        grads: list[Tensor] = [p.grad for p in parameters]  # type: ignore[misc]
        first, second = [s["first"] for s in states], [s["second"] for s in states]
        beta1, beta2 = group["betas"]
        torch._foreach_lerp_(first, grads, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, grads, grads, 1 - beta2)
        counters: list[Tensor] = [state["step"] for state in states]
        torch._foreach_add_(counters, 1)  # on the CPU, and read there all at once
        steps = torch.stack(counters).tolist()
        sizes = [-group["lr"] * math.sqrt(1 - beta2**t) / (1 - beta1**t) for t in steps]
        roots = torch._foreach_sqrt(second)
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_addcdiv_(parameters, first, roots, sizes)
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])

    def _state(self, parameter: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["first"] = torch.zeros_like(parameter)
            state["second"] = torch.zeros_like(parameter)
        return state
