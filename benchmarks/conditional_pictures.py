"""I(X;Y) and I(X;Y|Z) where a third variable is a confounder, a mediator or a collider.

    python benchmarks/conditional_pictures.py --figure conditional.png

x and y are standard normal and the effects on them linear, so that both exact values are known. In
the last two rows the confounder c itself is not given, but c with an error of measurement, or four
columns of which c is a function that no smoother finds in a thousand rows. The difference is that
of `infobound.interaction`, which makes both estimates on the same rows and folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from common import finish, parser, table

from infobound import interaction

EFFECT = 0.8  # correlation of each side with a confounder or mediator
INTO = 0.65  # correlation of each side with a collider
ERROR = 0.6  # standard deviation of the error of measurement
SHOWN = 350  # rows of a panel
NEAR = 0.25  # rows whose z is nearer to 0 are marked
ARROWS = {
    "confounder": "x ← z → y",
    "mediator": "x → z → y",
    "collider": "x → z ← y",
    "noisy confounder": "x ← c → y, z = c + error",
    "rough confounder": "x ← c → y, c = abs(z1) sign(z2 z3 z4)",
}
PANELS = 3  # how many of them are drawn


def sample(kind: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x and y (n,), and z (n,) or (n, 4), of one kind of ARROWS."""
    first, second, third = np.random.default_rng(seed).normal(size=(3, n))
    more = np.random.default_rng(seed + 1).normal(size=(3, n))
    rest = np.sqrt(1 - EFFECT**2)
    if kind == "collider":
        return first, second, INTO * (first + second) + np.sqrt(1 - 2 * INTO**2) * third
    if kind == "mediator":
        z = EFFECT * first + rest * second
        return first, EFFECT * z + rest * third, z
    z = first
    if kind == "noisy confounder":
        z = first + ERROR * more[0]
    elif kind == "rough confounder":
        z = np.column_stack([first, *more])
        first = np.abs(first) * np.sign(more.prod(axis=0))
    return EFFECT * first + rest * second, EFFECT * first + rest * third, z


def truth(kind: str) -> tuple[float, float]:
    """I(X;Y) and I(X;Y|Z) in nats, from the correlations of x and y, and of each with z."""
    xy, z = {
        "collider": (0.0, INTO),
        "noisy confounder": (EFFECT**2, EFFECT / np.sqrt(1 + ERROR**2)),
    }.get(kind, (EFFECT**2, EFFECT))
    partial = (xy - z**2) / (1 - z**2)
    return float(-np.log1p(-(xy**2)) / 2), float(-np.log1p(-(partial**2)) / 2)


def measure(kind: str, options: Any) -> dict[str, Any]:
    found = interaction(*sample(kind, options.rows, options.seed))
    before, after = found.unconditional, found.conditional
    return {
        "kind": kind,
        "seed": options.seed,
        "n": options.rows,
        "before": (before.mi, *before.interval, truth(kind)[0]),
        "after": (after.mi, *after.interval, truth(kind)[1]),
        "difference": (found.difference, *found.interval),
        "held_out": after.held_out,
        "exchanged": after.exchanged,
        "p_value": after.p_value,
        "projection_p": after.projection_p,
        "verdict": after.verdict,
    }


def draw(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    figure.set_size_inches(7.5, 3.7)
    for axes, row in zip(figure.subplots(1, PANELS), rows[:PANELS], strict=True):
        x, y, z = (side[:SHOWN] for side in sample(row["kind"], row["n"], row["seed"]))
        points = axes.scatter(x, y, c=z, s=6, cmap="viridis", vmin=-2.2, vmax=2.2)
        near = np.abs(z) < NEAR
        axes.scatter(x[near], y[near], s=10, c="black")
        before, after = (round(row[name][0], 2) + 0.0 for name in ("before", "after"))
        axes.set_title(
            f"{row['kind']}: {ARROWS[row['kind']]}\nI(X;Y) = {before:.2f}, I(X;Y|Z) = {after:.2f}",
            fontsize=8.5,
        )
        axes.set(xlabel="x", ylabel="y", xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
        axes.set(xticks=range(-3, 4), yticks=range(-3, 4))
        axes.spines[["top", "right"]].set_visible(False)
    bar = figure.colorbar(points, ax=figure.axes, orientation="horizontal", shrink=0.5, aspect=40)
    bar.set_label(f"z (black: rows with |z| < {NEAR})", fontsize=9)


def spread(values: Sequence[float]) -> str:
    return f"{values[0]:.3f} [{values[1]:.3f}, {values[2]:.3f}]"


def chance(p: float) -> str:
    return f"{p:.2g}" if p >= 0.001 else "< 0.001"


def main(arguments: Sequence[str] | None = None) -> None:
    options_of = parser(__doc__)
    options_of.add_argument("--rows", type=int, default=1000)
    options_of.add_argument("--seed", type=int, default=0)
    options = options_of.parse_args(arguments)
    torch.set_num_threads(options.threads)
    rows = [measure(kind, options) for kind in ARROWS]
    cells = [
        [
            f"{row['kind']}: {ARROWS[row['kind']]}",
            spread(row["before"]),
            f"{row['before'][3]:.3f}",
            spread(row["after"]),
            f"{row['after'][3]:.3f}",
            spread(row["difference"]),
            *(chance(row[name]) for name in ("p_value", "projection_p")),
        ]
        for row in rows
    ]
    names = ["I(X;Y)", "exact", "I(X;Y|Z)", "exact", "difference", "p_value", "projection_p"]
    table(["z is a", *names], cells)
    finish(options, rows, draw)


if __name__ == "__main__":
    main()
