"""Neural critics: modules that score every x against every y.

The contract: `critic(x, y)` takes x (n, p) and y (m, q) with n <= m and returns `scores` (n, m),
`scores[i, j] = f(x_i, y_j)`. Row i of x and row i of y belong together, so the positives are on the
diagonal and every other entry is a negative. Any `nn.Module` that satisfies the contract can be
trained and evaluated. The critics of this module work in two steps (`contract`), so that all pairs
can be scored in tiles. The objectives that training maximises are in `bounds`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infobound._system.arguments import shown
from infobound._system.memory import free_memory
from infobound.config import Config
from infobound.critics import contract
from infobound.critics.contract import Critic, Product, Rows
from infobound.critics.fused_elu import EluPairs, elu_pairs
from infobound.errors import InputError

__all__ = ["CRITICS", "Bilinear", "Composite", "InputColumns", "Joint", "Separable", "Sum", "Term"]
__all__ += ["build", "expect_known", "expect_room"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def _linear(inputs: int, outputs: int, std: float, generator: torch.Generator | None) -> nn.Linear:
    """Initialise a layer from `generator`: N(0, std^2) with zero biases, or by fan-in if std is 0.

    The global random state is neither used nor changed.
    """
    layer = nn.Linear(inputs, outputs, device="meta")  # draws nothing; skip_init imports sympy
    layer.weight = nn.Parameter(torch.empty(outputs, inputs, dtype=torch.float32))
    layer.bias = nn.Parameter(torch.empty(outputs, dtype=torch.float32))
    with torch.no_grad():
        if std > 0:
            layer.weight.normal_(0, std, generator=generator)
            layer.bias.zero_()
        else:
            reach = inputs**-0.5
            layer.weight.uniform_(-reach, reach, generator=generator)
            layer.bias.uniform_(-reach, reach, generator=generator)
    return layer


class Joint(Critic):
    """The critic of the notebook: one network on (x, y), by default two hidden layers of 100, ELU.

    The first layer is computed as W_x x + W_y y, once per row instead of once per pair, which is
    equal in value and gradient to the layer on the concatenated pair. With ELU, the exponential of
    a sum is a product of exponentials that are computed once per row, and layers work in place
    where no gradients are needed.

    Args:
        dim_x: the number of columns of x.
        dim_y: the number of columns of y.
        hidden_dim: the width of the hidden layers.
        hidden_layers: the number of hidden layers.
        activation: a key of `ACTIVATIONS`.
        init_std: standard deviation of the initial weights; 0 scales them by fan-in.
        precision: "float32" or "bfloat16", the dtype of the hidden layers' matrix products.
        generator: draws the initial weights.

    Source: `infonce` notebook, https://github.com/ccha23/miml.

    Example:
        >>> critic = Joint(6, 6, hidden_dim=100, hidden_layers=2, activation="elu", init_std=0.02)
        >>> critic(torch.zeros(5, 6), torch.zeros(7, 6)).shape
        torch.Size([5, 7])
    """

    is_random = False

    def __init__(
        self,
        dim_x: int,
        dim_y: int,
        *,
        hidden_dim: int = 100,
        hidden_layers: int = 2,
        activation: str = "elu",
        init_std: float = 0.0,
        precision: str = "float32",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.dim_x = dim_x
        self.width = hidden_dim
        self.precision = PRECISIONS[precision]
        self.is_elu = activation == "elu"
        self.first = _linear(dim_x + dim_y, hidden_dim, init_std, generator)
        layers: list[nn.Module] = [ACTIVATIONS[activation]()]
        for _ in range(hidden_layers - 1):
            layers += [_linear(hidden_dim, hidden_dim, init_std, generator)]
            layers += [ACTIVATIONS[activation]()]
        self.rest = nn.Sequential(*layers, _linear(hidden_dim, 1, init_std, generator))

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Compute the parts of the first layer that depend on x and on y."""
        weight_x, weight_y = self.first.weight.tensor_split([self.dim_x], dim=1)
        return F.linear(x, weight_x, self.first.bias), F.linear(y, weight_y)

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Score all pairs from the parts of the first layer: (n, m)."""
        if not self.is_elu or torch.jit.is_tracing():  # a traced graph should show the layers
            low = self.precision is not torch.float32
            with torch.autocast(a.device.type, self.precision, enabled=low):
                scores: Tensor = self.rest(a.unsqueeze(1) + b).squeeze(-1)
            return scores.to(a.dtype)
        layers = [layer for layer in self.rest if isinstance(layer, nn.Linear)]
        weights = [tensor for layer in layers for tensor in (layer.weight, layer.bias)]
        if torch.is_grad_enabled():
            scores = EluPairs.apply(self.precision, a, b, *weights)  # type: ignore[no-untyped-call]
            return scores
        return elu_pairs(self.precision, a, b, weights)


class Separable(Product):
    """A separable critic g(x) . h(y) + a(x) + b(y): one matrix product scores all pairs.

    a and b shift the score by functions of x alone and of y alone, the learned baselines of
    TUBA-like bounds. The last layers of g, a and b start at zero, so the critic starts at zero.

    Args:
        dim_x: the number of columns of x.
        dim_y: the number of columns of y.
        hidden_dim: the width of the hidden layers.
        hidden_layers: the number of hidden layers of each tower.
        embedding_dim: the number of outputs of g and of h.
        activation: a key of `ACTIVATIONS`.
        init_std: standard deviation of the initial weights; 0 scales them by fan-in.
        generator: draws the initial weights.

    Source: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748; Poole et al. 2019,
    https://arxiv.org/abs/1905.06922.

    Example:
        >>> Separable(3, 2)(torch.ones(4, 3), torch.ones(4, 2)).abs().max().item()
        0.0
    """

    is_random = False

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
        self.is_silu = activation == "silu"

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
            self.y[-1].weight[-1].zero_()  # type: ignore[index]
            self.y[-1].bias[-1].zero_()  # type: ignore[index]

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Compute the outputs of both towers."""
        g, h = self.x(x), self.y(y)
        return contract.product(g[:, :-1], h[:, :-1], g[:, -1], h[:, -1])


class Bilinear(Product):
    """A bilinear critic x' W y, the smallest network; W starts at zero.

    Args:
        dim_x: the number of columns of x.
        dim_y: the number of columns of y.

    Source: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748 (equation 3).

    Example:
        >>> Bilinear(3, 2)(torch.ones(4, 3), torch.ones(5, 2)).shape
        torch.Size([4, 5])
    """

    is_random = False

    def __init__(self, dim_x: int, dim_y: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim_x, dim_y, dtype=torch.float32))

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Compute W'x and y."""
        return (x @ self.weight,), (y,)


class Projected(Critic):
    """A network that reads fixed linear projections of x and y, for data of many columns.

    Args:
        left: (p, k), the directions of x.
        right: (q, l), the directions of y.
        network: a critic of k and l columns.

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
        self.width = contract.width(network)
        self.is_random = contract.is_random(network)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Project the rows and encode them with the network."""
        return contract.encode(self.network, x @ self.left, y @ self.right)

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Score all pairs with the network: (n, m)."""
        return contract.pair(self.network, a, b)


class InputColumns(NamedTuple):
    """The columns of x and of y that a part of a critic reads; by default all of them."""

    x: slice | list[int] = slice(None)
    y: slice | list[int] = slice(None)


class Term(NamedTuple):
    """A critic in a `Sum`, the columns that it reads, and its weight."""

    critic: nn.Module
    reads: InputColumns
    weight: float = 1.0


class Sum(Critic):
    """The weighted sum of critics, each of columns of its own.

    Args:
        terms: the critics.

    Example:
        >>> columns = InputColumns([0]), InputColumns([1])
        >>> both = Sum([Term(Bilinear(1, 2), each) for each in columns])
        >>> both(torch.ones(3, 2), torch.ones(4, 2)).shape
        torch.Size([3, 4])
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        super().__init__()
        self.terms = list(terms)
        self.critics = nn.ModuleList(term.critic for term in terms)
        self.width = max(contract.width(term.critic) for term in terms)
        self.is_random = any(contract.is_random(term.critic) for term in terms)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Encode the rows for each term."""
        found = [
            contract.encode(each.critic, x[:, each.reads.x], y[:, each.reads.y])
            for each in self.terms
        ]
        left, right = zip(*found, strict=True)
        return left, right

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Return the weighted sum of the scores of all terms (n, m)."""
        first, *others = (
            term.weight * contract.pair(term.critic, left, right)
            for term, left, right in zip(self.terms, a, b, strict=True)
        )
        found: Tensor = sum(others, start=first)
        return found


class Composite(Critic):
    """The sum of a base and a network, clipped; this is what is trained and evaluated.

    The base is a closed-form log ratio and is not trained. Either part may be absent. If all parts
    are products, so is their sum.

    Args:
        base: the closed form, or None.
        network: the network, or None.
        base_reads: the columns that the base reads.
        network_reads: the columns that the network reads.
        gamma: scores are clipped to [-gamma, gamma], in nats; 0 does not clip.

    Example:
        >>> Composite(None, Bilinear(1, 1))(torch.ones(2, 1), torch.ones(2, 1)).sum().item()
        0.0
    """

    def __init__(
        self,
        base: nn.Module | None,
        network: nn.Module | None,
        *,
        base_reads: InputColumns | None = None,
        network_reads: InputColumns | None = None,
        gamma: float = 0.0,
    ) -> None:
        super().__init__()
        assert base is not None or network is not None
        self.base = None if base is None else base.requires_grad_(False)
        self.network = network
        self.base_reads = base_reads or InputColumns()
        self.network_reads = network_reads or InputColumns()
        self.gamma = gamma
        self.is_double = network is not None and contract.is_double(network)
        self.width = max(contract.width(part) for part, _ in self._parts())
        self.is_random = network is not None and contract.is_random(network)  # a base draws nothing
        self.is_product = all(isinstance(part, Product) for part, _ in self._parts())

    def _parts(self) -> list[tuple[nn.Module, InputColumns]]:
        both = ((self.base, self.base_reads), (self.network, self.network_reads))
        return [(part, reads) for part, reads in both if part is not None]

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Encode the rows for each part; products share one encoding."""
        found = []
        for part, reads in self._parts():
            sides = (x[:, reads.x], y[:, reads.y])
            if part is self.network and self.is_double:
                sides = (sides[0].double(), sides[1].double())
            found.append(contract.encode(part, *sides))
        left, right = zip(*found, strict=True)
        if self.is_product:
            left, right = ((torch.cat([part[0] for part in side], 1),) for side in (left, right))
        return left, right

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Return the clipped sum of the parts' scores (n, m)."""
        if self.is_product:
            scores = a[0] @ b[0].T
        else:
            parts = zip(self._parts(), a, b, strict=True)
            scores = sum(contract.pair(part, left, right) for (part, _), left, right in parts)
        found: Tensor = scores.clamp(-self.gamma, self.gamma) if self.gamma else scores
        return found


def _joint(dim_x: int, dim_y: int, config: Config, generator: torch.Generator) -> nn.Module:
    return Joint(
        dim_x,
        dim_y,
        hidden_dim=config.hidden_dim,
        hidden_layers=config.hidden_layers,
        activation=config.activation,
        init_std=config.init_std,
        precision=config.precision,
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


WEIGHT_COPIES = 8  # of the weights: gradient, two moments, average, best weights, and a checkpoint


def expect_known(name: str) -> None:
    """Reject the name of a critic that does not exist, also where no network will be built.

    Raises:
        InputError: If there is no such critic.

    Example:
        >>> expect_known("separabel")
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected critic to be one of separable, joint, ...
    """
    if name != "none" and name not in CRITICS:
        names = ", ".join([*CRITICS, "none"])
        raise InputError(f"Expected critic to be one of {names}; got {shown(name)}.")


def expect_room(dim_x: int, dim_y: int, config: Config) -> None:
    """Reject a network whose training does not fit in memory, before anything is allocated.

    Args:
        dim_x: the number of columns of x.
        dim_y: the number of columns of y.
        config: names the critic and its sizes.

    Raises:
        InputError: If the training does not fit.

    Example:
        >>> expect_room(3, 2, Config())
        >>> expect_room(3, 2, Config(hidden_dim=10**9))
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected a critic that fits in memory; got hidden_dim...
    """
    if config.critic not in ("separable", "joint"):
        return
    width, deep = config.hidden_dim, config.hidden_layers - 1
    joint = config.critic == "joint"
    inputs, towers = (dim_x + dim_y, 1) if joint else (max(dim_x, dim_y), 2)
    outputs = 1 if joint else config.embedding_dim + 1
    weights = towers * (inputs * width + deep * width**2 + outputs * width)
    need, free = 4 * WEIGHT_COPIES * weights, free_memory()
    if need > free:
        raise InputError(
            f"Expected a critic that fits in memory; got hidden_dim {width}, hidden_layers "
            f"{config.hidden_layers} and embedding_dim {config.embedding_dim}: training it takes "
            f"about {need / 1e9:,.0f} GB, and {free / 1e9:,.0f} GB are free. Choose smaller ones."
        )


def build(dim_x: int, dim_y: int, config: Config, generator: torch.Generator) -> nn.Module | None:
    """Build the network that `config.critic` names; None for "none".

    Args:
        dim_x: the number of columns of x.
        dim_y: the number of columns of y.
        config: names the critic and its sizes.
        generator: draws the initial weights.

    Returns:
        The network, or None.

    Raises:
        InputError: If the name is unknown or the network does not fit in memory.

    Example:
        >>> build(2, 3, Config(critic="bilinear"), torch.Generator())
        Bilinear()
    """
    if config.critic == "none":
        return None
    expect_known(config.critic)
    expect_room(dim_x, dim_y, config)
    return CRITICS[config.critic](dim_x, dim_y, config, generator)
