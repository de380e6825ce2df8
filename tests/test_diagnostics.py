"""Findings: each fires on its evidence, is silent without it, and has its line in the docs."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from infobound.data import as_pair
from infobound.diagnostics import CHECKS, Evidence, Finding, findings, worst

N = 400
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2))
Y = 0.6 * X[:, :1] + RNG.normal(size=(N, 1))
TERMS = RNG.normal(size=N)
CLEAN = Evidence(
    pair=as_pair(X, Y),
    mi=0.15,
    half_width=0.05,
    train=0.16,
    held_out=0.14,
    error=0.02,
    block=100,
    ceiling=4.6,
    is_lower_bound=True,
    bound="infonce",
    late=0.0,
    capped=False,
    ksg=0.16,
    method="base",
    fold=np.arange(N) % 4,
    terms=TERMS,
)
WALK = RNG.normal(size=(N, 2)).cumsum(axis=0)
STRAY, ROW = X.copy(), TERMS.copy()
STRAY[:4, 0], ROW[6] = -999, -200
ORDER = np.argsort(Y[:, 0])
SUBJECTS = np.repeat(X[:100], 4, axis=0)

# code -> what differs from CLEAN, and words of the sentence
PLANTED = {
    "leakage": ({"pair": as_pair(X, np.c_[Y, -2 * X[:, 1]])}, "x[1] and y[1] are in the same"),
    "impossible": ({"mi": 1.2, "pair": as_pair(X, np.arange(N) % 3)}, "entropy of y, 1.099"),
    "extreme_values": ({"pair": as_pair(STRAY, Y)}, "x[0] (-999 in 4 rows)"),
    "series": ({"pair": as_pair(WALK[:, 0], WALK[:, 1])}, "ranks 1 rows before"),
    "repeated_rows": (
        {
            "pair": as_pair(np.r_[X, X[:40]], np.r_[Y, Y[:40]]),
            "fold": np.r_[np.arange(N) % 4, np.zeros(40, dtype=int)],
            "terms": None,
        },
        "40 of 440 rows are exact copies of an earlier row; 60 rows were tested",
    ),
    "grouped_rows": ({"pair": as_pair(SUBJECTS, Y)}, "share their x with others (100 groups)"),
    "overfit": ({"train": 3.0, "method": "critic"}, "by heart"),
    "dominant_row": ({"terms": ROW}, "Row 7 alone moves the held-out value by -0.50"),
    "not_a_bound": ({"is_lower_bound": False, "bound": "smile"}, "'smile'"),
    "capped": ({"capped": True, "mi": 4.0}, "too low"),
    "not_converged": ({"late": 0.5}, "--n-iters"),
    "unmeasured": ({"held_out": 0.03, "train": 0.1, "p_value": 0.01}, "depend on each other (p"),
    "zero": ({"held_out": 0.03, "train": 0.1}, "no dependence found"),
    "saturated": ({"held_out": 4.0}, "log K = log 100"),
    "second_opinion": ({"ksg": 0.4}, "disagrees"),
    "few_rows": ({"half_width": 0.2}, "collect about"),
    "wide": ({"pair": as_pair(RNG.normal(size=(N, 40)), Y)}, "41 columns are many for 400 rows"),
    "sorted_rows": ({"pair": as_pair(X[ORDER], Y[ORDER])}, "sorted by y[0]"),
    "tied_values": ({"pair": as_pair(np.maximum(X, 0), Y)}, "x[0] (5"),
    "coded_columns": ({"pair": as_pair(X, np.arange(N) % 5)}, "y[0]"),
    "constant_columns": ({"pair": as_pair(np.c_[X, X[:, 0] * 0], Y)}, "x[2]"),
    "duplicated_columns": ({"pair": as_pair(np.c_[X, X[:, 0]], Y)}, "x[0] = x[2]"),
}


def said(evidence):
    return {finding.code: finding.message for finding in findings(evidence)}


def test_clean_evidence_raises_nothing():
    assert said(CLEAN) == {}
    assert worst(()) is None


@pytest.mark.parametrize("code", CHECKS)
def test_each_check_fires_on_what_it_is_for(code):
    changes, words = PLANTED[code]
    messages = said(dataclasses.replace(CLEAN, **changes))
    assert words in messages[code]
    allowed = {"series": {"sorted_rows"}, "impossible": {"coded_columns", "second_opinion"}}
    allowed |= {"capped": {"saturated", "second_opinion"}}
    assert set(messages) <= {code} | allowed.get(code, set())


def test_what_is_not_wrong_is_not_said():
    assert said(dataclasses.replace(CLEAN, train=3.0)) == {}  # a closed form
    blocks = dataclasses.replace(CLEAN, pair=PLANTED["series"][0]["pair"], blocks=True)
    assert said(blocks) == {}
    labels = as_pair(np.arange(N) % 3, np.arange(N) % 4)  # copies are their nature
    assert "repeated_rows" not in said(dataclasses.replace(CLEAN, pair=labels))
    alone = dict.fromkeys(("train", "held_out", "error", "block", "ceiling", "fold", "terms"))
    assert said(dataclasses.replace(CLEAN, **alone, method="ksg")) == {}


def test_heavy_tailed_terms_are_not_one_row():
    draws = (2 * np.random.default_rng(seed).standard_t(4, size=N) for seed in range(200))
    counts = sum("dominant_row" in said(dataclasses.replace(CLEAN, terms=t)) for t in draws)
    assert counts <= 2


def test_the_verdict_is_the_gravest_finding():
    zero, series = Finding("zero", "note", ""), Finding("series", "warning", "")
    remark = Finding("tied_values", "remark", "")
    assert worst([zero, remark, series]) is series
    assert worst([remark, zero]) is zero
    assert worst([remark]) is None
    severities = [check.severity for check in CHECKS.values()]
    assert severities == sorted(severities, key=["warning", "note", "remark"].index)


def test_every_finding_is_documented_in_its_order():
    page = (Path(__file__).resolve().parents[1] / "docs" / "findings.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([a-z]+) \|", page, re.MULTILINE)
    assert rows == [(code, check.severity) for code, check in CHECKS.items()]
