"""Findings: each fires on its evidence, is silent without it, and has its line in the docs."""

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from infobound._system.sentences import worded
from infobound._system.units import restore
from infobound.data import as_pair
from infobound.diagnostics.findings import CHECKS, Evidence, Finding, findings, worst

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
CODES = RNG.integers(30, size=N)
EFFECT = RNG.normal(size=30)[CODES] + 0.3 * RNG.normal(size=N)
SUBJECTS = np.repeat(X[:100], 4, axis=0)

# code -> what differs from CLEAN, and words of the sentence
PLANTED = {
    "leakage": ({"pair": as_pair(X, np.c_[Y, -2 * X[:, 1]])}, "x[1] and y[1] are in the same"),
    "impossible": (
        {"mi": 1.2, "pair": as_pair(X, np.arange(N) % 3)},
        "above the entropy of y, 1.099",
    ),
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
    "few_groups": (
        {"groups": np.arange(N) % 4, "test": "rows_in_groups"},
        "come from 4 groups, so how groups differ is hardly known",
    ),
    "few_moves": (
        {"blocks": True, "smallest_p": 1 / 14, "test": "moves"},
        "cannot give a p-value below 0.071 here",
    ),
    "overfit": ({"train": 3.0, "method": "critic"}, "memorised its training rows"),
    "dominant_row": ({"terms": ROW}, "Row 7 alone moves the held-out value by -0.50"),
    "not_a_bound": ({"is_lower_bound": False, "bound": "smile"}, "'smile'"),
    "unordered_codes": (
        {"pair": as_pair(CODES, EFFECT)},
        "x[0] (30 values; see the",
    ),
    "determined": (
        {"pair": as_pair(X, Y, given=2 * X[:, 0])},
        "What is given determines x or y, or nearly so: x[0] and given[0]",
    ),
    "few_per_stratum": (
        {"pair": as_pair(X, Y, given=np.arange(N) % 50, categorical=["given"])},
        "takes 50 values in 400 rows",
    ),
    "orders": ({"exchanged": 0.9}, "I(Y,Z;X) - I(Z;X) is 0.900"),
    "tests": (
        {"p_value": 0.002, "projection_p": 0.4},
        "local permutations give p = 0.002, projections p = 0.4",
    ),
    "capped": ({"capped": True, "mi": 4.0}, "probably too low"),
    "not_converged": ({"late": 0.5}, "Raise n_iters"),
    "unmeasured": (
        {"held_out": 0.03, "train": 0.1, "p_value": 0.01},
        "shows that x and y are dependent, but there are too few rows",
    ),
    "zero": ({"held_out": 0.03, "train": 0.1, "p_value": 0.4}, "'no dependence found', not"),
    "saturated": ({"held_out": 4.0}, "4.60 nats for K = 100"),
    "second_opinion": ({"ksg": 0.4}, "(KSG) disagree"),
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


def numbers(text):
    return [float(each) for each in re.findall(r"(?<![\w.])[+-]?\d+\.\d+", text)]


@pytest.mark.parametrize("code", CHECKS)
def test_values_in_sentences_are_shown_in_the_unit_asked_for(code):
    evidence = dataclasses.replace(CLEAN, **PLANTED[code][0])
    (found,) = (each for each in findings(evidence) if each.code == code)
    assert found.text("nats") == found.message
    assert re.search(r"\bnats?\b|\{", found.text("bits")) is None
    assert bool(found.template) == (re.search(r"\bnats?\b", found.message) is not None)
    if found.template:
        assert "bit" in found.text("bits")
        exact = re.sub(r"(?<=\.)\d[fg]", "12f", found.template)
        pairs = [numbers(worded(exact, unit)) for unit in ("nats", "bits")]
        ratios = {round(a / b, 6) for a, b in zip(*pairs, strict=True) if b}
        assert ratios <= {1.0, round(math.log(2), 6)}
        assert round(math.log(2), 6) in ratios


@pytest.mark.parametrize("units", ["nats", "bits"])
def test_findings_are_read_back_from_either_unit(units):
    changes, _ = PLANTED["second_opinion"]
    for found in findings(dataclasses.replace(CLEAN, **changes)):
        plain = json.loads(json.dumps(found.values(units)))
        assert plain["message"] == found.text(units)
        assert restore(Finding, plain) == found


def test_findings_of_older_files_are_read_and_stay_in_nats():
    old = restore(Finding, {"code": "zero", "severity": "note", "message": "0.1 nats {a:.2f}"})
    assert old.text("bits") == old.message == "0.1 nats {a:.2f}"


def test_the_remark_on_few_whole_numbers_has_both_answers():
    (changes, _) = PLANTED["coded_columns"]
    both = dataclasses.replace(CLEAN, **changes, as_categories=lambda names: 0.9)
    assert f"As categories: about 0.90 nats (now {CLEAN.mi:.2f})." in said(both)["coded_columns"]


def test_classes_are_not_said_to_be_quantities():
    """A class posterior takes no order of them; whole numbers of the other side have one."""
    classes = {"bases": ("posterior",) * 4}
    (changes, _) = PLANTED["coded_columns"]
    assert said(dataclasses.replace(CLEAN, **changes, **classes)) == {}
    assert "coded_columns" in said(dataclasses.replace(CLEAN, **changes, bases=("gaussian",) * 4))
    both = as_pair(np.c_[X, np.arange(N) % 7], np.arange(N) % 5)
    said_of_both = said(dataclasses.replace(CLEAN, pair=both, **classes))["coded_columns"]
    assert "x[2]" in said_of_both
    assert "y[0]" not in said_of_both


def test_what_is_not_wrong_is_not_said():
    assert said(dataclasses.replace(CLEAN, train=3.0)) == {}  # a closed form
    blocks = dataclasses.replace(CLEAN, pair=PLANTED["series"][0]["pair"], blocks=True)
    assert said(blocks) == {}
    labels = as_pair(np.arange(N) % 3, np.arange(N) % 4)  # copies are their nature
    assert "repeated_rows" not in said(dataclasses.replace(CLEAN, pair=labels))
    alone = dict.fromkeys(("train", "held_out", "error", "block", "ceiling", "fold", "terms"))
    assert said(dataclasses.replace(CLEAN, **alone, method="ksg")) == {}


@pytest.mark.parametrize(
    ("test", "remedy"),
    [
        ("moves", "Collect 114 rows."),
        ("moves_in_groups", "Collect 114 rows in most of the groups, or five groups."),
        ("whole_groups", "Collect five groups or more."),
        ("surrogates", "give 19 surrogates or more."),
    ],
)
def test_a_test_that_cannot_reject_says_what_it_takes(test, remedy):
    few = dataclasses.replace(CLEAN, smallest_p=0.06, test=test)
    assert said(few)["few_moves"].endswith(remedy)
    assert said(dataclasses.replace(few, smallest_p=0.05)) == {}
    assert said(dataclasses.replace(few, alpha=0.1)) == {}


def test_groups_that_are_named_are_no_problem():
    groups = np.repeat(np.arange(100), 4)
    for code in ("grouped_rows", "series"):
        named = dataclasses.replace(CLEAN, **PLANTED[code][0], groups=groups)
        assert said(named) == {}


def test_what_is_given_is_judged_by_what_is_left_and_by_its_values():
    given = as_pair(X, Y, given=RNG.normal(size=N))
    assert at(pair=given) == {}
    assert "determined" in at(pair=given, left=(1e-4, 0.5))
    assert at(pair=given, left=(0.1, 0.5)) == {}
    assert at(pair=as_pair(X, Y, given=np.arange(N) % 19, categorical=["given"])) == {}
    assert at(pair=given, exchanged=CLEAN.held_out + 0.04) == {}
    assert at(p_value=0.03, projection_p=0.4) == {}
    zero = at(pair=given, held_out=0.03, train=0.1, p_value=0.4)["zero"]
    assert "'no dependence given z found'" in zero
    for changes in ({"ksg": 0.4}, {"ksg": 0.4, "method": "ksg"}, {"held_out": 4.0}):
        (message,) = at(pair=given, **changes).values()
        assert "at least" not in message
        assert "at least" in next(iter(at(**changes).values()))


def at(**changes):
    return said(dataclasses.replace(CLEAN, **changes))


def test_an_estimate_at_its_entropy_is_neither_impossible_nor_too_low():
    thirds = as_pair(X, np.arange(N) % 3)
    for mi, half_width, expected in (
        (1.103, 0.0, False),  # an excess that does not matter
        (1.15, 0.06, False),  # inside the interval
        (1.15, 0.04, True),
        (1e9, 0.04, True),
    ):
        assert ("impossible" in at(pair=thirds, mi=mi, half_width=half_width)) is expected
    assert "impossible" not in at(pair=as_pair(X, np.ones(N)), mi=0.001, half_width=1e-4)
    near = {"pair": thirds, "capped": True, "mi": 1.09, "held_out": 1.08, "ceiling": 1.5}
    assert {"capped", "saturated"}.isdisjoint(at(**near))
    assert {"capped", "saturated"} <= set(at(**near | {"mi": 0.7, "held_out": 0.65}))


def test_what_determines_each_other_is_infinite_only_where_it_is_continuous():
    codes = np.arange(N) % 3
    message = at(pair=as_pair(codes, 7 * codes % 5))["leakage"]
    assert "each value of x[0] goes with one value of y[0]" in message
    assert "entropy, here 1.10 nats" in message
    assert "infinite" not in message
    assert "infinite" in at(pair=as_pair(np.c_[X[:, 0], codes], np.c_[X[:, 0], codes]))["leakage"]


@pytest.mark.parametrize(
    ("p_value", "width", "code", "words", "never"),
    [
        (0.004, 2, "unmeasured", "shows that x and y are dependent", "weak"),
        (0.034, 2, "unmeasured", "weak evidence", "speaks for"),
        (0.2, 2, "zero", "does not reject (p = 0.2)", "do not report"),
        (None, 2, "zero", "Independence was not tested", "no dependence found"),
        (None, 60, "zero", "Do not report that there is none", "no dependence found"),
    ],
)
def test_no_dependence_is_claimed_as_far_as_it_was_tested(p_value, width, code, words, never):
    pair = as_pair(np.random.default_rng(1).normal(size=(N, width)), Y)
    found = at(pair=pair, held_out=-0.01, p_value=p_value)
    assert words in found[code]
    assert never not in found[code]
    assert "no dependence" not in CHECKS[code].headline


@pytest.mark.parametrize(
    ("half_width", "words"),
    [
        (0.2, "For +-0.05 nats collect about 6,000 rows"),
        (0.6, "out of reach by collecting rows (it would take more than 40,000)"),
        (652.0, "the estimate has no meaning"),
    ],
)
def test_no_impossible_number_of_rows_is_asked_for(half_width, words):
    assert words in at(half_width=half_width, mi=0.1)["few_rows"]


def test_a_sharp_interval_of_few_rows_is_not_asked_to_become_wider():
    found = at(pair=as_pair(X[:60], Y[:60]), mi=0.0, half_width=0.03, fold=None, terms=None)
    assert "Collect 200 rows or more" in found["few_rows"]


def test_no_row_is_blamed_for_a_relation_without_noise():
    terms = np.full(N, 5.0) + 0.01 * TERMS
    terms[6] = -250.0  # the one that a smooth critic misses
    assert "dominant_row" in at(terms=terms)
    assert "dominant_row" not in at(terms=terms, pair=as_pair(X, X[:, 0]))
    assert "dominant_row" not in at(terms=terms, method="ksg")
    terms[6] = -50.0
    assert "dominant_row" not in at(terms=terms)  # 0.14 of 5 nats


def test_constant_sides_have_no_information_and_that_is_said():
    assert "All columns of y are constant" in at(pair=as_pair(X, np.ones(N)))["constant_columns"]


def test_the_order_of_a_file_is_not_called_a_series():
    message = at(**PLANTED["series"][0])["series"]
    assert "the file was merely sorted or merged" in message
    assert "look like a series" not in message


def test_estimates_of_nothing_are_not_ok_because_all_rows_are_alike():
    alike = {"held_out": 0.0014, "error": 0.0006, "train": 0.001, "mi": -0.0004}
    assert "estimate, 0.000 +- 0.0064 nats, does" in at(**alike, half_width=0.0064)["zero"]
    assert "does not reject (p = 0.99)" in at(**alike, half_width=0.0064, p_value=0.99)["zero"]
    assert "p-value, 0.004, shows" in at(**alike, half_width=0.0064, p_value=0.004)["unmeasured"]
    more = {"held_out": 0.02, "error": 0.01, "train": 0.03, "mi": 0.03, "half_width": 0.04}
    assert "zero" in at(**more, p_value=0.3)
    assert "zero" not in at(**more)
    assert "zero" not in at(**more, p_value=0.01)
    assert "zero" not in at(**more, p_value=0.3, smallest_p=0.1, blocks=True)


def test_codes_among_given_values_are_extreme():
    assert "given[0] (-999 in 4 rows)" in at(pair=as_pair(X, Y, given=STRAY))["extreme_values"]
    assert "extreme_values" not in at(pair=as_pair(X, Y, given=X[::-1]))


def test_rounding_hides_nothing_of_classes_that_are_known_already():
    rounded = as_pair(X.round(1), np.arange(N) % 3)  # at most log 3 = 1.099
    assert "tied_values" in at(pair=rounded, mi=0.9)
    assert "tied_values" not in at(pair=rounded, mi=1.05)


def test_rows_that_are_sorted_by_a_category_name_its_column():
    labels = pd.Series(np.array(["a", "b", "c"])[np.digitize(Y[ORDER, 0], [-1, 1])], name="site")
    assert "sorted by site, " in at(pair=as_pair(X[ORDER], labels))["sorted_rows"]


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
    page = (Path(__file__).resolve().parents[2] / "docs" / "findings.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([a-z]+) \|", page, re.MULTILINE)
    assert rows == [(code, check.severity) for code, check in CHECKS.items()]


def test_codes_are_reported_with_both_answers_and_only_if_categories_tell_more():
    evidence = dataclasses.replace(CLEAN, pair=as_pair(CODES, EFFECT))

    def said(value):
        found = findings(dataclasses.replace(evidence, as_categories=lambda names: value))
        return next((f.message for f in found if f.code == "unordered_codes"), None)

    assert "As categories the estimate is about 0.55 nats (now 0.15): if they" in said(0.55)
    assert "If they are codes, the estimate is too low, name" in said(None)
    for value in (0.1, 0.19):  # within the interval, .15 +- .05
        assert said(value) is None
