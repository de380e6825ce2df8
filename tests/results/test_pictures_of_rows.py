"""Figures of the rows show the columns by their names, and where the dependence is."""

import numpy as np
import pandas as pd
import pytest

import infobound
from infobound.data import as_pair
from infobound.errors import InputError
from infobound.results.pictures import _directions, data_pictures

FAST = {"critic": "none", "certify": False, "pointwise": True}


def pictures(result, *rows, **more):
    found = data_pictures(result, as_pair(*rows, **more), "title", "nats")
    return {each.name: each for each in found}


def test_profiles_are_high_where_the_columns_depend():
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    y = np.where(x > 0, x, 0) + 0.2 * rng.normal(size=2000)  # only above zero
    result = infobound.estimate(x, y, **FAST)
    axes = pictures(result, x, y)["profile"].draw().axes[0]
    where, means = axes.lines[0].get_data()
    assert means[where > 0.5].mean() > means[where < -0.5].mean() + 0.5
    dots = pictures(result, x, y)["dependence"].draw().axes[0].collections[0]
    assert len(dots.get_offsets()) == 2000
    assert np.ma.corrcoef(np.sort(dots.get_array()), np.sort(result.pointwise))[0, 1] > 0.999


def test_directions_are_those_that_depend():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 5))
    y = np.stack([x[:, 0] - x[:, 1] + 0.2 * rng.normal(size=1000), rng.normal(size=1000)], axis=1)
    (first, other), (second, _) = _directions(x, y)
    assert abs(np.corrcoef(first.values, x[:, 0] - x[:, 1])[0, 1]) > 0.98
    assert abs(np.corrcoef(first.values, other.values)[0, 1]) > 0.95
    assert abs(np.corrcoef(second.values, x[:, 0] - x[:, 1])[0, 1]) < 0.2


def test_categories_have_their_names():
    rng = np.random.default_rng(0)
    group = rng.integers(3, size=300)
    x = pd.DataFrame({"group": np.array(["$a$", "b", "c"])[group]})
    y = pd.DataFrame({"dose": group + rng.normal(size=300)})
    fast = {**FAST, "base": "gaussian"}
    result = infobound.estimate(x, y, **fast)
    axes = result.plot(x, y).axes[0]
    assert [each.get_text() for each in axes.get_xticklabels()] == ["$a$", "b", "c"]
    assert axes.get_xlabel().startswith("group (")
    two = pd.DataFrame({"ill": np.where(group > 0, "yes", "no")})
    ticks = infobound.estimate(two, y, **fast).plot(two, y).axes[0].get_xticklabels()
    assert [each.get_text() for each in ticks] == ["not yes", "yes"]


def test_without_pointwise_colours_are_the_density_and_there_are_no_profiles():
    x = np.random.default_rng(0).normal(size=500)
    result = infobound.estimate(x, x**2, estimator="gaussian", certify=False)
    found = pictures(result, x, x**2)
    assert [*found] == ["dependence"]
    assert "density" in found["dependence"].caption
    assert "bits" in result.plot(x, x**2, units="bits").axes[1].get_ylabel()


def test_what_is_given_is_named_and_not_drawn():
    x, y, z = np.random.default_rng(0).normal(size=(3, 200))
    result = infobound.estimate(x, y, given=z, estimator="gaussian", certify=False)
    assert "z is not shown" in pictures(result, x, y, given=z)["dependence"].caption


@pytest.mark.parametrize("rows", [(np.arange(30.0), np.arange(30.0)), (np.eye(40), np.arange(40))])
def test_other_rows_are_refused(rows):
    x, y = np.random.default_rng(0).normal(size=(2, 40))
    result = infobound.estimate(x, y, estimator="gaussian", certify=False)
    with pytest.raises(InputError, match="Expected the rows of the estimate, 40 with 1 and 1"):
        result.plot(*rows)
