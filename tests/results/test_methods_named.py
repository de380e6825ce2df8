"""The methods paragraph names what was used, and figures of long names are whole."""

import numpy as np
import pandas as pd

import infobound
from infobound.data import as_pair

LABELS = np.random.default_rng(0).integers(3, size=300)
ROWS = LABELS[:, None] + np.random.default_rng(1).normal(size=(300, 2))


def test_the_bound_of_classifiers_is_not_infonce():
    found = infobound.estimate(ROWS, LABELS, categorical=["y"], certify=False).page()
    assert "cross-entropy of the classifiers" in found.methods[0]
    assert "InfoNCE" not in " ".join(found.methods)
    assert "https://arxiv.org/abs/1905.06922" in found.references
    assert "https://arxiv.org/abs/1807.03748" not in found.references
    other = infobound.estimate(ROWS[:, 0], ROWS[:, 1], critic="none", certify=False).page()
    assert "InfoNCE" in other.methods[0]
    assert "https://arxiv.org/abs/1807.03748" in other.references


def test_categories_of_a_column_are_named_once():
    found = infobound.estimate(ROWS, LABELS, categorical=["y"], certify=False)
    assert found.page().title.startswith("I(x[0], x[1]; y[0])")


def test_long_titles_are_within_the_figure():
    names = {f"x{k}_" + "long" * 5: column for k, column in enumerate(ROWS.T)}
    found = infobound.estimate(
        pd.DataFrame(names), ROWS[:, 0] ** 2, estimator="gaussian", certify=False
    )
    figure = found.plot()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.get_children() if hasattr(text, "get_text")]
    assert max(box.x1 for box in boxes) <= figure.bbox.width


def test_a_category_has_one_profile():
    labels = pd.Series(np.array(["north", "south", "west"])[LABELS], name="site")
    found = infobound.estimate(ROWS[:, 0], labels, certify=False, critic="none", pointwise=True)
    pictures = {each.name: each for each in found.page(rows=as_pair(ROWS[:, 0], labels)).pictures}
    figure = pictures["profile"].draw()
    assert [axes.get_xlabel() for axes in figure.axes] == ["x[0]", "site"]
