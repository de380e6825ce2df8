"""Tests, bands and intervals of two series at many lags: size, power, coverage and time.

python benchmarks/lags.py size --rows 300 1000 3000 --runs 400
python benchmarks/lags.py other --rows 1000 --runs 400
python benchmarks/lags.py power --rows 300 1000 --runs 100
python benchmarks/lags.py band --rows 300 1000 --runs 100
python benchmarks/lags.py pairs --rows 500 --runs 40
python benchmarks/lags.py speed
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
from common import yardstick
from scipy.signal import lfilter

from infobound import lagged_pairs, lags
from infobound.data.columns import Column, columns
from infobound.series.lag_tests import lag_tests

PHIS = (0.0, 0.5, 0.9, 0.95, 0.99, 0.999)
STRENGTHS = (0.0, 0.1, 0.2, 0.4)
LAG = 7  # of the dependence
Draw = Callable[[np.random.Generator, int], np.ndarray]


def slow(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    """Return a stationary autoregression (n,) of order 1 with variance 1."""
    start, noise = rng.normal(), rng.normal(size=n) * math.sqrt(1 - phi**2)
    return np.asarray(lfilter([1], [1, -phi], noise, zi=[phi * start])[0])


def filtered(
    rng: np.random.Generator, n: int, *coefficients: float, heavy: bool = False
) -> np.ndarray:
    draws = rng.standard_cauchy(n + 2_000) if heavy else rng.normal(size=n + 2_000)
    return np.asarray(lfilter([1], [1, *(-c for c in coefficients)], draws)[2_000:])


def garch(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return changes of a price whose volatility comes in clusters."""
    found, variance = np.empty(n + 500), 1.0
    for k, draw in enumerate(rng.normal(size=n + 500)):
        found[k] = math.sqrt(variance) * draw
        variance = 0.02 + 0.15 * found[k] ** 2 + 0.83 * variance
    return found[500:]


def threshold(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return an autoregression that is slower above zero."""
    found, value = np.empty(n + 200), 0.0
    for k, draw in enumerate(rng.normal(size=n + 200)):
        value = (0.9 if value > 0 else 0.3) * value + draw
        found[k] = value
    return found[200:]


def logistic(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return the logistic map, which is deterministic."""
    found, value = np.empty(n + 50), rng.random()
    for k in range(n + 50):
        value = 3.9 * value * (1 - value)
        found[k] = value
    return found[50:]


def chain(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return a Markov chain of four states, as text, that stays with 90 %."""
    steps = (rng.random(n) > 0.9) * rng.integers(1, 4, size=n)
    return np.array(["a", "b", "c", "d"])[np.cumsum(steps) % 4]


def gappy(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return a slow series with 10 % of its values missing, and a long gap."""
    values, start = slow(rng, n, 0.95), rng.integers(n)
    values[rng.random(n) < 0.1] = np.nan
    values[start : start + n // 10] = np.nan
    return values


OTHERS: dict[str, Draw] = {
    "skewed, .9": lambda rng, n: np.exp(2 * slow(rng, n, 0.9)),
    "skewed, .99": lambda rng, n: np.exp(2 * slow(rng, n, 0.99)),
    "folded, .95": lambda rng, n: np.abs(slow(rng, n, 0.95)),
    "rounded, .95": lambda rng, n: np.round(2 * slow(rng, n, 0.95)),
    "binary, .95": lambda rng, n: (slow(rng, n, 0.95) > 0.5).astype(float),
    "slow with noise": lambda rng, n: slow(rng, n, 0.99) + 0.5 * rng.normal(size=n),
    "four time scales": lambda rng, n: sum(
        (slow(rng, n, phi) for phi in (0.3, 0.9, 0.97, 0.997)), start=np.zeros(n)
    ),
    "oscillating": lambda rng, n: filtered(rng, n, 1.88, -0.98),
    "Cauchy, .95": lambda rng, n: filtered(rng, n, 0.95, heavy=True),
    "GARCH": garch,
    "threshold": threshold,
    "logistic map": logistic,
    "Markov chain": chain,
    "gaps, .95": gappy,
}
SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: x,
    "square": lambda x: (x**2 - 1) / math.sqrt(2),
    "sine": lambda x: np.sin(2 * x) / 0.7,
}


def coded(*series: np.ndarray) -> list[Column]:
    return columns({str(k): values for k, values in enumerate(series)})


def share(found: Sequence[bool]) -> str:
    mean = float(np.mean(found))
    return f"{mean:.3f} ± {math.sqrt(mean * (1 - mean) / len(found)):.3f}"


def print_size(name: str, draw: Draw, n: int, runs: int, max_lag: int, seed: int) -> None:
    """Print how often two independent series are called dependent."""
    rng = np.random.default_rng(seed)
    tests = [
        lag_tests(*coded(draw(rng, n), draw(rng, n)), min(max_lag, (n - 20) // 4))
        for _ in range(runs)
    ]
    adjusted = share([each.adjusted.min() <= 0.05 for each in tests])
    single = np.mean([each.p_value <= 0.05 for each in tests])
    counted = share([each.counted_p <= 0.05 for each in tests])
    print(f"{name:18} {n:6,} {adjusted:>15} {single:10.3f} {counted:>15}", flush=True)


def size(options: argparse.Namespace) -> None:
    """Print the size for autoregressions of order 1."""
    print(f"{'series':18} {'rows':>6} {'any lag':>15} {'each lag':>10} {'counting':>15}")
    for n in options.rows:
        for phi in options.phi:
            print_size(
                f"phi = {phi:g}",
                lambda rng, n, phi=phi: slow(rng, n, phi),  # type: ignore[misc]
                n,
                options.runs,
                options.max_lag,
                options.seed,
            )


def other(options: argparse.Namespace) -> None:
    """Print the size for series that are no Gaussian autoregressions."""
    print(f"{'series':18} {'rows':>6} {'any lag':>15} {'each lag':>10} {'counting':>15}")
    for n in options.rows:
        for name, draw in OTHERS.items():
            print_size(name, draw, n, options.runs, options.max_lag, options.seed)


def dependent(
    rng: np.random.Generator, n: int, phi: float, shape: str, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y, in which x acts after seven rows."""
    x, noise = slow(rng, n + LAG, phi), slow(rng, n, phi)
    return x[LAG:], strength * SHAPES[shape](x[:n]) + noise


def plain(x: np.ndarray, y: np.ndarray, max_lag: int) -> float:
    """Return the p-value of the largest correlation at any lag, among all circular shifts of y."""
    n, width = len(x), 2 * max_lag + 1
    sides = [np.fft.rfft((v - v.mean()) / v.std()) for v in (x, y)]
    curve = np.abs(np.fft.irfft(np.conj(sides[0]) * sides[1], n)) / n
    around = np.concatenate([curve[-max_lag:], curve, curve[:max_lag]])
    highest = np.lib.stride_tricks.sliding_window_view(around, width).max(axis=1)
    return float(np.mean(highest >= highest[0]))


def power(options: argparse.Namespace) -> None:
    """Print how often dependence is found, and at the right lag."""
    heads = f"{'here':>6} {'right lag':>9} {'shifts':>7}"
    print(f"{'shape':8} {'phi':>5} {'strength':>8} {'rows':>6} {heads}")
    for n in options.rows:
        for shape in SHAPES:
            for phi in options.phi:
                for strength in STRENGTHS:
                    rng = np.random.default_rng(options.seed)
                    found, right, peer = [], [], []
                    for _ in range(options.runs):
                        x, y = dependent(rng, n, phi, shape, strength)
                        own = lag_tests(*coded(x, y), options.max_lag)
                        found.append(own.adjusted.min() <= 0.05)
                        right.append(own.lags[own.statistic.argmax()] == LAG)
                        peer.append(plain(x, y, options.max_lag) <= 0.05)
                    shares = f"{np.mean(found):6.2f} {np.mean(right):9.2f} {np.mean(peer):7.2f}"
                    print(f"{shape:8} {phi:5g} {strength:8g} {n:6,} {shares}", flush=True)


def band(options: argparse.Namespace) -> None:
    """Print how often curves of independent series leave the band, and intervals cover."""
    heads = f"{'leaves band':>15} {'covers 0':>9} {'covers':>15} {'bias':>7} {'band':>6}"
    print(f"{'phi':>5} {'rows':>6} {heads}")
    truth = -0.5 * math.log(1 - 0.36)
    for n in options.rows:
        for phi in options.phi:
            rng = np.random.default_rng(options.seed)
            leaves, zero, inside, bias, bands = [], [], [], [], []
            for _ in range(options.runs):
                x, y = dependent(rng, n, phi, "linear", 0.0)
                found = lags(x, y, options.max_lag, refine=False)
                leaves.append(max(each.mi for each in found.curve) > found.band)
                zero.append(np.mean([each.low <= 0 <= each.high for each in found.curve]))
                bands.append(found.band)
                x, y = dependent(rng, n, phi, "linear", 0.75)
                curve = lags(x, y, options.max_lag, refine=False).curve
                at = curve[options.max_lag + LAG]
                inside.append(at.low <= truth <= at.high)
                bias.append(at.mi - truth)
            numbers = f"{np.mean(bias):7.3f} {np.median(bands):6.3f}"
            covers = f"{np.mean(zero):9.3f} {share(inside):>15}"
            print(f"{phi:5g} {n:6,} {share(leaves):>15} {covers} {numbers}", flush=True)


def pairs(options: argparse.Namespace) -> None:
    """Print the false discoveries at q <= .05 among ten channels, of which two pairs depend."""
    for n in options.rows:
        for phi in options.phi:
            rng = np.random.default_rng(options.seed)
            wrong, right, any_wrong = [], [], []
            for _ in range(options.runs):
                table = np.stack([slow(rng, n + LAG, phi) for _ in range(10)], axis=1)
                table[LAG:, 1] += 0.5 * table[:-LAG, 0]
                table[LAG:, 3] += 0.5 * table[:-LAG, 2] ** 2
                found = lagged_pairs(table[LAG:], options.max_lag).to_frame()
                called = {(p.x, p.y) for p in found.itertuples() if p.q_value <= 0.05}
                true = {("0", "1"), ("2", "3")}
                wrong.append(len(called - true) / max(len(called), 1))
                right.append(len(called & true) / 2)
                any_wrong.append(bool(called - true))
            rate = f"{np.mean(wrong):.3f} ± {np.std(wrong) / math.sqrt(len(wrong)):.3f}"
            print(
                f"phi {phi:g}, {n:,} rows: false discoveries {rate}, found {np.mean(right):.2f}, "
                f"any false {share(any_wrong)}",
                flush=True,
            )


def speed(options: argparse.Namespace) -> None:
    """Print the time for 12,000 rows and 101 lags, relative to the yardstick."""
    rng = np.random.default_rng(options.seed)
    x, y = dependent(rng, 12_000, 0.9, "linear", 0.5)
    before = yardstick()[1]
    for refine in (False, True):
        started = time.process_time()
        found = lags(x, y, refine=refine)
        seconds = time.process_time() - started
        unit = (before + yardstick()[1]) / 2
        print(
            f"refine={refine}: {seconds:.1f} s of a processor, ratio {seconds / unit:.1f}, {found}"
        )
    started = time.process_time()
    lag_tests(*coded(x, y), 50)
    print(f"tests alone: {time.process_time() - started:.2f} s")


def main(words: list[str] | None = None) -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = {each.__name__: each for each in (size, other, power, band, pairs, speed)}
    parser.add_argument("what", choices=[*what])
    parser.add_argument("--rows", type=int, nargs="+", default=[300, 1_000])
    parser.add_argument("--phi", type=float, nargs="+", default=PHIS)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--max-lag", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(words)
    what[options.what](options)


if __name__ == "__main__":
    main()
