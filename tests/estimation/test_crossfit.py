"""One fold: which rows its values are taken on, and which contributions make the estimate."""

import math
from dataclasses import replace

import numpy as np
import pytest

from infobound import estimate
from infobound.config import Config
from infobound.data import as_pair, split
from infobound.errors import InputError
from infobound.estimation import crossfit
from infobound.estimation.crossfit import (
    Fold,
    Part,
    PointWeights,
    _blind,
    _counted_if_shown,
    _mix,
    _unseen,
    _weighted_by_test,
    fit_fold,
)
from infobound.estimation.selection import Ensemble, Job, Scored, configure_bound
from infobound.models.closed_forms import BASES


def constant(terms, dv, positives, n=4):
    return Scored(np.full(n, terms), np.full(n, dv), np.full(n, positives))


def part(mix, **given):
    fields = {"weight": 1.0, "test": constant(1.0, 2.0, 4.0), "training": constant(1.5, 2.7, 5.0)}
    return Part(**{**fields, "mix": mix, **given})


def made(*parts, blind=0.0):
    return Fold(np.arange(4), parts, fit=None, base=None, kept=False, blind=blind)


def test_a_point_is_the_mean_of_training_and_held_out_value():
    for mix, held_out, training in [
        (PointWeights(1.0, 0.0, 0.0), 4.0, 5.0),
        (PointWeights(0.0, 1.0, 0.0), 2.0, 2.7),
        (PointWeights(0.0, 0.0, 1.0), 1.0, 1.5),
        (PointWeights(0.25, 0.25, 0.5), 2.0, 2.675),
    ]:
        one = part(mix)
        assert one.point() == pytest.approx((held_out + training) / 2)
        assert one.correction() == pytest.approx((training - held_out) / 2)
    closed = part(PointWeights(1.0, 0.0, 0.0), closed=3.0)
    assert (closed.point(), closed.correction()) == (3.0, 0.0)
    half = part(PointWeights(0.5, 0.0, 0.5), closed=3.0)
    assert half.point() == pytest.approx(0.5 * 3.0 + 0.5 * 1.25)
    assert half.correction() == pytest.approx((half.point() - 2.5) / 2)
    assert part(PointWeights(0.0, 0.0, 1.0), closed=3.0).point() == pytest.approx(1.25)


def test_parts_of_a_fold_count_by_weight_and_the_rest_finds_nothing():
    one = part(PointWeights(0.0, 0.0, 1.0), weight=0.5)
    two = part(PointWeights(0.0, 1.0, 0.0), weight=0.3)
    fold = made(one, two, blind=0.1)
    assert fold.rest == pytest.approx(0.2)
    assert fold.point() == pytest.approx(0.5 * 1.25 + 0.3 * 2.35)
    assert fold.terms() == pytest.approx(np.full(4, 0.8))
    assert fold.training() == pytest.approx(0.5 * 1.5 + 0.3 * 1.5)
    assert fold.points() == pytest.approx(np.full(4, 0.5 * 1 + 0.3 * 2))
    assert fold.correction() == pytest.approx(math.hypot(0.5 * 0.25 + 0.3 * 0.35, 0.2 * 0.1))
    wide = replace(fold, is_wide=True)  # then also what its critics may have missed
    assert wide.correction() == pytest.approx(math.hypot(0.5 * 0.25 + 0.3 * 0.35, 0.1))
    assert fold.capped()
    assert not made(two).capped()
    assert not made(part(PointWeights(0.5, 0.0, 0.5), weight=0.9)).capped()
    missing = made(replace(one, missed=0.2), two, blind=0.1)
    assert missing.correction() == pytest.approx(math.hypot(fold.correction(), 0.5 * 0.2))
    nothing = made(blind=0.1)
    assert (nothing.point(), nothing.correction()) == (0, 0.1)
    assert nothing.terms() == pytest.approx(np.zeros(4))


def scored(log_z, doubt, n=400):
    """Scores whose normaliser is log_z, with that standard error."""
    signs = np.tile([1.0, -1.0], n // 2) * doubt * math.sqrt(n)
    return Scored(np.zeros(n), -log_z - signs, np.zeros(n))


@pytest.mark.parametrize(
    ("normalised", "log_z", "doubt", "higher", "mix"),
    [
        (True, 0.014, 0.01, True, (1, 0, 0)),  # 1.4 standard errors off: e^f averages one
        (True, 0.02, 0.01, True, (0.5, 0.5, 0)),
        (True, -0.02, 0.01, False, (0.5, 0, 0.5)),
        (True, 0.026, 0.01, True, (0, 1, 0)),
        (True, 0.9, 0.13, True, (1, 0, 0)),  # nobody knows what it averages
        (True, 0.9, 0.1025, False, (0.5, 0, 0.5)),
        (False, 0.0, 0.07, True, (0, 1, 0)),
        (False, 0.0, 0.07, False, (0, 0, 1)),
        (False, 0.0, 0.1025, True, (0, 0.5, 0.5)),
        (False, 0.0, 0.13, True, (0, 0, 1)),
        (True, 0.0, 0.0, True, (0, 1, 0)),
    ],
)
def test_which_contributions_make_the_estimate(normalised, log_z, doubt, higher, mix):
    training = constant(1.0, 1.1 if higher else 0.9, 0.0)
    assert _mix(normalised, scored(log_z, doubt), training) == pytest.approx(mix, abs=1e-9)


def test_a_base_that_does_worse_than_nothing_loses_its_say():
    job = Job(as_pair(np.zeros(4), np.zeros(4)), Config(), configure_bound(Config()))
    for errors, weight in [(-1.0, 1.0), (2.9, 1.0), (4.0, 0.5), (4.5, 0.25), (5.1, 0.0)]:
        terms = np.array([1.0, -1.0, 1.0, -1.0])
        one = part(PointWeights(1.0, 0.0, 0.0), test=Scored(terms - errors / 2, terms, terms))
        heard = _weighted_by_test(job, one, np.arange(4))
        assert sum(each.weight for each in heard) == pytest.approx(weight)
        assert bool(heard) == (weight > 0)
    for below, weight in [(0.019, 0.6), (0.08 / 3, 0.3), (0.034, 0.0)]:  # too little to matter
        one = part(PointWeights(1.0, 0.0, 0.0), weight=0.6, test=constant(-below, 0.0, 0.0))
        assert sum(
            each.weight for each in _weighted_by_test(job, one, np.arange(4))
        ) == pytest.approx(weight)


def fitted(monkeypatch, n=200, most=None, again=50, **settings):
    """A fold of a Gaussian copula, its training and test rows, and so many of another's."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, 2))
    config = Config(estimator="gaussian", **settings)
    y = np.hstack([x, x[:, :1]]) + rng.normal(size=(n, 3))
    job = Job(as_pair(x, y), config, configure_bound(config))
    parts = split(n, 4, seed=0)
    if most is not None:
        monkeypatch.setattr(crossfit, "most_rows", lambda config: n)
        monkeypatch.setattr(crossfit, "TRAINED", most)
    others = parts[1][1][:again]
    fold, critic = fit_fold(job, 0, *parts[0], others)
    return fold, critic, *parts[0], others


def test_values_are_taken_on_the_rows_that_they_are_said_to_be_of(monkeypatch):
    fold, critic, _, test, again = fitted(monkeypatch)
    assert np.array_equal(np.sort(fold.rows), np.sort(test))
    assert not np.array_equal(fold.rows, test)  # blocks do not follow the order
    (one,), (model,) = fold.parts, critic.parts
    np.testing.assert_allclose(one.test.positives, model.scored(fold.rows).positives)
    ours, theirs = (np.sort(v) for v in (one.training.positives, model.scored(again).positives))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert one.seen is None
    assert (fold.base, fold.kept) == ("gaussian", False)
    assert one.closed == model.critic.base.mi
    assert one.simulated.shape == (50,)
    assert fold.blind == pytest.approx(math.sqrt(2 * 3 / 2) / 200)


def test_rows_of_another_fold_come_first_and_training_rows_fill_up(monkeypatch):
    fold, critic, training, _, again = fitted(monkeypatch, again=20)
    (one,), (model,) = fold.parts, critic.parts
    assert len(one.training.positives) == 50
    every, first = (model.scored(rows).positives.round(5) for rows in (training, again))
    assert np.isin(first, one.training.positives.round(5)).all()
    assert np.isin(one.training.positives.round(5), every).all()


def test_of_many_rows_some_known_ones_are_scored_in_whole_blocks(monkeypatch):
    fold, critic, training, _, _ = fitted(monkeypatch, most=40, eval_rows=17)
    (one,) = fold.parts
    assert len(one.seen) == len(one.training.terms) == 32  # two blocks of 16
    assert len(np.unique(one.seen)) == 32
    assert np.isin(one.seen, training).all()
    np.testing.assert_allclose(
        one.training.positives, critic.parts[0].scored(one.seen).positives, rtol=1e-5
    )
    assert one.closed is None
    assert one.simulated.shape == (40,)


def test_a_base_that_is_not_taken_at_its_word_has_no_closed_value(monkeypatch):
    monkeypatch.setattr(crossfit, "_mix", lambda *_: PointWeights(0.0, 0.0, 1.0))
    (one,) = fitted(monkeypatch)[0].parts
    assert (one.closed, one.simulated) == (None, None)


def test_a_base_without_a_say_leaves_a_fold_that_finds_nothing(monkeypatch):
    monkeypatch.setattr(crossfit, "_weighted_by_test", lambda *_: [])
    fold = fitted(monkeypatch)[0]
    assert (fold.parts, fold.base, fold.point()) == ((), None, 0)
    assert fold.correction() == fold.blind > 0


def test_a_lone_part_counts_by_its_weight_and_no_part_finds_nothing():
    half = made(part(PointWeights(0.0, 1.0, 0.0), weight=0.5))
    assert half.terms() == pytest.approx(np.full(4, 0.5 * 1.0))
    assert half.points() == pytest.approx(np.full(4, 0.5 * 2.0))
    assert made(part(PointWeights(0.0, 1.0, 0.0))).terms() == pytest.approx(np.full(4, 1.0))
    assert made().points() == pytest.approx(np.zeros(4))


def spied(monkeypatch, name):
    """The arguments that a function of the module is called with from now on."""
    calls, real = [], getattr(crossfit, name)
    monkeypatch.setattr(
        crossfit, name, lambda *given, **named: calls.append(given) or real(*given, **named)
    )
    return calls


def critics_are(monkeypatch, *changes):
    """Folds get the critic that is fitted, once for each of the changes, with those."""
    real = crossfit.fit_critic

    def fit_critic(*given, **named):
        (one,) = real(*given, **named).parts
        return Ensemble(tuple(replace(one, **change) for change in changes))

    monkeypatch.setattr(crossfit, "fit_critic", fit_critic)


def test_rows_that_fill_up_are_drawn_from_the_others_and_blocks_follow_no_order(monkeypatch):
    parts = spied(monkeypatch, "_part")
    fold, _, training, _, again = fitted(monkeypatch, again=20)
    known = parts[0][3]
    assert len(np.unique(known)) == len(known) == 50
    assert np.isin(again, known).all()
    rest = np.setdiff1d(training, again)
    places = np.searchsorted(rest, np.setdiff1d(known, again))
    error = math.sqrt((130**2 - 1) / 12 / 30 * 100 / 129)  # of the mean of 30 drawn from 130
    assert abs(places.mean() - 64.5) < 3 * error
    assert not np.isin(known[:20], again).all()
    assert np.array_equal(fitted(monkeypatch, again=20)[0].rows, fold.rows)  # by the seed


def test_rows_that_were_not_fitted_are_no_training_rows(monkeypatch):
    parts = spied(monkeypatch, "_part")
    x = np.random.default_rng(3).normal(size=(200, 1))
    config = Config(estimator="gaussian")
    training, test = split(200, 4, seed=0)[0]
    fit_fold(
        Job(as_pair(x, x**3), config, configure_bound(config)), 0, training, test, np.arange(200)
    )
    assert np.isin(parts[0][3], training).all()


def test_where_rows_are_more_than_are_fitted_known_ones_are_remembered(monkeypatch):
    monkeypatch.setattr(crossfit, "most_rows", lambda config: 149)
    fold, _, training, _, _ = fitted(monkeypatch)
    seen = fold.parts[0].seen
    assert np.array_equal(np.sort(seen), np.sort(training))
    assert (np.diff(seen) < 0).any()


@pytest.mark.parametrize(("times", "is_wide"), [(30.0, False), (30.2, True)])
def test_a_fold_is_wide_by_the_columns_of_both_sides(monkeypatch, times, is_wide):
    """150 training rows of two and three columns."""
    monkeypatch.setattr(crossfit, "WIDE_ROWS", times)
    assert fitted(monkeypatch)[0].is_wide is is_wide


def test_columns_beyond_the_rows_hide_no_more():
    x = np.random.default_rng(4).normal(size=(48, 60))
    config = Config(estimator="gaussian")
    job = Job(as_pair(x, x[:, :2]), config, configure_bound(config))
    fold, _ = fit_fold(job, 0, np.arange(36), np.arange(36, 48), np.arange(12))
    assert fold.blind == _blind(48, 2, 48, 31) == _blind(60, 2, 48, 31)
    # Correlations near one may be hidden, or what is the standard error without dependence.
    assert fold.blind == pytest.approx(-0.25 * math.log(1 - 0.95))
    assert _blind(48, 2, 48, 480) == pytest.approx(math.sqrt(48 * 2 / 2) / 48)


@pytest.mark.parametrize(("times", "rises"), [(0.7, 0.0), (2.0, 0.1)])
def test_what_many_columns_hide_is_not_seen_in_canonical_correlations(times, rises):
    """The largest squared one of 120 + 180 columns and 600 rows, beside that of independence."""
    rng, found = np.random.default_rng(0), {0.0: [], times: []}
    for share, values in found.items():
        squared = share * _unseen(120 / 600, 180 / 600)
        for _ in range(6):
            x, y = rng.normal(size=(600, 120)), rng.normal(size=(600, 180))
            y[:, 0] = math.sqrt(squared) * x[:, 0] + math.sqrt(1 - squared) * y[:, 0]
            sides = [np.linalg.qr(side)[0] for side in (x, y)]
            values.append(np.linalg.norm(sides[0].T @ sides[1], 2) ** 2)
    assert np.mean(found[times]) - np.mean(found[0.0]) == pytest.approx(rises, abs=0.02)


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ([{"kept": True}], 0),
        ([{"weight": 0.6, "kept": True}, {"weight": 0.4}], 0),
        ([{"weight": 0.6}, {"weight": 0.4}], 2),
    ],
)
def test_only_bases_without_a_network_may_lose_their_say(monkeypatch, changes, times):
    critics_are(monkeypatch, *changes)
    heard = spied(monkeypatch, "_weighted_by_test")
    fold = fitted(monkeypatch)[0]
    assert len(heard) == times
    assert fold.kept is ("kept" in changes[0])
    assert [one.weight for one in fold.parts] == [each.get("weight", 1.0) for each in changes]


def test_a_critic_of_little_weight_is_not_what_the_fold_is_named_after(monkeypatch):
    critics_are(monkeypatch, {"weight": 0.2, "kept": True})
    fold = fitted(monkeypatch)[0]
    assert (fold.base, fold.kept) == (None, False)


@pytest.mark.parametrize(
    ("closed", "kept", "normalised"),
    [(True, False, True), (False, False, False), (True, True, False)],
)
def test_a_base_alone_is_normalised_where_its_form_is(monkeypatch, closed, kept, normalised):
    base = replace(BASES["gaussian"], normalised=closed)
    monkeypatch.setitem(BASES, "gaussian", base)
    critics_are(monkeypatch, {"kept": kept})
    mixes = spied(monkeypatch, "_mix")
    fitted(monkeypatch)
    assert mixes[0][0] is normalised


def test_only_gaussian_copulas_have_a_closed_value(monkeypatch):
    monkeypatch.setattr(crossfit, "_mix", lambda *_: PointWeights(1.0, 0.0, 0.0))
    x = np.random.default_rng(5).normal(size=(200, 1))
    config = Config(critic="none", base="student")
    training, test = split(200, 4, seed=0)[0]
    job = Job(as_pair(x, x + x**3), config, configure_bound(config))
    (one,) = fit_fold(job, 0, training, test, training[:50])[0].parts
    assert (one.closed, one.simulated) == (None, None)


def test_a_fold_that_nothing_can_fit_says_so(monkeypatch):
    monkeypatch.setattr(crossfit, "fit_critic", lambda *_, **__: None)
    with pytest.raises(InputError, match="that 150 rows can fit"):
        fitted(monkeypatch)


def turned_by_the_norm(n, d, turn, seed):
    """Two correlated pairs of columns, 1.02 nats, turned in a plane that both sides have."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n, d))
    y[:, :2] = 0.8 * x[:, :2] + 0.6 * y[:, :2]
    for side in (x, y) if turn else ():
        angle = turn * np.sqrt(np.linalg.norm(side, axis=1) / math.sqrt(d))
        u, v = side[:, 0].copy(), side[:, 2].copy()
        side[:, 0] = np.cos(angle) * u - np.sin(angle) * v
        side[:, 2] = np.sin(angle) * u + np.cos(angle) * v
    return x, -y[:, ::-1].copy()


@pytest.mark.parametrize("turn", [0.0, 3.0])
def test_rotations_that_held_out_rows_do_not_pay_for_are_evaluated_too(turn):
    """Their value on training and held-out rows is near the truth, that of the critics is not."""
    truth, values, gains = -math.log(1 - 0.8**2), [], []
    for seed in range(2):
        pair = as_pair(*turned_by_the_norm(1000, 12, turn, seed))
        config = Config(base="gaussian,unwound", critic="none", certify=False)
        job = Job(pair, config, configure_bound(config))
        (training, test), (_, again) = split(1000, 4, seed=0)[:2]
        fold, _ = fit_fold(job, 0, training, test, again)
        assert fold.parts[0].base == "gaussian"
        if fold.overlooked is not None:
            assert fold.tested == fold.overlooked.base == "unwound"
            values.append(fold.overlooked.plain())
            gains.append(fold.gain(fold.overlooked))
    if not turn:
        assert len(values) <= 1  # where the test for rotations errs
    else:
        assert len(values) == 2
        assert abs(np.mean(values) - truth) < 0.1  # two means over 500 rows: 0.04
        assert np.mean(values) - np.mean(gains) < truth - 0.1


@pytest.mark.parametrize("seed", [16, 20, 23])
def test_of_more_columns_than_rows_only_what_test_rows_show_counts(seed):
    """Training rows alone gave .23 to .31 nats of these independent rows."""
    x, y = np.random.default_rng(seed).normal(size=(2, 60, 70))
    found = estimate(x, y, critic="none", certify=False)
    assert found.bases.count("none") < 4
    assert abs(found.mi) < 0.01
    assert found.held_out < -0.1  # which is not made better by it
    assert found.interval[1] > 0.5


def test_a_critic_counts_as_far_as_test_rows_show_it():
    config = Config()
    job = Job(as_pair(np.zeros((4, 1)), np.zeros((4, 1))), config, configure_bound(config))
    for mean, share in [(-1.0, 0.0), (0.0, 0.0), (1.0, 0.5), (2.0, 1.0), (5.0, 1.0)]:
        terms = np.array([-1.0, -1.0, 1.0, 1.0])
        terms = mean + terms / (terms.std() / 2)  # the standard error is one
        scored = Scored(terms, terms, terms)
        counted = _counted_if_shown(
            job, part(PointWeights(0.0, 0.0, 1.0), test=scored), np.arange(4)
        )
        assert counted.mix.terms == pytest.approx(share, abs=0.1)
        assert counted.weight == 1.0
        rest = (1 - counted.mix.terms) * max(0.0, (mean + 1.5) / 2)  # what is not counted is doubt
        assert counted.missed == pytest.approx(rest)
