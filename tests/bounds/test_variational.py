"""Bounds hold for any scores, are near the truth for the right ones, and say their error."""

import math
from unittest import mock

import pytest
import torch
import torch.nn.functional as F

from infobound.bounds import log_sums
from infobound.bounds.variational import BOUNDS, Bound, lookup, moving_log_average
from infobound.errors import InputError

RHO, DIM = 0.7, 2
TRUTH = -DIM / 2 * math.log1p(-(RHO**2))
LOWER = [name for name, bound in BOUNDS.items() if bound.is_lower_bound]
INFONCE = ["infonce", "infonce_over_y", "infonce_over_x"]
SHAPES = [(2, 2), (1, 4), (5, 5), (5, 7), (6, 30)]


def table(n, m, seed, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, m, generator=generator, dtype=dtype)


def gaussian(n, m, generator, repetitions):
    x = torch.randn(repetitions, n, DIM, generator=generator, dtype=torch.float64)
    y = torch.randn(repetitions, m, DIM, generator=generator, dtype=torch.float64)
    y[:, :n] = RHO * x + math.sqrt(1 - RHO**2) * y[:, :n]
    return x, y


def log_ratio(x, y):
    """log p(x, y) / p(x) p(y) of DIM independent pairs of correlation RHO: (n, m), nats."""
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1)
    quadratic = (2 * RHO * x @ y.T - RHO**2 * squares) / (2 * (1 - RHO**2))
    return quadratic + TRUTH


CRITICS = {
    "oracle": log_ratio,
    "steep": lambda x, y: 1.7 * log_ratio(x, y),
    "row": lambda x, y: log_ratio(x, y) + 0.5 * x[:, :1],
    "column": lambda x, y: log_ratio(x, y) - 2 * y[:, 0].abs(),
    "flat": lambda x, y: 0.4 * log_ratio(x, y) - 0.3,
}


def weights(bound, found):
    """`Bound.weights` by `torch.func`, which can be vectorised."""
    slopes = torch.func.grad(lambda parts: bound.of(log_sums.Sums.made(parts)).sum())
    return log_sums.Sums.made(slopes(found.parts()))


def vectorised(read, scores):
    """What `read`, a bound's method, makes of each of the scores (k, n, m).

    Vectorised code may neither branch on the scores nor change them in place. That the code which
    does gives the same is seen on every 50th. Parts are copied: `diagonal_scatter` copies all that
    a view is of.
    """
    plain = {"_shared_peak": lambda _: None, "_exp": torch.exp}
    with mock.patch.multiple(log_sums, **plain), mock.patch.object(Bound, "weights", weights):
        found = torch.cat([torch.func.vmap(read)(part.clone()) for part in scores.split(10)])
    some = torch.stack([read(one.clone()) for one in scores[::50]])
    torch.testing.assert_close(found[::50], some)
    return found


def drawn(critic, n, m, repetitions, seed=0, shuffled=False):
    """Scores of fresh rows, (repetitions, n, m)."""
    x, y = gaussian(n, m, torch.Generator().manual_seed(seed), repetitions)
    return torch.func.vmap(CRITICS[critic])(x, y.roll(1, 1) if shuffled else y)


def summary(values):
    return values.mean().item(), values.std().item() / math.sqrt(len(values))


# --- any scores ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0, 1e4])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", [*INFONCE, "alpha"])
def test_no_value_above_the_ceiling(name, shape, scale):
    bound = BOUNDS[name]
    for seed in range(5):
        scores = table(*shape, seed, scale)
        for peak in (0.0, 50.0, 1e4):
            value = bound.estimate(scores + peak * torch.eye(*shape))
            assert value <= bound.ceiling(shape[1]) + 1e-9


@pytest.mark.parametrize("alpha", [0.01, 0.5, 0.999])
def test_alpha_ceiling_is_reached_in_the_limit(alpha):
    bound = BOUNDS["alpha"].bind(alpha=alpha)
    scores = torch.full((4, 6), -60.0, dtype=torch.float64).fill_diagonal_(60.0)
    assert bound.estimate(scores) == pytest.approx(bound.ceiling(6), abs=1e-6)


def test_alpha_one_is_infonce_of_one_column_less():
    scores = table(5, 7, 0)
    kept = scores.clone()
    kept[torch.arange(5), torch.arange(1, 6)] = -math.inf
    expected = scores.diagonal() - torch.logsumexp(kept, 1) + math.log(6)
    value = BOUNDS["alpha"].bind(alpha=1.0).estimate(scores)
    torch.testing.assert_close(value, expected.mean())


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0, 100.0, 1e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_nwj_below_dv_and_tuba_meets_dv_at_its_best_baseline(shape, scale):
    for seed in range(5):
        scores = table(*shape, seed, scale)
        dv = BOUNDS["dv"].estimate(scores)
        assert BOUNDS["nwj"].estimate(scores) <= dv + 1e-9
        best, tuba = BOUNDS["mine"].average(log_sums.of(scores)), BOUNDS["tuba"]
        torch.testing.assert_close(tuba.bind(log_baseline=best).estimate(scores), dv)
        for off in (-0.3, 0.3):
            assert tuba.bind(log_baseline=best + off).estimate(scores) < dv


@pytest.mark.parametrize("fill", ["random", "right", "wrong", "constant"])
@pytest.mark.parametrize("shape", [(3, 3), (5, 7), (64, 64)])
@pytest.mark.parametrize("name", BOUNDS)
def test_scores_of_ten_thousand_keep_values_and_gradients(name, shape, fill):
    bound, eye = BOUNDS[name], torch.eye(*shape)
    scores = {
        "random": table(*shape, 1, dtype=torch.float32).sign() * 1e4,
        "right": 2e4 * eye - 1e4,
        "wrong": 1e4 - 2e4 * eye,
        "constant": torch.full(shape, 1e4),
    }[fill].requires_grad_()
    values = [bound.estimate(scores), bound.terms(scores).std()]
    if bound.average is not None:
        values.append(bound.objective(scores, bound.average(log_sums.of(scores))))
        values.append(bound.objective(scores, torch.tensor(0.0)))
    elif bound.surrogate is not None:
        values.append(bound.objective(scores))
    for value in values:
        assert value.dtype == torch.float32
        assert value.isfinite()
        (gradient,) = torch.autograd.grad(value, scores, retain_graph=True)
        assert gradient.isfinite().all()
    if fill == "wrong":  # training gets out of here: the negatives are pushed down
        (gradient,) = torch.autograd.grad(values[-1 if bound.surrogate else 0], scores)
        assert gradient[eye == 0].max() <= 0
        assert gradient[eye == 0].min() < 0


@pytest.mark.parametrize("name", BOUNDS)
def test_the_jackknife_moves_neither_estimate_nor_gradient(name):
    """Against finite differences, so the detached part must have gradient zero."""
    scores = table(4, 6, 3).requires_grad_()
    assert torch.autograd.gradcheck(BOUNDS[name].estimate, scores)


def test_invariances():
    scores, of_x, of_y = table(5, 7, 1), table(5, 1, 2), table(1, 7, 3)
    for name, shift, equal in [
        ("infonce_over_y", of_x, True),
        ("infonce_over_y", of_y, False),
        ("infonce_over_x", of_y, True),
        ("infonce_over_x", of_x, False),
        ("flo", of_x, True),
        ("dv", 3.0, True),
        ("infonce", 3.0, True),
        ("nwj", 3.0, False),
    ]:
        before, after = (BOUNDS[name].estimate(table) for table in (scores, scores + shift))
        assert (abs(before - after) < 1e-9) == equal, name


# --- formulas -----------------------------------------------------------------------------------


def naive(f, name):
    """The papers' formulas in loops over the entries of a list of lists."""
    n, m, exp, log = len(f), len(f[0]), math.exp, math.log
    off = [(i, j) for i in range(n) for j in range(m) if i != j]
    p = sum(f[i][i] for i in range(n)) / n
    over_y = p - sum(log(sum(exp(f[i][j]) for j in range(m)) / m) for i in range(n)) / n
    over_x = p - sum(log(sum(exp(f[i][j]) for i in range(n)) / n) for j in range(n)) / n
    z = sum(exp(f[i][j]) for i, j in off) / len(off)
    clipped = sum(exp(min(max(f[i][j], -0.5), 0.5)) for i, j in off) / len(off)
    alpha = flo = 0.0
    for i in range(n):
        others = [j for j in range(m) if j != i]
        joint = sum(exp(f[i][j]) for j in range(m) if j != (i + 1) % m) / (m - 1)
        product = sum(exp(f[i][j]) for j in others) / (m - 1)
        mix = 0.3 * joint + 0.7
        alpha += (1 + log(exp(f[i][i]) / mix) - product / (0.3 * product + 0.7)) / n
        for mine in (0, 1):
            half = [[j for j in others if (j - i) % m % 2 == side] for side in (mine, 1 - mine)]
            guess, fresh = ([exp(f[i][j] - f[i][i]) for j in side] for side in half)
            u = log(sum(guess) / len(guess))
            flo += (1 - u - exp(-u) * sum(fresh) / len(fresh)) / (2 * n)
    return {
        "infonce": (over_x + over_y) / 2,
        "infonce_over_y": over_y,
        "infonce_over_x": over_x,
        "dv": p - log(z),
        "mine": p - log(z),
        "nwj": p - z / math.e,
        "tuba": p - 0.4 + 1 - z * exp(-0.4),
        "alpha": alpha,
        "js": p + 1 - z,
        "smile": p - log(clipped),
        "flo": flo,
    }[name]


SETTINGS = {"tuba": {"log_baseline": 0.4}, "alpha": {"alpha": 0.3}, "smile": {"clip": 0.5}}


@pytest.mark.parametrize("m", [5, 6, 7])
@pytest.mark.parametrize("name", BOUNDS)
def test_values_equal_the_loops(name, m):
    scores = table(5, m, 4)
    bound = BOUNDS[name].bind(**SETTINGS.get(name, {}))
    assert bound.terms(scores).shape == (5,)
    assert bound.estimate(scores).item() == pytest.approx(naive(scores.tolist(), name), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "defaults"),
    [("smile", {"clip": 5.0}), ("alpha", {"alpha": 0.5}), ("tuba", {"log_baseline": 0.0})],
)
def test_settings_left_out_have_their_documented_values(name, defaults):
    scores = table(5, 7, 14, scale=6.0)
    plain, bound = BOUNDS[name], BOUNDS[name].bind(**defaults)
    assert torch.equal(plain.terms(scores), bound.terms(scores))
    assert plain.ceiling is None or plain.ceiling(7) == bound.ceiling(7)
    other = bound.bind(**{key: value + 0.2 for key, value in defaults.items()})
    assert not torch.equal(plain.terms(scores), other.terms(scores))


@pytest.mark.parametrize("name", BOUNDS)
def test_what_has_no_goal_trains_on_its_estimate(name):
    bound, scores = BOUNDS[name], table(5, 7, 16)
    trained = bound.objective(
        scores, *([bound.average(log_sums.of(scores))] if bound.average else [])
    )
    if bound.surrogate is None or bound.average:
        torch.testing.assert_close(trained, bound.estimate(scores))
    else:
        assert trained < bound.estimate(scores) - 0.1


def test_infonce_over_x_is_the_notebooks_loss():
    scores = table(6, 6, 5)
    pairs = scores.T  # the notebook's T1: one row for each y
    expected = scores.diagonal().mean() - (pairs.logsumexp(dim=1).mean() - math.log(6))
    torch.testing.assert_close(BOUNDS["infonce_over_x"].estimate(scores), expected)


def test_dv_terms_are_the_stated_linearisation():
    scores = table(6, 6, 6)
    e = scores.exp().fill_diagonal_(0)
    z, r, c = e.sum() / 30, e.sum(1) / 5, e.sum(0) / 5
    expected = scores.diagonal() - z.log() - (r + c) / z + 2
    torch.testing.assert_close(BOUNDS["dv"].terms(scores), expected)


def test_infonce_terms_share_the_columns_of_rows_but_no_normaliser():
    scores = table(6, 6, 15, scale=2.0)
    shares = scores.softmax(1).fill_diagonal_(0).sum(0)  # what column j takes of other rows
    own = scores.diagonal() - scores.logsumexp(1) + math.log(6)
    expected = own - shares + shares.mean()
    torch.testing.assert_close(BOUNDS["infonce_over_y"].terms(scores), expected)
    torch.testing.assert_close(BOUNDS["infonce_over_x"].terms(scores.T), expected)


def test_bounds_with_one_normaliser_share_it_alike():
    scores = table(6, 9, 17)
    torch.testing.assert_close(BOUNDS["js"].terms(scores), BOUNDS["tuba"].terms(scores))
    torch.testing.assert_close(BOUNDS["mine"].terms(scores), BOUNDS["dv"].terms(scores))
    wide = BOUNDS["smile"].bind(clip=99.0)  # nothing is clipped: the same as DV
    torch.testing.assert_close(wide.terms(scores), BOUNDS["dv"].terms(scores))


def test_flo_with_a_given_u_is_largest_at_the_best_u():
    scores = table(5, 7, 7)
    off = scores.masked_fill(torch.eye(5, 7, dtype=torch.bool), -math.inf)
    best = torch.logsumexp(off, 1) - math.log(6) - scores.diagonal()
    value = BOUNDS["flo"].bind(u=best).estimate(scores)
    torch.testing.assert_close(value, -best.mean())
    assert BOUNDS["flo"].bind(u=best + table(1, 5, 8)[0]).estimate(scores) < value


def test_tuba_with_a_function_of_x_is_a_shift_of_the_critic():
    scores, a = table(5, 7, 9), table(1, 5, 10)[0]
    shifted = BOUNDS["tuba"].estimate(scores - a[:, None])
    torch.testing.assert_close(BOUNDS["tuba"].bind(log_baseline=a).estimate(scores), shifted)


@pytest.mark.parametrize("name", ["js", "smile"])
def test_js_objective(name):
    scores = table(5, 7, 11)
    off = ~torch.eye(5, 7, dtype=torch.bool)
    expected = -F.softplus(-scores.diagonal()).mean() - F.softplus(scores[off]).mean()
    torch.testing.assert_close(BOUNDS[name].bind().objective(scores), expected)


def test_mine_at_the_batch_mean_is_dv_in_value_and_gradient():
    mine, scores = BOUNDS["mine"], table(5, 7, 12).requires_grad_()
    (expected,) = torch.autograd.grad(BOUNDS["dv"].estimate(scores), scores)
    average = mine.average(log_sums.of(scores))
    value = mine.objective(scores, average)
    torch.testing.assert_close(value, mine.estimate(scores))
    torch.testing.assert_close(torch.autograd.grad(value, scores)[0], expected)
    average = average.detach() + math.log(2)  # half the weight on the negatives
    (halved,) = torch.autograd.grad(mine.objective(scores, average), scores)
    off = ~torch.eye(5, 7, dtype=torch.bool)
    torch.testing.assert_close(halved[off], expected[off] / 2)
    torch.testing.assert_close(halved.diagonal(), expected.diagonal())


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_moving_log_average(rate):
    old, new = torch.tensor(1.2), torch.tensor(-0.4)
    expected = ((1 - rate) * old.exp() + rate * new.exp()).log()
    torch.testing.assert_close(moving_log_average(old, new, rate), expected)
    assert moving_log_average(torch.tensor(1e4), torch.tensor(-1e4), 0.1).isfinite()


# --- against a known truth ----------------------------------------------------------------------


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize(("n", "m"), [(12, 12), (64, 96)])
def test_lower_bounds_do_not_exceed_the_truth_on_average(critic, n, m):
    scores = drawn(critic, n, m, 8000 // n)
    for name in LOWER:
        mean, error = summary(vectorised(BOUNDS[name].estimate, scores))
        assert mean <= TRUTH + 3 * error, name


def test_the_right_critic_is_near_the_truth_where_there_is_no_ceiling():
    scores = drawn("oracle", 128, 128, 150)
    for name in ("dv", "mine", "tuba", "js", "smile", "alpha", "flo"):
        mean, error = summary(vectorised(BOUNDS[name].estimate, scores))
        assert abs(mean - TRUTH) < 3 * error + 0.03, name
    mean, error = summary(vectorised(BOUNDS["nwj"].estimate, 1 + scores))
    assert abs(mean - TRUTH) < 3 * error


def test_why_dv_and_smile_are_not_called_lower_bounds():
    """Few rows lift the log of a mean; a tight clip lifts SMILE at any number of rows."""
    assert set(BOUNDS) - set(LOWER) == {"dv", "mine", "smile"}
    mean, error = summary(vectorised(BOUNDS["dv"].estimate, drawn("oracle", 4, 4, 4000)))
    assert mean > TRUTH + 5 * error
    tight = BOUNDS["smile"].bind(clip=0.1)
    mean, error = summary(vectorised(tight.estimate, drawn("steep", 64, 64, 50, seed=2)))
    assert mean > TRUTH + 5 * error


@pytest.mark.parametrize("name", BOUNDS)
def test_shuffled_pairs_show_nothing(name):
    mean, error = summary(
        vectorised(BOUNDS[name].estimate, drawn("oracle", 64, 64, 60, shuffled=True))
    )
    assert mean < 3 * error


@pytest.mark.parametrize(
    ("critic", "n", "m"),
    [("oracle", 100, 100), ("row", 60, 150), ("column", 60, 150), ("flat", 100, 100)],
)
def test_standard_errors_are_the_spread_over_repetitions(critic, n, m):
    names = [*INFONCE, "dv", "nwj", "tuba", "alpha", "smile"]
    if critic in ("flat", "column"):  # elsewhere cosh has too heavy a tail for 250 repetitions
        names.append("flo")
    scores = drawn(critic, n, m, 250, seed=3)
    for name in names:
        terms = vectorised(BOUNDS[name].terms, scores)
        spread, stated = terms.mean(1).std(), (terms.var(1).mean() / n).sqrt()
        assert stated / spread == pytest.approx(1, abs=0.15), name


def test_standard_errors_count_the_columns_beyond_n():
    """A small critic g(y): the mean of g over n less that over 2 n, with variance var(g) / 2 n."""
    n = 400
    g = 0.1 * table(2, n, 13)
    expected = (g[0] - g[1]).std().item() / 2 / math.sqrt(n)
    for name in ("dv", "tuba", "flo", "infonce_over_y", "alpha"):
        error = BOUNDS[name].terms(g.reshape(1, -1).expand(n, 2 * n)).std() / math.sqrt(n)
        assert error == pytest.approx(expected, rel=0.1), name


# --- what a user can get wrong ------------------------------------------------------------------


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("shape", [(3,), (2, 3, 3), (4, 3), (1, 1), (0, 3)])
def test_scores_of_another_shape(name, shape):
    bound = BOUNDS[name]
    for function in (bound.terms, bound.estimate, bound.objective):
        with pytest.raises(InputError, match=r"Expected .*; got .*\. "):
            function(torch.zeros(shape))


@pytest.mark.parametrize(
    "act",
    [
        lambda: lookup("infonec"),
        lambda: BOUNDS["infonce"].bind(clip=5.0),
        lambda: BOUNDS["smile"].bind(clip=5.0, alpha=0.5),
        lambda: BOUNDS["smile"].bind(clip=0.0).estimate(torch.eye(3)),
        lambda: BOUNDS["alpha"].bind(alpha=0.0).estimate(torch.eye(3)),
        lambda: BOUNDS["tuba"].bind(log_baseline=torch.zeros(2)).estimate(torch.eye(3)),
        lambda: BOUNDS["flo"].bind(u=torch.zeros(2)).estimate(torch.eye(3)),
        lambda: BOUNDS["flo"].estimate(torch.eye(2)),
        lambda: moving_log_average(torch.tensor(0.0), torch.tensor(0.0), 0.0),
        lambda: moving_log_average(torch.tensor(0.0), torch.tensor(0.0), 1.5),
        lambda: BOUNDS["dv"].estimate(torch.eye(3, dtype=torch.long)),
    ],
)
def test_errors_say_what_was_expected_and_what_to_do(act):
    with pytest.raises(InputError, match=r"^Expected .*; got .*\. "):
        act()


def test_lookup_names_the_nearest():
    assert lookup("flo") is BOUNDS["flo"]
    with pytest.raises(InputError, match="infonce"):
        lookup("infonec")


def test_which_bounds_are_called_lower_bounds():
    """All but those with the log of a sample mean, or a clipped one, in place of log Z."""
    assert set(BOUNDS) - set(LOWER) == {"dv", "mine", "smile"}


@pytest.mark.parametrize("value", [object(), "1", range(3), True, float("nan")])
def test_a_setting_that_is_no_number_is_refused(value):
    with pytest.raises(InputError, match="Expected alpha"):
        BOUNDS["alpha"].bind(alpha=value)
    with pytest.raises(InputError, match="Expected clip"):
        BOUNDS["smile"].bind(clip=value)
