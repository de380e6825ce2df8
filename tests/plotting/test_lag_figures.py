"""The figure of a curve of lags."""

import math

import numpy as np
import pytest

from infobound.errors import InputError
from infobound.plotting.lag_figures import lag_curve

LAGS = np.arange(-3, 4)
VALUES = np.array([0.0, -0.01, 0.1, 0.4, 0.1, 0.0, 0.02])
ENDS = np.stack([VALUES - 0.05, VALUES + 0.05], axis=1)


def drawn(**changes):
    settings = {"found": VALUES > 0.3, "band": 0.06, "names": ("a", "b"), "title": "a and b"}
    return lag_curve(LAGS, VALUES, ENDS, **settings | changes)


def test_the_curve_the_band_and_what_is_found_are_drawn_in_the_unit():
    axes = drawn(unit="bits").axes[0]
    assert axes.get_ylabel() == "mutual information (bits)"
    assert axes.lines[0].get_ydata() == pytest.approx(VALUES / math.log(2))
    found = axes.collections[-1].get_offsets()
    assert np.asarray(found) == pytest.approx(np.array([[0, 0.4 / math.log(2)]]))
    assert axes.patches[0].get_extents().y1 > axes.patches[0].get_extents().y0
    assert (axes.get_xticks() % 1 == 0).all()


def test_nothing_found_is_drawn_too():
    assert len(drawn(found=np.zeros(7, dtype=bool)).axes[0].collections) == 1


def test_an_unknown_unit_is_refused():
    with pytest.raises(InputError, match="unit"):
        drawn(unit="dB")
