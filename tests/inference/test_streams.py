"""A stream that may be looked at any time: false alarms, rows until dependence is found."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from infobound.errors import InputError
from infobound.inference.streams import IndependenceStream
from infobound.models.cosine import Witness

MARGINS = (
    lambda rng, n: rng.standard_cauchy(n),
    lambda rng, n: rng.integers(0, 3, n),
    lambda rng, n: rng.normal(size=n),
)


def rows_until_found(draw, seed, most=600, step=25):
    """Rows until it is seen that the level was crossed; infinite if it was not."""
    rng, stream = np.random.default_rng(seed), IndependenceStream(level=0.05)
    while (state := stream.update(*draw(rng, step))).rows < most:
        if state.decided:
            return state.rows
    return state.rows if state.decided else math.inf


def test_a_stream_without_dependence_is_hardly_ever_decided():
    def apart(rng, n):
        draw = MARGINS[int(rng.bit_generator.seed_seq.entropy[1])]
        return draw(rng, n), draw(rng, n)

    found = [rows_until_found(apart, [seed, seed % 3], most=200, step=100) for seed in range(90)]
    crossed = np.isfinite(found)  # ever: the p-value remembers the highest wealth
    assert np.mean(crossed) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 90)


def test_dependence_is_found_in_a_few_hundred_rows():
    def linear(rng, n):
        x, noise = rng.normal(size=(2, n))
        return x, 0.37 * x + noise  # correlation .35, MI .065

    def circle(rng, n):
        angle, noise = rng.uniform(0, 2 * np.pi, n), 0.35 * rng.normal(size=(2, n))
        return np.cos(angle) + noise[0], np.sin(angle) + noise[1]

    assert np.median([rows_until_found(linear, seed) for seed in range(15)]) <= 150
    assert np.median([rows_until_found(circle, seed) for seed in range(15)]) <= 275


def test_how_rows_are_handed_over_changes_nothing():
    x, noise = np.random.default_rng(0).normal(size=(2, 200, 2))
    y = x[:, :1] ** 2 + noise
    at_once, piecemeal = IndependenceStream(), IndependenceStream()
    expected = at_once.update(x, y)
    parts = np.split(np.arange(200), [1, 2, 30, 31, 31, 77])
    states = [piecemeal.update(x[part], y[part]) for part in parts]
    assert states[-1].log_wealth == pytest.approx(expected.log_wealth)
    assert states[-1].p_value == pytest.approx(expected.p_value)
    assert states[-1].rows == 200
    assert states[0].p_value == 1
    p_values = [state.p_value for state in states]
    assert p_values == sorted(p_values, reverse=True)


def test_decided_means_that_p_has_come_down_to_the_level():
    x, noise = np.random.default_rng(4).normal(size=(2, 400))
    p_value = IndependenceStream().update(x, 0.3 * x + noise).p_value
    assert 0 < p_value < 0.05
    for level, decided in ((p_value, True), (0.99 * p_value, False)):
        stream = IndependenceStream(level=level)
        stream.update(x, 0.3 * x + noise)
        assert stream.state().decided == decided
        noisy = stream.update(np.tile(x, 2), np.roll(np.tile(x, 2), 7))
        assert noisy.p_value <= p_value  # never forgotten


def test_the_critic_never_sees_the_rows_that_it_bets_on():
    fitted, scored = [], []

    def spy(x, y):
        fitted.append(x[:, 0])

        def critic(u, v):
            scored.append((fitted[-1], u[:, 0]))
            return np.zeros((len(u), len(v)))

        return critic

    state = IndependenceStream(fit=spy).update(np.arange(500), np.arange(500))
    assert state.log_wealth == 0
    assert state.p_value == 1
    assert all(past.max() < present.min() for past, present in scored)
    assert state.bet == sum(len(present) for _, present in scored) == 480
    assert [len(rows) for rows in fitted[:4]] == [20, 30, 45, 70]


def test_a_stream_reads_what_an_estimate_reads():
    x = np.random.default_rng(0).normal(size=(40, 2))
    known = IndependenceStream().update(x, x[:, 0])
    stream = IndependenceStream()
    stream.update(torch.tensor(x[:20], requires_grad=True), pd.Series(x[:20, 0]))
    stream.update(sparse.csr_array((0, 2)), [])
    assert stream.update(pd.DataFrame(x[20:]), x[20:, 0].tolist()) == known
    masked = np.ma.array(np.zeros((20, 20)), mask=True)
    with pytest.raises(InputError, match="finite scores"):
        IndependenceStream(fit=lambda x, y: lambda u, v: masked[: len(u), : len(v)]).update(x, x)


def test_a_witness_keeps_its_head_with_constant_and_many_columns():
    rng = np.random.default_rng(0)
    x, y = np.zeros((20, 1)), rng.standard_cauchy((20, 25))
    assert np.isfinite(Witness.fit(x, y)(x, y)).all()
    assert np.isfinite(Witness.fit(x, x)(x, x)).all()
    assert np.isfinite(Witness.fit(y, y)(y, y)).all()


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.zeros(3), np.zeros(4), "equal lengths"),
        (np.zeros((3, 2)), np.zeros(3), "1 columns in x, as before; got 2"),
        ([np.nan], [0.0], r"missing values, in columns x\[0\]"),
        (["a"], [0.0], r"numbers in column x\[0\] of x; got text"),
        (np.ma.array([1.0], mask=True), [0.0], "1 of 1 rows with missing values"),
        ([np.longdouble("1e400")], [0.0], r"finite values .* x\[0\]"),
        ([2**60, 2**60 + 1], [0.0, 1.0], "float64 distinguishes"),
        ([0.0], [1j], "real numbers in y"),
    ],
)
def test_rows_that_cannot_be_used_are_not_taken(x, y, said):
    stream = IndependenceStream()
    stream.update([1.0], [2.0])
    with pytest.raises(InputError, match=said):
        stream.update(x, y)
    assert stream.state().rows == 1
    with pytest.raises(InputError, match="level"):
        IndependenceStream(level=0)
    with pytest.raises(InputError, match="scores from the critic"):
        IndependenceStream(fit=lambda x, y: lambda u, v: np.zeros(3)).update(
            np.zeros(30), np.zeros(30)
        )


@pytest.mark.parametrize("fit", [None, 3, int, lambda x: x, lambda x, y, z: x])
def test_what_cannot_fit_a_critic_to_x_and_y_is_refused(fit):
    with pytest.raises(InputError, match="fit to be a function of x and y"):
        IndependenceStream(fit=fit)
    with pytest.raises(InputError, match="function that returns a critic"):
        IndependenceStream(fit=lambda x, y: 0).update(np.arange(50), np.arange(50))
    rows = np.random.default_rng(0).normal(size=(50, 1))
    assert IndependenceStream(fit=Witness.fit).update(rows, rows).rows == 50
