"""The README's statistical claims, measured again.

python benchmarks/claims.py demo          the notebook's pair, 400 rows, 20 seeds
python benchmarks/claims.py independent   independent x and y, d = 5, 2,000 rows, 20 seeds
python benchmarks/claims.py margins       independent x and y, 1,000 rows, eight kinds of margins
python benchmarks/claims.py consistency   images: more rows, data processing, additivity
python benchmarks/claims.py kills         SIGKILL at 10 random moments, then resume
python benchmarks/claims.py formats       CSV, Parquet and npz of 10,000 rows, and twice the same
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from infobound import TASKS, estimate
from infobound.benchmark.notebook import sample


def table(truth: float, results: list) -> None:
    """One line per result, then means with their standard errors."""
    print("seed      mi            95 %          held-out  error   findings")
    for seed, r in enumerate(results):
        said = ", ".join(f.code for f in r.findings)
        low, high = r.interval
        print(f"{seed:4} {r.mi:9.4f}  [{low:.4f}, {high:.4f}] {r.held_out:9.4f} {said}")
    mi = np.array([r.mi for r in results])
    held = np.array([r.held_out for r in results])
    root = len(results) ** 0.5
    inside = sum(r.interval[0] <= truth <= r.interval[1] for r in results)
    print(f"truth {truth:.4f}")
    print(f"mi        mean {mi.mean():.4f} +- {mi.std(ddof=1) / root:.4f}", end=", ")
    print(f"rmse {np.sqrt(((mi - truth) ** 2).mean()):.4f}, mean |mi| {np.abs(mi).mean():.4f}")
    print(f"held_out  mean {held.mean():.4f} +- {held.std(ddof=1) / root:.4f}")
    print(f"within 0.5 of the truth: {(np.abs(mi - truth) < 0.5).sum()} of {len(mi)}")
    print(f"interval covers the truth: {inside} of {len(mi)}")
    zero = sum(any(f.code == "zero" for f in r.findings) for r in results)
    print(f"'consistent with zero' said: {zero} of {len(mi)}")


def demo() -> None:
    task = TASKS["gaussian"](d=6, rho=0.9)
    table(task.mi, [estimate(*sample(task, 400, seed), seed=seed) for seed in range(20)])


def independent() -> None:
    task = TASKS["independent"](d=5)
    table(task.mi, [estimate(*sample(task, 2000, seed), seed=seed) for seed in range(20)])


def margins() -> None:
    """Each kind on both sides and, at odd seeds, Cauchy on one."""
    kinds = {
        "normal": lambda rng, shape: rng.normal(size=shape),
        "uniform": lambda rng, shape: rng.uniform(size=shape),
        "exponential": lambda rng, shape: rng.exponential(size=shape),
        "Student 3": lambda rng, shape: rng.standard_t(3, size=shape),
        "Cauchy": lambda rng, shape: rng.standard_cauchy(size=shape),
        "lognormal": lambda rng, shape: rng.lognormal(sigma=2, size=shape),
        "binary": lambda rng, shape: (rng.uniform(size=shape) < 0.3).astype(float),
        "Poisson": lambda rng, shape: rng.poisson(2, size=shape).astype(float),
    }
    print("margins      columns   mean mi           largest |mi|   'zero' said")
    everything = []
    for name, draw in kinds.items():
        for columns in (1, 3):
            results = []
            for seed in range(4):
                rng = np.random.default_rng(1000 + seed)
                other = kinds["Cauchy"] if seed % 2 else draw
                shape = (1000, columns)
                results.append(estimate(draw(rng, shape), other(rng, shape), seed=seed))
            mi = np.array([r.mi for r in results])
            zero = sum(any(f.code == "zero" for f in r.findings) for r in results)
            error = mi.std(ddof=1) / len(mi) ** 0.5
            print(f"{name:12} {columns:4} {mi.mean():11.4f} +- {error:.4f}", end="")
            print(f"{np.abs(mi).max():12.4f} {zero:8} of {len(mi)}", flush=True)
            everything += mi.tolist()
    print(f"over all: mean {np.mean(everything):.4f}, mean |mi| {np.abs(everything).mean():.4f}")


def consistency() -> None:
    """Ratios that must hold whatever the truth is (Song and Ermon 2020), 10,000 rows, 3 seeds."""
    from infobound.benchmark.distributions.images import Doubled, ImageRows
    from infobound.benchmark.tasks import CONSISTENCY

    def mi(task: object, seed: int) -> float:
        return estimate(*sample(task, 10_000, seed), seed=seed).mi

    for seed in range(3):
        half = mi(CONSISTENCY["more_rows"].of, seed)
        rows = [mi(ImageRows(rows=count), seed) / mi(ImageRows(rows=16), seed) for count in (2, 8)]
        print(f"seed {seed}: rows 2, 8 of 16 over all 16: {rows[0]:.3f}, {rows[1]:.3f}", end="")
        print(f"; half the image {half:.3f} nats", end="")
        for name in ("data_processing", "additivity"):
            print(f"; {name} {mi(CONSISTENCY[name].of, seed) / half:.3f}", end="", flush=True)
        noisy = ImageRows(noise=2.0)
        single = mi(noisy, seed)
        print(f"; with noise 2: half {single:.3f}", end="")
        print(f", additivity {mi(Doubled(noisy), seed) / single:.3f}", flush=True)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "infobound", *map(str, words)]


def read(words: list[str]) -> dict:
    """The JSON that a command prints, without the seconds it took."""
    result = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    result.pop("seconds")
    return result


def kills() -> None:
    quick = ["--checkpoint-every", 25, "--eval-every", 25]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        x, y = sample(TASKS["gaussian"](d=2, rho=0.7), 1000, 0)
        np.savez(folder / "rows.npz", x=x.numpy(), y=y.numpy())
        notebook = ["reproduce", "--n-iters", 1000, "--sample-size", 150, *quick]
        ours = ["estimate", folder / "rows.npz", "--x", "x", "--y", "y", *quick]
        for name, words in (("reproduce", notebook), ("estimate", ours)):
            start = time.monotonic()
            whole = read(command(*words, "--json", "--run", folder / name))
            seconds = time.monotonic() - start
            same, files = 0, 0
            for attempt in range(10):
                run = folder / f"{name}-{attempt}"
                process = subprocess.Popen(
                    command(*words, "--quiet", "--run", run), stdout=subprocess.DEVNULL
                )
                moment = random.Random(attempt).uniform(0, seconds)
                time.sleep(moment)
                while not (run / "run.json").exists():
                    time.sleep(0.01)
                process.send_signal(signal.SIGKILL)
                process.wait()
                same += read(command("resume", run, "--json")) == whole
                ends = [(p / "metrics.csv").read_bytes() for p in (run, folder / name)]
                files += ends[0] == ends[1]
            print(
                f"{name}: killed 10 times within {seconds:.0f} s; {same} results and {files}",
                end="",
            )
            print(" metrics files equal the uninterrupted run's to the last bit")


def formats() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        x, y = (side.numpy() for side in sample(TASKS["gaussian"](d=3, rho=0.7), 10_000, 0))
        names = ["a1", "a2", "a3", "b1", "b2", "b3"]
        frame = pd.DataFrame(np.concatenate([x, y], axis=1), columns=names)
        frame.to_csv(folder / "rows.csv", index=False)
        frame.to_parquet(folder / "rows.parquet")
        np.savez(folder / "rows.npz", a=x, b=y)
        calls = [("rows.csv", "a*", "b*"), ("rows.csv", "a*", "b*"), ("rows.parquet", "a*", "b*")]
        calls += [("rows.npz", "a", "b")]
        results = []
        for name, left, right in calls:
            words = command("estimate", folder / name, "--x", left, "--y", right, "--json")
            results.append(read(words))
            print(f"{name:14} mi {results[-1]['mi']!r} held_out {results[-1]['held_out']!r}")
        print("all equal, bit for bit:", all(result == results[0] for result in results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    claims = {"demo": demo, "independent": independent, "margins": margins}
    claims |= {"consistency": consistency, "kills": kills, "formats": formats}
    parser.add_argument("claim", choices=claims)
    claims[parser.parse_args().claim]()
