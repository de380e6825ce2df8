"""Train `infobound.models.rank_network.RankNetwork` on random distributions of two columns.

    python tools/train_rank_network.py --minutes 8 --output rank_network.safetensors

Each distribution is a table of 256 x 256 cells, within which the density is constant, or whose
values are atoms (ties, piles, classes). So its MI is known exactly, and so is the share of each
cell of a histogram, which the log ratios are trained on (cross-entropy). The quantiles of the MI
are trained on the quantile loss. No distribution is taken from a
benchmark; their families overlap, for example in lines and waves with normal noise.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from infobound.models.rank_network import GRIDS, QUANTILES, RankNetwork

CELLS = 256  # per side of a distribution
NODES = 2  # x values per cell at which the distribution of y is computed
DRAWN = 8 * CELLS  # values of y drawn to place the cells' edges
SMALLEST, LARGEST = 40, 32_000  # rows of a sample
FINE_FROM = 2_500  # rows from which the finer grid is used
MEMORY = 1 << 22  # rows of all samples of one size at most
GROUPS = 8  # kinds of distribution in a batch
SIZES = 3  # sizes of sample per grid in a batch


class Draw:
    """Random numbers of one device."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self.device = device
        self.generator = torch.Generator(device).manual_seed(seed)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        found = torch.rand(shape, generator=self.generator, device=self.device)
        return low + (high - low) * found

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def log_uniform(self, *shape: int, low: float, high: float) -> Tensor:
        return self.uniform(*shape, low=math.log(low), high=math.log(high)).exp()

    def whole(self, low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=self.generator, device=self.device)


# -- distributions of noise: the distribution function and its inverse ----------------------------

Noise = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]
NOISES: list[Noise] = [
    (torch.special.ndtr, torch.special.ndtri),
    (lambda t: (t / 3.46 + 0.5).clamp(0, 1), lambda u: 3.46 * (u - 0.5)),  # uniform
    (torch.sigmoid, torch.logit),
    (lambda t: torch.atan(t) / math.pi + 0.5, lambda u: torch.tan(math.pi * (u - 0.5))),  # Cauchy
    (lambda t: -torch.expm1(-(t + 1).clamp(min=0)), lambda u: -torch.log1p(-u) - 1),  # exponential
    (
        lambda t: 0.5 * (1 + t.sign() * -torch.expm1(-t.abs())),  # Laplace
        lambda u: -(u - 0.5).sign() * torch.log1p(-2 * (u - 0.5).abs().clamp(max=0.4999999)),
    ),
]
OFTEN = (0.45, 0.2, 0.1, 0.05, 0.1, 0.1)


# -- random functions of x in [0, 1] ---------------------------------------------------------------


def functions(draw: Draw, count: int, t: Tensor) -> Tensor:
    """Draw functions of several kinds; (count, len(t)), of standard deviation about 1."""
    b, one = count, t[None]
    order = torch.arange(1, 13, device=t.device, dtype=t.dtype)
    decay = order ** -draw.uniform(b, 1, high=2.5)
    kept = order <= draw.log_uniform(b, 1, low=1, high=12.9).floor()
    weights = draw.normal(b, 12) * decay * kept
    phases = draw.uniform(b, 12, high=2 * math.pi)
    fourier = (
        weights[..., None] * torch.cos(math.pi * order[:, None] * one[:, None] + phases[..., None])
    ).sum(1)
    power = (2 * one - 1).sign() * (2 * one - 1).abs() ** draw.log_uniform(b, 1, low=0.3, high=4)
    wave = torch.sin(
        2 * math.pi * draw.log_uniform(b, 1, low=0.25, high=7) * one + draw.uniform(b, 1, high=6.3)
    )
    center = draw.uniform(b, 1)
    bump = (one - torch.where(draw.uniform(b, 1) < 0.5, 0.5, center)).abs() ** draw.log_uniform(
        b, 1, low=0.4, high=3
    )
    arc = (1 - (2 * one - 1) ** 2).clamp(min=0).sqrt().expand(b, -1)
    score = torch.special.ndtri(one.clamp(1e-4, 1 - 1e-4)).expand(b, -1)
    skewed = torch.exp(draw.uniform(b, 1, low=0.2, high=1.5) * score)
    knots = draw.whole(2, 9, b, 1)
    levels = draw.normal(b, 10)
    cuts = (
        torch.where(torch.arange(9, device=t.device) < knots, draw.uniform(b, 9), 2.0)
        .sort(1)
        .values
    )
    piece = torch.searchsorted(cuts, one.expand(b, -1).contiguous())
    steps = levels.gather(1, piece)
    start = torch.cat([torch.zeros_like(cuts[:, :1]), cuts], 1).gather(1, piece)
    end = torch.cat([cuts.clamp(max=1), torch.ones_like(cuts[:, :1])], 1).gather(1, piece)
    zigzag = torch.lerp(
        steps,
        levels.roll(-1, 1).gather(1, piece),
        ((one - start) / (end - start + 1e-6)).clamp(0, 1),
    )
    line = one.expand(b, -1)
    kinds = torch.stack(
        [fourier, fourier, power, wave, bump, arc, score, score, skewed, steps, zigzag, line], 1
    )
    chosen = kinds.gather(1, draw.whole(0, kinds.shape[1], b, 1, 1).expand(-1, -1, t.numel()))[:, 0]
    chosen = chosen - chosen.mean(1, keepdim=True)
    return (
        chosen
        / (chosen.std(1, keepdim=True) + 1e-3)
        * torch.where(draw.uniform(b, 1) < 0.5, 1.0, -1.0)
    )


# -- distributions: (b, 256, 256) tables -----------------------------------------------------------


def _cells(cdf: Callable[[Tensor], Tensor], edges: Tensor) -> Tensor:
    """Shares of the cells, of the distribution of y given x at each node."""
    inner = cdf(edges[:, None])
    ends = torch.ones_like(inner[..., :1])
    inner = torch.cat([0 * ends, inner, ends], -1)
    table = inner.diff(dim=-1).clamp(min=0)
    b, nodes, cells = table.shape
    table = table.view(b, CELLS, nodes // CELLS, cells).mean(2)
    return table / table.sum((1, 2), keepdim=True)


def conditional(draw: Draw, b: int) -> Tensor:
    """y given x: a mixture of up to four noises with random places, scales and weights."""
    nodes = CELLS * NODES
    t = (torch.arange(nodes, device=draw.device, dtype=torch.float32) + 0.5) / nodes
    parts = int(torch.multinomial(torch.tensor([0.6, 0.25, 0.1, 0.05]), 1)) + 1
    place = functions(draw, b * parts, t).view(b, parts, nodes)
    if parts == 2:  # often two branches: circles, crosses
        mirrored = torch.where(draw.uniform(b, 1) < 0.5, -place[:, 0], place[:, 0].flip(1))
        place[:, 1] = torch.where(draw.uniform(b, 1) < 0.6, mirrored, place[:, 1])
    place = place * torch.where(
        draw.uniform(b, 1, 1) < 0.1, 0.0, 1.0
    )  # only the scale depends on x
    place = place + draw.normal(b, parts, 1) * (draw.uniform(b, 1, 1) < 0.4)
    scale = draw.log_uniform(b, 1, 1, low=0.008, high=6) * draw.log_uniform(
        b, parts, 1, low=0.5, high=2
    )
    wild = functions(draw, b * parts, t).view(b, parts, nodes) * draw.uniform(b, parts, 1, high=1.2)
    scale = scale * torch.where(draw.uniform(b, 1, 1) < 0.5, 1.0, wild.clamp(-3, 3).exp())
    slope = torch.diff(place, dim=2, append=place[..., -1:]).abs().clamp(max=0.2)
    scale = (scale.square() + (0.8 * slope).square()).sqrt()  # no steps between nodes
    logits = functions(draw, b * parts, t).view(b, parts, nodes) * draw.uniform(b, 1, 1, high=2)
    weights = torch.where(
        draw.uniform(b, 1, 1) < 0.6, draw.normal(b, parts, 1) * 0.7, logits
    ).softmax(1)
    cdf, inverse = NOISES[int(torch.multinomial(torch.tensor(OFTEN), 1))]
    return _mixed(draw, cdf, inverse, place, scale, weights)


def _mixed(
    draw: Draw,
    cdf: Callable[[Tensor], Tensor],
    inverse: Callable[[Tensor], Tensor],
    place: Tensor,
    scale: Tensor,
    weights: Tensor,
) -> Tensor:
    b, parts, nodes = place.shape
    at = draw.whole(0, nodes, b, DRAWN)
    chosen = weights.permute(0, 2, 1).gather(1, at[..., None].expand(-1, -1, parts)).cumsum(2)
    part = (draw.uniform(b, DRAWN, 1) > chosen).sum(2).clamp(max=parts - 1)
    index = part * nodes + at
    noise = inverse(draw.uniform(b, DRAWN, low=1e-6, high=1 - 1e-6))
    values = place.flatten(1).gather(1, index) + scale.flatten(1).gather(1, index) * noise
    edges = values.sort(1).values[:, DRAWN // CELLS :: DRAWN // CELLS]

    def total(at_edges: Tensor) -> Tensor:
        found = torch.zeros(())
        for k in range(parts):
            inner = cdf((at_edges - place[:, k, :, None]) / scale[:, k, :, None])
            found = found.to(inner.device) + weights[:, k, :, None] * inner
        return found

    return _cells(total, edges)


def mixture(draw: Draw, b: int) -> Tensor:
    """A mixture of normal distributions of (x, y), heavy tails and narrow components included."""
    parts = int(draw.whole(1, 9, 1))
    mean = draw.normal(b, parts, 2) * draw.log_uniform(b, 1, 1, low=0.1, high=4)
    mean = mean * torch.where(draw.uniform(b, 1, 1) < 0.3, 0.0, 1.0)  # a common centre: heavy tails
    spread = draw.log_uniform(b, parts, 2, low=0.15, high=2) * draw.log_uniform(
        b, parts, 1, low=0.3, high=4
    )
    angle = draw.normal(b, parts) * 1.2 + draw.normal(b, 1) * (draw.uniform(b, 1) < 0.5)
    correlation = torch.tanh(angle).clamp(-0.9995, 0.9995)
    share = (draw.normal(b, parts) * draw.uniform(b, 1, high=1.5)).softmax(1)
    part = torch.multinomial(share, DRAWN, replacement=True, generator=draw.generator)
    x = mean[..., 0].gather(1, part) + spread[..., 0].gather(1, part) * draw.normal(b, DRAWN)
    nodes = x.sort(1).values[:, DRAWN // (2 * CELLS * NODES) :: DRAWN // (CELLS * NODES)]
    standard = (nodes[:, None] - mean[..., 0, None]) / spread[..., 0, None]
    weights = (share.log()[..., None] - standard.square() / 2 - spread[..., 0, None].log()).softmax(
        1
    )
    place = mean[..., 1, None] + (correlation * spread[..., 1])[..., None] * standard
    own = spread[..., 1] * (1 - correlation.square()).sqrt()
    slope = torch.diff(place, dim=2, append=place[..., -1:]).abs()
    scale = (own[..., None].square() + (0.5 * slope).clamp(max=own.max()).square()).sqrt()
    return _mixed(draw, *NOISES[0], place, scale, weights)


def copula(draw: Draw, b: int) -> Tensor:
    """Clayton's or Frank's copula."""
    nodes = CELLS * NODES
    u = ((torch.arange(nodes, device=draw.device, dtype=torch.float32) + 0.5) / nodes)[
        None, :, None
    ]
    edges = (torch.arange(1, CELLS, device=draw.device, dtype=torch.float32) / CELLS).expand(b, -1)
    if float(draw.uniform(1)) < 0.5:
        theta = draw.log_uniform(b, 1, 1, low=0.05, high=12)
        return _cells(lambda v: (1 + (u / v) ** theta - u**theta) ** (-1 - 1 / theta), edges)
    theta = draw.log_uniform(b, 1, 1, low=0.3, high=30)

    def frank(v: Tensor) -> Tensor:
        a, c = (torch.expm1(-theta * each.double()) for each in (u, v))
        return ((a + 1) * c / (torch.expm1(-theta.double()) + a * c)).float()

    return _cells(frank, edges)


def circular(draw: Draw, b: int) -> Tensor:
    """y = a function of x plus noise, modulo 1."""
    nodes = CELLS * NODES
    t = (torch.arange(nodes, device=draw.device, dtype=torch.float32) + 0.5) / nodes
    turns = draw.whole(-3, 4, b, 1) * t + functions(draw, b, t) * draw.uniform(b, 1, high=0.3)
    place = (turns + draw.uniform(b, 1)).remainder(1)[..., None]
    scale = draw.log_uniform(b, 1, 1, low=0.01, high=0.6)
    edges = (torch.arange(1, CELLS, device=draw.device, dtype=torch.float32) / CELLS).expand(b, -1)
    cdf, _ = NOISES[int(torch.multinomial(torch.tensor([0.6, 0.4]), 1))]

    def wrapped(v: Tensor) -> Tensor:
        turns = range(-4, 5)
        return sum(cdf((v + k - place) / scale) - cdf((k - place) / scale) for k in turns)  # type: ignore[return-value]

    return _cells(wrapped, edges)


def classes(draw: Draw, b: int) -> Tensor:
    """Tables of few values on both sides."""
    table = torch.zeros(b, CELLS, CELLS, device=draw.device, dtype=torch.float32)
    p, q = (int(draw.log_uniform(1, low=2, high=32.9)) for _ in range(2))
    inner = draw.normal(b, p, q) * draw.log_uniform(b, 1, 1, low=0.1, high=3)
    inner = inner + draw.normal(b, p, 1) * 0.6 + draw.normal(b, 1, q) * 0.6
    table[:, :p, :q] = inner.flatten(1).softmax(1).view_as(inner)
    return table


def independent(draw: Draw, b: int) -> Tensor:
    """A table with equal cells."""
    return torch.full((b, CELLS, CELLS), 1 / CELLS**2, device=draw.device, dtype=torch.float32)


KINDS = [
    (conditional, 0.56),
    (mixture, 0.2),
    (copula, 0.05),
    (circular, 0.05),
    (classes, 0.06),
    (independent, 0.08),
]


# -- weak dependence, ties, piles and classes ------------------------------------------------------


def _blocks(draw: Draw, b: int) -> tuple[Tensor, Tensor]:
    """How cells are merged: the block of each cell, and whether it is an atom."""
    cell = torch.arange(CELLS, device=draw.device)
    own = cell.expand(b, -1)
    count = draw.log_uniform(b, 1, low=2, high=60).floor()
    even = (own * count / CELLS).floor()
    warped = ((own + 0.5) / CELLS) ** draw.log_uniform(b, 1, low=0.3, high=3)
    uneven = (warped * count).floor()
    start = torch.where(draw.uniform(b, 1) < 0.6, 0.0, draw.uniform(b, 1, high=0.8)) * CELLS
    pile = (own >= start) & (own < start + draw.uniform(b, 1, low=0.03, high=0.8) * CELLS)
    kind = draw.uniform(b, 1)
    block = torch.where(kind < 0.3, even, torch.where(kind < 0.6, uneven, own.float()))
    block = torch.where((kind >= 0.6) & pile, start.floor(), block).long()
    atomic = (kind < 0.6) | pile
    shuffled = draw.uniform(b, CELLS).argsort(1)
    mixed = (kind < 0.6) & (draw.uniform(b, 1) < 0.4)  # classes without an order
    block = torch.where(mixed, shuffled.gather(1, block), block)
    on = draw.uniform(b, 1) < 0.3
    return torch.where(on, block, own), atomic & on


def changed(draw: Draw, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weaken the dependence of some tables and merge cells of others.

    Returns:
        Tables (b, 256, 256), and whether each row and each column of them is an atom.
    """
    b = len(table)
    margins = table.sum(2, keepdim=True) * table.sum(1, keepdim=True)
    part = draw.uniform(b, 1, 1) ** 2
    share = torch.where(draw.uniform(b, 1, 1) < 0.7, 1.0, part)
    share = torch.where(draw.uniform(b, 1, 1) < 0.12, 0.0, share)
    table = torch.lerp(margins, table, share)
    atoms = []
    few = (table > 0).any(2).sum(1, keepdim=True) <= 32  # tables of classes are atoms throughout
    for dim in (1, 2):
        block, atomic = _blocks(draw, b)
        own = torch.arange(CELLS, device=table.device).expand(b, -1)
        block = torch.where(few, own, block)
        atomic = torch.where(few, torch.ones_like(atomic), atomic)
        index = (block[:, :, None] if dim == 1 else block[:, None]).expand_as(table)
        table = torch.zeros_like(table).scatter_add_(dim, index, table)
        atoms.append(torch.zeros_like(atomic).scatter(1, block, atomic))
    return table, atoms[0], atoms[1]


def information(table: Tensor) -> Tensor:
    """The MI of tables in nats, (b,)."""
    table = table.double()
    entropies = [
        torch.special.entr(each).flatten(1).sum(1) for each in (table.sum(1), table.sum(2), table)
    ]
    return (entropies[0] + entropies[1] - entropies[2]).float()


# -- samples and their histograms ------------------------------------------------------------------


def overlap(low: Tensor, high: Tensor, grid: int) -> Tensor:
    """The share of each interval in [0, 1] that lies in each of `grid` cells; (..., grid)."""
    edges = torch.arange(grid + 1, device=low.device, dtype=low.dtype) / grid
    low = low.clamp(max=1 - 1e-5)
    below = (edges - low[..., None]) / (high - low).clamp(min=1e-6)[..., None]
    return below.clamp_(0, 1).diff(dim=-1)


def rows_of(draw: Draw, table: Tensor, atoms: Sequence[Tensor], n: int) -> list[Tensor]:
    """Draw n rows of each of b tables: x and y, (b, n) each."""
    b, cells = len(table), table.shape[1]
    margin = table.sum(2)
    inner = (table.double().cumsum(2) / margin.double()[..., None].clamp(min=1e-30)).clamp(max=1)
    inner = inner + torch.arange(cells, device=table.device, dtype=torch.float64)[:, None]
    total = margin.double().cumsum(1)
    u = draw.uniform(b, n).double() * total[:, -1:] * (1 - 1e-9)
    row = torch.searchsorted(total, u, right=True).clamp(max=cells - 1)
    place = row + draw.uniform(b, n).double() * (1 - 1e-7)
    flat = torch.searchsorted(inner.flatten(1), place, right=True)
    column = (flat - row * cells).clamp(0, cells - 1)
    return [
        cell + torch.where(atomic.gather(1, cell), 0.0, draw.uniform(b, n)).double()
        for cell, atomic in zip((row, column), atoms, strict=True)
    ]


def sampled(draw: Draw, table: Tensor, atoms: Sequence[Tensor], n: int) -> tuple[Tensor, ...]:
    """Draw n rows of each table: shares and ties for the network, and the cells' true shares."""
    b, grid = len(table), GRIDS[0] if n >= FINE_FROM else GRIDS[1]
    weights, ties, maps = [], [], []
    for value in rows_of(draw, table, atoms, n):
        ordered = value.sort(1).values
        low, high = (torch.searchsorted(ordered, value, right=right) for right in (False, True))
        weight = overlap((low / n).float(), (high / n).float(), grid)
        weights.append(weight)
        tied = (high - low).float().log2()
        ties.append((weight * tied[..., None]).sum(1) / weight.sum(1).clamp(min=1e-6))
        edges = torch.arange(CELLS + 1, device=table.device, dtype=torch.float64).expand(b, -1)
        places = (torch.searchsorted(ordered, edges.contiguous()) / n).float()
        maps.append(overlap(places[:, :-1], places[:, 1:], grid))
    shares = weights[0].mT @ weights[1] / n
    truth = maps[0].mT @ table @ maps[1]
    return shares, ties[0], ties[1], truth


def loss(found: tuple[Tensor, Tensor], truth: Tensor, information: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the cells beyond its smallest value, and quantile loss; both by sample."""
    log_ratios, quantiles = found
    grid = truth.shape[-1]
    entropy = torch.special.entr(truth).sum((1, 2))
    divergence = -(truth * (log_ratios - 2 * math.log(grid))).sum((1, 2)) - entropy
    level = torch.tensor(QUANTILES, device=truth.device)
    error = information[:, None] - quantiles
    weight = torch.ones_like(level)
    weight[len(level) // 2] = 4  # the estimate itself
    pinball = (torch.maximum(level * error, (level - 1) * error) * weight).sum(1)
    return divergence, pinball


def step(draw: Draw, network: torch.nn.Module, batch: int) -> tuple[Tensor, Tensor]:
    """The loss of one batch of distributions, and the mean error of the MI times sqrt(n / 1000)."""
    share = torch.tensor([share for _, share in KINDS])
    tables = [
        KINDS[int(k)][0](draw, batch // GROUPS)
        for k in torch.multinomial(share, GROUPS, replacement=True)
    ]
    table, *atoms = changed(draw, torch.cat(tables))
    flipped = torch.where(draw.uniform(1) < 0.5, 1, 0)
    if int(flipped):
        table, atoms = table.mT.contiguous(), atoms[::-1]
    for dim in (1, 2):
        if float(draw.uniform(1)) < 0.5:
            table = table.flip(dim)
            atoms[dim - 1] = atoms[dim - 1].flip(1)
    exact = information(table)
    order = torch.randperm(len(table), device=table.device, generator=draw.generator)
    losses, errors = [], []
    for grid, half in zip(GRIDS, order.chunk(2), strict=True):
        low, high = (FINE_FROM, LARGEST) if grid == GRIDS[0] else (SMALLEST, FINE_FROM)
        inputs, rows = [], []
        for part in half.chunk(SIZES):
            n = int(draw.log_uniform(1, low=low, high=high))
            for few in part.split(max(MEMORY // n, 1)):
                inputs.append(sampled(draw, table[few], (atoms[0][few], atoms[1][few]), n))
            rows.append(torch.full((len(part),), n, device=table.device, dtype=torch.float32))
        shares, ties_x, ties_y, truth = (torch.cat(each) for each in zip(*inputs, strict=True))
        n_rows = torch.cat(rows)
        with torch.autocast(table.device.type, torch.bfloat16, enabled=table.is_cuda):
            found = network(shares, ties_x, ties_y, n_rows)
        scale = (n_rows / 1000).sqrt()
        losses.append(sum(each * scale for each in loss(found, truth, exact[half])))
        errors.append((found[1][:, len(QUANTILES) // 2] - exact[half]).detach().abs() * scale)
    return torch.cat(losses).mean(), torch.cat(errors).mean()


def save(network: RankNetwork, options: argparse.Namespace, steps: int) -> None:
    """Write the weights in half precision, with how they were made."""
    weights = {k: v.detach().half().cpu().contiguous() for k, v in network.state_dict().items()}
    made = {name: str(getattr(options, name)) for name in ("batch", "rate", "seed", "start")}
    save_file(weights, options.output, {**made, "steps": str(steps)})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--batch", type=int, default=384)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--output", type=Path, default=Path("rank_network.safetensors"))
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.manual_seed(options.seed)
    draw = Draw(device, options.seed)
    network = RankNetwork().to(device, memory_format=torch.channels_last)
    if options.start:
        network.load_state_dict({k: v.float() for k, v in load_file(options.start).items()})
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=options.rate, weight_decay=1e-4, betas=(0.9, 0.99)
    )
    begin, steps, smooth = time.monotonic(), 0, (0.0, 0.0)
    report = begin + 10
    while (part := (time.monotonic() - begin) / (60 * options.minutes)) < 1:
        warm = min(1.0, (steps + 1) / 200)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * warm * (0.5 + 0.5 * math.cos(math.pi * part)) + 1e-6
        total, error = step(draw, network, options.batch)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        if torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0).isfinite():
            optimizer.step()
        steps += 1
        new, old = (float(total.detach()), float(error)), smooth if steps > 1 else ()
        smooth = tuple(0.98 * a + 0.02 * b for a, b in zip(old, new, strict=True)) if old else new
        if time.monotonic() > report:
            report += 30
            save(network, options, steps)
            print(f"{part:.3f} step {steps} loss {smooth[0]:.4f} error {smooth[1]:.4f}", flush=True)
    save(network, options, steps)
    print(f"{steps} steps of {options.batch} distributions; {options.output}")


if __name__ == "__main__":
    main()
