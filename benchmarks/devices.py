"""Seconds and values of an estimate on a CUDA device and on the processor, in turns.

    python benchmarks/devices.py [--sizes 1000 10000 100000] [--repeats 2]

"linear": five correlated pairs of normals, where a network gains nothing; "product": y is a product
of two of four columns with noise, where one is trained; "wide": 100 + 100 columns.
"joint" and "separable" are 20 training steps of a critic on batches of that size, and an evaluation
on 2,500 rows.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from common import Spread, bars, finish, in_turns, parser, ratio, table

from infobound import estimate
from infobound.bounds.variational import BOUNDS
from infobound.config import Config
from infobound.critics import networks
from infobound.training import loop


def linear(n, rng):
    x, noise = rng.normal(size=(2, n, 5))
    return x, 0.5 * x + np.sqrt(0.75) * noise


def product(n, rng):
    x, noise = rng.normal(size=(2, n, 4))
    return x, x[:, :1] * x[:, 1:2] + 0.3 * noise[:, :1]


def wide(n, rng):
    x, noise = rng.normal(size=(2, n, 100))
    return x, 0.3 * np.sinh(x) + noise


SAMPLES = {"linear": linear, "product": product, "wide": wide}


def steps(device, critic, batch):
    """Train a critic for 20 steps and evaluate it."""
    config = Config(critic=critic, activation="elu", batch_size=batch, n_iters=20, eval_every=20,
                    patience=0)  # fmt: skip
    network = networks.build(10, 10, config, torch.Generator().manual_seed(0)).to(device)
    x = torch.randn(batch + 2500, 10, generator=torch.Generator().manual_seed(1))
    rows = x.to(device), (0.6 * x + 0.8 * x.flip(0)).to(device)
    return loop.fit(network, BOUNDS["infonce"], rows, None, config, seed=0).history["train"][-1]


def noted(form, device, values):
    """The form on a device, as `in_turns` calls it; its value is kept."""

    def call():
        values[device] = float(form(device))

    return call


def draw(figure, rows):
    spreads = [Spread(*row["ratio"]) for row in rows]
    names = [row["what"] for row in rows]
    bars(figure.subplots(), names, spreads, "seconds on the processor / on CUDA", log=True)


def main(arguments=None):
    options_of = parser(__doc__, device=True)
    options_of.set_defaults(device="cuda")
    options_of.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000, 100_000])
    options_of.add_argument("--joint", type=int, nargs="*", default=[100, 256, 1024])
    options_of.add_argument("--separable", type=int, nargs="*", default=[256, 1024, 4096])
    options_of.add_argument("--repeats", type=int, default=2)
    options = options_of.parse_args(arguments)
    torch.set_num_threads(options.threads)
    tried = {
        f"{critic}, batches of {batch:,}": partial(steps, critic=critic, batch=batch)
        for critic, batches in {"joint": options.joint, "separable": options.separable}.items()
        for batch in batches
    }
    for n in options.sizes:
        for name, sample in SAMPLES.items():
            x, y = sample(n, np.random.default_rng(0))
            tried[f"{name}, {n:,} rows"] = lambda device, x=x, y=y: estimate(x, y, device=device).mi
    rows = []
    for what, form in tried.items():
        values = {}
        forms = {device: noted(form, device, values) for device in ("cpu", options.device)}
        if len(forms) < 2:  # without a device, the processor against itself: to test the script
            forms["again"] = forms["cpu"]
        times = in_turns(forms, repeats=options.repeats, warm=1, device=options.device)
        here, there = times.values()
        row = {"what": what, "cpu": Spread.of(here), options.device: Spread.of(there)}
        rows.append({**row, "ratio": ratio(here, there), "values": [*values.values()]})
        print(what, Spread.of(here).text(), Spread.of(there).text(), values, flush=True)
    table(
        ["", "cpu, s", f"{options.device}, s", "ratio", "values"],
        [
            [
                row["what"],
                row["cpu"].text(),
                row[options.device].text(),
                row["ratio"].text(),
                " ".join(f"{value:.4f}" for value in row["values"]),
            ]
            for row in rows
        ],
    )
    finish(options, rows, draw)


if __name__ == "__main__":
    main()
