"""Certificate and p-value of whole estimates: what their critics see, and that they hold."""

import numpy as np
import pytest
import torch

from infobound.benchmark import tasks
from infobound.config import Config
from infobound.data import as_pair, split
from infobound.errors import InputError
from infobound.estimation import guarantees
from infobound.estimation.estimate import estimate
from infobound.estimation.guarantees import Guarantees, _fit_on_past
from infobound.estimation.selection import Job, configure_bound, fit_critic
from infobound.inference.certificates import Wealth
from infobound.inference.certify import _count_overlap, _sinkhorn_normalized, certify
from infobound.inference.dependent_rows import series_p
from infobound.inference.permutation import double_center
from infobound.models.cosine import Witness
from infobound.results.estimate import Estimate

FAST = {"n_iters": 50, "hidden_dim": 16, "embedding_dim": 4, "batch_size": 64}


def walk(rng, n, phi):
    """A stationary autoregression (n, 1) of variance 1."""
    values = rng.normal(size=n)
    for i in range(1, n):
        values[i] = phi * values[i - 1] + (1 - phi**2) ** 0.5 * values[i]
    return values[:, None]


@pytest.mark.parametrize("k", [1, 2])
def test_a_critic_of_the_past_knows_nothing_of_later_rows(k):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    y = x + rng.normal(size=(400, 2))
    config = Config(**FAST)
    parts = [test for _, test in split(400, 4, seed=0)]
    other = x.copy()
    other[np.concatenate(parts[k:])] = rng.normal(size=(100 * (4 - k), 2)) ** 3
    past = np.sort(np.concatenate(parts[:k]))
    critics = [
        _fit_on_past(Job(as_pair(side, y), config, configure_bound(config)), past, k, [1, 2, 3, 4])
        for side in (x, other)
    ]
    ours, theirs = (critic.matrix(past) for critic in critics)
    assert np.array_equal(ours, theirs)
    held = [
        similar.matrix(rows) for similar, rows in (critic.tuning_split(5) for critic in critics)
    ]
    assert np.array_equal(*held)


def guaranteed(x, y, **settings):
    """What `estimate` guarantees by Gaussian copulas, without its point estimate."""
    config = Config(estimator="gaussian", **settings)
    job = Job(as_pair(x, y), config, configure_bound(config))
    parts = split(len(x), config.folds, seed=config.seed, series=config.series)
    seeds = np.random.SeedSequence([config.seed, config.folds - 1]).generate_state(3)
    last = fit_critic(job, parts[-1][0], name="last", seeds=[int(seed) for seed in seeds])
    return guarantees.guarantees(job, [test for _, test in parts], last)


def handed_over(monkeypatch, **settings):
    """What `guarantees` hands to the certificate and to the p-value, of 240 rows in four folds."""
    rng, given = np.random.default_rng(8), {}
    x = rng.normal(size=(240, 1))
    pair = as_pair(x, x**2 + rng.normal(size=(240, 1)))
    config = Config(estimator="gaussian", **settings)
    job = Job(pair, config, configure_bound(config))
    parts = [test for _, test in split(240, 4, seed=0)]
    last = fit_critic(job, np.sort(np.concatenate(parts[:3])), name="last", seeds=[1, 2, 3])

    def played(blocks, **keywords):
        given.update(blocks=blocks, certificate=keywords)
        return Wealth(lambda mi: np.log(1 / (1 - keywords["level"])) + 0.25 - mi, 9.0)

    def permutation_p(tests, **keywords):
        given.update(tests=tests, p=keywords)
        return 0.5

    def of_the_past(job, past, k, seeds):
        given.setdefault("fitted", []).append(k)
        return _fit_on_past(job, past, k, seeds)

    monkeypatch.setattr(guarantees, "_fit_on_past", of_the_past)
    monkeypatch.setattr(guarantees, "played", played)
    monkeypatch.setattr(guarantees, "permutation_p", permutation_p)
    given["found"] = guarantees.guarantees(job, parts, last)
    return given, parts, job


def test_each_block_is_a_later_folds_rows_and_its_tuning_is_older(monkeypatch):
    given, parts, job = handed_over(monkeypatch, level=0.9, permutations=77, seed=5)
    blocks = given["blocks"]
    assert given["found"].certified == pytest.approx(0.25, abs=1e-4)
    assert (given["found"].upper, given["found"].p_value) == (None, 0.5)
    assert given["fitted"] == [1, 2]  # the last one was there
    assert [len(block.scores) for block in blocks] == [len(part) for part in parts[1:]]
    assert [len(test) for test in given["tests"]] == [len(part) for part in parts[1:]]
    for k, block in enumerate(blocks, 1):  # scored by what the folds before it make, and no more
        past = np.sort(np.concatenate(parts[:k]))
        critic = fit_critic(job, past, name="past", seeds=[1, 2, 3])
        expected = np.sort(np.diagonal(critic.matrix(parts[k])))
        np.testing.assert_allclose(np.sort(np.diagonal(block.scores)), expected, rtol=1e-4)
    assert blocks[1].tuning is blocks[0].scores
    assert blocks[2].tuning is blocks[1].scores
    assert 10 <= len(blocks[0].tuning) <= 25  # a third of the first fold
    for test in given["tests"]:  # two critics, each of spread one and centred on both sides
        np.testing.assert_allclose([test.mean(0), test.mean(1)], 0, atol=1e-5)
        assert 1.1 < test.std() < 2
    assert given["certificate"] == {"level": 0.9, "seed": 5}
    assert given["p"] == {"permutations": 77, "seed": 5}


def test_a_series_keeps_its_order_and_is_not_certified(monkeypatch):
    given, _, job = handed_over(monkeypatch, series=True)
    tested = series_p(job.pair.x, job.pair.y)
    assert given["found"] == Guarantees(None, None, tested.p_value, "moves", tested.smallest)
    assert "tests" not in given  # no permutations


def test_the_critics_of_permutations_are_those_of_the_past_and_the_witness(monkeypatch):
    given, parts, job = handed_over(monkeypatch)
    past = np.sort(np.concatenate(parts[:3]))
    test = np.random.default_rng(
        int(np.random.SeedSequence([0, 3, 1]).generate_state(4)[3])
    ).permutation(parts[3])
    critic = fit_critic(job, past, name="past", seeds=[1, 2, 3])
    x, y = job.pair.x, job.pair.y
    witness = Witness.fit(x[past], y[past])(x[test], y[test])
    expected = double_center(critic.matrix(test)) + double_center(witness)
    np.testing.assert_allclose(given["tests"][2], expected, atol=1e-4)


def test_a_fold_is_cut_into_blocks_and_four_of_them_are_scored(monkeypatch):
    given, _, _ = handed_over(monkeypatch, eval_rows=25)
    assert [len(block.scores) for block in given["blocks"]] == [20] * 9
    given, _, _ = handed_over(monkeypatch, eval_rows=11)
    assert [len(block.scores) for block in given["blocks"]] == [10] * 12


def test_a_critic_of_the_past_takes_half_the_time_and_of_few_rows_none(monkeypatch):
    rng, seen = np.random.default_rng(0), []

    def fit_critic(job, training, **keywords):
        seen.append((job.config.n_iters, job.config.patience, job.config.critic, job.module))
        assert keywords["quick"]

    monkeypatch.setattr(guarantees, "fit_critic", fit_critic)
    x, module = rng.normal(size=(401, 1)), torch.nn.Identity()
    config = Config(n_iters=51, patience=7)
    job = Job(as_pair(x, x), config, configure_bound(config), module=module)
    for k in (199, 200, 300):
        _fit_on_past(job, np.arange(k), 1, [1, 2, 3, 4])
    assert seen == [(26, 4, "none", None), *[(26, 4, config.critic, module)] * 2]


def test_scores_are_centred_on_both_sides_and_of_spread_one():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(30, 30)) * 7 + rng.normal(size=30) + rng.normal(size=(30, 1)) - 90
    found = double_center(scores)
    np.testing.assert_allclose([found.mean(0), found.mean(1)], 0, atol=1e-5)
    assert np.square(found).mean() == pytest.approx(1, abs=1e-4)
    residual = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
    np.testing.assert_allclose(found, residual / residual.std(), atol=1e-4)
    assert not double_center(1e-7 * rng.normal(size=(9, 9))).any()


def test_the_notebooks_pair_is_certified_and_never_above_the_truth():
    task = tasks.make("gaussian")
    found = []
    for seed in range(6):
        x, y = task.sample(400, torch.Generator().manual_seed(seed))
        result = estimate(x, y, seed=seed, critic="none", base="gaussian")
        found.append(result.certified)
        assert result.p_value < 1e-3
    assert max(found) < task.mi
    assert np.mean(found) > 2.3  # the issue asks for 1.8


def test_of_independent_rows_nothing_is_certified_and_p_is_uniform(monkeypatch):
    p_values, n = [], 80
    for seed in range(n):
        if seed == 3:  # what is certified costs most, and p does not depend on it
            monkeypatch.setattr(guarantees, "played", lambda *_, **__: Wealth(lambda mi: 0.0, 0.0))
        x, y = np.random.default_rng([9, seed]).standard_cauchy(size=(2, 100, 2))
        settings = {"seed": seed, "permutations": 99}
        found = guaranteed(x, y, **settings)
        if seed < 3:  # it is what an estimate says
            whole = estimate(x, y, estimator="gaussian", **settings)
            assert (whole.certified, whole.p_value) == (found.certified, found.p_value)
        assert found.certified == 0
        p_values.append(found.p_value)
    assert np.mean(np.array(p_values) <= 0.1) <= 0.1 + 2 * (0.1 * 0.9 / n) ** 0.5
    assert abs(np.mean(p_values) - 0.5) < 3 / (12 * n) ** 0.5


def test_the_witness_finds_what_the_closed_form_cannot():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 1))
    result = estimate(x, x**2 + rng.normal(size=(300, 1)), estimator="gaussian")
    assert result.p_value < 0.01
    assert "unmeasured" in {finding.code for finding in result.findings}


def test_independent_series_are_told_from_dependent_ones(monkeypatch):
    monkeypatch.setattr(
        guarantees, "played", lambda *_, **__: Wealth(lambda mi: 0.0, 0.0)
    )  # only p is looked at
    plain, moved, errors = [], [], []
    for seed in range(25):
        rng = np.random.default_rng([4, seed])
        x, y = walk(rng, 400, 0.9), walk(rng, 400, 0.9)
        settings = {"seed": seed, "permutations": 99}
        iid, series = (guaranteed(x, y, series=flag, **settings) for flag in (False, True))
        plain.append(iid.p_value <= 0.05)
        moved.append(series.p_value <= 0.05)
        assert series.certified is None
        if seed < 5:
            bare = {"estimator": "gaussian", "seed": seed, "certify": False}
            iid, series = (estimate(x, y, series=flag, **bare) for flag in (False, True))
            errors.append(series.held_out_error / iid.held_out_error)
    assert np.mean(plain) > 0.25  # what permuting them would say
    assert np.mean(moved) <= 0.05 + 2 * 0.044
    assert np.median(errors) > 1.5
    alone = {"critic": "none", "base": "gaussian"}
    rng = np.random.default_rng(5)
    x = walk(rng, 600, 0.9)
    assert estimate(x, x + walk(rng, 600, 0.9), series=True, **alone).p_value <= 0.05


def test_without_certify_nothing_is_proved():
    x = np.random.default_rng(6).normal(size=(60, 1))
    result = estimate(x, x + 1, certify=False, critic="none", base="gaussian")
    assert (result.certified, result.p_value) == (None, None)


def test_two_folds_and_your_own_module_are_certified_too():
    class Product(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(0.1))

        def forward(self, x, y):
            return self.scale * x @ y.T

    rng = np.random.default_rng(7)
    x = rng.normal(size=(600, 1))
    y = x + 0.3 * rng.normal(size=(600, 1))
    own = estimate(x, y, module=Product(), **FAST)
    two = estimate(x, y, folds=2, critic="none", base="gaussian")
    truth = 0.5 * np.log(1 + 1 / 0.09)
    assert 0.1 < own.certified < truth
    assert 0.5 < two.certified < truth
    assert Estimate.from_dict(own.as_dict()) == own


def test_a_level_out_of_range_is_refused():
    with pytest.raises(InputError, match="level"):
        estimate(np.zeros(50), np.arange(50), level=1.0)


def product(x, y):
    return 3 * x @ y.T


def paired(seed, n=400):
    x, noise = np.random.default_rng(seed).normal(size=(2, n))
    return x, x + 0.5 * noise


def test_your_own_critic_is_certified_on_fresh_rows(monkeypatch):
    seen = paired(0)
    found = [certify(product, *paired(seed), seen=seen) for seed in range(1, 5)]
    assert max(one.certified for one in found) < 0.5 * np.log(1 + 4)
    assert np.mean([one.certified for one in found]) > 0.2
    assert max(one.p_value for one in found) == pytest.approx(0.001)
    rng = np.random.default_rng(1)
    few = {"seen": paired(0, 100), "permutations": 99}
    nothing = []
    for k in range(40):
        if k == 12:  # what is certified costs most, and p does not depend on it
            monkeypatch.setattr("infobound.inference.certify.certificate", lambda *_, **__: 0.0)
        nothing.append(certify(product, *rng.normal(size=(2, 100)), **few))
    assert sum(one.certified > 0 for one in nothing) <= 2  # 0.6 expected, or fewer
    assert np.mean([one.p_value <= 0.1 for one in nothing]) <= 0.1 + 2 * 0.047


def test_a_balanced_critic_averages_one_over_what_it_knows():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 60, 1)).astype(np.float32)
    balanced = _sinkhorn_normalized(lambda a, b: a @ b.T + 5 * a**2 - b.T + 3, x, y)
    e = np.exp(balanced(x, y))
    np.testing.assert_allclose(e.mean(0), 1, rtol=1e-3)
    np.testing.assert_allclose(e.mean(1), 1, rtol=1e-3)
    a, b = rng.normal(size=(2, 7, 1)).astype(np.float32)
    np.testing.assert_allclose(np.exp(balanced(a, y)).mean(1), 1, rtol=1e-3)  # over known rows
    np.testing.assert_allclose(np.exp(balanced(x, b)).mean(0), 1, rtol=1e-3)
    plain = _sinkhorn_normalized(lambda a, b: a @ b.T, x, y)
    np.testing.assert_allclose(balanced(a, b), plain(a, b), atol=1e-3)


def test_rows_that_stand_in_both_are_counted_unless_rows_repeat_by_nature():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 50))
    past = as_pair(x, y)
    assert _count_overlap(as_pair(x[:7], y[:7]), past) == 7
    assert _count_overlap(as_pair(x[:7], y[7:14]), past) == 0  # half a row is not the row
    repeats = as_pair(np.r_[x, x[:3]], np.r_[y, y[:3]])
    assert _count_overlap(as_pair(x[:7], y[:7]), repeats) == 7
    bits = as_pair(rng.integers(2, size=50), rng.integers(2, size=50))
    assert _count_overlap(bits, bits) == 0


def test_your_own_module_is_asked_as_it_would_answer_without_training():
    class Mine(torch.nn.Module):
        def forward(self, x, y):
            assert not self.training
            assert not torch.is_grad_enabled()
            return product(x, y)

    seen = paired(0)
    found = certify(Mine(), *paired(1), seen=seen, permutations=19)
    assert found == certify(product, *paired(1), seen=seen, permutations=19)
    assert found.p_value == pytest.approx(1 / 20)


def test_all_rows_are_certified_in_blocks_with_one_tuning(monkeypatch):
    given = {}

    def certificate(blocks, **keywords):
        given.update(blocks=blocks, **keywords)
        return 0.25

    monkeypatch.setattr("infobound.inference.certify.certificate", certificate)
    monkeypatch.setattr("infobound.inference.certify.SCORED_ROWS", 40)
    found = certify(product, *paired(1, 100), seen=paired(0, 70), level=0.8, seed=3)
    assert (found.certified, found.level, found.n) == (0.25, 0.8, 100)
    assert [len(block.scores) for block in given["blocks"]] == [34, 33, 33]
    x, y = (side[-40:, None].astype(np.float32) for side in paired(0, 70))
    for block in given["blocks"]:
        np.testing.assert_allclose(block.tuning, _sinkhorn_normalized(product, x, y)(x, y))
    assert (given["level"], given["seed"]) == (0.8, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seen": paired(1)}, "400 that are among `seen`"),
        ({"seen": tuple(side[:9] for side in paired(0))}, "at least 20 rows in seen; got 9"),
        ({"x": np.zeros(5), "y": np.ones(5)}, "at least 20 rows in x and y; got 5"),
        ({"x": np.full(400, np.nan)}, "missing"),
        ({"x": ["u", "v"] * 200}, r"numbers in column x\[0\] of x; got text or categories"),
        ({"x": np.r_[np.inf, np.zeros(399)]}, "infinite"),
        ({"level": 1.5}, r"level to be in \(0, 1\); got 1.5"),
        ({"critic": lambda x, y: 0 * (x + y.T)}, "a fitted critic"),
        ({"critic": lambda x, y: x * y}, "shape"),
    ],
)
def test_what_cannot_be_certified_is_said(change, words):
    x, y = paired(1)
    given = {"critic": product, "x": x, "y": y, "seen": paired(0), **change}
    with pytest.raises(InputError, match=words):
        certify(**given)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(("apart", "paired"), [(4.0, False), (1.0, True)])
def test_pairs_are_left_out_where_the_past_shows_much_of_the_classes(monkeypatch, apart, paired):
    """The past decides: pairs certify more only where dependence is weak."""
    played = []

    def noted(blocks, **asked):
        played.append(len(blocks))
        return play(blocks, **asked)

    play = guarantees.played
    monkeypatch.setattr(guarantees, "played", noted)
    rng = np.random.default_rng(3)
    y = rng.integers(3, size=240)
    found = estimate(apart * np.eye(3)[y] + rng.normal(size=(240, 3)), y, critic="none")
    assert bool(played) == paired
    assert 0 < found.certified < np.log(3)
