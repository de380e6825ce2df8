"""Transfer entropy: directions, lags, trials, surrogates, and what is refused."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from infobound import InputError, storage, transfer_entropy
from infobound.series.transfer import Past

FAST = {"base": "gaussian", "permutations": 199}


def coupled(n, *, seed, phi=0.9, coupling=0.5, lag=1):
    """x drives y after some rows; both have an autocorrelation of about phi."""
    rng = np.random.default_rng(seed)
    x = lfilter([1], [1, -phi], rng.normal(size=n + 300))
    drive = np.zeros(n + 300)
    drive[lag:] = coupling * x[:-lag]
    y = lfilter([1], [1, -phi], drive + rng.normal(size=n + 300))
    return x[300:], y[300:]


def test_both_directions_and_their_difference():
    truth, found = 0.2856, [transfer_entropy(*coupled(1500, seed=s), **FAST) for s in range(2)]
    assert abs(np.mean([one.forward.mi for one in found]) - truth) < 0.03
    assert abs(np.mean([one.backward.mi for one in found])) < 0.01
    for one in found:
        assert one.forward.p_value <= 0.01
        assert one.forward.interval[0] < truth < one.forward.interval[1]
        assert one.difference.mi == one.forward.mi - one.backward.mi
        assert one.difference.p_value < 1e-6
        assert one.difference.interval[0] > 0
        assert one.forward.p_value == max(one.forward.rotation_p, one.forward.residual_p)
    assert min(one.backward.p_value for one in found) > 0.02


def test_exchanged_series_exchange_the_directions():
    x, y = coupled(500, seed=0)
    there, back = transfer_entropy(x, y, **FAST), transfer_entropy(y, x, **FAST)
    assert there.forward.mi == back.backward.mi
    assert there.difference.mi == -back.difference.mi


def test_increasing_maps_change_little():
    """Series are replaced by normal scores where these are clearly more linear."""
    x, y = coupled(1000, seed=0, phi=0.7)
    plain = transfer_entropy(x, y, **FAST).forward
    cubes = transfer_entropy(x**3, y**3, **FAST).forward
    assert cubes.mi == pytest.approx(plain.mi, abs=0.03)
    assert cubes.estimate.held_out > 0.8 * plain.estimate.held_out


def test_a_scan_finds_the_lag_in_the_right_direction():
    found = transfer_entropy(*coupled(800, seed=1, lag=3), lag=range(1, 7), **FAST)
    assert found.forward.lags == (3,)
    assert [test.lag for test in found.forward.scan] == [1, 2, 3, 4, 5, 6]
    assert found.forward.scan[2].statistic == max(t.statistic for t in found.forward.scan)
    assert found.backward.p_value > 0.05


def test_automatic_histories():
    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, 600))
    y = np.zeros(600)
    for t in range(4, 600):  # y remembers rows 1 and 3, and hears rows 2 and 4 of x
        y[t] = 0.4 * y[t - 1] - 0.4 * y[t - 3] + 0.5 * x[t - 2] + 0.5 * x[t - 4] + e[t]
    found = transfer_entropy(x, y, history="auto", **FAST)
    assert found.forward.history == (1, 3)
    assert found.forward.lags == (2, 4)
    assert found.backward.lags == (found.backward.lags[0],)
    assert found.forward.n == 590


def test_a_common_cause_that_is_given_leaves_nothing():
    rng = np.random.default_rng(2)
    z = lfilter([1], [1, -0.7], rng.normal(size=1501))
    x, y = (0.8 * z[:-1] + rng.normal(size=1500) for _ in range(2))
    # x sees z one row earlier, so that its past says something about y
    x, y, z = x[1:], y[:-1], z[1:-1]
    apart, given = transfer_entropy(x, y, **FAST), transfer_entropy(x, y, given=z, **FAST)
    assert apart.forward.p_value < 0.05
    assert given.forward.estimate.dim_given == 2
    assert given.forward.mi < apart.forward.mi


def test_no_past_crosses_the_border_of_a_trial():
    x, y = coupled(300, seed=3)
    trials = np.repeat(np.arange(12), 25)
    found = transfer_entropy(x, y, groups=trials, history=2, **FAST)
    assert found.forward.n == 12 * 23
    assert found.forward.p_value < 0.05
    assert found.forward.estimate.group_count == 12
    few = transfer_entropy(x, y, groups=np.repeat([0, 1], 150), history=2, **FAST)
    assert few.forward.estimate.group_count is None
    assert few.forward.n == 2 * 148
    # Rows of two trials in turn are the same trials.
    order = np.argsort(np.arange(300) % 25, kind="stable")
    mixed = transfer_entropy(x[order], y[order], groups=trials[order], history=2, **FAST)
    assert mixed.forward.mi == found.forward.mi


def test_the_callers_surrogates():
    x, y = coupled(600, seed=4)
    seen = []

    def phases(values, rng):
        seen.append(values.shape)
        spectrum = np.fft.rfft(values[:, 0])
        turns = np.exp(2j * np.pi * rng.random(len(spectrum)))
        return np.fft.irfft(np.abs(spectrum) * turns, len(values))

    found = transfer_entropy(x, y, surrogates=phases, **{**FAST, "permutations": 39})
    assert seen == [(600, 1)] * 78  # 39 for each direction
    assert found.forward.rotation_p == 1 / 40
    rng = np.random.default_rng(0)
    own = np.stack([phases(x[:, None], rng) for _ in range(49)])
    assert transfer_entropy(x, y, surrogates=own, **FAST).forward.rotation_p == 1 / 50


def test_units_frame_and_figure():
    found = transfer_entropy(*coupled(300, seed=0), lag=[1, 2], **FAST)
    nats, bits = found.to_frame(), found.to_frame("bits")
    assert nats["mi"][0] / bits["mi"][0] == pytest.approx(math.log(2))
    values = found.as_dict("bits")
    assert values["forward"]["mi"] == pytest.approx(bits["mi"][0])
    assert values["forward"]["estimate"]["unit"] == "bits"
    assert len(found.figure().axes) == 2
    assert "x -> y" in str(found)


def test_storage_of_a_series():
    rng = np.random.default_rng(0)
    y = lfilter([1], [1, -0.8], rng.normal(size=1500))
    found = storage(y, base="gaussian")
    assert found.mi == pytest.approx(-math.log(1 - 0.64) / 2, abs=0.08)
    assert found.p_value < 0.05
    assert storage(rng.normal(size=1500), base="gaussian").p_value > 0.05
    assert storage(y, history="auto", base="gaussian").history == (1,)


def test_categories_are_series_too():
    rng = np.random.default_rng(0)
    x = rng.integers(3, size=900)
    y = np.where(rng.random(900) < 0.7, np.roll(x, 1), rng.integers(3, size=900))
    words = np.array(["a", "b", "c"])
    found = transfer_entropy(words[x], words[y], permutations=199)
    # y repeats x with .8 and is one of the two others with .1 each: log 3 - H(.8, .1, .1)
    assert found.forward.mi == pytest.approx(0.4597, abs=0.08)
    assert found.forward.p_value < 0.05 < found.backward.p_value


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lag": 0}, "Expected lag to be a positive number"),
        ({"lag": []}, "Expected lag to be a positive number, or several"),
        ({"history": "long"}, "Expected history to be of type int"),
        ({"source_history": 0}, "Expected source_history to be a positive number"),
        ({"history": 80}, "Expected a series, or trials, of more than 80 rows"),
        ({"groups": [1, 2]}, "Expected a group for each of the 80 rows"),
        (
            {"groups": [None] + ["a"] * 79},
            "Expected a group for each row; got 1 of 80 rows without a label",
        ),
        ({"groups": np.arange(80)}, "Expected a series, or trials, of more than 1 rows"),
        ({"surrogates": np.zeros((19, 5))}, "Expected surrogates of shape"),
        ({"surrogates": lambda values, rng: values[1:]}, "Expected surrogates to return finite"),
        ({"permutations": 3}, "Expected permutations to be 19 or more"),
        ({"unit": "bits"}, "Expected a known setting"),
    ],
)
def test_what_is_refused(settings, sentence):
    x, y = np.random.default_rng(0).normal(size=(2, 80))
    with pytest.raises(InputError, match="Expected") as error:
        transfer_entropy(x, y, **settings)
    assert str(error.value).startswith(sentence)


def test_the_longest_lag_of_an_automatic_history():
    assert Past.of(1, "auto").longest == 10
    assert Past.of(range(1, 4), 2).candidates == [(1, 2), (2, 3), (3, 4)]


def test_a_category_is_called_by_its_column():
    rng = np.random.default_rng(0)
    stage = pd.Series(rng.choice(["rem", "wake", "deep"], size=120), name="stage")
    found = transfer_entropy(stage, rng.normal(size=120), base="gaussian", permutations=19)
    assert (found.forward.source, found.forward.target) == ("stage", "y")
