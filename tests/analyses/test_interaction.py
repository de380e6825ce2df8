"""What a third variable adds or explains: synergy, a common cause, and one that does neither."""

import json

import numpy as np
import pytest

from infobound.analyses.interaction import interaction
from infobound.cli.main import main
from infobound.data import as_pair
from infobound.errors import InputError

FAST = {"estimator": "gaussian", "certify": False, "folds": 2}
TABLE = {"base": "table", "critic": "none", "certify": False, "folds": 2}


def exclusive_or(seed, n=300):
    """Two fair coins and whether they differ: I(X;Y) = 0 and I(X;Y|Z) = log 2."""
    x, y = np.random.default_rng(seed).integers(2, size=(2, n))
    return x, y, x ^ y


def common_cause(seed, n=300):
    """Normal x and y that are independent given z: I(X;Y|Z) = 0, and the correlation is 1/2."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    x, y = z + rng.normal(size=(2, n))
    return x, y, z


def no_part(seed, n=300):
    """The same x and y, and a z that has nothing to do with them."""
    x, y, _ = common_cause(seed, n)
    return x, y, np.random.default_rng(1000 + seed).normal(size=n)


@pytest.mark.parametrize(
    ("draw", "truth", "settings"),
    [
        (exclusive_or, np.log(2), TABLE),
        (common_cause, np.log(0.75) / 2, FAST),
        (no_part, 0.0, FAST),
    ],
)
def test_the_difference_is_right_and_its_interval_covers(draw, truth, settings):
    found = [interaction(*draw(seed), seed=seed, **settings) for seed in range(8)]
    values = np.array([each.difference for each in found])
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - truth) < 3 * error + 0.005  # half a hundredth of bias
    covered = [each.interval[0] <= truth <= each.interval[1] for each in found]
    assert sum(covered) >= 6  # of 8 at 95 %: fewer with probability 0.006
    small = np.mean([each.p_value <= 0.05 for each in found])
    assert (small <= 0.25) if truth == 0 else (small >= 0.75)


def test_linear_estimates_do_not_see_an_exclusive_or():
    """The negative control: the test above fails where the estimates are wrong."""
    assert interaction(*exclusive_or(0), **FAST).difference < 0.1


def test_pairing_cancels_the_error_that_both_estimates_share():
    narrower = []
    for seed in range(5):
        x, _, z = no_part(seed)
        y = x + 0.3 * np.random.default_rng(seed).normal(size=len(x))
        found = interaction(x, y, z, seed=seed, **FAST)
        low, high = found.interval
        both = (found.conditional, found.unconditional)
        narrower.append((high - low) / 2 / np.hypot(*(one.half_width for one in both)))
        assert found.difference == pytest.approx(both[0].mi - both[1].mi)
    assert np.median(narrower) < 0.8


def test_a_pair_with_given_is_the_same_as_three_samples():
    x, y, z = common_cause(0, 100)
    left, right = interaction(x, y, z, **FAST), interaction(as_pair(x, y, given=z), **FAST)
    assert left == right
    assert "I(X;Y|Z) - I(X;Y) = " in str(left)
    assert (left.conditional.dim_given, left.unconditional.dim_given) == (1, 0)
    assert left.conditional.pointwise is None


def test_columns_of_z_may_be_categories():
    x, y, z = common_cause(0, 200)
    codes = np.digitize(z, [-1, 0, 1])
    found = interaction(x, y, codes, categorical=["given"], **FAST)
    assert (found.conditional.dim_given, found.unconditional.dim_given) == (4, 0)


@pytest.mark.parametrize(
    ("samples", "settings", "message"),
    [
        (([1, 2, 3, 4], [4, 2, 3, 1]), {}, "third variable"),
        ((as_pair([1, 2, 3, 4], [4, 2, 3, 1]),), {}, "third variable"),
        (([1, 2, 3], [1, 3, 2], [1, 2]), {}, "equal lengths"),
        (([1, 2, 3], [1, 3, 2], [1, 2, np.nan]), {}, "missing"),
        (common_cause(0, 50), {"estimator": "ksg"}, "with given; got 'ksg'"),
        (common_cause(0, 50), {"fold": 2}, "fold"),
    ],
)
def test_bad_input_is_refused(samples, settings, message):
    with pytest.raises(InputError, match=message):
        interaction(*samples, **settings)


@pytest.mark.parametrize(
    ("draw", "base", "sign"),
    [
        (exclusive_or, "table", "positive: z adds"),
        (common_cause, "gaussian", "negative: z explains"),
        (no_part, "gaussian", "it is open"),
    ],
)
def test_the_command_says_what_the_sign_means(draw, base, sign, tmp_path, capsys):
    np.savez(tmp_path / "rows.npz", **dict(zip("abc", draw(0), strict=True)))
    words = ["interaction", str(tmp_path / "rows.npz"), "--x", "a", "--y", "b"]
    more = ["--given", "c", "--base", base, "--critic", "none", "--no-certify"]
    main([*words, *more, "--quiet"])
    assert sign in capsys.readouterr().out
    if draw is not common_cause:
        return
    main([*words, *more, "--quiet", "--json"])
    found = json.loads(capsys.readouterr().out)
    values = [found[name]["mi"] for name in ("conditional", "unconditional")]
    assert found["difference"] == pytest.approx(values[0] - values[1])
    with pytest.raises(SystemExit):
        main(words)
    assert "--given COLUMNS" in capsys.readouterr().err


def test_a_sampler_of_x_certifies_the_conditional_estimate():
    rng = np.random.default_rng(0)
    z, u, e = rng.normal(size=(3, 600))
    rows = z + u, z + 0.95 * u + 0.3 * e, z
    settings = {"base": "gaussian", "critic": "none", "folds": 2}
    drawn = interaction(*rows, given_sampler=lambda z, g: z + g.normal(size=z.shape), **settings)
    assert 0 < drawn.conditional.certified < -np.log(1 - 0.95**2 / (0.95**2 + 0.09)) / 2
    assert interaction(*rows, **settings).conditional.certified is None
    with pytest.raises(InputError, match="given_sampler"):
        interaction(*rows, given_sampler=lambda z, g: z[:1], **settings)
