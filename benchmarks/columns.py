"""One column and another: errors and times beside scikit-learn's nearest neighbours, known MI.

    python benchmarks/columns.py [--sizes 1000 10000] [--seeds 10] [--groups first new discrete]
    python benchmarks/columns.py --groups oracle screen
    python benchmarks/columns.py --groups few --sizes 200 1000 --seeds 20

`first` are the relations at which the estimate was chosen, `new` those written after it was fixed,
`discrete` tables, classes, counts, rounded values and piles of zeros. scikit-learn is told which
columns are discrete. `few` are ratings and counts (not told) and classes of 2 to 20 values beside a
continuous column. `oracle` compares, for the discrete ones, also the mean of the exact log ratio
over the rows (which needs the true distribution), and scikit-learn with its default settings, which
takes all columns but classes to be predicted as continuous. `screen` are the first and new
relations, and the discrete ones, mixed with independent rows so that the rows times the MI are 0,
1, 5 or 20: how many a quick look finds quiet, and its errors and the full ones there. `cover` is
the share of 95 % intervals that hold the truth; `ratio` divides mean absolute errors; times are
means per pair: coding both columns, estimating all pairs of a group in one call, and scikit-learn.
"""

import time
import warnings
from functools import cache

import numpy as np
import torch
from common import parser
from scipy import integrate, optimize, special, stats
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

from infobound.data.columns import columns
from infobound.tables.estimates import estimates

N = stats.norm()
UNIFORM, LAPLACE = stats.uniform(-(3**0.5), 2 * 3**0.5), stats.laplace(scale=0.5**0.5)
SKEWED, CAUCHY, T3 = stats.expon(loc=-1), stats.cauchy(), stats.t(3)


def zigzag(t):
    return 2 * np.abs(2 * (t - np.floor(t + 0.5))) - 1


def one(noise, place, scale):
    """y is a function of x's rank t plus noise."""
    return noise, [(place, scale, 1.0)]


def arc(t):
    return np.sqrt(1 - (2 * t - 1) ** 2)


def flat(value):
    return lambda t: value + 0 * t


FIRST = {
    "normal .3": one(N, lambda t: 0.3 * N.ppf(t), flat(0.91**0.5)),
    "normal .8": one(N, lambda t: 0.8 * N.ppf(t), flat(0.6)),
    "normal .98": one(N, lambda t: 0.98 * N.ppf(t), flat((1 - 0.98**2) ** 0.5)),
    "two waves": one(N, lambda t: np.sin(4 * np.pi * t), flat(0.3)),
    "five waves": one(N, lambda t: np.sin(10 * np.pi * t), flat(0.15)),
    "waves, edges": one(UNIFORM, lambda t: np.sin(8 * np.pi * t), flat(0.2)),
    "square": one(N, lambda t: N.ppf(t) ** 2, flat(0.7)),
    "circle": (N, [(arc, flat(0.1), 0.5), (lambda t: -arc(t), flat(0.1), 0.5)]),
    "cross": (N, [(lambda t: 2 * t - 1, flat(0.1), 0.5), (lambda t: 1 - 2 * t, flat(0.1), 0.5)]),
    "scale": one(N, flat(0.0), lambda t: np.exp(1.2 * N.ppf(t))),
    "edges .1": one(UNIFORM, lambda t: t, flat(0.2 / 12**0.5)),
    "edges .75": one(UNIFORM, lambda t: t, flat(1.5 / 12**0.5)),
    "Student": one(T3, T3.ppf, flat(1.0)),
    "Cauchy": one(CAUCHY, lambda t: 2 * t, flat(0.2)),
    "multiplied": one(SKEWED, lambda t: -np.log1p(-t), lambda t: -np.log1p(-t) + 0.05),
    "steps": one(LAPLACE, lambda t: np.floor(4 * t) * (-1) ** np.floor(4 * t), flat(0.5)),
    "three lines": (
        N,
        [
            (lambda t: t, flat(0.05), 0.4),
            (lambda t: t + 1, flat(0.05), 0.3),
            (lambda t: 2 - 2 * t, flat(0.1), 0.3),
        ],
    ),
    "zigzag": one(N, lambda t: zigzag(2.5 * t), flat(0.08)),
    "weak step": one(N, lambda t: 0.4 * (t > 0.8), flat(1.0)),
    "weak square": one(N, lambda t: 0.2 * N.ppf(t) ** 2, flat(1.0)),
    "outliers": (N, [(N.ppf, flat(0.1), 0.7), (flat(0.0), flat(1.0), 0.3)]),
    "root waves": one(LAPLACE, lambda t: np.sin(24 * np.sqrt(t)), lambda t: 0.1 + 0.4 * t),
}
GUMBEL = stats.gumbel_r()
NEW = {
    "normal .1": one(N, lambda t: 0.1 * N.ppf(t), flat(0.99**0.5)),
    "normal -.95": one(N, lambda t: -0.95 * N.ppf(t), flat((1 - 0.95**2) ** 0.5)),
    "logistic map": one(N, lambda t: 4 * t * (1 - t), flat(0.1)),
    "sawtooth": one(LAPLACE, lambda t: 3 * t - np.floor(3 * t), flat(0.1)),
    "chirp": one(N, lambda t: np.sin(2 * np.pi * (1 + 2 * t) * t), flat(0.4)),
    "cube": one(T3, lambda t: N.ppf(t) ** 3, flat(0.8)),
    "exponential": one(GUMBEL, lambda t: np.exp(N.ppf(t)), flat(0.6)),
    "threshold": one(N, lambda t: 2.0 * (t > 0.5), lambda t: 0.3 + 0.7 * (t > 0.5)),
    "fan": (N, [(lambda t: t, flat(0.08), 0.5), (lambda t: -t, flat(0.08), 0.5)]),
    "switch": (UNIFORM, [(lambda t: np.sin(3 * t), flat(0.3), 0.6), (flat(2.0), flat(0.5), 0.4)]),
    "weak wave": one(N, lambda t: 0.3 * np.sin(6 * np.pi * t), flat(1.0)),
    "weak scale": one(N, flat(0.0), lambda t: np.exp(0.2 * N.ppf(t))),
    "gamma sum": one(stats.gamma(1.5), stats.gamma(2.0).ppf, flat(1.0)),
    "root": one(SKEWED, lambda t: np.sqrt(t) * 3, flat(0.5)),
    "tails": (N, [(lambda t: N.ppf(t) ** 3 / 4, flat(0.5), 1.0)]),
}


@cache
def relation_mi(name, nodes=4000, each=100):
    """E log p(y|x) / p(y) over a lattice of x and stratified y; about .001 accurate."""
    noise, parts = {**FIRST, **NEW}[name]
    t, rng = (np.arange(nodes) + 0.5) / nodes, np.random.default_rng(0)
    place, scale = (np.array([part[k](t) for part in parts]) for k in range(2))
    weight = np.array([part[2] for part in parts])
    u = (
        rng.permuted(np.tile(np.arange(each), (nodes, 1)), axis=1) + rng.random((nodes, each))
    ) / each
    part, row = rng.choice(len(parts), p=weight, size=u.shape), np.arange(nodes)[:, None]
    y = place[part, row] + scale[part, row] * noise.ppf(u)

    def density(at, nodes_of):
        z = (at - place[:, nodes_of, None]) / scale[:, nodes_of, None]
        return np.tensordot(weight, noise.pdf(z) / scale[:, nodes_of, None], 1)

    given = np.concatenate(
        [density(y[k : k + 500], np.arange(k, k + 500)) for k in range(0, nodes, 500)]
    )
    grid = np.unique(np.quantile(y, np.linspace(0, 1, 3001)))
    margin = sum(density(grid, np.arange(k, k + 200)).sum(0) for k in range(0, nodes, 200)) / nodes
    return float(np.mean(np.log(given) - np.log(np.interp(y, grid, margin))))


@cache
def weakened(name, nodes=2000, levels=1000):
    """Densities over the product of the margins on a lattice of x and quantiles of y."""
    noise, parts = {**FIRST, **NEW}[name]
    t = (np.arange(nodes) + 0.5) / nodes
    place, scale = (np.array([part[k](t) for part in parts])[:, :, None] for k in range(2))
    weight = np.array([part[2] for part in parts])
    _, y = relation(name)[1](200 * levels, np.random.default_rng(0))
    y = np.quantile(y, (np.arange(levels) + 0.5) / levels)
    given = np.tensordot(weight, noise.pdf((y - place) / scale) / scale, 1)
    ratio = given / given.mean(0)
    return ratio / np.maximum(ratio.mean(1, keepdims=True), 1e-9)


@cache
def mixed(name):
    """The same for rows of a discrete relation, whose y are permuted."""
    _, draw, _, _, ratio = GROUPS["discrete"][name]
    rng = np.random.default_rng(0)
    x, y = map(np.asarray, draw(60_000, rng))
    with np.errstate(divide="ignore"):
        found = np.nan_to_num(np.exp(ratio(x, rng.permutation(y))), posinf=0.0)
    return found / found.mean()


def share_of(ratios, mi):
    """The share of rows of a relation among independent ones that gives an MI, and that MI."""

    def of(share):
        mixture = 1 + share * (ratios - 1)
        return float(np.mean(special.xlogy(mixture, mixture)))

    share = optimize.brentq(lambda s: of(s) - mi, 0, 1) if of(1) > mi else 1.0
    return share, of(share)


def relation(name):
    noise, parts = {**FIRST, **NEW}[name]

    def draw(n, rng):
        t = rng.random(n)
        part, row = rng.choice(len(parts), p=[part[2] for part in parts], size=n), np.arange(n)
        place, scale = (np.array([part[k](t) for part in parts]) for k in range(2))
        return t, place[part, row] + scale[part, row] * noise.ppf(rng.random(n))

    return lambda: relation_mi(name), draw, "", "", None


# Discrete, mixed, tied and zero-inflated: the truth, a sample, which sides are categories, and the
# log ratio of the joint density to the product of the margins.


def entropy(shares):
    return float(stats.entropy(np.asarray(shares)))


def table_mi(table):
    return entropy(table.sum(0)) + entropy(table.sum(1)) - entropy(table.ravel())


def table_ratio(table):
    return np.log(table / np.outer(table.sum(1), table.sum(0)))


def table(shares):
    def draw(n, rng):
        cell = rng.choice(shares.size, p=shares.ravel(), size=n)
        return cell // shares.shape[1], cell % shares.shape[1]

    return lambda: table_mi(shares), draw, "x", "y", lambda x, y: table_ratio(shares)[x, y]


def of_classes(shares, means, spreads):
    """A class, and a normal in each."""
    means, spreads = np.asarray(means), np.asarray(spreads)

    def truth():
        def margin(y):
            return float(np.sum(shares * stats.norm.pdf(y, means, spreads)))

        ends = (means - 9 * spreads).min(), (means + 9 * spreads).max()
        at = np.linspace(*ends, 200_001)
        p = np.tensordot(shares, stats.norm.pdf(at, means[:, None], spreads[:, None]), 1)
        whole = -float(integrate.simpson(p * np.log(np.maximum(p, 1e-300)), x=at))
        return whole - float(np.sum(shares * (0.5 * np.log(2 * np.pi * np.e) + np.log(spreads))))

    def draw(n, rng):
        k = rng.choice(len(shares), p=shares, size=n)
        return k, means[k] + spreads[k] * rng.normal(size=n)

    def ratio(k, y):
        given = stats.norm.pdf(y[:, None], means, spreads)
        return np.log(given[np.arange(len(k)), k] / (given @ shares))

    return truth, draw, "x", "", ratio


def counts():
    """Counts of rate e^z, and z."""
    z, k = N.ppf((np.arange(20_000) + 0.5) / 20_000), np.arange(400)

    def truth():
        p = stats.poisson.pmf(k[:, None], np.exp(z))
        return entropy(p.mean(1)) - float(np.mean(stats.entropy(p)))

    def draw(n, rng):
        at = rng.normal(size=n)
        return at, rng.poisson(np.exp(at))

    def ratio(at, count):
        margin = stats.poisson.pmf(np.arange(count.max() + 1)[:, None], np.exp(z)).mean(1)
        return stats.poisson.logpmf(count, np.exp(at)) - np.log(margin[count])

    return truth, draw, "", "", ratio


def rounded(rho, step):
    """A pair of normals, rounded."""
    edges = np.concatenate([[-9], np.arange(-4 + step / 2, 4, step), [9]])

    def joint():
        t = N.ppf((np.arange(40_000) + 0.5) / 40_000)
        given = np.diff(N.cdf((edges[:, None] - rho * t) / np.sqrt(1 - rho**2)), axis=0)
        side = np.clip(np.searchsorted(edges, t) - 1, 0, len(edges) - 2)
        return np.stack([given[:, side == k].sum(1) for k in range(len(edges) - 1)]) / len(t)

    def draw(n, rng):
        x, noise = rng.normal(size=(2, n))
        y = rho * x + np.sqrt(1 - rho**2) * noise
        return tuple(np.clip(np.round(each / step) * step, -4, 4) for each in (x, y))

    def ratio(*sides):
        i, j = (np.clip(np.searchsorted(edges, each) - 1, 0, len(edges) - 2) for each in sides)
        return table_ratio(joint())[i, j]

    return lambda: table_mi(joint()), draw, "", "", ratio


def zeros(both, rho):
    """Piles of zeros on both sides; where neither is zero, a normal copula."""

    def draw(n, rng):
        cell = rng.choice(4, p=both.ravel(), size=n)
        x, noise = rng.normal(size=(2, n))
        y = rho * x + np.sqrt(1 - rho**2) * noise
        return np.where(cell // 2, np.exp(x), 0), np.where(cell % 2, np.exp(y), 0)

    def ratio(x, y):
        i, j = ((each > 0).astype(int) for each in (x, y))
        u, v = (np.log(np.where(each > 0, each, 1)) for each in (x, y))
        copula = (2 * rho * u * v - rho**2 * (u**2 + v**2)) / (1 - rho**2) - np.log(1 - rho**2)
        return table_ratio(both)[i, j] + np.where(i & j, copula / 2, 0)

    return lambda: table_mi(both) - both[1, 1] * np.log(1 - rho**2) / 2, draw, "", "", ratio


def dropout(n_nodes=4000):
    """y is zero with a probability that falls with x, else x plus noise."""
    z = N.ppf((np.arange(n_nodes) + 0.5) / n_nodes)
    gone = 1 / (1 + np.exp(2 * z))

    def truth():
        grid = np.linspace(-7, 7, 4001)
        dense = (1 - gone)[:, None] * stats.norm.pdf(grid, z[:, None], 0.7)
        margin, share = dense.mean(0), gone.mean()
        part = integrate.simpson(-margin * np.log(np.maximum(margin, 1e-300)), x=grid)
        whole = float(part) - share * np.log(share)
        own = (1 - gone) * (
            0.5 * np.log(2 * np.pi * np.e * 0.49) - np.log(1 - gone)
        ) - gone * np.log(gone)
        return whole - float(own.mean())

    def draw(n, rng):
        at = rng.normal(size=n)
        lost = rng.random(n) < 1 / (1 + np.exp(2 * at))
        return at, np.where(lost, -9.0, at + 0.7 * rng.normal(size=n))

    def ratio(at, y):
        own = 1 / (1 + np.exp(2 * at))
        grid = np.linspace(-7, 7, 4001)
        dense = ((1 - gone)[:, None] * stats.norm.pdf(grid, z[:, None], 0.7)).mean(0)
        seen = np.log((1 - own) * stats.norm.pdf(y, at, 0.7) / np.interp(y, grid, dense))
        return np.where(y == -9, np.log(own / gone.mean()), seen)

    return truth, draw, "", "", ratio


def window():
    """x one of five whole numbers, y uniform on [x, x + 2] (Gao et al. 2017, arXiv 1709.06212)."""

    def draw(n, rng):
        x = rng.integers(5, size=n)
        return x, x + 2 * rng.random(n)

    def ratio(x, y):
        holds = (np.arange(5) <= y[:, None]) & (y[:, None] <= np.arange(5) + 2)
        return np.log(5 / holds.sum(1))

    return lambda: np.log(5) - 0.8 * np.log(2), draw, "", "", ratio


def dirichlet(p, q, seed):
    return np.random.default_rng(seed).dirichlet(np.ones(p * q)).reshape(p, q)


def graded(k, given):
    """A normal, and a value from 0 to k - 1 whose distribution it gives, (n,) to (n, k)."""
    z = N.ppf((np.arange(20_000) + 0.5) / 20_000)

    def truth():
        shares = given(z)
        return entropy(shares.mean(0)) - float(np.mean(stats.entropy(shares, axis=1)))

    def draw(n, rng):
        at = rng.normal(size=n)
        below = given(at).cumsum(1)[:, : k - 1]
        return at, (rng.random((n, 1)) > below).sum(1)

    return truth, draw, "", "", None


def rating(k, rho):
    """Intervals of a normal that has the correlation rho with the other one."""
    cuts = N.ppf(np.cumsum(np.arange(k, 0, -1.0))[:-1] / (k * (k + 1) / 2))

    def given(at):
        inner = N.cdf((cuts - rho * at[:, None]) / np.sqrt(1 - rho**2))
        return np.diff(inner, axis=1, prepend=0, append=1)

    return graded(k, given)


def trough(k, steep):
    """Binomial counts that are small in the middle and large on both sides."""

    def given(at):
        share = 0.2 + 0.6 * np.tanh(steep * at) ** 2
        return stats.binom.pmf(np.arange(k), k - 1, share[:, None])

    return graded(k, given)


def several(k, apart):
    """A class with a random share, place and spread."""
    rng = np.random.default_rng(k)
    places, spreads = apart * rng.normal(size=k), np.exp(0.3 * rng.normal(size=k))
    return of_classes(rng.dirichlet(np.full(k, 3.0)), places, spreads)


FEW = {
    **{
        f"rating {k}, {rho}": rating(k, rho)
        for k in (2, 3, 5, 10, 20)
        for rho in (0, 0.3, 0.7, 0.95)
    },
    **{f"trough {k}, {at}": trough(k, at) for k in (3, 6, 12, 20) for at in (0.5, 2)},
    **{f"classes {k}, {at}": several(k, at) for k in (2, 4, 8, 16) for at in (0.5, 2)},
}
GROUPS = {
    "first": {name: relation(name) for name in FIRST},
    "new": {name: relation(name) for name in NEW},
    "discrete": {
        "binary": table(np.array([[0.4, 0.1], [0.1, 0.4]])),
        "5 x 5": table(dirichlet(5, 5, 1)),
        "12 x 3": table(dirichlet(12, 3, 2)),
        "3 classes": of_classes(np.array([0.5, 0.3, 0.2]), [0, 1.5, 3], [1, 1, 0.5]),
        "2 classes, scale": of_classes(np.array([0.5, 0.5]), [0, 0], [1, 3]),
        "40 classes": of_classes(
            np.full(40, 1 / 40), 1.5 * N.ppf((np.arange(40) * 17 % 40 + 0.5) / 40), np.ones(40)
        ),
        "counts": counts(),
        "rounded": rounded(0.7, 0.5),
        "both zeros": zeros(np.array([[0.45, 0.15], [0.1, 0.3]]), 0.8),
        "zeros apart": zeros(np.array([[0.3, 0.3], [0.2, 0.2]]), 0.6),
        "dropout": dropout(),
        "window": window(),
    },
}


def neighbours(x, y, of_x, of_y):
    """scikit-learn's estimate, told which sides are categories."""
    if of_y or of_x:
        target, other, discrete = (y, x, bool(of_x)) if of_y else (x, y, False)
        return mutual_info_classif(
            other[:, None], target, discrete_features=discrete, random_state=0
        )[0]
    return mutual_info_regression(x[:, None], y, discrete_features=False, random_state=0)[0]


def measured(tasks, n, seeds):
    """By task: its MI, the errors (seeds, 2) and the share covered; and seconds per pair."""
    samples = [
        (name, *tasks[name][1](n, np.random.default_rng([seed, n, 77])))
        for name in tasks
        for seed in range(seeds)
    ]
    sides = {name: [side for side in task[2:4] if side] for name, task in tasks.items()}
    times = [time.process_time()]
    pairs = [tuple(columns({"x": x, "y": y}, categorical=sides[k])) for k, x, y in samples]
    times.append(time.process_time())
    found = estimates(pairs)
    times.append(time.process_time())
    others = [neighbours(np.asarray(x), np.asarray(y), *tasks[k][2:4]) for k, x, y in samples]
    times.append(time.process_time())
    rows = {}
    for place, name in enumerate(tasks):
        mi, part = tasks[name][0](), slice(place * seeds, (place + 1) * seeds)
        values = [(own.mi, other) for own, other in zip(found[part], others[part], strict=True)]
        covered = np.mean([own.low <= mi <= own.high for own in found[part]])
        rows[name] = mi, np.array(values) - mi, covered
    return rows, np.diff(times) / len(samples)


def by_default(x, y, of_y):
    """scikit-learn's estimate with its default settings."""
    way = mutual_info_classif if of_y else mutual_info_regression
    return way(x[:, None].astype(float), y, random_state=0)[0]


def oracle(n, seeds):
    """Mean errors beside those of the mean of the exact log ratio over the same rows."""
    print("own, exact log ratio, scikit-learn: told, by default")
    found = []
    for name, (truth, draw, of_x, of_y, ratio) in GROUPS["discrete"].items():
        mi, errors = truth(), []
        for seed in range(seeds):
            x, y = map(np.asarray, draw(n, np.random.default_rng([seed, n, 77])))
            pair = tuple(columns({"x": x, "y": y}, categorical=[s for s in (of_x, of_y) if s]))
            values = [estimates([pair])[0].mi, ratio(x, y).mean()]
            values += [neighbours(x, y, of_x, of_y), by_default(x, y, of_y)]
            errors.append(np.abs(np.array(values) - mi))
        found.append(np.mean(errors, 0))
        print(f"{name:18} {mi:.3f}  " + "  ".join(f"{each:.4f}" for each in found[-1]), flush=True)
    means = np.mean(found, 0)
    print(f"{'mean':18}        " + "  ".join(f"{each:.4f}" for each in means))
    print(
        f"as a share of scikit-learn, told: own {means[0] / means[2]:.2f}, exact log ratio", end=" "
    )
    print(f"{means[1] / means[2]:.2f}; by default: {means[0] / means[3]:.2f}\n", flush=True)


def screened(n, seeds):
    """Pairs with little information: how many are quiet, and the errors of these."""
    print("rows times MI, share of quiet pairs; their error, full error, bias, high, covers")
    for groups, of in ((("first", "new"), weakened), (("discrete",), mixed)):
        for times in (0, 1, 5, 20):
            found, count = [], 0
            for name, task in ((k, v) for group in groups for k, v in GROUPS[group].items()):
                share, mi = share_of(of(name), times / n) if times else (0.0, 0.0)
                for seed in range(seeds):
                    rng = np.random.default_rng([seed, n, times])
                    (x, y), (_, other) = (map(np.asarray, task[1](n, rng)) for _ in range(2))
                    y = np.where(rng.random(n) < share, y, other)
                    codes = [side for side in task[2:4] if side]
                    pair = tuple(columns({"x": x, "y": y}, categorical=codes))
                    [one] = estimates([pair], quick=[True])
                    count += one.method != "counts"
                    if one.method == "screen":
                        [full] = estimates([pair])
                        ends = [each.low <= mi <= each.high for each in (one, full)]
                        errors = [one.mi - mi, full.mi - mi]
                        found.append([*np.abs(errors), errors[0], one.high, *ends])
            if not found:
                print(f"{'+'.join(groups):9} {times:3}  none is quiet")
                continue
            error, full, bias, high, *cover = np.mean(found, 0)
            print(f"{'+'.join(groups):9} {times:3}  {len(found) / count:.2f}", end="  ")
            print(f"{error:.5f} {full:.5f}  {bias:+.5f} {high:.5f}", end="  ")
            print(f"{cover[0]:.2f} {cover[1]:.2f}", flush=True)


def independent(n, seeds):
    """The mean of the estimates of independent columns, by kind."""
    kinds = {
        "normal": lambda rng: rng.normal(size=n),
        "binary": lambda rng: rng.integers(2, size=n),
        "counts": lambda rng: rng.poisson(3, size=n),
        "zeros": lambda rng: rng.exponential(size=n) * (rng.random(n) < 0.4),
        "codes": lambda rng: rng.integers(30, size=n),
    }
    for first in kinds:
        for second in list(kinds)[list(kinds).index(first) :]:
            found = []
            for seed in range(seeds):
                rng = np.random.default_rng([seed, n, 5])
                pair = columns({"x": kinds[first](rng), "y": kinds[second](rng)})
                found.append(estimates([tuple(pair)])[0])
            mi = np.array([each.mi for each in found])
            inside = np.mean([each.low <= 0 <= each.high for each in found])
            error = mi.std() / np.sqrt(seeds)
            print(f"{first + ', ' + second:20} {mi.mean():+.5f} +- {error:.5f}, cover {inside:.2f}")


def main(arguments=None):
    options_of = parser(__doc__, saves=False)
    options_of.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000])
    options_of.add_argument("--seeds", type=int, default=10)
    options_of.add_argument("--groups", nargs="*", default=[*GROUPS, "independent"])
    options = options_of.parse_args(arguments)
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    for n in options.sizes:
        for group in options.groups:
            tasks = FEW if group == "few" else GROUPS.get(group)
            if group == "screen":
                print(f"screen, {n:,} rows")
                screened(n, options.seeds)
                continue
            if group == "oracle":
                print(f"discrete, {n:,} rows: mean errors", end=" ")
                oracle(n, options.seeds)
                continue
            if group == "independent":
                print(f"independent, {n:,} rows")
                independent(n, 4 * options.seeds)
                continue
            print(f"{group}, {n:,} rows: truth, bias and mean error, those of scikit-learn, cover")
            rows, seconds = measured(tasks, n, options.seeds)
            for name, (mi, errors, cover) in rows.items():
                (bias, other_bias), (own, other) = errors.mean(0), np.abs(errors).mean(0)
                print(f"{name:18} {mi:.3f}  {bias:+.4f} {own:.4f}", end="  ")
                print(f"{other_bias:+.4f} {other:.4f}  {cover:.2f}")
            own, other = np.mean([np.abs(errors).mean(0) for _, errors, _ in rows.values()], 0)
            cover = np.mean([cover for *_, cover in rows.values()])
            coded, taken, neighbours_took = 1e3 * seconds
            print(
                f"mean error {own:.4f} of {other:.4f}: ratio {own / other:.2f}, cover {cover:.2f}; "
                f"ms {coded:.1f} + {taken:.1f} of {neighbours_took:.1f}: "
                f"ratio {(coded + taken) / neighbours_took:.2f}\n",
                flush=True,
            )


if __name__ == "__main__":
    main()
