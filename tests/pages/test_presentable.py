"""What every result can be asked for: texts, frames, figures and pages, in both units."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from results_of_each_kind import MADE

import infobound
from infobound.data.columns import columns
from infobound.errors import InputError
from infobound.pages.presentable import Presentable
from infobound.tables.features import select


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
    page = result.page("bits")
    assert "nats" not in str(page)
    assert {number.unit for number in page.numbers} <= {"bits", ""}


def test_frames_are_in_the_unit(result):
    nats, bits = result.to_frame(), result.to_frame("bits")
    assert len(nats) >= 1
    assert set(nats.get("unit", ["nats"])) == {"nats"}
    assert set(bits.get("unit", ["bits"])) == {"bits"}
    in_nats = {"mi", "low", "high", "certified", "held_out", "mean", "information", "mae"}
    shared = sorted(in_nats & set(nats))
    assert shared
    scale = bits[shared].astype(float) * np.log(2)
    assert np.allclose(nats[shared].astype(float), scale, equal_nan=True)


def test_a_notebook_shows_escaped_text(result):
    text = result._repr_html_()
    assert "nats" in text
    assert "<script" not in text.lower()
    assert "bits" in result.page("bits")._repr_html_()


def test_a_summary_and_a_notebook_say_how_rows_were_read():
    x = pd.Series(np.random.default_rng(0).normal(size=60))
    result = infobound.estimate(x, x.iloc[::-1], critic="none", certify=False)
    assert "note  x and y have different indexes" in result.summary()
    assert "x and y have different indexes" in result._repr_html_()
    many = replace(result.page(), notes=tuple(map(str, range(12))))
    assert "note  7\n  ... and 4 more notes" in str(many)


def test_figures_are_written(result, tmp_path):
    result.plot(units="bits", path=tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text()
    assert "<script" not in text
    with pytest.raises(InputError, match="Expected path to end in"):
        result.plot(path=tmp_path / "figure.txt")


@pytest.mark.parametrize("name", ["estimate", "lags", "pairwise", "rehearsal"])
def test_a_notebook_shows_figures_as_pictures(results, name):
    assert results[name].plot()._repr_png_()[1:4] == b"PNG"


def test_a_report_is_one_file(result, tmp_path):
    path = result.report(tmp_path / "report.html", units="bits")
    text = path.read_text()
    assert "<script" not in text.lower()
    assert 'http-equiv="Content-Security-Policy"' in text
    assert "bits" in text
    assert re.findall(r".*\bnats?\b.*", text) == []
    assert len(text) < 2_000_000
    with pytest.raises(InputError, match="Expected path to end in"):
        result.report(tmp_path / "report.pdf")


@pytest.mark.parametrize(
    "name", ["estimate", "compare", "pairwise", "probes", "study", "lags", "transfer_network"]
)
def test_names_of_columns_are_shown_as_they_are(results, name, tmp_path):
    assert "&lt;script&gt;" in results[name].report(tmp_path / "report.html").read_text()


def test_results_without_a_held_out_value_or_columns_are_shown(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(2, 60))
    neighbours = infobound.estimate(x, y, estimator="ksg")
    assert neighbours.plot().axes
    assert "nearest neighbours" in neighbours.page().methods[0]
    nothing = select(columns({"a": x}), columns({"y": y})[0])
    assert nothing.order == ()
    assert "none" in nothing.summary() or "0 of 1" in nothing.summary()
    nothing.report(tmp_path / "report.html")
    with pytest.raises(InputError, match="Expected a result that can be drawn"):
        nothing.plot()


def test_unknown_units_are_refused(result):
    with pytest.raises(InputError, match="Expected units"):
        result.summary("bans")
