"""Bars in Python: when they are shown, where, and that they leave nothing behind."""

import re
import sys
import types

import numpy as np
import pytest

import infobound
from infobound.errors import InputError
from infobound.pages import bars, progress

QUICK = infobound.Config(critic="none", base="gaussian", certify=False)
FAST = {"n_iters": 20, "folds": 2, "eval_every": 5, "certify": False, "base": "gaussian"}


def rows():
    return np.random.default_rng(0).normal(size=(2, 80))


@pytest.fixture
def terminal(monkeypatch, capsys):
    monkeypatch.setattr(progress, "in_terminal", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")


def words(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.mark.usefixtures("terminal")
def test_a_bar_is_shown_in_a_terminal_unless_there_is_a_function(capsys):
    infobound.estimate(*rows(), **FAST)
    assert "validation" in words(capsys.readouterr().err)
    seen = []
    infobound.estimate(*rows(), watch=seen.append, **FAST)
    assert capsys.readouterr().err == ""
    assert seen
    seen.clear()
    infobound.estimate(*rows(), watch=seen.append, progress=True, **FAST)
    assert "validation" in words(capsys.readouterr().err)
    assert seen
    infobound.estimate(*rows(), progress=False, **FAST)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("terminal")
def test_pairs_have_a_bar_of_stages_and_estimates_within_have_none(capsys):
    table = np.random.default_rng(0).normal(size=(60, 4))
    infobound.pairwise(table, progress=True, refine=1)
    said = words(capsys.readouterr().err)
    assert "estimating" in said
    assert "validation" not in said
    infobound.pairwise(table, progress=False)
    assert capsys.readouterr().err == ""


SERIES = np.random.default_rng(1).normal(size=(120, 2))
LONG = {
    "lags": (lambda **own: infobound.lags(*SERIES.T, 3, **own, config=QUICK), "estimating"),
    "lagged_pairs": (lambda **own: infobound.lagged_pairs(SERIES, 3, **own), "pairs"),
    "transfer_network": (
        lambda **own: infobound.transfer_network(SERIES, permutations=19, jobs=1, **own),
        "pairs",
    ),
    "rehearse": (
        lambda **own: infobound.rehearse(
            *rows(), ladder=[0], kinds=["monotone"], seeds=1, jobs=1, estimator="gaussian", **own
        ),
        "estimates",
    ),
}


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("name", [*LONG])
def test_long_computations_have_one_bar(name, capsys):
    call, counted = LONG[name]
    call()
    said = words(capsys.readouterr().err)
    assert counted in said
    assert "validation" not in said
    call(progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("terminal")
def test_transfer_calls_the_function_in_place_of_a_bar(capsys):
    seen = []
    infobound.transfer_entropy(
        *SERIES.T, permutations=19, watch=seen.append, critic="separable", **FAST
    )
    assert seen
    assert capsys.readouterr().err == ""


def test_nothing_is_shown_elsewhere(capsys):
    infobound.estimate(*rows(), **FAST)
    infobound.pairwise(np.random.default_rng(0).normal(size=(60, 3)))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_notebook_shows_one_bar_and_removes_it(monkeypatch):
    shown = []

    class Handle:
        def update(self, what):
            shown.append(what)

    shell = types.new_class("ZMQInteractiveShell")
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = shell
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.HTML = str
    ipython.display.display = lambda what, display_id: Handle()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    monkeypatch.setattr(bars, "PAUSE", 0.0)
    infobound.estimate(*rows(), **FAST)
    assert any("<progress" in each and "validation" in each for each in shown)
    assert shown[-1] == ""


def test_other_values_are_refused():
    with pytest.raises(InputError, match="Expected progress"):
        infobound.estimate(*rows(), progress="yes", **FAST)
