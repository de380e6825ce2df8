"""Train `infobound.tables.rank_combination.RankCombination` on random distributions.

    python tools/train_rank_combination.py --samples 19000 --output rank_combination.safetensors

The distributions are those of `train_rank_network.py` with finer cells and, for a third of the
samples, faster functions of x, where nearest neighbours see more than a histogram.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import train_rank_network as source
from safetensors.torch import save_file
from torch import Tensor, nn

from infobound.models.rank_network import QUANTILES
from infobound.tables.estimates import known_parts, prepare_pair
from infobound.tables.rank_combination import Parts, RankCombination

CELLS, NODES = 512, 4
SMALLEST, LARGEST = 40, 32_000  # rows
WAVES = 1 / 3  # share of samples with faster functions
EPOCHS, BATCH, RATE, DECAY = 60, 128, 3e-3, 1e-2


def waves(draw: source.Draw, count: int, t: Tensor) -> Tensor:
    """Draw periodic functions of x, and lines that turn around a circle; (count, len(t))."""
    warped = t[None] ** draw.log_uniform(count, 1, low=0.5, high=2)
    turns = 2 * math.pi * draw.log_uniform(count, 1, low=1, high=9)
    wave = torch.sin(turns * warped + draw.uniform(count, 1, high=6.3))
    slow = torch.sin(2 * math.pi * draw.log_uniform(count, 1, low=0.3, high=4) * t[None] + 1)
    line = t[None] * draw.uniform(count, 1, low=1, high=8) + wave / 2
    kinds = torch.stack([wave, wave.asin(), wave + draw.normal(count, 1) * slow, line], 1)
    chosen = kinds.gather(1, draw.whole(0, 4, count, 1, 1).expand(-1, -1, t.numel()))[:, 0]
    chosen = chosen - chosen.mean(1, keepdim=True)
    return chosen / chosen.std(1, keepdim=True)


def samples(count: int, seed: int) -> tuple[Parts, Tensor]:
    """Draw samples of as many distributions: their parts and exact MI."""
    source.CELLS, source.NODES, source.DRAWN = CELLS, NODES, 8 * CELLS
    draw, rng = source.Draw(torch.device("cpu"), seed), np.random.default_rng(seed)
    torch.manual_seed(seed)
    usual, shares = source.functions, torch.tensor([share for _, share in source.KINDS])
    parts, exact = [], []
    while len(exact) < count:
        fast = rng.random() < WAVES
        source.functions = waves if fast else usual
        chosen = [0] * 4 if fast else torch.multinomial(shares, 4, replacement=True).tolist()
        table = torch.cat([source.KINDS[k][0](draw, 4) for k in chosen])
        atoms = [torch.zeros(len(table), CELLS, dtype=torch.bool) for _ in range(2)]
        if not fast or rng.random() < 0.3:
            table, *atoms = source.changed(draw, table)
        if rng.random() < 0.5:
            table, atoms = table.mT.contiguous(), atoms[::-1]
        for k, mi in enumerate(source.information(table)):
            n = int(np.exp(rng.uniform(*np.log([SMALLEST, LARGEST]))))
            x, y = source.rows_of(draw, table[k : k + 1], [each[k : k + 1] for each in atoms], n)
            parts.append(known_parts([prepare_pair(x[0].numpy(), y[0].numpy())]))
            exact.append(mi)
    return Parts(*map(torch.cat, zip(*parts, strict=True))), torch.stack(exact)


def loss(quantiles: Tensor, exact: Tensor, log_n: Tensor) -> Tensor:
    """Quantile loss in units of the error that 1,000 rows have; the estimate counts four times."""
    level, error = torch.tensor(QUANTILES), exact[:, None] - quantiles
    weight = torch.where(level == 0.5, 4.0, 1.0)
    each = torch.maximum(level * error, (level - 1) * error) * weight
    return (each.sum(1) * (log_n / 2).exp()).mean() / 30


def options_of(description: str, samples: int, output: str) -> argparse.Namespace:
    """The options of a script that trains a small network."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=samples)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(output))
    return parser.parse_args()


def train(network: nn.Module, loss_of: Callable[[Tensor], Tensor], count: int) -> None:
    """Minimise the loss of the samples with these indices (batch,), of `count`."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS, 1e-5)
    for _ in range(EPOCHS):
        for rows in torch.randperm(count).split(BATCH):
            value = loss_of(rows)
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        schedule.step()


def save(network: nn.Module, options: argparse.Namespace, count: int) -> None:
    """Write the weights, with the number of samples and the seed."""
    about = {"samples": str(count), "seed": str(options.seed)}
    save_file(network.state_dict(), options.output, about)


def main() -> None:
    options = options_of(__doc__, 19_000, "rank_combination.safetensors")
    parts, exact = samples(options.samples, options.seed)
    torch.manual_seed(options.seed)
    network = RankCombination()

    def loss_of(rows: Tensor) -> Tensor:
        some = Parts(*(each[rows] for each in parts))
        return loss(network(some), exact[rows], some.log_n)

    train(network, loss_of, len(exact))
    with torch.no_grad():
        before, after = (loss(q, exact, parts.log_n) for q in (parts.quantiles, network(parts)))
    print(f"{len(exact):,} samples, loss {before:.4f} of the rank network, {after:.4f} combined")
    save(network, options, len(exact))


if __name__ == "__main__":
    main()
