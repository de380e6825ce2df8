"""Rehearsals: what they report is what happens where the truth is known."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from infobound.cli import main
from infobound.config import Config
from infobound.errors import InputError
from infobound.estimation.estimate import estimate
from infobound.plotting.accuracy_figures import rehearsal_figure
from infobound.studies import calibration
from infobound.studies.calibration import CalibrationPoint, rehearse

FAST = {"estimator": "gaussian", "jobs": 1}
pytestmark = pytest.mark.usefixtures("no_pictures")  # but for `whole`, which is made before them


def rows(n=300):
    rng = np.random.default_rng(0)
    x = np.exp(rng.normal(size=(n, 2)))
    return x, np.log(x[:, 0]) + rng.normal(size=n)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A rehearsal of the Gaussian copula, which knows one kind and is blind to the other."""
    out = tmp_path_factory.mktemp("rehearsal") / "out"
    return rehearse(*rows(), ladder=[0, 0.05, 0.2, 0.8], seeds=6, width=0.02, out=out, **FAST)


def lines(found, kind):
    return [line for line in found.lines if line.kind == kind]


def test_the_ladder_is_complete_and_the_zero_rung_is_shared(whole):
    truths = [(line.kind, round(line.truth, 6), line.runs) for line in whole.lines]
    kinds = [(kind, t, 6) for kind in ("monotone", "folded") for t in (0.05, 0.2, 0.8)]
    assert truths == [("independent", 0.0, 6), *kinds]
    assert whole.own.mi == estimate(*rows(), estimator="gaussian").mi
    assert whole.failures == ()


def test_a_copula_is_right_about_its_own_kind(whole):
    for line in [*lines(whole, "independent"), *lines(whole, "monotone")]:
        assert abs(line.bias) < 4 * line.bias_error + 0.01
        assert line.coverage >= 0.75
    (limit, _) = whole.limits
    assert 0 < limit.detectable < 0.1  # 300 rows: a correlation of 0.3 is found nearly always
    assert limit.behind == pytest.approx(whole.own.mi, abs=0.05)
    assert whole.false_alarms <= 0.35


def test_and_blind_to_the_other_and_that_is_said(whole):
    limit = whole.limits[1]
    assert (limit.kind, limit.detectable, limit.behind) == ("folded", None, None)
    assert lines(whole, "folded")[-1].mean < 0.1
    assert lines(whole, "folded")[-1].coverage == 0


def test_the_rule_for_more_rows_was_tried_on_half_of_them(whole):
    width = whole.width
    assert width.tried_n == 150
    assert width.measured == pytest.approx(width.expected, rel=0.15)
    now = (whole.own.interval[1] - whole.own.interval[0]) / 2
    assert width.rows == math.ceil(300 * (now / 0.02) ** 2)


def test_the_files_hold_every_run_and_the_same_call_goes_on(whole):
    table = pd.read_csv(whole.path / "study.csv")
    assert len(table) == len(pd.read_parquet(whole.path / "study.parquet")) == 6 * 8
    mine = table[(table.task == "monotone-0.2") & (table.n == 300)]
    line = lines(whole, "monotone")[1]
    assert mine.mi.mean() == pytest.approx(line.mean)
    assert mine.mi.std() == pytest.approx(line.spread)
    assert ((mine.low <= mine.truth) & (mine.truth <= mine.high)).mean() == line.coverage
    assert (~mine.findings.fillna("").str.contains("zero")).mean() == line.found
    for name in ("rehearsal.png", "rehearsal.svg"):
        assert (whole.path / name).stat().st_size > 5000
    plain = json.loads((whole.path / "rehearse.json").read_text())
    assert plain["lines"][0]["kind"] == "independent"
    new = []
    common = {"seeds": 6, "out": whole.path, "watch": lambda p: new.append(p.row), **FAST}
    again = rehearse(*rows(), ladder=[0, 0.2], **common)
    assert new == [None]
    assert lines(again, "monotone") == [line]
    with pytest.raises(InputError, match="agree"):  # other rows are another rehearsal
        rehearse(rows()[0][:, ::-1] + 1, rows()[1], ladder=[0.2], out=whole.path, **FAST)


def line(truth, found, mean=None):
    common = {"kind": "monotone", "n": 100, "runs": 4, "bias": 0.0, "bias_error": 0.0}
    common |= {"spread": 0.0, "coverage": 1.0, "half_width": 0.1, "held_out": 0.0}
    return CalibrationPoint(
        truth=truth, found=found, mean=truth if mean is None else mean, **common
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([0, 0.5, 1], (0.16, 0.1, 0.2)),  # 0.8 lies three fifths of the way
        ([0, 1, 1], (0.08, 0.0, 0.1)),
        ([1, 1, 1], (0.0, 0.0, 0.0)),
        ([0, 1, 0.5], (None, 0.2, None)),  # found below, missed above: not found reliably
        ([0, 0, 0], (None, 0.2, None)),
    ],
)
def test_what_is_detectable_is_interpolated(found, expected):
    value, below, above = calibration._crossing([line(k / 10, f) for k, f in enumerate(found)])
    assert (below, above) == expected[1:]
    assert value == (expected[0] if expected[0] is None else pytest.approx(expected[0]))


def test_rows_that_take_few_values_leave_rungs_out():
    x, y = rows()
    found = rehearse(x, y > 0, ladder=[0.1, 1.5], kinds=["monotone"], seeds=2, **FAST)
    assert found.left_out == {"monotone": (1.5,)}
    assert [round(each.truth, 2) for each in found.lines] == [0.1]
    with pytest.raises(InputError, match="can carry"):
        rehearse(x, y > 0, ladder=[1.5], **FAST)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ladder": [-0.1]}, "a rung to be zero or more"),
        ({"kinds": ["wavy"]}, "wavy"),
        ({"kinds": []}, r"got \[\]"),
        ({"width": 0.0}, "width"),
        ({"seeds": 0, "ladder": [0.0]}, "seeds"),
        ({"jobs": 0, "ladder": [0.0]}, "job"),
        ({"learning_rate": 1.0}, "learning_rate"),
    ],
)
def test_what_cannot_be_is_said(settings, message):
    with pytest.raises(InputError, match=message):
        rehearse(*rows(100), **{**FAST, **settings})


def test_the_picture_has_a_panel_a_kind_and_the_users_own_estimate():
    runs = [
        {"group": group, "truth": truth, "mi": truth, "low": truth - 0.1, "high": truth + 0.1}
        for group, truth in [("independent", 0.0), ("monotone", 0.5), ("folded", 0.5)]
    ]
    figure = rehearsal_figure(runs, own=0.3, interval=(0.2, 0.4), title="t")
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["monotone", "folded"]
    assert all(0.3 in each.get_ydata() for axes in figure.axes for each in axes.lines[:1])
    (first, _) = rehearsal_figure(runs, own=0.3, interval=(0.2, 0.4), title="t", unit="bits").axes
    assert first.lines[0].get_ydata()[0] == pytest.approx(0.3 / math.log(2))
    assert (first.get_ylabel(), first.get_xlabel()[-6:]) == ("estimate (bits)", "(bits)")


def test_the_command_says_it_in_words_and_as_json(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    x, y = rows(100)
    pd.DataFrame({"a": x[:, 0], "b": y}).to_csv(tmp_path / "t.csv", index=False)
    words = ["rehearse", str(tmp_path / "t.csv"), "--x", "a", "--y", "b", "--ladder", "0", "0.5"]
    words += ["--seeds", "2", "--jobs", "1", "--estimator", "gaussian"]
    main.main([*words, "--width", "0.05", "--quiet"])
    out = capsys.readouterr().out
    for part in ("monotone", "folded", "found in 80 %", "Your own estimate", "rows (you have 100)"):
        assert part in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    main.main([*words, "--json", "--units", "bits", "--out", str(tmp_path / "out")])
    stored = json.loads((tmp_path / "out" / "rehearse.json").read_text())
    assert stored["unit"] == stored["own"]["unit"] == "bits"
    out, err = capsys.readouterr()
    assert json.loads(out)["lines"][1]["truth"] == pytest.approx(0.5 / math.log(2))
    assert "One estimate takes" in err
    assert Config().level == json.loads(out)["own"]["config"]["level"]


def test_effects_of_subjects_are_no_false_alarms_where_groups_are_named():
    """Both sides have effects of subjects; without groups, intervals are half as wide."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(30), 20)
    x, y = (2 * rng.normal(size=30)[who] + rng.normal(size=600) for _ in "xy")
    settings = {"ladder": [0], "kinds": ["monotone"], "seeds": 12, "jobs": 1, "width": 0.1}
    settings["certify"] = False
    found = rehearse(x, y, groups=who, estimator="gaussian", **settings)
    (none,) = lines(found, "independent")
    assert none.runs == 12
    assert none.coverage >= 0.75
    assert found.own.group_count == 30
    assert found.width.tried_n is None
    settings["seeds"] = 4
    (plain,) = lines(rehearse(x, y, estimator="gaussian", **settings), "independent")
    assert none.half_width > 2 * plain.half_width
