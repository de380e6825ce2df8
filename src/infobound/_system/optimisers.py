"""AdamW without PyTorch's compiler: PyTorch's functional form and the state it needs.

`torch.optim.AdamW(...)` imports `torch._dynamo` when it is constructed, which takes longer than
many estimates. This class calls the same fused PyTorch function, so the weights are bitwise
identical. The fused form makes one pass over each tensor instead of a dozen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

__all__ = ["AdamW"]


class AdamW:
    """Adam with decoupled weight decay; `state_dict` has the layout of `torch.optim.AdamW`'s.

    Args:
        params: the tensors that `step` changes in place.
        lr: learning rate; `param_groups[0]["lr"]` may be set between steps.
        betas: decay of the first and of the second moment.
        weight_decay: decoupled weight decay; 0 gives Adam.
        eps: added to the denominator for numerical stability.

    Source: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.

    Example:
        >>> weight = torch.ones(1, requires_grad=True)
        >>> optimiser = AdamW([weight], lr=0.1)
        >>> weight.sum().backward()
        >>> optimiser.step()
        >>> round(weight.item(), 4)
        0.9
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        group = {"params": list(params), "lr": lr, "betas": betas}
        self.param_groups: list[dict[str, Any]] = [
            group | {"weight_decay": weight_decay, "eps": eps}
        ]
        self.state: dict[int, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Set all gradients to None."""
        for tensor in self.param_groups[0]["params"]:
            tensor.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Take one step; tensors without a gradient stay unchanged."""
        group = self.param_groups[0]
        moved = [(k, p) for k, p in enumerate(group["params"]) if p.grad is not None]
        self.state |= {k: _start(p) for k, p in moved if k not in self.state}
        states = [self.state[k] for k, _ in moved]
        adamw(
            [p for _, p in moved],
            [p.grad for _, p in moved],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=not any(p.is_complex() for _, p in moved),
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the moments by position of their tensor, and the settings."""
        group = self.param_groups[0]
        return {
            "state": self.state,
            "param_groups": [group | {"params": list(range(len(group["params"])))}],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from `state_dict`, copied to the device of each tensor."""
        tensors = self.param_groups[0]["params"]
        self.param_groups[0] |= {**state["param_groups"][0], "params": tensors}
        self.state = {
            k: {name: _place(name, value, tensors[k]) for name, value in moments.items()}
            for k, moments in state["state"].items()
        }


def _start(tensor: Tensor) -> dict[str, Tensor]:
    zeros = {name: torch.zeros_like(tensor) for name in ("exp_avg", "exp_avg_sq")}
    return {"step": torch.zeros((), dtype=torch.float32, device=tensor.device), **zeros}


def _place(name: str, value: Tensor, tensor: Tensor) -> Tensor:
    """Copy a moment to its tensor's device and dtype; the step count is always float32."""
    dtype = torch.float32 if name == "step" else tensor.dtype
    return value.detach().to(tensor.device, dtype, copy=True)
