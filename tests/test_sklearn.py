"""Tests of the interfaces of scikit-learn."""

import doctest
import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.feature_selection import SelectFdr, SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import infobound.sklearn as module
from infobound.errors import InputError
from infobound.sklearn import MutualInfoSelector, mutual_info
from infobound.sklearn import _target as target_of


@pytest.fixture(autouse=True)
def _few_permutations(monkeypatch):
    fast = functools.partial(module.column_tests, permutations=99)
    monkeypatch.setattr(module, "column_tests", fast)


@pytest.mark.filterwarnings("ignore:No features were selected")
@parametrize_with_checks([MutualInfoSelector()])
def test_scikit_learn_accepts_the_selector(estimator, check):
    check(estimator)


def rows(n=400):
    """A frame of numbers, a category and text; a target on which three columns have an effect."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 5)), columns=[*"abcde"])
    frame["copy"] = frame["a"] + 0.1 * rng.normal(size=n)
    frame["city"] = pd.Categorical.from_codes(rng.integers(3, size=n), ["Bonn", "Kiel", "Ulm"])
    frame["answer"] = rng.choice(["yes", "no"], size=n)
    y = 1.5 * frame["a"] + np.array([0, 2, -1])[frame["city"].cat.codes]
    return frame, y + (frame["answer"] == "yes") + 0.7 * rng.normal(size=n)


def test_scores_rank_columns_of_all_kinds():
    frame, y = rows()
    found = mutual_info(frame, y)
    assert {*frame.columns[np.argsort(-found.scores)[:3]]} == {"a", "copy", "city"}
    assert found.p_values[frame.columns.get_loc("answer")] < 0.01
    assert abs(found.scores[1:5]).max() < 0.1
    again = mutual_info(frame, y)
    np.testing.assert_array_equal(found, again)


def test_scores_serve_the_selectors_of_scikit_learn():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X["noise"] = np.random.default_rng(0).normal(size=len(X))
    kept = SelectKBest(mutual_info, k=5).fit(X, y).get_feature_names_out()
    assert "worst perimeter" in kept
    assert "noise" not in SelectFdr(mutual_info, alpha=0.01).fit(X, y).get_feature_names_out()


@pytest.mark.parametrize("discrete", [True, False])
def test_whole_numbers_are_classes_or_numbers(discrete):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = rng.poisson(np.exp(X[:, 0]))
    asked = mutual_info(X, y, discrete_target=discrete)
    assert asked.p_values[0] < 0.01 < asked.p_values[1]
    same = np.array_equal(asked, mutual_info(X, y))
    assert same == discrete  # what "auto" decides


def test_missing_values_are_left_out_of_scores_and_refused_by_the_selector():
    frame, y = rows()
    frame.loc[:50, "a"] = np.nan
    assert mutual_info(frame, y).scores[0] > 0.3
    with pytest.raises(ValueError, match="NaN"):
        MutualInfoSelector().fit(frame, y)


def test_the_selector_keeps_what_adds_and_says_why():
    frame, y = rows()
    selector = MutualInfoSelector().set_output(transform="pandas")
    kept = selector.fit_transform(frame, y)
    assert {"city", "answer"} <= {*kept.columns}
    assert len({"a", "copy"} & {*kept.columns}) == 1
    assert kept.shape[1] == 3
    assert kept["city"].dtype == "category"
    assert kept.columns.tolist() == selector.get_feature_names_out().tolist()
    assert selector.ranking_[selector.order_].tolist() == [1, 2, 3]
    assert sorted(selector.ranking_) == list(range(1, 9))
    assert (selector.step_pvalues_ < 0.05).all()
    assert (selector.step_scores_ > 0).all()
    assert len(selector.partners_) == 3
    assert (selector.pvalues_ <= selector.qvalues_).all()


def test_the_number_of_columns_can_be_asked_for():
    frame, y = rows()
    kept = [MutualInfoSelector(k).fit(frame, y).get_support().sum() for k in (1, 4, 0.5, 1.0)]
    assert kept == [1, 4, 4, 8]


def test_q_values_keep_copies():
    frame, y = rows()
    selector = MutualInfoSelector(stop="q_value", alpha=0.01).fit(frame, y)
    assert {*selector.get_feature_names_out()} >= {"a", "copy", "city", "answer"}
    assert selector.qvalues_[selector.get_support()].max() <= 0.01


def test_codes_are_declared_by_name_or_place():
    frame, y = rows()
    codes = frame.assign(city=frame["city"].cat.codes, answer=frame["answer"] == "yes")
    expected = MutualInfoSelector(3).fit(frame, y).get_support()
    named = MutualInfoSelector(3, categorical=["city"]).fit(codes, y)
    placed = MutualInfoSelector(3, categorical=[6]).fit(codes.to_numpy(dtype=float), y)
    assert named.get_support().tolist() == placed.get_support().tolist() == expected.tolist()


def test_the_selector_works_in_a_search_of_a_pipeline():
    X, y = load_breast_cancer(return_X_y=True)
    X, y = X[::3, :6], y[::3]
    pipeline = make_pipeline(MutualInfoSelector(), LogisticRegression(max_iter=5000))
    settings = {"mutualinfoselector__n_features_to_select": [1, 3]}
    search = GridSearchCV(clone(pipeline), settings, cv=2).fit(X, y)
    assert search.best_score_ > 0.85
    assert search.best_estimator_[0].get_support().sum() in (1, 3)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"stop": "later"}, "stop"),
        ({"criterion": "best"}, "criterion"),
        ({"alpha": 2.0}, "alpha"),
        ({"n_features_to_select": 9}, "n_features_to_select"),
        ({"n_features_to_select": 1.5}, "n_features_to_select"),
        ({"discrete_target": "perhaps"}, "discrete_target"),
        ({"categorical": ["town"]}, "town"),
    ],
)
def test_wrong_settings_are_refused(settings, what):
    with pytest.raises(InputError, match=what):
        MutualInfoSelector(**settings).fit(*rows(60))


def test_several_targets_are_refused():
    frame, y = rows(60)
    with pytest.raises(InputError, match="one target"):
        mutual_info(frame, np.column_stack([y, y]))


def test_the_example_of_the_documentation():
    page = Path(__file__).parents[1] / "docs" / "sklearn.md"
    assert doctest.testfile(str(page), module_relative=False).failed == 0


def test_a_target_of_many_whole_numbers_is_a_quantity():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = np.round(50 * (X[:, 0] + X[:, 1]) + 10 * rng.normal(size=400)).astype(int)
    assert MutualInfoSelector().fit(X, y).get_support().tolist() == [True, True, False]
    kinds = [(y, False), (y // 100, True), (y % 50, False), (y % 25, True)]
    assert [target_of(each, "auto").categorical for each, _ in kinds] == [kind for _, kind in kinds]
    assert target_of(y, True).categorical
    assert target_of(y.astype(str), "auto").categorical
