"""What every result can be asked for: texts, frames, figures and pages, in both units."""

import math

import numpy as np
import pytest

import infobound
from infobound.errors import InputError
from infobound.pages.presentable import Presentable

NAMES = "<script>alert(1)</script>", "a & b"


def table(n=300):
    x, noise = np.random.default_rng(0).normal(size=(2, n))
    return {NAMES[0]: x, NAMES[1]: 0.8 * x + 0.6 * noise, "c": noise}


def estimate():
    import pandas as pd

    frame = pd.DataFrame(table())
    return infobound.estimate(frame[[NAMES[0]]], frame[[NAMES[1]]], critic="none", permutations=99)


MADE = {
    "estimate": estimate,
    "pairwise": lambda: infobound.pairwise(table()),
    "pairwise_target": lambda: infobound.pairwise(table(), "c"),
}


@pytest.fixture(scope="module")
def results():
    return {name: make() for name, make in MADE.items()}


@pytest.fixture(params=sorted(MADE))
def result(results, request):
    found = results[request.param]
    assert isinstance(found, Presentable)
    return found


def test_repr_is_short_and_summary_has_the_unit(result):
    assert len(repr(result)) < 300
    assert "\n" not in repr(result)
    assert "nats" in result.summary()
    assert "bits" in result.summary("bits")
    assert "nats" not in result.summary("bits")


def test_frames_are_in_the_unit(result):
    nats, bits = result.to_frame(), result.to_frame("bits")
    assert len(nats) >= 1
    assert np.allclose(nats["mi"], bits["mi"] * math.log(2))


def test_a_notebook_shows_escaped_text(result):
    text = result._repr_html_()
    assert "nats" in text
    assert "<script" not in text.lower()
    assert "&lt;script&gt;" in text
    assert "bits" in result.page("bits")._repr_html_()


def test_figures_are_written(result, tmp_path):
    result.plot(units="bits", path=tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text()
    assert "<script" not in text
    with pytest.raises(InputError, match="Expected path to end in"):
        result.plot(path=tmp_path / "figure.txt")


def test_a_report_is_one_file(result, tmp_path):
    path = result.report(tmp_path / "report.html", units="bits")
    text = path.read_text()
    assert "<script" not in text.lower()
    assert 'http-equiv="Content-Security-Policy"' in text
    assert "bits" in text
    assert len(text) < 2_000_000
    with pytest.raises(InputError, match="Expected path to end in"):
        result.report(tmp_path / "report.pdf")


def test_unknown_units_are_refused(result):
    with pytest.raises(InputError, match="Expected units"):
        result.summary("bans")
