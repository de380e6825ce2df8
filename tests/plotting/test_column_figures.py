"""Figures of pairs of columns: what is drawn, in which order, and that bytes are reproducible."""

import numpy as np
import pytest

from infobound.errors import InputError
from infobound.plotting.column_figures import Points, bar_chart, gallery, heat_map
from infobound.plotting.figures import render


def similar(p):
    """Columns k and k + p / 2 are similar, no others."""
    table = np.full((p, p), 0.05)
    for k in range(p // 2):
        table[k, k + p // 2] = table[k + p // 2, k] = 0.9
    np.fill_diagonal(table, np.nan)
    return table


def test_similar_columns_are_neighbours_in_a_heat_map():
    figure = heat_map(similar(8), names=[f"c{k}" for k in range(8)], title="Eight")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    places = {name: k for k, name in enumerate(names)}
    assert all(abs(places[f"c{k}"] - places[f"c{k + 4}"]) == 1 for k in range(4))


def test_names_of_many_columns_are_not_written():
    figure = heat_map(similar(60), names=[f"c{k}" for k in range(60)], title="Sixty")
    assert not figure.axes[0].get_yticklabels()


def test_bars_are_in_the_unit_and_grey_where_nothing_is_found():
    ends = np.log([[1.5, 2.5], [0.9, 1.1]])
    values, found = np.log([2.0, 1.0]), np.array([True, False])
    figure = bar_chart(values, ends, names=["a", "b"], found=found, title="y", unit="bits")
    axes = figure.axes[0]
    assert axes.patches[0].get_width() == pytest.approx(1)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "95 % interval",
        "q ≤ 0.05",
        "not found",
    ]


def test_a_gallery_draws_rows_with_both_values_within_the_frame():
    rng = np.random.default_rng(0)
    x, y = rng.permutation(60), rng.integers(3, size=60)
    x[:10] = -1
    figure = gallery([Points(x, y, "a", "b", False, True, "0.02 nats")] * 6, title="Six pairs")
    drawn = figure.axes[0].collections[0].get_offsets()
    assert drawn.shape == (50, 2)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert len(np.unique(np.round(drawn[:, 1], 6))) == 50  # spread within categories
    assert figure.axes[0].get_ylabel() == "b (category)"


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_figures_are_reproducible(kind):
    def drawn():
        return render(heat_map(similar(6), names=list("abcdef"), title="Six"), kind)

    assert drawn() == drawn()


def test_errors():
    with pytest.raises(InputError, match="each pair of 2 columns"):
        heat_map(np.zeros((3, 3)), names=["a", "b"], title="")
    with pytest.raises(InputError, match="at least one pair"):
        gallery([], title="")
