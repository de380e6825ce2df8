"""The folds' critics trained as one batched network against one by one, in one process.

    python benchmarks/batch.py [--columns 1 5 25] [--batches 64 128 256 512] [--members 4]
        [--repeats 7] [--steps 40] [--threads 1] [--device cpu] [--json FILE] [--figure FILE]

One by one is `train.fit`. The two batched forms keep the weights of all members in one tensor a
layer, so that a step is one matrix product a layer and one step of the optimiser for all. `towers`
scores each member's pairs for itself, as closed forms of several families and all bounds need it;
`all` scores the pairs of all members at once too, which only works for inner products and InfoNCE,
and is the most that batching can give. Every form draws the same batches; that they give the same
weights is tested first, in float64. Forms take turns (A B C A B C ...), and ratios are taken turn
by turn: above one, batching is faster. On one thread of a CPU the clock counts the thread's own
time, so that a busy machine does not disturb; otherwise it is wall-clock.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import common
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infobound._system.optimisers import AdamW
from infobound.bounds import log_sums
from infobound.bounds.variational import BOUNDS
from infobound.config import Config
from infobound.critics import networks as critics
from infobound.models.copulas import GaussianCopula
from infobound.training import loop

ROWS = 2250  # of a fold of 3,000 rows in four folds
FORMS = ("towers", "all")
Member = tuple[critics.Composite, Tensor, Tensor]


def members(
    count: int, columns: int, config: Config, dtype: torch.dtype, device: str
) -> list[Member]:
    """Critics as an estimate makes them, each on a closed form, with the rows of its fold."""
    made = []
    for k in range(count):
        generator = torch.Generator().manual_seed(k)
        # Normal scores, robust values and four radii: what a network reads of so many columns.
        x, y = torch.randn(2, ROWS, 2 * columns + 4, generator=generator, dtype=dtype)
        y = 0.7 * x + 0.51**0.5 * y
        base = GaussianCopula.fit(x[:, :columns], y[:, :columns])
        network = critics.build(x.shape[1], y.shape[1], config, generator)
        reads = critics.InputColumns(slice(columns), slice(columns))
        critic = critics.Composite(base, network, base_reads=reads).to(device, dtype)
        made.append((critic, x.to(device), y.to(device)))
    return made


def one_by_one(made: list[Member], config: Config) -> list[dict[str, Tensor]]:
    """The members' averaged weights after training, each by itself."""
    for k, (critic, x, y) in enumerate(made):
        loop.fit(critic, BOUNDS["infonce"], (x, y), None, config, seed=k)
    return [dict(_network(critic).named_parameters()) for critic, _, _ in made]


def batched(made: list[Member], config: Config, form: str) -> list[dict[str, Tensor]]:
    """The same with all members at once."""
    networks = [dict(_network(critic).named_parameters()) for critic, _, _ in made]
    weights = {
        name: torch.stack([network[name].detach() for network in networks]).requires_grad_()
        for name in networks[0]
    }
    average = {name: weight.detach().clone() for name, weight in weights.items()}
    optimiser = AdamW(
        weights.values(),
        lr=config.lr,
        betas=(config.b1, config.b2),
        weight_decay=config.weight_decay,
    )
    with torch.no_grad():  # closed forms are not trained: encoded once
        sides = [_sides(*member) for member in made]
    generators = [torch.Generator().manual_seed(k) for k in range(len(made))]
    for step in range(1, config.n_iters + 1):
        at = [torch.randperm(ROWS, generator=g)[: config.batch_size] for g in generators]
        x, y, of_x, of_y = (
            torch.stack([side[rows.to(side.device)] for side, rows in zip(part, at, strict=True)])
            for part in zip(*sides, strict=True)
        )
        g, h = _tower(weights, "x", x), _tower(weights, "y", y)
        one = torch.ones_like(g[..., :1])
        left = torch.cat([g, one, of_x], -1)
        right = torch.cat([h[..., :-1], one, h[..., -1:], of_y], -1)
        optimiser.zero_grad()
        (-_objectives(left, right, form).sum()).backward()
        optimiser.step()
        with torch.no_grad():
            for name, weight in weights.items():
                average[name].lerp_(weight, max(1 - config.ema, 1 / (step + 1)))
    return [{name: tensor[k] for name, tensor in average.items()} for k in range(len(made))]


def _network(critic: critics.Composite) -> nn.Module:
    assert critic.network is not None
    return critic.network


def _sides(critic: critics.Composite, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    reads = critic.base_reads
    (of_x,), (of_y,) = critic.base.encode(x[:, reads.x], y[:, reads.y])  # type: ignore
    return x, y, of_x, of_y


def _tower(weights: dict[str, Tensor], side: str, rows: Tensor) -> Tensor:
    """Both hidden layers and the last, for all members (k, n, ...)."""
    for layer in (0, 2, 4):
        weight, bias = weights[f"{side}.{layer}.weight"], weights[f"{side}.{layer}.bias"]
        rows = torch.baddbmm(bias.unsqueeze(1), rows, weight.mT)
        rows = F.silu(rows) if layer < 4 else rows
    return rows


def _objectives(left: Tensor, right: Tensor, form: str) -> Tensor:
    """InfoNCE in both directions of each member (k,)."""
    if form == "towers":
        both = zip(left, right, strict=True)
        return torch.stack(
            [BOUNDS["infonce"].objective_from_sums(log_sums.of(a @ b.T)) for a, b in both]
        )
    scores = left @ right.mT
    k, n, _ = scores.shape
    positives = scores.diagonal(dim1=1, dim2=2)
    nothing = scores.new_full((k, n), log_sums.nothing(scores))
    negatives = torch.diagonal_scatter(scores, nothing, 0, 1, 2)
    peak = negatives.detach().amax((1, 2), keepdim=True)
    e = (negatives - peak).exp_()
    rows, columns = (e.sum(axis).log() + peak[:, 0] for axis in (2, 1))
    both = torch.logaddexp(positives, rows) + torch.logaddexp(positives, columns)
    return (positives - both / 2).mean(1) + math.log(n)


def seconds(form: Callable[[], Any], options: argparse.Namespace) -> float:
    """What a call takes."""
    own = options.device == "cpu" and options.threads == 1
    clock = time.thread_time if own else time.perf_counter
    start = clock()
    form()
    if options.device != "cpu":
        torch.cuda.synchronize()
    return clock() - start


def apart(count: int, columns: int, config: Config, device: str, form: str) -> float:
    """The largest difference of any weight, in float64."""
    one = one_by_one(members(count, columns, config, torch.float64, device), config)
    other = batched(members(count, columns, config, torch.float64, device), config, form)
    pairs = zip(one, other, strict=True)
    return max(float((a[name] - b[name]).detach().abs().max()) for a, b in pairs for name in a)


def measure(count: int, columns: int, size: int, options: argparse.Namespace) -> dict[str, Any]:
    """One row of the table: milliseconds of a step of one member, and ratios."""
    config = Config(
        batch_size=size, n_iters=options.steps, eval_every=options.steps, patience=0, eval_rows=10
    )
    device = options.device
    difference = max(apart(count, columns, config, device, form) for form in FORMS)
    assert difference < 1e-6, f"Expected the same weights; they differ by {difference:.1e}."
    forms = {"one_by_one": one_by_one, **{f: partial(batched, form=f) for f in FORMS}}
    times: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(options.repeats + 1):
        for name, form in forms.items():
            made = members(count, columns, config, torch.float32, device)
            taken = seconds(partial(form, made, config), options)
            if turn:  # the first warms up
                times[name].append(1e3 * taken / options.steps / count)
    row: dict[str, Any] = {"members": count, "columns": columns, "batch": size}
    row |= {f"{name}_ms": statistics.median(taken) for name, taken in times.items()}
    row |= {name: common.ratio(times["one_by_one"], times[name]) for name in FORMS}
    return row | {"difference": difference}


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """The ratios by batch size, a line for each number of columns and members."""
    for axes, form in zip(figure.subplots(1, 2, sharey=True), FORMS, strict=True):
        shapes = sorted({(row["columns"], row["members"]) for row in rows})
        for k, (columns, count) in enumerate(shapes):
            points = [r for r in rows if (r["columns"], r["members"]) == (columns, count)]
            middle = [r[form].median for r in points]
            spread = [
                [r[form].median - r[form].least for r in points],
                [r[form].most - r[form].median for r in points],
            ]
            style = {"color": common.GREYS[k % 3], "marker": common.MARKS[k], "capsize": 3}
            label = f"{columns} column{'s' * (columns > 1)} a side, {count} members"
            axes.errorbar([r["batch"] for r in points], middle, spread, label=label, **style)
        axes.axhline(1, color="black", linewidth=0.8)
        axes.set(title=f"batched: {form}", xlabel="batch size, rows", xscale="log")
        sizes = sorted({row["batch"] for row in rows})
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
    figure.axes[0].set_ylabel("times as fast as one by one")
    figure.axes[0].legend(fontsize="small")


def main(argv: Sequence[str] | None = None) -> None:
    parser = common.parser(__doc__, device=True)
    parser.set_defaults(threads=1)
    parser.add_argument("--columns", type=int, nargs="+", default=[1, 5, 25])
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--members", type=int, nargs="+", default=[4])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    shapes = itertools.product(options.columns, options.batches, options.members)
    rows = [measure(count, columns, size, options) for columns, size, count in shapes]
    headings = ["columns a side", "batch", "members", "ms a step, one by one"]
    headings += [f"{form}, times as fast" for form in FORMS]
    cells = [
        [
            *(row["columns"], row["batch"], row["members"], f"{row['one_by_one_ms']:.2f}"),
            *(row[form].text() for form in FORMS),
        ]
        for row in rows
    ]
    common.table(headings, cells)
    print(f"weights differ by at most {max(row['difference'] for row in rows):.0e}")
    common.finish(options, rows, draw)


if __name__ == "__main__":
    main()
