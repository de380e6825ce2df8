"""Train `infobound.tables.screen.ScreenNetwork` on random distributions with little information.

    python tools/train_screen.py --samples 40000 --output screen.safetensors

The distributions are those of `train_rank_network.py` and `train_rank_combination.py`. Three in ten
are made independent; the others are mixed with the product of their margins until the rows times
the mutual information are about a number from .1 to 100, evenly drawn by its logarithm. Only
samples that the screen finds quiet are used.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import train_rank_combination as finer
import train_rank_network as source
from torch import Tensor

from infobound.tables.screen import QUANTILES, ScreenColumn, ScreenNetwork, is_quiet, look

CELLS, NODES = 256, 2
SMALLEST, LARGEST = 100, 32_000  # rows
INDEPENDENT = 0.3  # share of samples
LEAST, MOST = 0.1, 100.0  # rows times MI
WAVES = 1 / 4  # share of samples with faster functions
EACH = 4  # samples of each distribution


def column(values: Tensor) -> ScreenColumn:
    return ScreenColumn.of(np.unique(values.numpy(), return_inverse=True)[1])


def samples(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw as many quiet samples: what the screen sees, and n times their MI."""
    source.CELLS, source.NODES, source.DRAWN = CELLS, NODES, 8 * CELLS
    draw, rng = source.Draw(torch.device("cpu"), seed), np.random.default_rng(seed)
    torch.manual_seed(seed)
    usual, shares = source.functions, torch.tensor([share for _, share in source.KINDS[:-1]])
    features: list[np.ndarray] = []
    exact: list[float] = []
    while len(exact) < count:
        fast = rng.random() < WAVES
        source.functions = finer.waves if fast else usual
        chosen = [0] * 4 if fast else torch.multinomial(shares, 4, replacement=True).tolist()
        table = torch.cat([source.KINDS[k][0](draw, 4) for k in chosen])
        table, *atoms = source.changed(draw, table)
        if rng.random() < 0.5:
            table, atoms = table.mT.contiguous(), atoms[::-1]
        margins = table.sum(2, keepdim=True) * table.sum(1, keepdim=True)
        for k, mi in enumerate(source.information(table).tolist()):
            if min(int((margins[k].sum(dim) > 0).sum()) for dim in range(2)) < 2:
                continue
            for _ in range(EACH):
                n = int(np.exp(rng.uniform(*np.log([SMALLEST, LARGEST]))))
                wanted = np.exp(rng.uniform(*np.log([LEAST, MOST]))) / n
                part = min(math.sqrt(wanted / max(mi, 1e-9)), 1.0)
                if rng.random() < INDEPENDENT:
                    part = 0.0
                weak = torch.lerp(margins[k : k + 1], table[k : k + 1], part)
                rows = source.rows_of(draw, weak, [each[k : k + 1] for each in atoms], n)
                x, y = (column(each[0]) for each in rows)
                if min(len(x.shares), len(y.shares)) < 2:
                    continue
                found = look(x, y)
                if is_quiet(found[None])[0]:
                    features.append(found)
                    exact.append(0.0 if part == 0 else n * float(source.information(weak)))
    return torch.from_numpy(np.stack(features)).float(), torch.tensor(exact)


def loss(network: ScreenNetwork, features: Tensor, exact: Tensor) -> Tensor:
    """Quantile loss of n times the MI; the estimate counts four times."""
    level = torch.tensor(QUANTILES)
    error = exact[:, None] - network(features) * features[:, -4:-3].exp()
    weight = torch.where(level == 0.5, 4.0, 1.0)
    return (torch.maximum(level * error, (level - 1) * error) * weight).sum(1).mean()


def main() -> None:
    options = finer.options_of(__doc__, 40_000, "screen.safetensors")
    features, exact = samples(options.samples, options.seed)
    torch.manual_seed(options.seed)
    network = ScreenNetwork()
    finer.train(network, lambda rows: loss(network, features[rows], exact[rows]), len(exact))
    with torch.no_grad():
        inside = exact <= network(features)[:, -1] * features[:, -4].exp()
        print(f"{len(exact):,} samples, loss {loss(network, features, exact):.3f}", end=", ")
        print(f"{inside.float().mean():.3f} below the highest quantile")
    finer.save(network, options, len(exact))


if __name__ == "__main__":
    main()
