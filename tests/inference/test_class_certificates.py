"""Certificates of classes: the exact mean of a bet, shares that are unknown, and coverage."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from infobound.errors import InputError
from infobound.inference.certificates import Block, certificate
from infobound.inference.class_certificates import (
    ClassBet,
    ClassBlock,
    _Played,
    class_certificate,
    entropy_bound,
)


def tables(seed):
    """A joint table (5, K) of random numbers, its MI in nats, and critics: exact and wrong."""
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(5 * 3, rng.choice([0.3, 1.0]))).reshape(5, 3) + 1e-9
    table /= table.sum()
    ratios = np.log(table / np.outer(table.sum(1), table.sum(0)))
    return table, float((table * ratios).sum()), ratios, 3 * rng.normal(size=(5, 3))


@pytest.mark.parametrize("seed", range(20))
def test_no_bet_gains_on_average_against_the_truth(seed):
    table, mi, *critics = tables(seed)
    shares = table.sum(0)
    past = np.random.default_rng(seed + 100).dirichlet(np.ones(3))
    for ratios in critics:
        for bet in (ClassBet(1.0, 0.01, 0.9), ClassBet(2.0, 0.3, 0.999), ClassBet(0.3, 0.9, 0.5)):
            t = bet.staked(mi, 3)
            factors = 1 + t * (bet.log_q(ratios, np.log(past)) - np.log(shares) - mi)
            assert factors.min() >= t
            assert (table * factors).sum() <= 1 + 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_no_shares_have_less_wealth_than_is_said_and_the_worst_are_found(seed):
    table, mi, ratios, wrong = tables(seed)
    rng = np.random.default_rng(seed)
    bet = ClassBet(1.0, 0.03, float(rng.choice([0.1, 0.5, 0.99])))
    rows = rng.choice(table.size, size=200, p=table.ravel())
    x, classes = np.divmod(rows, 3)
    log_q = bet.log_q((ratios if seed % 2 else wrong)[x], np.log(np.full(3, 1 / 3)))
    own = log_q[np.arange(200), classes]
    said = _Played([bet], [own], [classes]).log_wealth(mi, 3)
    t = bet.staked(mi, 3)

    def wealth(logits):
        return np.log1p(t * (own - log_softmax(logits)[classes] - mi)).sum()

    starts = [np.log(np.bincount(classes, minlength=3) / 200), *rng.normal(size=(5, 3))]
    smallest = min(minimize(wealth, start).fun for start in starts)
    assert smallest - 0.01 < said <= smallest + 1e-6


def pairs(rng, n, shift):
    """Classes of unequal shares, and a normal number shifted by each; log ratios are exact."""
    shares = np.array([0.5, 0.3, 0.15, 0.05])
    classes = rng.choice(4, size=n, p=shares)
    x = shift * classes + rng.normal(size=n)
    logs = -0.5 * (x[:, None] - shift * np.arange(4)) ** 2
    return classes, logs - np.log(np.exp(logs) @ shares)[:, None], shares


def exact(shift):
    classes, ratios, _ = pairs(np.random.default_rng(123), 200_000, shift)
    return ratios[np.arange(len(classes)), classes].mean()


def test_it_certifies_more_than_pairs_of_rows_and_not_more_than_there_is():
    found, of_pairs = [], []
    for seed in range(10):
        classes, ratios, _ = pairs(np.random.default_rng(seed), 900, 3.0)
        past = np.bincount(classes[:300], minlength=4) / 300
        block = ClassBlock(ratios[300:], classes[300:], np.log(past), (ratios[:300], classes[:300]))
        found.append(class_certificate([block]))
        scores = ratios[:, classes]
        of_pairs.append(certificate([Block(scores[300:, 300:], scores[:300, :300])]))
    assert np.mean(found) > np.mean(of_pairs) + 0.04
    assert np.mean(found) > exact(3.0) - 0.12
    assert max(found) < exact(3.0)


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_it_is_rarely_above_the_truth_and_at_fault_with_rows_of_its_own(shift):
    truth, above, control = exact(shift) if shift else 0.0, 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        classes, ratios, shares = pairs(rng, 100, shift)
        ratios = ratios + 0.3 * rng.normal(size=4)
        block = ClassBlock(ratios[40:], classes[40:], np.log(shares), (ratios[:40], classes[:40]))
        above += class_certificate([block]) > truth
        if seed >= 30:
            continue
        cheat = 3 * np.eye(4)[classes] + ratios  # a critic that saw the classes of these rows
        block = ClassBlock(cheat[40:], classes[40:], np.log(shares), (cheat[:40], classes[:40]))
        control += class_certificate([block]) > truth
    assert above <= 60 * 0.05 + 2 * math.sqrt(60 * 0.05 * 0.95)
    assert control > 15


def test_a_second_block_adds_to_the_first():
    classes, ratios, shares = pairs(np.random.default_rng(0), 800, 3.0)
    tuning = ratios[:200], classes[:200]
    first = ClassBlock(ratios[200:500], classes[200:500], np.log(shares), tuning)
    second = ClassBlock(
        ratios[500:], classes[500:], np.log(shares), (ratios[200:500], classes[200:500])
    )
    assert class_certificate([first, second]) > class_certificate([first]) + 0.02


def test_the_entropy_is_bounded_and_the_bound_is_close():
    rng, shares = np.random.default_rng(0), np.array([0.6, 0.25, 0.1, 0.05])
    entropy, below, bounds = float(-(shares * np.log(shares)).sum()), 0, []
    for _ in range(400):
        classes = rng.choice(4, size=400, p=shares)
        bounds.append(entropy_bound(np.split(classes, 4), 4))
        below += bounds[-1] < entropy
    assert below <= 400 * 0.05 + 2 * math.sqrt(400 * 0.05 * 0.95)
    assert entropy < np.mean(bounds) < entropy + 0.15
    assert entropy_bound([np.arange(100) % 2, np.arange(100) % 2], 2) == pytest.approx(math.log(2))


def test_what_does_not_fit_is_said():
    ratios, classes, shares = np.zeros((5, 2)), np.zeros(5, int), np.log([0.5, 0.5])
    with pytest.raises(InputError, match="column for each class"):
        ClassBlock(ratios[:, :1], classes, shares, (ratios, classes))
    with pytest.raises(InputError, match="finite"):
        ClassBlock(ratios + np.inf, classes, shares, (ratios, classes))
    with pytest.raises(InputError, match="at least one block"):
        class_certificate([])
