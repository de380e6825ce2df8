"""Certificates of I(X;Y|Z): the mean wealth, exactly; coverage, over seeds; and what breaks it."""

import itertools
import math

import numpy as np
import pytest

from infobound.errors import InputError
from infobound.inference.certificates import (
    Bet,
    Block,
    Wealth,
    certificate,
    certified,
    mixed_values,
    played,
)
from infobound.inference.class_certificates import entropy_bound, entropy_played
from infobound.inference.conditional_certificates import (
    SampledBlock,
    StratifiedBlock,
    conditional_certificate,
    less_entropy,
    sampled_scores,
)

NO_PAST = np.zeros((2, 2)), np.zeros(2, int)
PAST = np.zeros(2), np.zeros((2, 4))


def rng(seed):
    return np.random.default_rng(seed)


def ratios(tables):
    """Log ratios p(x, y | z) / p(x | z) p(y | z) of tables (Z, X, Y), and I(X;Y|Z) in nats."""
    margins = tables.sum(2, keepdims=True) * tables.sum(1, keepdims=True)
    found = np.log(tables * tables.sum((1, 2), keepdims=True) / margins)
    return found, float((tables * found).sum())


def mean_wealth(tables, critic, bet, mi, n, *, punish=True):
    """The exact mean of the wealth of n rows; without the factors of lone rows if not punish."""
    total = 0.0
    cells = list(np.ndindex(tables.shape))
    for rows in itertools.product(cells, repeat=n):
        z, x, y = np.array(rows).T
        block = StratifiedBlock(critic[z[:, None], x[:, None], y], z, NO_PAST)
        log = block.log_wealth(bet, rng(0))(mi)
        if not punish:
            lone = (np.bincount(z) % 2).sum()
            log -= lone / 2 * float(bet.log_factors(np.array(0.0), mi))
        total += math.prod(tables[cell] for cell in rows) * math.exp(log)
    return total


@pytest.mark.parametrize("seed", [0, 1, 3, 5])  # of 5 the mean is largest: 0.9991
def test_no_bet_on_strata_gains_on_average_against_the_truth(seed):
    tables = rng(seed).dirichlet(np.full(8, 0.5)).reshape(2, 2, 2) + 1e-6
    tables /= tables.sum()
    exact, mi = ratios(tables)
    critic = exact if seed % 2 else 3 * rng(seed).normal(size=exact.shape)
    bet = Bet(1.0, 0.0, floor=-2.0, cap=1.0, share=0.99)
    assert mean_wealth(tables, critic, bet, mi, 3) <= 1 + 1e-12


def test_lone_rows_must_lose_a_little():
    """All dependence is in the frequent stratum, so rows of the other one seldom have a partner."""
    dependent = np.array([[0.45, 0.05], [0.05, 0.45]])
    tables = np.stack([0.25 * np.full((2, 2), 0.25), 0.75 * dependent])
    exact, mi = ratios(tables)
    bet = Bet(1.0, 0.0, floor=-1.7, cap=0.6, share=0.95)
    assert mean_wealth(tables, exact, bet, mi, 3, punish=False) > 1.005
    assert 0.95 < mean_wealth(tables, exact, bet, mi, 3) <= 1


def test_one_stratum_is_a_fair_bet_for_the_exact_critic():
    tables = np.array([[[0.3, 0.1], [0.1, 0.5]]])
    exact, mi = ratios(tables)
    bet = Bet(1.0, 0.0, floor=-2.0, cap=1.0, share=0.9)
    assert mean_wealth(tables, exact, bet, mi, 2) == pytest.approx(1, abs=1e-12)


def test_the_wealth_is_the_mean_of_products_over_pairs_within_strata():
    scores, strata = 2 * rng(2).normal(size=(5, 5)), np.array([3, 7, 3, 7, 3])
    bet = Bet(slope=0.8, shift=0.3, floor=-1.5, cap=1.2, share=0.7)
    block = StratifiedBlock(scores, strata, NO_PAST)

    def factor(i, j):
        def s(a, b):
            return min(max(0.8 * (scores[a, b] - 0.3), -1.5), 1.2)

        value = (s(i, i) + s(j, j)) / 2 - (math.exp(s(i, j)) + math.exp(s(j, i))) / 2 + 1
        return 1 - 0.7 + 0.7 * (value - bet.least) / (0.9 - bet.least)

    lone = 1 - 0.7 + 0.7 * -bet.least / (0.9 - bet.least)
    products = [factor(1, 3) * factor(*pair) * lone**0.5 for pair in ((0, 2), (0, 4), (2, 4))]
    found = [math.exp(block.log_wealth(bet, rng(seed))(0.9)) for seed in range(200)]
    error = np.std(found) / math.sqrt(200)
    assert 0 < error < 0.01
    assert abs(np.mean(found) - np.mean(products)) < 4 * error


def normals(generator, n, rho, *, strata=4, apart=4.0):
    """Normals of correlation rho within strata whose means are far apart."""
    z = generator.integers(strata, size=n)
    x, noise = generator.normal(size=(2, n))
    y = rho * x + math.sqrt(1 - rho**2) * noise
    return x + apart * z, y + apart * z, z


def exact(x, y, z, rho, apart=4.0):
    a, b = x - apart * z, y - apart * z
    return (rho * a * b - rho**2 * (a**2 + b**2) / 2) / (1 - rho**2) - math.log(1 - rho**2) / 2


def confounded(x, y, z):
    """A critic of I(X;Y): whether x and y are of one stratum."""
    return 2 - (x - y) ** 2 / 4 + 0 * z


def in_strata(critic, x, y, z, first):
    def part(rows):
        return critic(x[rows, None], y[rows], z[rows, None]), z[rows]

    return StratifiedBlock(*part(slice(first, None)), part(slice(first)))


def given(z, generator):
    return 4.0 * z + generator.normal(size=len(z))


def with_draws(critic, x, y, z, first, *, draw=given, negatives=10, seed=0):
    ups, downs = sampled_scores(critic, draw, x=x, y=y, z=z, negatives=negatives, seed=seed)
    return SampledBlock(ups[first:], downs[first:], (ups[:first], downs[:first]))


@pytest.mark.parametrize("strata", [1, 4, 30])
def test_the_exact_critic_certifies_most_of_what_there_is(strata):
    mi, rho = 1.0, math.sqrt(1 - math.exp(-2.0))
    values = []
    for seed in range(6):
        rows = normals(rng(seed), 1000, rho, strata=strata)
        block = in_strata(lambda *row: exact(*row, rho), *rows, 200)
        values.append(conditional_certificate([block], seed=seed))
    assert 0.75 < np.mean(values) < mi


def test_draws_certify_most_of_what_there_is_and_more_draws_more():
    mi, rho = 1.0, math.sqrt(1 - math.exp(-2.0))
    means = []
    for negatives in (1, 10):
        values = []
        for seed in range(6):
            rows = normals(rng(seed), 700, rho)
            block = with_draws(
                lambda *row: exact(*row, rho), *rows, 200, negatives=negatives, seed=seed
            )
            values.append(conditional_certificate([block]))
        means.append(np.mean(values))
    assert 0.7 < means[0] < means[1] - 0.03 < mi


def test_confounding_is_not_certified_unless_strata_or_the_sampler_are_ignored():
    def anywhere(z, generator):
        return given(generator.permutation(z), generator)

    found = []
    for seed in range(10):
        x, y, z = normals(rng(seed), 300, 0.0)
        scores = confounded(x[:, None], y, z)
        found.append(
            (
                conditional_certificate([in_strata(confounded, x, y, z, 100)], seed=seed),
                conditional_certificate([with_draws(confounded, x, y, z, 100)]),
                certificate([Block(scores[100:, 100:], scores[:100, :100])], seed=seed),
                conditional_certificate([with_draws(confounded, x, y, z, 100, draw=anywhere)]),
            )
        )
    found = np.array(found)
    assert (found[:, :2] == 0).all()
    assert (found[:, 2:] > 0.3).all()


def flipped(generator, n):
    """x + z modulo 4, but for errors so rare that one block in twenty shows none."""
    z, x, other = generator.integers(4, size=(3, n))
    return x, np.where(generator.uniform(size=n) < 3 / n, other, (x + z) % 4), z


def test_a_certificate_is_rarely_above_the_truth_where_errors_are_rare():
    n = 120
    right, wrong = 1 - 3 / n * 3 / 4, 3 / n / 4
    mi = math.log(4) + right * math.log(right) + 3 * wrong * math.log(wrong)

    def critic(x, y, z):
        return np.where((x + z - y) % 4 == 0, 1.3, -4.0)

    def uniform(z, generator):
        return generator.integers(4, size=len(z))

    above = []
    for seed in range(20):
        rows = flipped(rng(seed), n)
        blocks = in_strata(critic, *rows, 60), with_draws(critic, *rows, 60, draw=uniform)
        above.append([conditional_certificate([block], seed=seed) > mi for block in blocks])
    assert (np.mean(above, 0) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 20)).all()


def test_a_function_of_z_in_the_scores_changes_little():
    rho = math.sqrt(1 - math.exp(-2.0))
    rows = normals(rng(0), 1000, rho)

    def certificate_with(offsets):
        block = in_strata(lambda x, y, z: exact(x, y, z, rho) + offsets[z], *rows, 200)
        return conditional_certificate([block])

    moved, plain = map(certificate_with, (np.array([-9.0, 0.0, 5.0, 30.0]), np.zeros(4)))
    assert moved == pytest.approx(plain, abs=0.02)


def test_rare_strata_share_a_shift_and_rows_without_partners_certify_nothing():
    rho = math.sqrt(1 - math.exp(-2.0))
    x, y, z = normals(rng(1), 400, rho, strata=1)
    own = z + np.arange(400)
    few = in_strata(lambda *row: exact(*row, rho) + 30, x, y, z, 200)
    rare = StratifiedBlock(few.scores, own[:200] // 5, (few.tuning[0], own[:200] // 5))
    assert conditional_certificate([rare]) > 0.4
    alone = StratifiedBlock(few.scores, own[:200], (few.tuning[0], own[:200] // 5))
    assert conditional_certificate([alone]) == 0.0
    without = StratifiedBlock(few.scores, few.strata, (few.tuning[0], own[:200]))
    assert played([without], level=0.95, seed=0).log_wealth(0.1) == 0.0


def mean_factor(tables, critic, bet, mi, draws):
    """The exact mean of the factor of one row with draws from p(x|z)."""
    given_z = tables.sum(2) / tables.sum((1, 2))[:, None]
    total = 0.0
    for z, x, y, *drawn in itertools.product(range(2), repeat=3 + draws):
        chance = tables[z, x, y] * math.prod(given_z[z, drawn])
        block = SampledBlock(critic[z, [x], y], critic[z, [drawn], y], PAST)
        total += chance * math.exp(block.log_wealth(bet, rng(0))(mi))
    return total


@pytest.mark.parametrize("mixed", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_no_bet_on_draws_gains_on_average_against_the_truth(seed, mixed):
    tables = rng(seed).dirichlet(np.full(8, 0.5)).reshape(2, 2, 2) + 1e-6
    tables /= tables.sum()
    right, mi = ratios(tables)
    critic = right if seed % 2 else 3 * rng(seed).normal(size=right.shape)
    bet = Bet(1.0, 0.0, floor=-2.0, cap=1.0, share=0.99, mixed=mixed)
    for draws in (1, 2, 4):
        assert mean_factor(tables, critic, bet, mi, draws) <= 1 + 1e-12


def test_bets_on_draws_from_another_distribution_gain():
    """The negative control: p(x) in place of p(x|z), where z determines x and y."""
    tables = np.array([np.diag([0.49, 0.01]), np.diag([0.01, 0.49])])
    tables[tables == 0] = 1e-9
    critic = np.broadcast_to(2.0 * np.eye(2), (2, 2, 2))
    for mixed in (0.0, 0.2, 1.0):
        bet = Bet(1.0, 1.0, floor=-2.0, cap=1.0, share=0.9, mixed=mixed)
        mi = ratios(tables)[1]
        wrong = [
            0.5
            * math.exp(
                SampledBlock(critic[0, [0], 0], critic[0, [drawn], 0], PAST).log_wealth(
                    bet, rng(0)
                )(mi)
            )
            for drawn in itertools.product(range(2), repeat=2)
        ]
        assert sum(wrong) / 2 > 1.01
        assert mean_factor(tables, critic, bet, mi, 2) <= 1 + 1e-12


@pytest.mark.parametrize("mixed", [0.2, 1.0])
def test_no_value_of_draws_is_below_the_least(mixed):
    bet = Bet(1.0, 0.0, floor=-2.0, cap=1.5, share=0.5, mixed=mixed)
    extremes = itertools.product((-9.0, 9.0), repeat=5)
    values = [float(bet.values(np.array(e[:1]), np.array(e[1:]))) for e in extremes]
    assert bet.least <= min(values) < bet.least + 0.3


def test_the_mixed_value_is_between_the_two_bounds():
    up, downs = np.array(0.4), np.array([-0.5, 0.2, 1.0])
    nwj = 0.4 - np.exp(downs).mean() + 1
    infonce = 0.4 - math.log((math.exp(0.4) + math.exp(-0.5) + math.exp(0.2)) / 3)
    assert mixed_values(up, downs, 0.0) == pytest.approx(nwj)
    assert mixed_values(up, downs, 1.0) == pytest.approx(infonce)
    b = np.exp(downs).mean()
    a = (math.exp(0.4) + math.exp(-0.5) + math.exp(0.2)) / 3
    expected = 0.4 - math.log(0.7 + 0.3 * a) - b / (0.7 + 0.3 * b) + 1
    assert mixed_values(up, downs, 0.3) == pytest.approx(expected)


def test_a_function_of_y_and_z_in_the_scores_of_draws_costs_little():
    rho = math.sqrt(1 - math.exp(-2.0))
    rows = normals(rng(0), 1000, rho)

    def certificate_with(scale):
        block = with_draws(
            lambda x, y, z: exact(x, y, z, rho) + scale * np.sin(y), *rows, 200, negatives=30
        )
        return conditional_certificate([block])

    plain, moved = map(certificate_with, (0.0, 2.0))
    assert plain > moved > plain - 0.1  # 0.3 less if `mixed` were always 0


def test_less_entropy_is_the_difference_at_half_of_the_error_each():
    rho = math.sqrt(1 - math.exp(-4.0))
    x, y, z = normals(rng(0), 900, rho, strata=1)
    z = (rng(1).uniform(size=900) < 0.03).astype(int)
    scores = exact(x[:, None], y, 0, rho)
    joint = played([Block(scores[300:, 300:], scores[:300, :300])], level=0.975, seed=0)
    parts = [z[:300], z[300:]]
    less = less_entropy(joint, entropy_played(parts, 2, level=0.975), math.log(2))
    found = certified([less], level=0.95)
    expected = certified([joint], level=0.975) - entropy_bound(parts, 2, level=0.975)
    assert found == pytest.approx(expected, abs=1e-3)
    assert found > 1.0


def test_less_entropy_is_no_more_than_half_of_the_sum_at_any_entropy():
    less = less_entropy(Wealth(lambda mi: 9 - 5 * mi, 2.0), lambda h: 20 * h - 5, 1.0)
    for mi in (0.0, 0.7, 1.5):
        sums = [np.logaddexp(9 - 5 * (mi + h), 20 * h - 5) for h in np.linspace(0, 1, 200)]
        assert min(sums) - 1.4 < less.log_wealth(mi) <= min(sums) - math.log(2)


@pytest.mark.parametrize("make", [in_strata, with_draws])
def test_blocks_certify_more_together_and_less_at_a_higher_level(make):
    rho, values = math.sqrt(1 - math.exp(-2.0)), []
    for seed in range(3):
        rows = normals(rng(seed), 500, rho)
        blocks = [
            make(lambda *row: exact(*row, rho), *(side[part] for side in rows), 100)
            for part in (slice(300), slice(200, 500))
        ]
        both = conditional_certificate(blocks)
        assert conditional_certificate(blocks, level=0.99) < both
        assert both == conditional_certificate(blocks, seed=0)
        values.append((conditional_certificate(blocks[:1]), both))
    one, together = np.mean(values, 0)
    assert together > one + 0.03


SQUARE, WHOLE = np.eye(3), np.zeros(3, int)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: StratifiedBlock(np.ones((3, 2)), WHOLE, NO_PAST), "square scores"),
        (lambda: StratifiedBlock(SQUARE, WHOLE[:2], NO_PAST), "strata of scores as 3 whole"),
        (lambda: StratifiedBlock(SQUARE, np.zeros(3), NO_PAST), "got float64 of shape"),
        (lambda: StratifiedBlock(SQUARE, WHOLE, (SQUARE, WHOLE[:2])), "of tuning scores as 3"),
        (lambda: StratifiedBlock(SQUARE * math.nan, WHOLE, NO_PAST), "got 9 that are NaN"),
        (lambda: SampledBlock(np.zeros(3), np.zeros((2, 4)), PAST), r"positives \(n,\)"),
        (lambda: SampledBlock(np.zeros(3), np.zeros(3), PAST), r"negatives \(n, m\)"),
        (lambda: SampledBlock(np.zeros(3), np.zeros((3, 0)), PAST), "one draw or more"),
        (lambda: SampledBlock(np.full(2, math.inf), PAST[1], PAST), "got 2 that are NaN or inf"),
        (lambda: SampledBlock(*PAST, (np.zeros(2), np.zeros((1, 4)))), "tuning positives"),
        (lambda: conditional_certificate([]), "list of at least one"),
        (lambda: conditional_certificate([SampledBlock(*PAST, PAST)], level=1.0), "level to be in"),
        (lambda: conditional_certificate([SampledBlock(*PAST, PAST)], seed=-1), "seed"),
        (
            lambda: sampled_scores(exact, given, x=WHOLE, y=WHOLE, z=WHOLE[:2]),
            "equal lengths for x, y and z; got 3, 3 and 2",
        ),
        (
            lambda: sampled_scores(exact, given, x=WHOLE, y=WHOLE, z=WHOLE, negatives=0),
            "negatives to be a positive",
        ),
        (
            lambda: sampled_scores(lambda x, y, z: SQUARE, given, x=WHOLE, y=WHOLE, z=WHOLE),
            r"got shapes \(3, 3\)",
        ),
    ],
)
def test_what_a_caller_can_mend_is_said(call, message):
    with pytest.raises(InputError, match=message):
        call()
