"""Estimates of parts of the rows: sizes, drift, and a negative control with a known bias."""

import json

import numpy as np
import pytest

import infobound
from infobound._system.units import restore
from infobound.analyses.subsampling import Subsampling
from infobound.errors import InputError


def rows(n=1200, columns=1, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, columns))
    return x, x[:, :1] + rng.normal(size=(n, 1))


def test_parts_are_disjoint_and_their_sizes_are_those_of_n():
    found = infobound.subsample(*rows(605), estimator="gaussian")
    assert [(line.parts, line.n) for line in found.lines] == [
        (1, 605),
        (2, 302),
        (3, 201),
        (4, 151),
    ]
    assert found.lines[0].mean == found.own.mi
    assert found.drift == pytest.approx(found.own.mi - found.lines[1].mean)


def test_an_estimate_without_bias_is_stable_and_one_that_needs_rows_is_not():
    plain = {"estimator": "gaussian", "certify": False}
    stable = [infobound.subsample(*rows(seed=k), **plain).is_stable for k in range(3)]
    assert sum(stable) >= 2
    x, _ = rows(400, columns=2)
    y = np.sin(3 * x) + 0.05 * np.random.default_rng(1).normal(size=x.shape)
    rising = infobound.subsample(x, y, estimator="ksg")  # neighbours need many rows here
    assert not rising.is_stable
    assert rising.limit > rising.own.mi > rising.lines[1].mean


def test_the_estimate_of_all_rows_may_be_given():
    x, y = rows(300)
    own = infobound.estimate(x, y, estimator="gaussian", seed=3)
    found = infobound.subsample(x, y, own=own, parts=[2])
    assert found.own is own
    assert found.page("bits").numbers[0].unit == "bits"
    assert "Holmes" in found.page()._repr_html_() or found.page().references
    back = restore(Subsampling, json.loads(json.dumps(found.as_dict("bits"))))
    assert back.drift == pytest.approx(found.drift)
    assert back.own.mi == pytest.approx(own.mi)


def test_too_few_rows_are_refused():
    with pytest.raises(InputError, match="Expected at least 100 rows to divide; got 80"):
        infobound.subsample(*rows(80), estimator="gaussian")
