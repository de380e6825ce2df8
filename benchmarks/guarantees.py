"""What the certificate and the p-value cost, and what they prove: ratios in one run.

    python benchmarks/guarantees.py cost        seconds with and without, N = 10,000
    python benchmarks/guarantees.py notebook    the notebook's pair through `estimate`
    python benchmarks/guarantees.py zero        p-values of independent pairs: their size

Each writes its rows as JSON if `--json FILE` is given.
"""

import argparse
import json
import time

import numpy as np
import torch

from infobound import estimate
from infobound.benchmark.tasks import TASKS


def sample(task, n: int, seed: int):
    return task.sample(n, torch.Generator().manual_seed(seed))


def cost(args: argparse.Namespace) -> list[dict]:
    """Processor seconds, with and without in turn; the machine may be busy with other things."""
    rows = []
    kinds = [("gaussian", {}), ("multiplicative", {}), ("staircase_cubic", {"mi": 4.0})]
    kinds += [("spiral-multinormal-sparse-5-5-2-2.0", {}), ("1v1-bimodal-0.75", {})]
    print(f"{'task':38} without    with   ratio")
    for name, settings in kinds:
        x, y = sample(TASKS[name](**settings), 10_000, 0)
        seconds = {True: 0.0, False: 0.0}
        for seed in range(args.seeds):
            for certify in (True, False):
                start = time.process_time()
                estimate(x, y, certify=certify, seed=seed)
                seconds[certify] += time.process_time() - start
        ratio = seconds[True] / seconds[False]
        without, whole = (seconds[key] / args.seeds for key in (False, True))
        print(f"{name:38} {without:7.1f} {whole:7.1f} {ratio:7.2f}", flush=True)
        rows.append({"task": name, "without": without, "with": whole, "ratio": ratio})
    print(f"median ratio {np.median([row['ratio'] for row in rows]):.2f}")
    return rows


def notebook(args: argparse.Namespace) -> list[dict]:
    task, rows = TASKS["gaussian"](), []
    print("rows     samples  certified     sd   largest  held out   above 4.982")
    counts = (args.seeds, max(2, args.seeds // 3), max(2, args.seeds // 15))
    for n, count in zip((400, 2000, 20_000), counts, strict=True):
        results = [estimate(*sample(task, n, 100 + seed), seed=seed) for seed in range(count)]
        certified = np.array([result.certified for result in results])
        held_out = np.mean([result.held_out for result in results])
        row = {"rows": n, "samples": count, "mean": certified.mean(), "sd": certified.std(ddof=1)}
        row |= {"largest": certified.max(), "held_out": held_out}
        row |= {"above": int((certified > task.mi).sum())}
        print(f"{n:6,} {count:9} {row['mean']:10.3f} {row['sd']:7.3f}", end="")
        print(f"{row['largest']:9.3f} {held_out:9.3f} {row['above']:9}", flush=True)
        rows.append(row)
    return rows


def zero(args: argparse.Namespace) -> list[dict]:
    """The share of p-values up to .05 where there is nothing, and the certificates above zero."""
    draws = {
        "normal 2 + 2": lambda rng, n: (rng.normal(size=(n, 2)), rng.normal(size=(n, 2))),
        "Cauchy 2 + 2": lambda rng, n: tuple(rng.standard_cauchy(size=(2, n, 2))),
        "Poisson 1 + 1": lambda rng, n: tuple(rng.poisson(2, size=(2, n, 1)).astype(float)),
        "normal 25 + 25": lambda rng, n: tuple(rng.normal(size=(2, n, 25))),
    }
    rows, n, settings = [], 200, {"permutations": 199, "n_iters": 100}
    print("columns          p <= .05    +-   certified > 0")
    for name, draw in draws.items():
        runs = 10 * args.seeds
        results = []
        for seed in range(runs):
            x, y = draw(np.random.default_rng([seed, n]), n)
            results.append(estimate(x, y, seed=seed, **settings))
        share = np.mean([result.p_value <= 0.05 for result in results])
        row = {"columns": name, "share": float(share), "error": (0.05 * 0.95 / runs) ** 0.5}
        row["certified"] = int(sum(result.certified > 0 for result in results))
        print(
            f"{name:16} {share:8.3f} {row['error']:6.3f} {row['certified']:9} of {runs}", flush=True
        )
        rows.append(row)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = {"cost": cost, "notebook": notebook, "zero": zero}
    parser.add_argument("part", choices=parts)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json")
    given = parser.parse_args()
    table = parts[given.part](given)
    if given.json:
        with open(given.json, "w") as file:
            json.dump(table, file, indent=1, default=float)
