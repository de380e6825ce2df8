"""What every result can be asked for: texts, frames, figures and pages, in both units."""

import tempfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import infobound
from infobound import Config
from infobound.analyses.features import select
from infobound.benchmark.study import study as run_study
from infobound.data.columns import columns
from infobound.errors import InputError
from infobound.pages.presentable import Presentable

NAMES = "<script>alert(1)</script>", "a & b"


def table(n=300):
    x, noise = np.random.default_rng(0).normal(size=(2, n))
    return {NAMES[0]: x, NAMES[1]: 0.8 * x + 0.6 * noise, "c": noise}


def estimate():
    frame = pd.DataFrame(table())
    return infobound.estimate(frame[[NAMES[0]]], frame[[NAMES[1]]], critic="none", permutations=99)


def rehearsal():
    x, y, _ = table().values()
    fast = {"critic": "none", "certify": False, "base": "gaussian"}
    return infobound.rehearse(x, y, ladder=[0.0, 0.5], seeds=2, jobs=1, kinds=["monotone"], **fast)


def probes():
    labels = np.random.default_rng(0).integers(3, size=400)
    rows = {NAMES[0]: labels + np.random.default_rng(1).normal(size=400), "b": labels % 2 * 1.5}
    rows["b"] += np.random.default_rng(2).normal(size=400)
    return infobound.probe(pd.DataFrame(rows), labels, certify=False)


def guarantee():
    x, y, _ = table().values()
    half = len(x) // 2
    seen = x[:half], y[:half]
    return infobound.certify(lambda x, y: -((x - y.T) ** 2), x[half:], y[half:], seen=seen)


def selection():
    x, y, c = (columns({"a": values})[0] for values in table().values())
    return select([x, c], y)


def study(folder=None):
    with tempfile.TemporaryDirectory() as folder:
        x, noise = np.random.default_rng(0).normal(size=(2, 300))
        np.savez(f"{folder}/{'pair'}.npz", x=x, y=x + noise, mi=0.5 * np.log(2))
        settings = {"sizes": [200], "seeds": 1, "jobs": 1, "estimators": ["only_gaussian"]}
        return run_study(NAMES[0], files=folder, out=f"{folder}/out", **settings)


def reproduction():
    return infobound.reproduce(Config.notebook().with_(n_iters=10, eval_every=5), sample_size=50)


GAUSSIAN = {"estimator": "gaussian", "certify": False}
MADE = {
    "estimate": estimate,
    "compare": lambda: infobound.compare(
        *(pd.DataFrame({name: values}) for name, values in table().items()), **GAUSSIAN
    ),
    "interaction": lambda: infobound.interaction(
        *(pd.DataFrame({name: values}) for name, values in table().items()), **GAUSSIAN
    ),
    "rehearsal": rehearsal,
    "probes": probes,
    "certificate": guarantee,
    "selection": selection,
    "study": study,
    "reproduction": reproduction,
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
    page = result.page("bits")
    assert "nats" not in str(replace(page, remarks=()))  # sentences of findings stay in nats
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


@pytest.mark.parametrize("name", ["estimate", "compare", "pairwise", "probes", "study"])
def test_names_of_columns_are_shown_as_they_are(results, name, tmp_path):
    assert "&lt;script&gt;" in results[name].report(tmp_path / "report.html").read_text()


def test_unknown_units_are_refused(result):
    with pytest.raises(InputError, match="Expected units"):
        result.summary("bans")
