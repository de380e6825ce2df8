"""One iteration of the notebook with full evaluation: its form against ours, in one process.

    python benchmarks/notebook.py [--repeats 9] [--threads 2] [--device cpu]

Both forms do one training step on a batch of 100 and one evaluation on all 400 x 400 pairs, in
turn (A B A B ...); the ratio is taken pair by pair. --json FILE and --figure FILE keep the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from common import Spread, bars, finish, in_turns, parser, ratio, table
from torch import Tensor, nn

from infobound.bounds import tiled
from infobound.bounds.variational import BOUNDS
from infobound.critics.networks import Joint

BOUND = BOUNDS["infonce_over_x"]
BATCH = 100


class Concatenated(nn.Module):
    """The notebook's form: every pair concatenated, then one network over all of them."""

    def __init__(self, joint: Joint) -> None:
        super().__init__()
        self.joint = joint

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        n, m = len(x), len(y)
        pairs = torch.cat(
            [x.unsqueeze(1).expand(n, m, -1), y.unsqueeze(0).expand(n, m, -1)], dim=-1
        )
        return self.joint.rest(self.joint.first(pairs)).squeeze(-1)


def optimiser(critic: nn.Module) -> torch.optim.Optimizer:
    """The notebook's."""
    return torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.5, 0.999))


def value(critic: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The bound: from the matrix of scores, as the notebook has it, or as `train` computes it."""
    if isinstance(critic, Concatenated):
        return BOUND.estimate(critic(x, y))
    return tiled.value(critic, BOUND, x, y)


def step(
    critic: nn.Module, adam: torch.optim.Optimizer, x: Tensor, y: Tensor, rng: torch.Generator
) -> None:
    """One training step on a batch drawn without replacement, as the notebook draws it."""
    rows = torch.randperm(len(x), generator=rng)[:BATCH].to(x.device)
    adam.zero_grad()
    (-value(critic, x[rows], y[rows])).backward()
    adam.step()


def evaluate(critic: nn.Module, x: Tensor, y: Tensor) -> float:
    """The bound over all pairs."""
    with torch.no_grad():
        return float(value(critic, x, y))


def rows_of(n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """The notebook's pair: six columns each, correlation 0.9."""
    x, noise = torch.randn(2, n, 6, generator=rng)
    return x, 0.9 * x + 0.19**0.5 * noise


def draw(figure: Any, rows: Sequence[dict[str, Any]]) -> None:
    spreads = [Spread(*row["milliseconds"]) for row in rows]
    label = "milliseconds for one iteration (median and range)"
    bars(figure.subplots(), [row["form"] for row in rows], spreads, label, digits=1)


def main(arguments: Sequence[str] | None = None) -> None:
    options_of = parser(__doc__, device=True)
    options_of.add_argument("--repeats", type=int, default=9)
    options_of.add_argument("--rows", type=int, default=400)
    options = options_of.parse_args(arguments)
    torch.set_num_threads(options.threads)
    rng = torch.Generator().manual_seed(0)
    x, y = rows_of(options.rows, rng)
    x, y = x.to(options.device), y.to(options.device)
    ours, twin = Joint(6, 6, init_std=0.02, generator=rng), Joint(6, 6, init_std=0.02)
    twin.load_state_dict(ours.state_dict())
    critics = {
        "concatenated (notebook)": Concatenated(twin).to(options.device),
        "split and tiled (ours)": ours.to(options.device),
    }
    theirs = critics["concatenated (notebook)"]
    assert torch.allclose(ours(x, y), theirs(x, y), atol=1e-5)
    adams = {name: optimiser(critic) for name, critic in critics.items()}

    def iteration(name: str) -> None:
        step(critics[name], adams[name], x, y, rng)
        evaluate(critics[name], x, y)

    forms = {name: (lambda name=name: iteration(name)) for name in critics}
    times = in_turns(forms, repeats=options.repeats, device=options.device)
    first = next(iter(times.values()))
    rows = [
        {
            "form": name,
            "milliseconds": Spread.of([1e3 * t for t in taken]),
            "ratio": ratio(taken, first),
        }
        for name, taken in times.items()
    ]
    table(
        ["one iteration, full evaluation", "ms", "of the notebook's"],
        [[row["form"], row["milliseconds"].text(1), row["ratio"].text()] for row in rows],
    )
    finish(options, rows, draw)


if __name__ == "__main__":
    main()
