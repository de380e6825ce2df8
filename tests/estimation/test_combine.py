"""Point estimate and interval are what the folds' numbers make, and what neighbours add to them."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from infobound.config import Config
from infobound.data import Entropy, as_pair
from infobound.errors import InputError
from infobound.estimation import combine, ksg
from infobound.estimation.combine import combine_folds, downgrade_implausible_copulas
from infobound.estimation.crossfit import Fold, Part, PointWeights
from infobound.estimation.ksg import estimate_ksg
from infobound.estimation.point import z_quantile
from infobound.estimation.selection import Scored
from infobound.inference.standard_errors import standard_error

POSITIVES, TERMS = PointWeights(1.0, 0.0, 0.0), PointWeights(0.0, 0.0, 1.0)


def scored(rng, n, mean=0.0):
    return Scored(*(mean + k + rng.normal(size=n) for k in range(3)))  # terms, dv, positives


def fold(rng, rows, **part):
    given = {"weight": 1.0, "test": scored(rng, len(rows)), "mix": POSITIVES} | part
    given.setdefault("training", scored(rng, len(rows) + 3, mean=0.2))
    return Fold(rows=rows, parts=(Part(**given),), fit=None, base=None, kept=False, blind=0.0)


def unequal(rng, **part):
    """Folds of 40, 25 and 35 rows, and a pair too wide for neighbours."""
    rows = np.split(rng.permutation(100), [40, 65])
    pair = as_pair(rng.normal(size=(100, 4)), rng.normal(size=(100, 1)))
    return pair, [fold(rng, each, **part) for each in rows]


def test_z_quantiles_are_the_normal_quantiles():
    assert z_quantile(0.95) == pytest.approx(1.959964, abs=1e-6)
    assert z_quantile(0.5) == pytest.approx(0.674490, abs=1e-6)


@pytest.mark.parametrize(
    "mix", [POSITIVES, PointWeights(0.0, 1.0, 0.0), TERMS, PointWeights(0.5, 0.2, 0.3)]
)
def test_folds_make_the_numbers_by_hand(mix):
    pair, folds = unequal(np.random.default_rng(0), mix=mix)

    def mixed(one):
        return mix.positives * one.positives + mix.dv * one.dv + mix.terms * one.terms

    parts = [each.parts[0] for each in folds]
    means = [(mixed(p.test).mean(), mixed(p.training).mean()) for p in parts]
    found = [(test + training) / 2 for test, training in means]
    doubt = np.mean([(training - test) / 2 for test, training in means])
    values, terms = np.empty(100), np.empty(100)
    for each, part in zip(folds, parts, strict=True):
        values[each.rows], terms[each.rows] = mixed(part.test), part.test.terms
    numbers = combine_folds(pair, folds, Config(level=0.9))
    assert numbers.mi == pytest.approx(0.40 * found[0] + 0.25 * found[1] + 0.35 * found[2])
    half = 1.644854 * math.hypot(values.std() / 10, doubt)
    assert numbers.interval == pytest.approx((numbers.mi - half, numbers.mi + half))
    assert numbers.held_out == pytest.approx(terms.mean())
    assert numbers.held_out_error == pytest.approx(terms.std() / 10)
    training = [part.training.terms.mean() for part in parts]
    assert numbers.training == pytest.approx(np.mean(training))
    np.testing.assert_allclose(numbers.pointwise, values)
    assert (numbers.ksg, numbers.method) == (None, "base")
    network = [folds[0], dataclasses.replace(folds[1], kept=True), folds[2]]
    assert combine_folds(pair, network, Config()).method == "critic"


@pytest.mark.parametrize("of_ranks", [3, 1])
def test_folds_of_the_rank_network_take_its_median_of_all_rows(of_ranks, monkeypatch):
    rng = np.random.default_rng(0)
    pair = as_pair(*rng.normal(size=(2, 90, 1)))
    bases = ["ranks"] * of_ranks + ["gaussian"] * (3 - of_ranks)
    rows = np.split(rng.permutation(90), 3)
    folds = [fold(rng, each, base=base) for each, base in zip(rows, bases, strict=True)]
    monkeypatch.setattr(combine, "_second_opinion", lambda *_: None)
    monkeypatch.setattr(combine, "median_mi", lambda x, y: 2.0 if len(x) == len(y) == 90 else 0)
    plain = combine.Combined.of(pair, folds)
    numbers = combine_folds(pair, folds, Config())
    moved = of_ranks / 3 * (2.0 - plain.mi)
    assert numbers.mi == pytest.approx(plain.mi + moved)
    error = np.concatenate([each.points() for each in folds]).std() / math.sqrt(90)
    half = 1.959964 * math.hypot(error, plain.extra_error, moved)
    assert numbers.interval == pytest.approx((numbers.mi - half, numbers.mi + half))
    assert numbers.held_out == pytest.approx(plain.terms.mean())
    in_time = combine_folds(pair, folds, Config(series=True))  # trained on independent rows
    assert in_time.mi == pytest.approx(plain.mi)
    monkeypatch.setattr(combine, "RANKED", 89)
    assert combine_folds(pair, folds, Config()).mi == pytest.approx(plain.mi)


@pytest.mark.parametrize(
    ("clear", "moves", "doubt"), [(1, 0.0, 0.25), (2, 0.375, 0.375), (3, 0.5, 0.5)]
)
@pytest.mark.parametrize("gain", [0.3, -0.3])
def test_a_base_that_a_test_found_counts_where_held_out_rows_prefer_another(
    clear, moves, doubt, gain
):
    """One of four folds leaves it out; others use it, if their test is clear."""
    rng = np.random.default_rng(0)
    pair = as_pair(rng.normal(size=(100, 4)), rng.normal(size=(100, 1)))
    folds = [fold(rng, rows) for rows in np.split(rng.permutation(100), 4)]
    folds[:clear] = [dataclasses.replace(each, tested="unwound") for each in folds[:clear]]
    plain = combine_folds(pair, folds, Config())
    own = folds[0].parts[0]
    test, training = (
        dataclasses.replace(rows, positives=rows.positives + gain + k)
        for rows, k in ((own.test, -0.2), (own.training, 0.2))
    )
    other = dataclasses.replace(own, test=test, training=training)
    folds[0] = dataclasses.replace(folds[0], overlooked=other)
    numbers = combine_folds(pair, folds, Config())
    assert numbers.mi == pytest.approx(plain.mi + moves * max(0.0, gain))
    before, after = ((each.interval[1] - each.mi) / z_quantile(0.95) for each in (plain, numbers))
    assert after == pytest.approx(math.hypot(before, doubt * max(0.0, gain)))
    assert numbers.held_out == plain.held_out


@pytest.mark.parametrize(("base", "most", "doubt"), [("gaussian", 16, 0.2), ("student", 16, 0.0),
                                                     ("gaussian", 4, 0.0)])  # fmt: skip
def test_rotations_that_are_suspected_widen_the_interval_of_gaussian_copulas(
    base, most, doubt, monkeypatch
):
    pair, folds = unequal(np.random.default_rng(0), base=base, closed=0.7)
    monkeypatch.setattr(combine, "suspected_mi", lambda x, y: 0.2)
    monkeypatch.setattr(combine, "SUSPECTED", most)
    error = np.concatenate([each.points() for each in folds]).std() / 10
    numbers = combine_folds(pair, folds, Config())
    half = 1.959964 * math.hypot(error, doubt)
    assert numbers.interval == pytest.approx((0.7 - half, 0.7 + half))


def test_a_closed_form_is_its_own_estimate_without_further_doubt():
    pair, folds = unequal(np.random.default_rng(1), closed=0.7)
    values = np.concatenate([each.parts[0].test.positives for each in folds])
    numbers = combine_folds(pair, folds, Config())
    half = 1.959964 * values.std() / 10
    assert numbers.mi == pytest.approx(0.7)
    assert numbers.interval == pytest.approx((0.7 - half, 0.7 + half))


def test_rows_count_alike_where_only_some_folds_have_closed_forms():
    """The rows of a fold have values of its own, which a closed form sees in the other folds."""
    rng, rows = np.random.default_rng(0), np.arange(400).reshape(4, 100)
    pair = as_pair(rng.normal(size=(400, 4)), rng.normal(size=(400, 1)))
    sums, level = rng.normal(size=4), 3.0
    closed = [level + (sums.sum() - own) / 3 for own in sums]
    parts = [
        {"test": scored(rng, 100, level + own), "training": scored(rng, 100, level + after)}
        for own, after in zip(sums, np.roll(sums, -1), strict=True)
    ]
    for part, own, after in zip(parts, sums, np.roll(sums, -1), strict=True):
        for name, mean in (("test", own), ("training", after)):
            values = part[name].positives
            values += level + mean - values.mean()
    for kinds in itertools.product((False, True), repeat=4):
        known = [
            {"closed": value} if kind else {} for kind, value in zip(kinds, closed, strict=True)
        ]
        folds = [fold(rng, r, **p, **k) for r, p, k in zip(rows, parts, known, strict=True)]
        assert combine_folds(pair, folds, Config()).mi == pytest.approx(level + sums.mean())


def test_an_estimate_ends_at_an_entropy_and_its_interval_at_what_that_may_be():
    pair, folds = unequal(np.random.default_rng(1), closed=0.7)
    plain = combine_folds(pair, folds, Config())
    half = plain.interval[1] - 0.7
    limited = combine_folds(pair, folds, Config(), Entropy(0.6, 0.0, 1.0))
    assert limited.mi == limited.interval[1] == 0.6
    assert limited.unlimited == pytest.approx((0.7, half))
    for largest, end in ((1.0, 0.4 + 1.959964 * 0.01), (0.41, 0.41)):
        unsure = combine_folds(pair, folds, Config(), Entropy(0.4, 0.01, largest))
        assert unsure.interval[1] == pytest.approx(end)


@pytest.mark.parametrize("errors", [-4.0, -2.0, -0.5, 3.0])
def test_what_is_more_than_an_error_below_zero_is_an_error_of_the_critics(errors):
    """Of -2 standard errors half is left, of -4 a tenth; the interval keeps its lower end."""
    pair, folds = unequal(np.random.default_rng(1), closed=9.0)
    plain = combine_folds(pair, folds, Config())
    error = standard_error(plain.pointwise, np.arange(100), Config())
    half = (plain.interval[1] - plain.mi) / z_quantile(0.95)  # with other doubts
    _, folds = unequal(np.random.default_rng(1), closed=errors * error)
    found = combine_folds(pair, folds, Config())
    share = 1 / (1 + max(0.0, -errors - 1) ** 2)
    assert found.mi == pytest.approx(share * errors * error)
    low, high = found.interval
    wide = math.hypot(half, (1 - share) * errors * error / 2)
    assert low == pytest.approx(found.mi - z_quantile(0.95) * wide)
    assert high == pytest.approx(max(0.0, found.mi + z_quantile(0.95) * wide))


@pytest.mark.parametrize(
    ("closed", "short", "excess"), [(9, 0.3, 0.3), (9, -0.1, 0), (0.5, 1, 0.1)]
)
def test_more_than_an_entropy_is_in_doubt_down_to_the_held_out_value(closed, short, excess):
    """`short` is how far the held-out value is below the entropy; .1 of `closed` is above it."""
    pair, folds = unequal(np.random.default_rng(1), closed=closed)
    held_out = combine_folds(pair, folds, Config()).held_out
    limit = held_out + short if closed == 9 else closed - 0.1
    low = combine_folds(pair, folds, Config(level=0.5), Entropy(limit, 0.01, 5.0)).interval[0]
    assert low == pytest.approx(limit - 0.674490 * math.hypot(0.01, excess), rel=1e-4)


def test_training_values_of_some_rows_are_held_against_the_same_rows():
    rng = np.random.default_rng(2)
    pair, folds = unequal(rng)
    seen = [np.setdiff1d(np.arange(100), each.rows)[:20] for each in folds]
    folds = [
        fold(rng, each.rows, seen=known, training=scored(rng, 20, mean=0.4))
        for each, known in zip(folds, seen, strict=True)
    ]
    held, expected = np.empty(100), []
    for each in folds:
        held[each.rows] = each.parts[0].test.positives
    for each, known in zip(folds, seen, strict=True):
        optimism = each.parts[0].training.positives.mean() - held[known].mean()
        expected.append(held[each.rows].mean() + optimism / 2)
    numbers = combine_folds(pair, folds, Config())
    assert numbers.mi == pytest.approx(np.average(expected, weights=[40, 25, 35]))


@pytest.mark.parametrize(
    ("differs", "spread", "weight"),  # the threshold is .05, or four standard errors: here .1
    [
        (0.037, 0.0, 0.0),
        (0.0475, 0.0, 0.4),
        (0.05, 0.0, 0.5),
        (0.063, 0.0, 1.0),
        (0.074, 0.25, 0.0),
        (0.1, 0.25, 0.5),
        (0.126, 0.25, 1.0),
        (-0.9, 0.0, 0.0),
    ],
)
def test_neighbours_count_where_they_find_clearly_more(monkeypatch, differs, spread, weight):
    rng = np.random.default_rng(3)
    pair = as_pair(rng.normal(size=(100, 2)), rng.normal(size=(100, 2)))
    mine, signs = np.tile([0.4, 0.6], 50), np.repeat([1.0, -1.0], 50)
    theirs = mine + differs + spread * signs
    rows = np.split(rng.permutation(100), 2)
    folds = []
    for each in rows:
        one = Scored(mine[each] - 0.1, mine[each], mine[each])
        folds.append(fold(rng, each, test=one, training=one, closed=0.5))
    monkeypatch.setattr(combine, "neighbour_terms", lambda pair, config: theirs)
    numbers = combine_folds(pair, folds, Config())
    assert numbers.ksg == pytest.approx(theirs.mean())
    assert numbers.mi == pytest.approx(0.5 + weight * differs, abs=1e-6)
    assert numbers.method == ("ksg" if weight > 0.49 else "base")
    values = (1 - weight) * mine + weight * theirs
    np.testing.assert_allclose(numbers.pointwise, values)
    doubt = max(differs, -0.1)  # the held-out bound is 0.1 below the estimate
    half = 1.959964 * math.hypot(values.std() / 10, doubt / 2)
    assert numbers.interval[1] - numbers.mi == pytest.approx(half, rel=1e-5)


def test_who_is_asked_for_a_second_opinion(monkeypatch):
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 100, 2))
    rows = np.arange(100)
    wide, tied = np.hstack([x, x[:, :1]]), x.round()

    def asked(x, y, **settings):
        one = fold(rng, rows, test=scored(rng, 100))
        return combine_folds(as_pair(x, y), [one], Config(**settings)).ksg is not None

    assert asked(x, y)
    assert asked(wide, y[:, :1])  # four columns
    assert asked(x[:, :1], wide)
    assert not asked(wide, y)
    assert not asked(tied, y)
    assert not asked(x, y, estimator="gaussian")
    monkeypatch.setattr(combine, "MANY_ROWS", 100)
    assert asked(x, y)
    monkeypatch.setattr(combine, "MANY_ROWS", 99)
    assert not asked(x, y)


@pytest.mark.parametrize(
    ("short", "spread", "doubt"),  # the threshold is .1, and four standard errors: 4 x .05 more
    [(0.07, 0.0, 0.0), (0.1, 0.0, 0.5), (0.13, 0.0, 1.0), (0.22, 0.5, 0.0), (0.3, 0.5, 0.5)],
)
def test_copulas_that_fall_short_of_themselves_are_doubted(short, spread, doubt):
    rng, signs = np.random.default_rng(5), np.repeat([1.0, -1.0], 50)
    shown = Scored(0.3 + 0.8 * spread * signs, np.zeros(100), np.zeros(100))
    said = 0.3 + short + 0.6 * spread * signs
    folds = [
        fold(rng, np.arange(100), test=shown, mix=PointWeights(0.6, 0.3, 0.1), simulated=said),
        fold(rng, np.arange(100), mix=PointWeights(0.0, 1.0, 0.0)),
    ]
    first, second = downgrade_implausible_copulas(folds, Config())
    expected = (0.6 * (1 - doubt), 0.3, 0.1 + 0.6 * doubt)
    assert first.parts[0].mix == pytest.approx(expected)
    assert second.parts[0].mix == (0.0, 1.0, 0.0)
    assert downgrade_implausible_copulas(folds[1:], Config()) == folds[1:]


def test_neighbours_alone_are_a_mean_with_its_error(monkeypatch):
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(50, 1)), rng.normal(size=(50, 2))
    terms = rng.normal(size=50) + 0.4

    def ksg_terms(left, right, *, apart):
        assert apart is None
        assert np.array_equal(left.argsort(0), x.argsort(0))  # normal scores: the same order
        assert np.array_equal(right.argsort(0), y.argsort(0))
        return terms

    monkeypatch.setattr(ksg, "ksg_terms", ksg_terms)
    numbers = estimate_ksg(as_pair(x, y), Config(level=0.9))
    half = 1.644854 * terms.std() / math.sqrt(50)
    assert numbers.mi == numbers.ksg == pytest.approx(terms.mean())
    assert numbers.interval == pytest.approx((terms.mean() - half, terms.mean() + half))
    assert numbers.held_out is numbers.held_out_error is numbers.training is None
    with pytest.raises(InputError, match="at least 40 rows; got 39"):
        estimate_ksg(as_pair(x[:39], y[:39]), Config())
    with pytest.raises(InputError, match="without ties"):
        estimate_ksg(as_pair(x.round(), y), Config())


def test_critics_of_a_fold_are_held_against_the_held_out_values_by_weight():
    """Of some training rows: half of what .6 of one and .4 of the other have above them."""
    rng = np.random.default_rng(7)
    pair, folds = unequal(rng)
    made = []
    for each in folds:
        known = np.setdiff1d(np.arange(100), each.rows)[:20]
        parts = tuple(
            dataclasses.replace(
                each.parts[0],
                weight=weight,
                seen=known,
                training=scored(rng, 20, mean=0.5 + weight),
            )
            for weight in (0.6, 0.4)
        )
        made.append(dataclasses.replace(each, parts=parts))
    held, expected = np.empty(100), []
    for each in made:
        held[each.rows] = each.parts[0].test.positives  # both critics say the same of test rows
    for each in made:
        one, two = each.parts
        trained = 0.6 * one.training.positives.mean() + 0.4 * two.training.positives.mean()
        optimism = trained - held[one.seen].mean()
        expected.append(held[each.rows].mean() + optimism / 2)
    numbers = combine_folds(pair, made, Config())
    assert numbers.mi == pytest.approx(np.average(expected, weights=[40, 25, 35]))


def test_neighbours_alone_have_the_error_of_a_series_and_need_forty_rows(monkeypatch):
    rng = np.random.default_rng(8)
    terms = np.repeat(rng.normal(size=10), 4)
    monkeypatch.setattr(ksg, "neighbour_terms", lambda pair, config: terms)
    pair = as_pair(*rng.normal(size=(2, 40)))
    numbers = estimate_ksg(pair, Config(level=0.9, series=True))
    config = Config(level=0.9, series=True)
    half = 1.644854 * standard_error(terms, np.arange(40), config)
    assert numbers.effective_n < 30  # blocks of four equal terms
    assert numbers.interval == pytest.approx((terms.mean() - half, terms.mean() + half))
    assert numbers.unlimited == pytest.approx((terms.mean(), half))


def test_sampled_training_values_of_a_critic_of_half_the_weight():
    """One nat on rows known and unknown alike, half of the weight: half a nat, without doubt."""
    rng, rows = np.random.default_rng(3), np.split(np.arange(100), 2)
    pair, nat = (
        as_pair(rng.normal(size=(100, 4)), rng.normal(size=(100, 1))),
        Scored(*3 * [np.ones(50)]),
    )
    part = {"weight": 0.5, "test": nat, "training": nat, "mix": TERMS}
    folds = [fold(rng, own, seen=other, **part) for own, other in (rows, rows[::-1])]
    numbers = combine_folds(pair, folds, Config())
    assert (numbers.mi, *numbers.interval) == pytest.approx((0.5, 0.5, 0.5))
