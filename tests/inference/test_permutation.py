"""p-values and wealth without dependence are what they claim, and with it they find it."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.signal import lfilter

from infobound.errors import InputError
from infobound.inference.permutation import TEMPERATURES, Wealth, log_e_values, permutation_p


def learnt(x, y):
    """The simplest critic there is: the sign and size of a correlation."""
    return float(np.mean((x - x.mean()) * (y - y.mean())))


def in_sequence(x, y, parts=4):
    """Blocks whose critic saw the parts before."""
    xs, ys = np.array_split(x, parts), np.array_split(y, parts)
    slopes = [learnt(np.concatenate(xs[:k]), np.concatenate(ys[:k])) for k in range(1, parts)]
    return [s * np.outer(a, b) for s, a, b in zip(slopes, xs[1:], ys[1:], strict=True)]


def autoregressive(rng, n, phi):
    noise = rng.normal(size=n) * math.sqrt(1 - phi**2)
    noise[0] /= math.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise)


def share(hits):
    """How often, and its standard error at a true share of one in twenty."""
    return np.mean(hits), math.sqrt(0.05 * 0.95 / len(hits))


MARGINS = {
    "normal": lambda rng: rng.normal(size=60),
    "Cauchy": lambda rng: rng.standard_cauchy(60),
    "few values": lambda rng: rng.integers(0, 2, 60).astype(float),
}


@pytest.mark.parametrize("margin", MARGINS)
def test_without_dependence_p_is_never_too_small(margin):
    draw, p_values = MARGINS[margin], []
    for seed in range(600):
        rng = np.random.default_rng([seed, 1])
        p_values.append(
            permutation_p(in_sequence(draw(rng), draw(rng)), permutations=99, seed=seed)
        )
    for level in (0.05, 0.2, 0.5):
        error = math.sqrt(level * (1 - level) / len(p_values))
        assert np.mean(np.array(p_values) <= level) < level + 3 * error


def test_one_block_is_uniform_to_the_last_step():
    rng = np.random.default_rng(0)
    p_values = [
        permutation_p([np.outer(*rng.normal(size=(2, 12)))], permutations=9, seed=seed)
        for seed in range(2000)
    ]
    counts = np.bincount(np.rint(np.array(p_values) * 10).astype(int), minlength=11)[1:]
    assert counts.sum() == 2000  # tenths and nothing else
    assert stats.chisquare(counts).pvalue > 1e-3


def test_folds_that_learn_from_each_other_are_no_sequence():
    # The negative control: two folds that learn from each other have one statistic, not two.
    def critic(x, y):
        return (x - x.mean(0)).T @ (y - y.mean(0))

    def p_value(seed, *, crossed):
        x, y = np.random.default_rng(seed).normal(size=(2, 3, 40, 4))
        if crossed:
            critics = [critic(x[1], y[1]), critic(x[0], y[0])]
        else:
            critics = [critic(x[2], y[2]), critic(np.vstack(x[[0, 2]]), np.vstack(y[[0, 2]]))]
        blocks = [x[k] @ critics[k] @ y[k].T for k in (0, 1)]
        return permutation_p(blocks, permutations=99, seed=seed)

    too_large, error = share([p_value(seed, crossed=True) <= 0.05 for seed in range(800)])
    right, _ = share([p_value(seed, crossed=False) <= 0.05 for seed in range(800)])
    assert too_large > 0.05 + 3 * error
    assert right < 0.05 + 2 * error


def test_dependence_is_found_and_the_same_seed_says_the_same():
    def p(rho, seed):
        x, noise = np.random.default_rng(seed).normal(size=(2, 400))
        return permutation_p(in_sequence(x, rho * x + noise), permutations=199, seed=seed)

    assert np.mean([p(0.25, seed) <= 0.05 for seed in range(100)]) > 0.9
    assert p(0.1, 3) == p(0.1, 3)
    assert p(3.0, 0) < 1e-4  # three blocks together go below 1 / (1 + permutations)


def test_what_scores_owe_to_one_side_is_no_dependence():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 100))
    table = np.outer(x, y)
    shifted = table + 5 * x[:, None] ** 2 - 3 * np.exp(y)
    for shifts in (False, True):
        expected = permutation_p([table], seed=0, shifts=shifts)
        assert permutation_p([shifted], seed=0, shifts=shifts) == expected < 1
    assert permutation_p([np.zeros((9, 9))], seed=0) == 1
    assert permutation_p([np.zeros((9, 9))], seed=0, shifts=True) == 1
    single = (x[:, None] + 100 * y).astype(np.float32)  # ties but for rounding
    assert permutation_p([single], seed=0) == 1
    for part in (slice(start, start + 50) for start in range(51)):
        assert permutation_p([single[part, part]], seed=0, shifts=True) == 1
    assert permutation_p([np.zeros((2, 2))], permutations=1, seed=0) == 1  # the fewest of each
    assert permutation_p([np.zeros((5, 5))], seed=0, shifts=True) == 1


def test_p_is_the_share_of_all_orders_that_do_as_well():
    table = np.random.default_rng(3).normal(size=(4, 4))
    sums = np.array([table[range(4), order].sum() for order in itertools.permutations(range(4))])
    exact = np.mean(sums >= np.trace(table))
    assert 0.2 < exact < 0.8
    p = permutation_p([table], permutations=4000, seed=0)
    assert p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 4000))
    whole = np.rint(10 * table).astype(int)
    assert permutation_p([whole], seed=0) == permutation_p([whole.astype(float)], seed=0)


def test_every_permutation_counts_once_and_blocks_combine_by_fishers_method():
    assert permutation_p([np.zeros((600, 600))], seed=0) == 1  # permuted in several chunks
    clear = np.eye(30)
    assert permutation_p([clear], seed=0) == pytest.approx(1 / 1000, rel=1e-9)
    for count in (2, 5):
        p = permutation_p([clear] * count, permutations=49, seed=0)
        assert p == pytest.approx(stats.chi2.sf(2 * count * math.log(50), 2 * count), rel=1e-9)


def test_moves_are_counted_as_the_loops_count_them():
    """In centred columns; only rows with a partner at every move, in all blocks at once."""
    rng = np.random.default_rng(1)
    found, expected = [], []
    for _ in range(40):
        blocks = [
            rng.normal(size=(n, n)) + rng.normal(size=n) + np.eye(n) / 4 for n in (31, 26, 40)
        ]
        sums = []
        for move in range(-5, 6):  # a fifth of the shortest
            columns = [block - block.mean(0) for block in blocks]
            sums.append(sum(c[i, i + move] for c in columns for i in range(5, len(c) - 5)))
        expected.append(min(1, sum(s >= sums[5] for s in sums) / 6))
        found.append(permutation_p(blocks, seed=0, shifts=True))
    assert found == pytest.approx(expected)
    assert len(set(expected)) > 3


@pytest.mark.parametrize("phi", [0.5, 0.9, 0.99])
def test_moves_hold_the_level_for_series_where_permutations_do_not(phi):
    moved, permuted = [], []
    for seed in range(250):
        rng = np.random.default_rng([seed, 2])
        blocks = in_sequence(*(autoregressive(rng, 400, phi) for _ in range(2)))
        moved.append(permutation_p(blocks, seed=0, shifts=True) <= 0.05)
        permuted.append(permutation_p(blocks, permutations=99, seed=seed) <= 0.05)
    size, error = share(moved)
    assert size < 0.05 + 2 * error
    if phi >= 0.9:
        assert np.mean(permuted) > 0.25


def test_moves_find_what_comes_at_the_same_time():
    hits, smallest = [], []
    for seed in range(60):
        rng = np.random.default_rng([seed, 3])
        x = autoregressive(rng, 800, 0.9)
        y = 0.6 * x + 0.8 * autoregressive(rng, 800, 0.9)
        p = permutation_p(in_sequence(x, y), seed=0, shifts=True)
        hits.append(p <= 0.05)
        smallest.append(p)
    assert np.mean(hits) > 0.9
    assert min(smallest) == pytest.approx(1 / 41)  # blocks of 200: 40 moves to a side


@pytest.mark.parametrize("m", [2, 3, 6])
def test_a_groups_e_value_averages_one_over_all_orders(m):
    scores = 3 * np.random.default_rng(m).normal(size=(m, m))
    orders = [scores[:, list(order)] for order in itertools.permutations(range(m))]
    e_values = np.exp(log_e_values(np.array(orders)))
    np.testing.assert_allclose(e_values.mean(axis=0), 1)
    assert e_values.max() > 1.5


def test_wealth_starts_at_one_and_keeps_the_stake_that_does_not_bet():
    assert (Wealth().log_wealth, Wealth().p_value) == (pytest.approx(0), 1)
    assert Wealth().bet(np.empty((0, 4))) == Wealth()
    assert TEMPERATURES[0] == 0
    wrong = log_e_values(np.array([[[0, 900], [900, 0]]] * 5))
    assert Wealth().bet(wrong).log_wealth == pytest.approx(-math.log(len(TEMPERATURES)))
    equal = Wealth((0.0, -9.0, -1.0, -2.0)).share()
    assert len(set(equal.log_stakes)) == 1


def test_wealth_is_parted_added_and_remembered():
    log_e = np.random.default_rng(0).normal(size=(30, 4))
    at_once = Wealth().bet(log_e)
    one_by_one = Wealth()
    for row in log_e:
        one_by_one = one_by_one.bet(row[None])
    assert one_by_one.log_wealth == pytest.approx(at_once.log_wealth)
    assert one_by_one.log_peak == pytest.approx(at_once.log_peak)
    assert at_once.share().log_wealth == pytest.approx(at_once.log_wealth)
    assert at_once.bet(np.full((1, 4), -5.0)).p_value == at_once.p_value < 1
    assert math.exp(Wealth().bet(log_e[:1]).log_wealth) == pytest.approx(np.exp(log_e[0]).mean())


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([], "list of at least one"),
        (np.float64(0.5), "blocks as a list of at least one; got"),
        ([np.zeros((3, 4))], r"square blocks .* got shape \(3, 4\)"),
        ([np.zeros((1, 1))], "at least 2 rows"),
        ([np.full((3, 3), np.nan)], "finite scores"),
        ([np.ma.masked_less(np.eye(3), 1)], "finite scores"),
        ([1j * np.eye(3)], "real numbers as scores"),
        ([np.diag([1.0, np.nan, 1.0])], "finite scores"),
    ],
)
def test_what_a_caller_can_mend_is_said(blocks, said):
    with pytest.raises(InputError, match=said):
        permutation_p(blocks, seed=0)
    with pytest.raises(InputError, match="permutation"):
        permutation_p([np.eye(3)], permutations=0, seed=0)
    with pytest.raises(InputError, match="seed to be of type int"):
        permutation_p([np.eye(3)], seed=0.5)
    with pytest.raises(InputError, match="at least 5 rows"):
        permutation_p([np.eye(4)], seed=0, shifts=True)
    with pytest.raises(InputError, match=r"\(groups, m, m\)"):
        log_e_values(np.zeros((2, 9, 9)))
    with pytest.raises(InputError, match="finite scores"):
        log_e_values(np.ma.masked_equal(np.zeros((2, 3, 3)), 0))
    with pytest.raises(InputError, match="finite scores"):
        log_e_values(np.array([[[0.0, np.inf], [0.0, 0.0]]]))


def test_scores_may_be_tensors_with_gradients():
    scores = torch.eye(30, requires_grad=True)
    assert permutation_p([scores], seed=0) == permutation_p([np.eye(30)], seed=0)


def test_the_exact_log_ratio_is_best_believed_at_the_highest_temperature():
    """The mean growth of wealth over two rows of a table, by enumeration."""
    table = np.random.default_rng(5).dirichlet(np.full(6, 0.7)).reshape(3, 2)
    ratios = np.log(table / np.outer(table.sum(1), table.sum(0)))
    cells = list(itertools.product(np.ndindex(3, 2), repeat=2))
    chance = np.array([table[one] * table[two] for one, two in cells])
    scores = np.array(
        [[[ratios[a, b], ratios[a, d]], [ratios[c, b], ratios[c, d]]] for (a, b), (c, d) in cells]
    )
    tried = np.linspace(0.1, 2, 20)
    growth = chance @ log_e_values(scores, temperatures=tried)
    best = chance @ log_e_values(scores, temperatures=TEMPERATURES[-1:])
    assert best[0] >= growth.max() - 1e-12
    assert best[0] > growth[[4, 14]].max()  # half and one and a half


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 3), (2, 2, 2, 2), (2, 1, 1), (1, 7, 7)])
def test_groups_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match=r"\(groups, m, m\), m from 2 to 6; got \("):
        log_e_values(np.zeros(shape))


@pytest.mark.parametrize("shifts", [False, True])
def test_ties_of_negative_scores_are_ties_too(shifts):
    """Scores that tell no pair from another but for rounding; nothing is above zero."""
    x, y = np.random.default_rng(6).normal(size=(2, 60))
    scores = (x[:, None] + 100 * y - 1000).astype(np.float32)
    assert scores.max() < 0
    assert permutation_p([scores], seed=0, shifts=shifts) == 1


def test_a_block_of_more_than_two_sides_is_refused():
    with pytest.raises(InputError, match=r"square blocks .* got shape \(6, 6, 6\)"):
        permutation_p([np.zeros((6, 6, 6))], seed=0)
