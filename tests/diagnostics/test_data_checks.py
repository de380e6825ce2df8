"""What is planted in rows is found and named; rows without it are left in peace."""

import numpy as np
import pytest
from scipy.special import entr
from scipy.stats import norm, rankdata

from infobound.data import as_pair
from infobound.diagnostics import data_checks


def pair(seed=0, n=500, columns=2):
    """Normal rows, x (n, columns) and y (n, 2), weakly dependent."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, columns))
    return x, 0.5 * x[:, :2] + rng.normal(size=(n, 2))


def series(phi, seed, n=500):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n + 50, 2))
    for t in range(1, n + 50):
        rows[t] += phi * rows[t - 1]
    return as_pair(rows[50:, 0], rows[50:, 1])


MARGINS = {
    "normal": lambda z: z,
    "Cauchy": lambda z: z / np.roll(np.abs(z), 1, axis=1),
    "lognormal": lambda z: np.exp(3 * z),
    "rare": lambda z: (z > 2).astype(float),
    "counts": lambda z: np.floor(np.exp(z)),
    "rounded": lambda z: z.round(1),
}


@pytest.mark.parametrize("margin", MARGINS)
def test_independent_rows_are_no_series_at_any_margin(margin):
    # y = x: both sides follow the order together, so one side's chance is the pair's.
    draws = (np.random.default_rng(seed).normal(size=(200, 8)) for seed in range(200))
    pairs = (as_pair(rows, rows) for rows in map(MARGINS[margin], draws))
    assert sum(data_checks.serial(p) is not None for p in pairs) <= 2  # at most 1 %


def test_a_series_is_one_and_one_side_alone_is_none():
    assert sum(data_checks.serial(series(0.3, seed)) is not None for seed in range(40)) >= 39
    found = data_checks.serial(series(0.6, 0))
    assert [side.lag for side in found] == [1, 1]
    assert found[0].correlation == pytest.approx(0.58, abs=0.1)
    noise = np.random.default_rng(1).normal(size=500)
    assert data_checks.serial(as_pair(series(0.9, 0).x, noise)) is None


def test_a_drift_is_a_series_and_names_the_row_number():
    x, y = pair()
    drift = np.linspace(0, 2, 500)[:, None]
    found = data_checks.serial(as_pair(x + drift, y + drift))
    assert found is not None
    assert "row number" in str(found[0])


def test_sorted_rows_are_told_from_a_series():
    x, y = pair()
    labels = np.digitize(y[:, 0], [-1, 1])
    for order, values in ((np.argsort(-y[:, 0]), y), (np.argsort((labels + 1) % 3), labels)):
        rows = as_pair(x[order], values[order])
        assert data_checks.serial(rows) is not None
        assert data_checks.sorted_by(rows, data_checks.columns(rows)) == "y[0]"
    plain = as_pair(x, y)
    assert data_checks.sorted_by(plain, data_checks.columns(plain)) is None


@pytest.mark.parametrize(
    ("n", "leak", "text"),
    [
        (60, lambda v, e: 3 - 2 * v, "in the same order"),
        (60, lambda v, e: np.exp(v).round(6), "in the same order"),
        (60, lambda v, e: (v > 0) + 0.0, None),  # determined, but its MI is finite
        (1000, lambda v, e: v**2, "function"),
        (3000, lambda v, e: np.sin(2 * v), "function"),
        (3000, lambda v, e: v**2 + 0.001 * e, "function"),
        (3000, lambda v, e: v**2 + 0.1 * e, None),
        (3000, lambda v, e: v + 0.05 * e, None),
        (3000, lambda v, e: np.tan(1.5 * np.arctan(e)) + 0.01 * v, None),
    ],
)
def test_leaks_are_found_from_either_side(n, leak, text):
    rng = np.random.default_rng(0)
    v, e, other = rng.normal(size=(3, n))
    columns = np.stack([other, leak(v, e)], axis=1)
    for rows in (as_pair(v, columns), as_pair(columns, v)):
        found = data_checks.leaks(rows, data_checks.columns(rows))
        assert len(found) == (text is not None)
        assert text is None or text in found[0].what


def test_equal_columns_of_a_few_ones_are_no_leak():
    one, many = np.zeros(60), np.arange(60) % 2
    one[7] = 1
    for column, count in ((one, 0), (many, 1)):
        rows = as_pair(column, np.stack([column, np.ones(60)], axis=1))
        assert len(data_checks.leaks(rows, data_checks.columns(rows))) == count


def test_copies_are_counted_within_and_across_folds():
    x, y = pair(n=50)
    rows = as_pair(np.r_[x, x[:7]], np.r_[y, y[:7]])
    assert data_checks.repeated_rows(rows) == 7
    assert data_checks.repeated_rows(as_pair(x, y)) == 0
    fold = np.arange(57) % 4
    fold[50:] = fold[:7]
    assert data_checks.copies_across(rows, fold) == 0
    fold[50:53] += 1
    assert data_checks.copies_across(rows, fold) == 6
    zeros = as_pair([0.0, -0.0, 1.0], [1.0, 1.0, 1.0])
    assert data_checks.repeated_rows(zeros) == 1


def copied(x, y):
    rows = as_pair(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    return len(data_checks.copied_rows(rows, data_checks.columns(rows)))


def drawn(kind, rng, n=500):
    """Rows in which something is discrete, and which are no copies."""
    z, noise = rng.normal(size=(2, n))
    groups = rng.integers(10, size=n)
    pile = rng.random(n) < 0.6
    digits = 10.0 ** (3 - np.floor(np.log10(np.exp(z))))
    return {
        "determined by groups": (groups, groups >= 5),
        "recoded": (groups, 7 * groups % 11),
        "shared zeros": (np.where(pile, 0, np.exp(z)), np.where(pile, 0, np.exp(z + noise))),
        "two decimals, a class": (z.round(2), z + noise > 0),
        "four digits, determined": (np.round(np.exp(z) * digits) / digits, z > 0),
        "log counts, determined": (np.log1p(rng.poisson(np.exp(z + 6))), z > 0),
        "scaled": (0.37 * z.round(2) - 1 / 3, z > 0),
        "partly rounded": (np.where(pile, z, z.round(1)), z > 0),
        "censored": (z.clip(-1, 1), z.clip(-1, 1) + noise.clip(-1, 1).round()),
        "half precision": (z.astype(np.float16), z > 0),
    }[kind]


KINDS = (
    *("determined by groups", "recoded", "shared zeros", "two decimals, a class"),
    *("four digits, determined", "log counts, determined", "scaled", "partly rounded"),
    *("censored", "half precision"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_meet_by_chance_are_no_copies(kind):
    found = [copied(*drawn(kind, np.random.default_rng(seed))) for seed in range(15)]
    assert sum(count > 0 for count in found) == 0


@pytest.mark.parametrize(
    ("draw", "least"),
    [
        (lambda rng, n: rng.integers(n, size=n), 20),  # with replacement
        (lambda rng, n: np.r_[np.arange(n), np.arange(n)], 20),  # a file read twice
        (lambda rng, n: np.r_[np.arange(n), rng.integers(n, size=n // 20)], 18),
        (lambda rng, n: np.r_[np.arange(n), rng.integers(n, size=n // 50)], 14),
    ],
)
@pytest.mark.parametrize("discrete", [False, True])
def test_copies_are_found_also_beside_discrete_columns(draw, least, discrete):
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(500, 4))
        x, y = z[:, :3], z[:, 3:] + z[:, :1]
        if discrete:
            x, y = np.c_[z[:, 0], z[:, 1].round(1), z[:, 2] > 0], np.digitize(y, [-1, 0, 1])
        rows = draw(rng, 500)
        found += copied(x[rows], y[rows]) > 0
        assert copied(x, y) == 0
    assert found >= least


def test_whole_numbers_are_codes_only_where_their_order_means_little():
    rng = np.random.default_rng(0)
    byte = rng.integers(256, size=2000)
    weight = np.unpackbits(byte.astype(np.uint8)[:, None], axis=1).sum(axis=1)
    group, noise = rng.integers(40, size=2000), rng.normal(size=2000)
    effect = rng.normal(size=40)[group]
    age, count = rng.normal(45, 15, size=2000).round(), rng.poisson(40, size=2000)
    tail = rng.poisson(np.exp(1.2 * rng.normal(size=2000) + 1))

    def named(x, y):
        rows = as_pair(x, y)
        return [c.name for c in data_checks.unordered_columns(rows, data_checks.columns(rows))]

    assert named(byte, np.c_[noise, weight + noise]) == ["x[0]"]
    assert named(effect + 0.5 * noise, group) == ["y[0]"]
    assert named(group, effect > 0) == []  # a contingency table is fitted, whatever the order
    assert named(np.arange(2000) % 21, noise) == []
    for whole in (age, count, tail, byte, group):
        scaled = (whole - whole.mean()) / whole.std()
        for y in (
            scaled,
            scaled**2,
            np.abs(scaled),
            np.sin(2 * scaled),
            np.exp(scaled),
            scaled > 0,
        ):
            assert named(whole, y + 0.1 * noise) == []
        assert named(whole, np.exp(scaled) * noise) == []


def test_copied_and_constant_columns_are_named():
    x, y = pair()
    rows = as_pair(np.stack([np.ones(500), x[:, 0], x[:, 0], np.ones(500)], axis=1), y)
    assert data_checks.constant_columns(data_checks.columns(rows)) == ("x[0]", "x[3]")
    assert data_checks.duplicated_columns(rows) == ("x[1] = x[2]",)


def test_groups_are_told_from_counts_and_rounding():
    x, y = pair()
    subjects = np.repeat(x[:100], 5, axis=0)
    order = np.random.default_rng(1).permutation(500)
    for rows in (as_pair(subjects[order], y), as_pair(y, subjects[order])):
        found = data_checks.grouped_rows(rows, data_checks.columns(rows))
        assert (found.count, found.rows) == (100, 500)
    counts = np.floor(np.exp(3 + 0.5 * x))
    pile = np.where(x < 1, 0.123, x)
    for values in (x, counts, np.log(counts + 1), np.sqrt(counts), x.round(1), pile, x > 0):
        for side in (values, values[:, 0]):
            rows = as_pair(side, y)
            assert data_checks.grouped_rows(rows, data_checks.columns(rows)) is None
    whole = as_pair(subjects, np.repeat(y[:100], 5, axis=0))  # whole rows are copies instead
    assert data_checks.grouped_rows(whole, data_checks.columns(whole)) is None


def test_a_pile_is_tied_and_rounding_only_where_it_is_coarse():
    x, y = pair()
    pile = np.where(x[:, 0] < -1, 0, x[:, 0])
    columns = data_checks.columns(as_pair(np.stack([pile, x[:, 1].round(1)], axis=1), y))
    [(name, share)] = data_checks.tied_columns(columns, mi=0.2)
    assert name == "x[0]"
    assert share == pytest.approx((pile == 0).mean())
    assert [name for name, _ in data_checks.tied_columns(columns, mi=2.0)] == ["x[0]", "x[1]"]


def test_rounding_hides_what_its_docstring_says():
    # Exact MI of a normal pair, y in bins: at L values over 5 standard deviations, by quadrature.
    rho = np.sqrt(1 - np.exp(-2 * 2.0))  # 2 nats
    width = 5 / (20 * np.exp(2.0))
    edges = np.arange(-9, 9, width)
    x, weight = np.linspace(-6, 6, 401), norm.pdf(np.linspace(-6, 6, 401)) * 12 / 400
    cells = np.diff(norm.cdf((edges[:, None] - rho * x) / np.sqrt(1 - rho**2)), axis=0)
    entropy = entr(np.diff(norm.cdf(edges))).sum() - (entr(cells).sum(axis=0) * weight).sum()
    assert 2.0 - entropy == pytest.approx(0.0026, abs=0.0005)


def test_codes_are_named_unless_a_table_is_made():
    x, y = pair()
    labels = np.digitize(y[:, 0], [-1, 0, 1])
    rows = as_pair(x, labels)
    assert data_checks.coded_columns(rows, data_checks.columns(rows)) == ("y[0]",)
    for other in (as_pair(np.digitize(x[:, 1], [0]), labels), as_pair(x, labels / 2)):
        assert data_checks.coded_columns(other, data_checks.columns(other)) == ()


@pytest.mark.parametrize(
    ("plant", "text"),
    [
        ({3: -999.0}, "-999 in 1 row"),
        ({3: 77.0, 4: 77.0, 9: 77.0}, "77 in 3 rows"),
        ({3: 77.0}, None),  # far out, but once and no code
        ({3: 1e9}, "1e+09 or beyond in 1 row"),
        ({3: -4e9, 5: 2e9}, "beyond in 2 rows"),
        ({}, None),
    ],
)
def test_codes_and_errors_among_values(plant, text):
    x, y = pair()
    for row, value in plant.items():
        x[row, 1] = value
    found = data_checks.outlier_columns(data_checks.columns(as_pair(x, y)))
    assert [name for name, _ in found] == ["x[1]"] * (text is not None)
    assert text is None or text in found[0][1]


def test_heavy_tails_and_counts_are_no_outliers():
    rng = np.random.default_rng(0)
    said = 0
    for _ in range(200):
        heavy = rng.standard_cauchy(size=(500, 4))
        rows = as_pair(
            heavy, np.stack([np.exp(3 * heavy[:, 0].clip(-3, 3)), rng.poisson(40, 500)]).T
        )
        said += bool(data_checks.outlier_columns(data_checks.columns(rows)))
    assert said <= 2


def test_ties_share_their_ranks_as_in_scipy():
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(0, 9, 50), rng.normal(size=50), np.full(50, -0.0)])
    for column in rows.T:
        assert np.array_equal(data_checks._mid_ranks(column), rankdata(column))
