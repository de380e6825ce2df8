"""How near scoring all pairs comes to the machine's limit, its matrix products.

    python benchmarks/limit.py [--parts joint products memory] [--device cpu] [--threads 1]

`joint`: the notebook's critic (6 + 6 columns, two hidden layers of 100, ELU) over 400 x 400 pairs
without gradients. Its hidden layer is a product of 160,000 x 100 by 100 x 100; the limit is that
product by torch.mm in float32, in tiles that stay in the cache, the best of several sizes. A share
is the limit's time over the form's, turn by turn. `value` is the bound with all its log sums. The
critic is trained for some steps first, so that bfloat16's errors are those of real scores;
--compile adds the plain form under torch.compile. `products`: critics whose scores are one product,
over --many x --many pairs. `memory`: forward and backward of a batch of --batch rows in a process
of its own, all pairs scored again in the backward pass.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from common import Spread, bars, child, finish, in_turns, parser, ratio, table, timed
from notebook import BATCH, BOUND, Concatenated, rows_of
from torch import Tensor, nn

from infobound.bounds import tiled as scoring
from infobound.config import Config
from infobound.critics import contract, networks
from infobound.training import loop

TILES = (512, 1024, 2048, 4096, 16384, 1 << 30)  # rows of a product's left side


class Plain(nn.Module):
    """The split form, all pairs at once, as PyTorch's own layers do it."""

    def __init__(self, joint: networks.Joint) -> None:
        super().__init__()
        self.joint = joint

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        a, b = self.joint.encode(x, y)
        return self.joint.rest(a.unsqueeze(1) + b).squeeze(-1)


def product(left: Tensor, right: Tensor) -> Callable[[int], Callable[[], None]]:
    """left @ right by tiles of so many rows, each into one small buffer: reading and writing the
    whole is no part of the limit."""

    def tiled(size: int) -> Callable[[], None]:
        size = min(size, len(left))
        out = left.new_empty(size, right.shape[1])
        whole, rest = divmod(len(left), size)

        def run() -> None:
            for _ in range(whole):
                torch.mm(left[:size], right, out=out)
            if rest:
                torch.mm(left[:rest], right, out=out[:rest])

        return run

    return tiled


def blocked(left: Tensor, right: Tensor) -> Callable[[int], Callable[[], None]]:
    """left @ right.T by square tiles of so many rows."""

    def tiled(size: int) -> Callable[[], None]:
        size = min(size, len(left))
        out = left.new_empty(size, size)

        def run() -> None:
            for a in left.split(size):
                for b in right.split(size):
                    torch.mm(a, b.T, out=out[: len(a), : len(b)])

        return run

    return tiled


def best(
    tiled: Callable[[int], Callable[[], None]], sizes: Sequence[int], device: str
) -> Callable[[], None]:
    """The fastest of the tile sizes, by the best of three."""
    seconds = {size: min(timed(tiled(size), device=device) for _ in range(4)) for size in sizes}
    return tiled(min(seconds, key=seconds.__getitem__))


def shares(forms: Mapping[str, Callable[[], object]], limit: str, options: Any) -> list[dict]:
    """Milliseconds of each form, and the limit's share of them."""
    with torch.no_grad():
        times = in_turns(forms, repeats=options.repeats, device=options.device)
    return [
        {
            "form": name,
            "milliseconds": Spread.of([1e3 * t for t in taken]),
            "share": ratio(times[limit], taken),
        }
        for name, taken in times.items()
    ]


def show(title: str, rows: list[dict]) -> None:
    cells = [[r["form"], r["milliseconds"].text(1), r["share"].text()] for r in rows]
    table([title, "ms", "share of the limit"], cells)


def trained(options: Any) -> tuple[networks.Joint, Tensor, Tensor]:
    """The notebook's critic after some steps at a higher rate, and its rows."""
    rng = torch.Generator().manual_seed(0)
    x, y = (side.to(options.device) for side in rows_of(options.rows, rng))
    joint = networks.Joint(6, 6, activation="elu", init_std=0.02, generator=rng).to(options.device)
    if options.steps:
        settings = Config.notebook().with_(
            n_iters=options.steps, eval_every=options.steps, lr=3e-3, batch_size=min(BATCH, len(x))
        )
        loop.fit(joint, BOUND, (x, y), None, settings, seed=0)
    return joint.eval(), x, y


def joint(options: Any) -> list[dict]:
    critic, x, y = trained(options)
    low = networks.Joint(6, 6, activation="elu", precision="bfloat16").to(options.device).eval()
    low.load_state_dict(critic.state_dict())
    plain, concatenated = Plain(critic), Concatenated(critic)
    hidden = torch.rand(len(x) * len(y), critic.width, device=x.device)
    weight = critic.rest[1].weight.detach().T
    half = product(hidden.bfloat16(), weight.bfloat16())
    with torch.no_grad():
        assert torch.allclose(critic(x, y), concatenated(x, y), atol=1e-3)
        forms = {
            "product, float32 (the limit)": best(product(hidden, weight), TILES, options.device),
            "product, bfloat16": best(half, TILES, options.device),
            "scores, ours": lambda: critic(x, y),
            "value, ours": lambda: scoring.value(critic, BOUND, x, y),
            "scores, ours, bfloat16": lambda: low(x, y),
            "value, ours, bfloat16": lambda: scoring.value(low, BOUND, x, y),
            "scores, split, untiled": lambda: plain(x, y),
            "scores, concatenated": lambda: concatenated(x, y),
        }
        if options.compile:
            compiled = torch.compile(plain)
            seconds = timed(lambda: compiled(x, y), device=options.device)
            print(f"torch.compile took {seconds:.1f} s")
            forms["scores, split, compiled"] = lambda: compiled(x, y)
    rows = shares(forms, "product, float32 (the limit)", options)
    show(f"joint critic, {len(x)} x {len(y)} pairs", rows)
    with torch.no_grad():
        exact, rounded = critic(x, y), low(x, y)
        bound = [float(scoring.value(form, BOUND, x, y)) for form in (critic, low)]
    difference = (rounded - exact).abs()
    error = {
        "largest": float(difference.max()),
        "root mean square": float(difference.square().mean().sqrt()),
        "bound": bound[1] - bound[0],
    }
    said = ", ".join(f"{name} {value:.4f}" for name, value in error.items())
    print(f"bfloat16's error in nats: {said}; scores {exact.min():.1f} to {exact.max():.1f}\n")
    return [*rows, {"error of bfloat16, nats": error}]


def products(options: Any) -> list[dict]:
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, options.many, 10, generator=rng).to(options.device)
    every = []
    for critic in (networks.Separable(10, 10, generator=rng), networks.Bilinear(10, 10)):
        critic.to(options.device)
        name = type(critic).__name__.lower()
        with torch.no_grad():
            (left,), (right,) = contract.encode(critic, x, y)
            limit = f"{name}: the product (its limit)"
            forms = {
                limit: best(blocked(left, right), TILES[:4], options.device),
                f"{name}: value": lambda critic=critic: scoring.value(critic, BOUND, x, y),
            }
        every += shares(forms, limit, options)
    show(f"{options.many} x {options.many} pairs", every)
    print()
    return every


def memory(options: Any) -> list[dict]:
    """Seconds and memory beyond those of one small batch."""
    rows = []
    for batch in (BATCH, options.batch):
        words = ("--child", batch, "--threads", options.threads, "--device", options.device)
        done = child(__file__, *words, threads=options.threads)
        found = json.loads(done.printed)
        rows.append({"batch": batch, "seconds": found["seconds"], "bytes": done.bytes})
    cells = [[r["batch"], f"{r['seconds']:.2f}", f"{r['bytes'] / 2**20:.0f}"] for r in rows]
    table(["joint critic, rows in a batch", "s, forward and backward", "MiB, peak"], cells)
    every = options.batch**2 * 100 * 4 / 2**20
    print(f"one hidden layer of all pairs would take {every:.0f} MiB\n")
    return rows


def backward(options: Any) -> None:
    """The memory part's process: prints its seconds."""
    rng = torch.Generator().manual_seed(0)
    x, y = (side.to(options.device) for side in rows_of(options.child, rng))
    critic = networks.Joint(6, 6, activation="elu", init_std=0.02, generator=rng).to(options.device)

    def run() -> None:
        (-scoring.value(critic, BOUND, x, y)).backward()

    print(json.dumps({"seconds": timed(run, device=options.device)}))


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    drawn = [row for row in rows if "share" in row]
    names = [row["form"] for row in drawn]
    label = "share of the matrix product's speed (median and range)"
    axes = figure.subplots()
    bars(axes, names, [Spread(*row["share"]) for row in drawn], label)
    axes.axvline(1, color="0.3", linestyle="--", linewidth=1)


PARTS = {f.__name__: f for f in (joint, products, memory)}


def main(arguments: Sequence[str] | None = None) -> None:
    options_of = parser(__doc__, device=True)
    options_of.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options_of.add_argument("--repeats", type=int, default=15)
    options_of.add_argument("--rows", type=int, default=400)
    options_of.add_argument("--steps", type=int, default=500, help="of training beforehand")
    options_of.add_argument("--many", type=int, default=20_000)
    options_of.add_argument("--batch", type=int, default=4096)
    options_of.add_argument("--compile", action="store_true")
    options_of.add_argument("--child", type=int, help="rows: the memory part's own process")
    options = options_of.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.child:
        return backward(options)
    rows = [row for part in options.parts for row in PARTS[part](options)]
    finish(options, rows, draw)


if __name__ == "__main__":
    main()
