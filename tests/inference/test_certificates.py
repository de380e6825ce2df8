"""Certificates: the mean of a bet, exactly; coverage, over seeds; and what breaks it."""

import itertools
import math

import numpy as np
import pytest

from infobound.errors import InputError
from infobound.inference.certificates import (
    Bet,
    Block,
    _bet,
    _BetSearch,
    certificate,
    choose_bet,
    log_wealth,
)

WIDE = Bet(slope=1.0, shift=0.0, floor=-12.0, cap=6.0, share=0.9)


def rng(seed):
    return np.random.default_rng(seed)


def information(table):
    """I(X;Y) of a table of probabilities and its log ratios, nats."""
    with np.errstate(divide="ignore"):
        ratios = np.log(table / np.outer(table.sum(1), table.sum(0)))
    return float((table * np.where(table > 0, ratios, 0)).sum()), ratios


def mean_factor(table, critic, bet, mi):
    """The exact mean of a bet's factor over two independent rows of a table."""
    total = 0.0
    cells = [cell for cell in np.ndindex(table.shape) if table[cell] > 0]
    for a, b in cells:
        for c, d in cells:
            values = bet.values(
                np.array([critic[a, b], critic[c, d]]), np.array([critic[a, d], critic[c, b]])
            )
            total += table[a, b] * table[c, d] * math.exp(bet.log_factors(values, mi))
    return total


def normals(rng, n, rho, d=1):
    x = rng.normal(size=(n, d))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.normal(size=(n, d))


def exact(x, y, rho):
    own = (x**2).sum(1)[:, None] + (y**2).sum(1)
    return (rho * x @ y.T - rho**2 * own / 2) / (1 - rho**2) - x.shape[1] / 2 * math.log(1 - rho**2)


def fitted(x, y):
    """A linear map from x to y by least squares, as a critic; more columns memorise more."""
    weights = np.linalg.lstsq(x, y, rcond=None)[0]
    return lambda a, b: 3 * (a @ weights) @ b.T


@pytest.mark.parametrize("seed", range(30))
def test_no_bet_gains_on_average_against_the_truth(seed):
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(12, rng.choice([0.2, 1.0]))).reshape(4, 3)
    mi, ratios = information(table)
    critic = ratios if seed % 3 == 0 else 3 * rng.normal(size=(4, 3))
    floor, cap = -rng.uniform(0.1, 5), rng.uniform(0, 3)
    bet = Bet(rng.uniform(0.2, 2), rng.normal(), floor, cap, rng.uniform(0, 1))
    assert mean_factor(table, critic, bet, mi) <= 1 + 1e-12


def test_a_bet_with_the_exact_critic_is_fair_and_gains_against_less():
    table = np.array([[0.3, 0.1, 0.05], [0.05, 0.2, 0.3]])
    mi, ratios = information(table)
    assert mean_factor(table, ratios, WIDE, mi) == pytest.approx(1, abs=1e-12)
    assert mean_factor(table, ratios, WIDE, mi - 0.01) > 1


def test_the_wealth_is_never_negative_and_falls_with_the_mi():
    bet = Bet(slope=1.0, shift=0.5, floor=-2.0, cap=1.5, share=0.99)
    extreme = bet.values(np.array([-9.0, -math.inf]), np.array([9.0, 99.0]))
    assert extreme == pytest.approx(bet.least)
    assert bet.log_factors(extreme, 1.0) == pytest.approx(math.log(0.01))
    wealth = log_wealth(np.random.default_rng(0).normal(size=(31, 31)), bet, rng(1))
    logs = [wealth(mi) for mi in np.linspace(0, 4, 9)]
    assert logs == sorted(logs, reverse=True)


def test_the_mean_wealth_is_one_for_the_exact_critic_and_it_rarely_reaches_twenty():
    table = np.array([[0.375, 0.125], [0.125, 0.375]])
    mi, ratios = information(table)
    bet = Bet(slope=1.0, shift=0.0, floor=-0.7, cap=0.41, share=0.9)  # bold, and clips nothing
    wealth = []
    for seed in range(1500):
        cells = rng(seed).choice(4, size=80, p=table.ravel())
        scores = ratios[cells // 2][:, cells % 2]
        wealth.append(math.exp(log_wealth(scores, bet, rng(seed + 10_000))(mi)))
    error = np.std(wealth) / math.sqrt(len(wealth))
    assert error < 0.15
    assert abs(np.mean(wealth) - 1) < 3 * error
    assert np.mean(np.array(wealth) >= 20) <= 0.05


@pytest.mark.parametrize(("rho", "d", "least", "most"), [(0.9, 6, 2.4, 3.0), (0.9, 1, 0.4, 0.8)])
def test_the_exact_critic_certifies_much_and_not_too_much(rho, d, least, most):
    values = []
    for seed in range(8):
        x, y = normals(rng(seed), 300, rho, d)
        scores = exact(x, y, rho)
        values.append(certificate([Block(scores[100:, 100:], scores[:100, :100])], seed=seed))
    assert least < np.mean(values) < most


def test_blocks_certify_more_together_than_one_alone():
    x, y = normals(rng(0), 400, 0.9, 3)
    tuning = exact(x[:100], y[:100], 0.9)
    parts = [slice(start, start + 100) for start in (100, 200, 300)]
    blocks = [Block(exact(x[part], y[part], 0.9), tuning) for part in parts]
    assert certificate(blocks) > certificate(blocks[:1]) + 0.3
    assert certificate(blocks, level=0.8) > certificate(blocks) > certificate(blocks, level=0.999)


def test_what_critics_are_worth_does_not_depend_on_their_offset_and_little_on_their_scale():
    x, y = normals(rng(0), 600, 0.9, 3)
    scores = exact(x, y, 0.9)
    plain, moved, scaled = (
        certificate([Block(s[200:, 200:], s[:200, :200])])
        for s in (scores, scores + 40, 1.6 * scores)
    )
    assert moved == pytest.approx(plain, abs=0.01)
    assert scaled == pytest.approx(plain, abs=0.15)


def certified(x, y, critic):
    half = len(x) // 2
    return certificate([Block(critic(x[half:], y[half:]), critic(x[:half], y[:half]))])


def flipped(generator, n):
    """A bit and itself, but for errors so rare that one block in twenty shows none."""
    x = generator.integers(2, size=(n, 1))
    return x, np.where(generator.uniform(size=(n, 1)) < 3 / n, 1 - x, x)


def flipped_mi(n):
    return math.log(2) + 3 / n * math.log(3 / n) + (1 - 3 / n) * math.log(1 - 3 / n)


def heavy(generator, n):
    """Normals of correlation 0.6, their margins stretched beyond any moment but the first."""
    return tuple(np.sign(z) * np.expm1(z**2 / 3) for z in normals(generator, n, 0.6))


COVERED = {  # the sample, its critic and its MI
    "rare errors": (flipped, lambda x, y: np.where(x == y.T, 0.6, -4.0), flipped_mi(120)),
    "weak": (lambda g, n: normals(g, n, 0.2), lambda x, y: exact(x, y, 0.2), 0.0204),
    "heavy tails": (heavy, lambda x, y: x @ y.T, -0.5 * math.log(1 - 0.36)),
}


@pytest.mark.parametrize("name", COVERED)
def test_a_certificate_is_rarely_above_the_truth(name):
    draw, critic, mi = COVERED[name]
    above = [certified(*draw(rng(seed), 120), critic) > mi for seed in range(20)]
    assert np.mean(above) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / len(above))


def test_a_memorised_critic_certifies_nothing_on_rows_that_it_has_not_seen():
    on_past, on_own = [], []
    for seed in range(12):
        x, y = rng(seed).normal(size=(2, 80, 25))
        on_past.append(certified(x, y, fitted(x[:40], y[:40])))
        on_own.append(certified(x, y, fitted(x, y)))  # the negative control
    assert np.mean(np.array(on_past) > 0) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 12)
    assert np.mean(np.array(on_own) > 0) > 0.9


@pytest.mark.parametrize(
    "critic",
    [lambda x, y: np.ones((len(x), len(y))), lambda x, y: -exact(x, y, 0.9)],
    ids=["constant", "wrong"],
)
def test_a_useless_critic_certifies_nothing(critic):
    assert certified(*normals(rng(0), 200, 0.9), critic) == 0.0


def test_scores_of_minus_infinity_count_as_the_floor():
    x = rng(0).integers(4, size=400)
    low, least = (np.where(x[:, None] == x, math.log(4), v) for v in (-1e9, -math.inf))
    values = [certificate([Block(s[100:, 100:], s[:100, :100])]) for s in (low, least)]
    assert values[0] == pytest.approx(values[1], abs=0.02)
    assert 1.0 < values[1] < math.log(4)


def test_the_same_seed_gives_the_same_certificate():
    scores = exact(*normals(rng(3), 200, 0.9), 0.9)
    block = Block(scores[50:, 50:], scores[:50, :50])
    assert certificate([block], seed=1) == certificate([block], seed=1)


def test_a_bet_is_smaller_where_more_rows_are_to_come():
    scores = exact(*normals(rng(0), 300, 0.9, 6), 0.9)
    few, many = (choose_bet(scores, rows, lambda mi: 3.0, rng(0)) for rows in (100, 10_000))
    assert few.cap < many.cap


@pytest.mark.parametrize("sizes", [(160,), (90, 60, 70)])
def test_the_certificate_is_where_the_wealth_reaches_its_goal(sizes):
    """The same from its public parts: bets see the rows to come and the wealth so far."""
    x, y = normals(rng(1), 100 + sum(sizes), 0.9, 2)
    tuning, edges = exact(x[:100], y[:100], 0.9), np.cumsum((100, *sizes))
    blocks = [
        Block(exact(x[a:b], y[a:b], 0.9), tuning) for a, b in itertools.pairwise(map(int, edges))
    ]
    generator, goal, played = rng(5), math.log(10), []

    def gain(mi):
        return sum(wealth(mi) for wealth in played)

    for k, block in enumerate(blocks):
        bet = choose_bet(block.tuning, sum(sizes[k:]), lambda mi: goal - gain(mi), generator)
        played.append(log_wealth(block.scores, bet, generator))
    found = certificate(blocks, level=0.9, seed=5)
    assert found > 0.5
    assert gain(found) >= goal > gain(found + 1e-4)


def test_the_wealth_is_the_mean_of_products_over_pairings():
    scores = 2 * rng(2).normal(size=(7, 7))
    bet = Bet(slope=0.8, shift=0.3, floor=-1.5, cap=1.2, share=0.7)
    found, products = log_wealth(scores, bet, rng(3)), []
    for order in rng(3).random((64, 7)).argsort(axis=1):
        product = 1.0
        for i, j in zip(order[:3], order[3:6], strict=True):
            s = {
                (a, b): min(max(0.8 * (scores[a, b] - 0.3), -1.5), 1.2)
                for a in (i, j)
                for b in (i, j)
            }
            value = (s[i, i] + s[j, j]) / 2 - (math.exp(s[i, j]) + math.exp(s[j, i])) / 2 + 1
            least = -1.5 - math.exp(1.2) + 1
            product *= 1 - 0.7 + 0.7 * (value - least) / (0.9 - least)
        products.append(product)
    assert found(0.9) == pytest.approx(math.log(np.mean(products)))


@pytest.mark.parametrize(("errors", "rows"), [(0.1, 400), (0.02, 150)])
def test_the_chosen_bet_is_near_the_best_of_a_grid(errors, rows):
    """Bits with errors: what a bet can be expected to certify is a sum over sixteen cases."""
    table = np.array([[1 - errors, errors], [errors, 1 - errors]]) / 2
    ratios = information(table)[1]
    cells = list(itertools.product(range(2), repeat=4))  # x1, y1, x2, y2
    chance = np.array([table[a, b] * table[c, d] for a, b, c, d in cells])
    positives = np.array([[ratios[a, b], ratios[c, d]] for a, b, c, d in cells])
    negatives = np.array([[ratios[a, d], ratios[c, b]] for a, b, c, d in cells])
    against = np.linspace(0, 0.4, 201)

    def reach(bet):
        values = bet.values(positives, negatives)
        growth = chance @ bet.log_factors(values[:, None], against)
        return against[rows / 2 * growth >= 3.0].max(initial=0.0)

    grid = itertools.product(
        np.linspace(-4, -0.1, 14), np.linspace(0.1, 1, 10), np.linspace(0, 0.98, 15)
    )
    best = max(reach(Bet(1.0, 0.0, floor, cap, share)) for floor, cap, share in grid)
    x = rng(0).integers(2, size=400)
    y = np.where(np.arange(400) < 400 * errors, 1 - x, x)
    chosen = choose_bet(ratios[x[:, None], y], rows, lambda mi: 3.0, rng(1))
    assert reach(chosen) > best - 0.005


@pytest.mark.parametrize(("mixed", "k", "m"), [(0.0, 2, 2), (0.0, 1, 4), (0.3, 1, 4), (1.0, 1, 4)])
def test_a_bet_is_sought_along_the_derivatives_of_its_growth(mixed, k, m):
    positives, negatives = 2 * rng(0).normal(size=(500, k)), 2 * rng(1).normal(size=(500, m))
    positives[0, 0] = -math.inf
    search = _BetSearch(positives, negatives, 100.0, np.zeros(1), np.zeros(1), mixed)
    numbers, scores = np.array([1.2, 0.3, 1.1, 1.7, -0.7]), np.vstack([positives.T, negatives.T])
    found, slopes = search.loss(numbers, 0.2, scores)
    bet = _bet(numbers, mixed)
    assert found == pytest.approx(-search.growth(bet, search.values(bet), 0.2))
    steps = 1e-6 * np.eye(5)
    more, less = (
        [search.loss(numbers + sign * step, 0.2, scores)[0] for step in steps] for sign in (1, -1)
    )
    assert slopes == pytest.approx((np.array(more) - less) / 2e-6, rel=1e-5, abs=1e-5)


def test_a_bet_allows_for_an_error_that_the_tuning_rows_do_not_show():
    """One pair in four thousand, the worst that there can be; else all would be at stake."""
    scores = np.where(np.eye(200) == 1, 3.0, -9.0)
    few, many = (choose_bet(scores, rows, lambda mi: 3.0, rng(0)) for rows in (2000, 20_000))
    assert many.share + 0.1 < few.share < 0.995  # at most 0.999 can be staked


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Block(np.ones((3, 2)), np.eye(3)), "square scores"),
        (lambda: Block(np.eye(3), np.ones(3)), "square tuning"),
        (lambda: Block(np.eye(1), np.eye(3)), "two rows or more"),
        (lambda: Block(np.full((3, 3), np.nan), np.eye(3)), "got 9 that are NaN"),
        (lambda: Block(np.eye(3), np.diag([math.inf, 0, 0])), "got 1 that are NaN or inf"),
        (lambda: Block(np.ma.masked_less(np.eye(3), 1), np.eye(3)), "got 6 that are NaN"),
        (lambda: Block(np.eye(3), 1j * np.eye(3)), "real numbers as tuning"),
        (lambda: certificate([]), "list of at least one"),
        (lambda: certificate([Block(np.eye(3), np.eye(3))], seed=-0.5), "seed to be of type int"),
        (
            lambda: certificate([Block(np.eye(3), np.eye(3))], seed=np.array(3)),
            "seed to be of type int",
        ),
        (lambda: certificate([Block(np.eye(3), np.eye(3))], level=1.0), "level to be in"),
        (lambda: certificate([Block(np.eye(3), np.eye(3))], level=0.0), "level to be in"),
        (
            lambda: certificate([Block(np.eye(3), np.eye(3))], level=range(3)),
            "level to be of type float",
        ),
    ],
)
def test_what_a_caller_can_mend_is_said(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_the_bet_of_an_exact_critic_is_near_the_best_of_a_grid_on_fresh_pairs():
    """Normals: slopes from a half to five, and what 2000 fresh pairs of rows show of each."""
    x, y = normals(rng(7), 4000, 0.8)
    one, two = slice(0, 2000), slice(2000, 4000)

    def scores(i, j):
        return (0.8 * x[i] * y[j] - 0.32 * (x[i] ** 2 + y[j] ** 2)) / 0.36 - math.log(0.6)

    positives = np.hstack([scores(one, one), scores(two, two)])
    negatives = np.hstack([scores(one, two), scores(two, one)])
    against = np.linspace(0, 0.5, 26)

    def reach(bet):
        growth = bet.log_factors(bet.values(positives, negatives)[:, None], against).mean(0)
        return against[150 * growth >= 3.0].max(initial=0.0)

    grid = itertools.product((0.5, 0.75, 1, 1.5, 3, 5), (-3, -2, -1), (0.5, 1, 1.5), (0.5, 0.9))
    best = max(reach(Bet(slope, 0.0, floor, cap, share)) for slope, floor, cap, share in grid)
    chosen = choose_bet(exact(*normals(rng(6), 400, 0.8), 0.8), 300, lambda mi: 3.0, rng(0))
    assert reach(chosen) > best - 0.03
