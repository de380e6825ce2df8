"""Critics: modules that score every x against every y.

The contract, stated once: `critic(x, y)` takes x (n, p) and y (m, q) with n <= m and gives
`scores` (n, m), `scores[i, j] = f(x_i, y_j)`; row i of x and row i of y belong together, so the
positives are on the diagonal and every other entry is a negative. Any `nn.Module` that keeps the
contract can be trained and evaluated. What is maximised over the scores is in `bounds`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from infobound.config import Config
from infobound.errors import InputError

__all__ = ["CRITICS", "Bilinear", "Composite", "Joint", "Reads", "Separable", "build"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}
TILE = 1 << 18  # numbers in one hidden layer of a tile: 1 MiB, so that a tile stays in cache


def _linear(inputs: int, outputs: int, std: float, generator: torch.Generator | None) -> nn.Linear:
    """A layer drawn from `generator` alone: N(0, std^2) and biases 0, or scaled by fan-in."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)
    with torch.no_grad():
        if std > 0:
            layer.weight.normal_(0, std, generator=generator)
            layer.bias.zero_()
        else:
            reach = inputs**-0.5
            layer.weight.uniform_(-reach, reach, generator=generator)
            layer.bias.uniform_(-reach, reach, generator=generator)
    return layer


class Joint(nn.Module):
    """The notebook's critic: one network on (x, y), two hidden layers of 100, ELU.

    The first layer is computed as W_x x + W_y y, once per row instead of once per pair: equal in
    value and gradient to the layer on the concatenated pair. Without gradients the pairs go
    through in tiles of rows that stay in cache.

    Source: `infonce` notebook, https://github.com/ccha23/miml.

    Example:
        >>> critic = Joint(6, 6, hidden_dim=100, hidden_layers=2, activation="elu", init_std=0.02)
        >>> critic(torch.zeros(5, 6), torch.zeros(7, 6)).shape
        torch.Size([5, 7])
    """

    def __init__(
        self,
        dim_x: int,
        dim_y: int,
        *,
        hidden_dim: int = 100,
        hidden_layers: int = 2,
        activation: str = "elu",
        init_std: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.dim_x = dim_x
        self.first = _linear(dim_x + dim_y, hidden_dim, init_std, generator)
        layers: list[nn.Module] = [ACTIVATIONS[activation]()]
        for _ in range(hidden_layers - 1):
            layers += [_linear(hidden_dim, hidden_dim, init_std, generator)]
            layers += [ACTIVATIONS[activation]()]
        self.rest = nn.Sequential(*layers, _linear(hidden_dim, 1, init_std, generator))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Scores (n, m) of x (n, dim_x) against y (m, dim_y)."""
        weight_x, weight_y = self.first.weight.tensor_split([self.dim_x], dim=1)
        hidden_x = x @ weight_x.T + self.first.bias
        hidden_y = y @ weight_y.T
        step = len(x)
        if not torch.is_grad_enabled():
            step = max(1, TILE // hidden_y.numel())
        tiles = [
            self.rest(rows.unsqueeze(1) + hidden_y).squeeze(-1) for rows in hidden_x.split(step)
        ]
        return torch.cat(tiles) if len(tiles) > 1 else tiles[0]


class Separable(nn.Module):
    """g(x) . h(y) + a(x) + b(y): one matrix product for all pairs.

    a and b let the score move by functions of x alone and of y alone, the learned baselines of
    TUBA-like bounds. The last layer of g, a and b starts at zero, so the critic starts at zero.

    Source: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748; Poole et al. 2019,
    https://arxiv.org/abs/1905.06922.

    Example:
        >>> Separable(3, 2)(torch.ones(4, 3), torch.ones(4, 2)).abs().max().item()
        0.0
    """

    def __init__(
        self,
        dim_x: int,
        dim_y: int,
        *,
        hidden_dim: int = 128,
        hidden_layers: int = 2,
        embedding_dim: int = 64,
        activation: str = "silu",
        init_std: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()

        def tower(inputs: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for width in [inputs] + [hidden_dim] * (hidden_layers - 1):
                layers += [_linear(width, hidden_dim, init_std, generator)]
                layers += [ACTIVATIONS[activation]()]
            return nn.Sequential(*layers, _linear(hidden_dim, embedding_dim + 1, 0.0, generator))

        self.x = tower(dim_x)
        self.y = tower(dim_y)
        with torch.no_grad():
            for parameter in self.x[-1].parameters():
                parameter.zero_()
            self.y[-1].weight[-1].zero_()  # type: ignore[index, operator, union-attr]
            self.y[-1].bias[-1].zero_()  # type: ignore[index, operator, union-attr]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Scores (n, m) of x (n, dim_x) against y (m, dim_y)."""
        g, h = self.x(x), self.y(y)
        return g[:, :-1] @ h[:, :-1].T + g[:, -1:] + h[:, -1]


class Bilinear(nn.Module):
    """x' W y: the smallest critic; it starts at zero.

    Source: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748 (equation 3).

    Example:
        >>> Bilinear(3, 2)(torch.ones(4, 3), torch.ones(5, 2)).shape
        torch.Size([4, 5])
    """

    def __init__(self, dim_x: int, dim_y: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim_x, dim_y))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Scores (n, m) of x (n, dim_x) against y (m, dim_y)."""
        return x @ self.weight @ y.T


class Projected(nn.Module):
    """A network that reads fixed directions of x and y: few of them where columns are many.

    Example:
        >>> Projected(torch.eye(3)[:, :1], torch.eye(2), Bilinear(1, 2))(
        ...     torch.ones(4, 3), torch.ones(5, 2)
        ... ).shape
        torch.Size([4, 5])
    """

    left: Tensor
    right: Tensor

    def __init__(self, left: Tensor, right: Tensor, network: nn.Module) -> None:
        super().__init__()
        self.register_buffer("left", left)
        self.register_buffer("right", right)
        self.network = network

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Scores (n, m) of x (n, dim_x) against y (m, dim_y)."""
        scores: Tensor = self.network(x @ self.left, y @ self.right)
        return scores


class Reads(NamedTuple):
    """Which columns of x and of y a part of a critic reads; all of them if not said."""

    x: slice = slice(None)
    y: slice = slice(None)


class Composite(nn.Module):
    """base + network, clipped: what is trained and evaluated; either part may be absent.

    The base is a closed-form log ratio and is not trained.

    Example:
        >>> Composite(None, Bilinear(1, 1))(torch.ones(2, 1), torch.ones(2, 1)).sum().item()
        0.0
    """

    def __init__(
        self,
        base: nn.Module | None,
        network: nn.Module | None,
        *,
        base_reads: Reads | None = None,
        network_reads: Reads | None = None,
        gamma: float = 0.0,
    ) -> None:
        super().__init__()
        assert base is not None or network is not None
        self.base = None if base is None else base.requires_grad_(False)
        self.network = network
        self.base_reads = base_reads or Reads()
        self.network_reads = network_reads or Reads()
        self.gamma = gamma

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Scores (n, m) of x (n, p) against y (m, q)."""
        parts = []
        for part, reads in ((self.base, self.base_reads), (self.network, self.network_reads)):
            if part is not None:
                parts.append(part(x[:, reads.x], y[:, reads.y]))
        scores: Tensor = sum(parts[1:], parts[0])
        return scores.clamp(-self.gamma, self.gamma) if self.gamma else scores


def _joint(dim_x: int, dim_y: int, config: Config, generator: torch.Generator) -> nn.Module:
    return Joint(
        dim_x,
        dim_y,
        hidden_dim=config.hidden_dim,
        hidden_layers=config.hidden_layers,
        activation=config.activation,
        init_std=config.init_std,
        generator=generator,
    )


def _separable(dim_x: int, dim_y: int, config: Config, generator: torch.Generator) -> nn.Module:
    return Separable(
        dim_x,
        dim_y,
        hidden_dim=config.hidden_dim,
        hidden_layers=config.hidden_layers,
        embedding_dim=config.embedding_dim,
        activation=config.activation,
        init_std=config.init_std,
        generator=generator,
    )


def _bilinear(dim_x: int, dim_y: int, config: Config, generator: torch.Generator) -> nn.Module:
    return Bilinear(dim_x, dim_y)


CRITICS: dict[str, Callable[[int, int, Config, torch.Generator], nn.Module]] = {
    "separable": _separable,
    "joint": _joint,
    "bilinear": _bilinear,
}


def build(dim_x: int, dim_y: int, config: Config, generator: torch.Generator) -> nn.Module | None:
    """The network that `config.critic` names, drawn from `generator`; None for "none".

    Raises:
        InputError: an unknown name.

    Example:
        >>> build(2, 3, Config(critic="bilinear"), torch.Generator())
        Bilinear()
    """
    if config.critic == "none":
        return None
    if config.critic not in CRITICS:
        names = ", ".join([*CRITICS, "none"])
        raise InputError(f"Expected critic to be one of {names}; got {config.critic!r}.")
    return CRITICS[config.critic](dim_x, dim_y, config, generator)
