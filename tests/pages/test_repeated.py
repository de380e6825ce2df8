"""Code on a page repeats its result, with the settings that were used and the versions."""

import json

import numpy as np
import pandas as pd
import pytest
from results_of_each_kind import MADE

import infobound
from infobound import Config
from infobound._system.calls import Call
from infobound.data.columns import columns
from infobound.report.stored import parse
from infobound.tables.features import select

X, NOISE = np.random.default_rng(0).normal(size=(2, 200))
Y = 0.8 * X + 0.6 * NOISE
Z = np.round(NOISE)
FRAME = {"a": X, "b": Y, "c": Z}
DATA = {"x": X, "y": Y, "z": Z, "x1": X, "x2": NOISE, "frame": FRAME, "seen": (X[:90], Y[:90])}
QUICK = {"base": "gaussian", "critic": "none", "certify": False}


def square(x, y):
    return -((x - y.T) ** 2)


def numbered(values):
    return columns({"a": values})[0]


CALLS = {
    "compare": lambda: infobound.compare(X, NOISE, Y, seed=3, folds=3, **QUICK),
    "configured": lambda: infobound.compare(
        X, NOISE, Y, config=Config(critic="none", certify=False, folds=3, seed=np.int64(2))
    ),
    "interaction": lambda: infobound.interaction(X, Y, Z, categorical=["given"], **QUICK),
    "pairwise": lambda: infobound.pairwise(FRAME, "c", permutations=99, seed=4, jobs=1),
    "lags": lambda: infobound.lags(X, Y, 4, refine=False),
    "lagged_pairs": lambda: infobound.lagged_pairs(FRAME, 3, numeric=["c"]),
    "transfer": lambda: infobound.transfer_entropy(
        X, Y, lag=(1, 2), permutations=39, history="auto", source_history=1, base="gaussian"
    ),
    "storage": lambda: infobound.storage(Y, history=2, base="gaussian", permutations=39),
    "subsample": lambda: infobound.subsample(X, Y, parts=[2], **QUICK),
    "rehearse": lambda: infobound.rehearse(
        X, Y, ladder=[0.0, 0.3], seeds=1, kinds=["monotone"], jobs=1, **QUICK
    ),
    "certify": lambda: infobound.certify(
        square, X[100:], Y[100:], seen=(X[:90], Y[:90]), permutations=49
    ),
    "select": lambda: select([numbered(X), numbered(Z)], numbered(Y), count=1, criterion="jmi"),
    "reproduce": lambda: infobound.reproduce(
        Config.notebook().with_(n_iters=4, eval_every=2, batch_size=20), d=2, sample_size=40
    ),
}
OTHER_DATA = {
    "certify": {"x": X[100:], "y": Y[100:], "critic": square},
    "select": {"columns": [numbered(X), numbered(Z)], "y": numbered(Y)},
}


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", CALLS)
def test_the_code_of_a_page_repeats_its_result(name):
    result = CALLS[name]()
    (code,) = result.page().repeat.values()
    scope = DATA | OTHER_DATA.get(name, {})
    exec(code, scope)
    found, expected = (each.to_frame() for each in (scope["result"], result))
    pd.testing.assert_frame_equal(
        *(each.drop(columns="seconds", errors="ignore") for each in (found, expected))
    )
    assert scope["result"].call == result.call
    back = parse(json.loads(json.dumps(result.as_dict("bits"))))
    assert back.page().repeat == result.page().repeat


@pytest.mark.parametrize("name", sorted(MADE))
def test_each_page_has_versions_code_and_methods(name, results):
    page = results[name].page()
    assert {"infobound", "python", "torch"} <= set(page.versions)
    assert any("infobound" in code for code in page.repeat.values())
    assert page.methods
    assert page.settings or name == "selection"  # all are the defaults


def test_what_is_no_plain_value_is_named():
    groups = np.repeat(np.arange(20), 10)
    found = infobound.compare(X, NOISE, Y, groups=groups, **QUICK)
    assert found.call.settings["groups"] == "groups"
    assert "groups=groups" in found.call.code
    assert "watch" not in infobound.compare(X, NOISE, Y, watch=print, **QUICK).call.settings


def test_results_of_older_files_have_no_code():
    found = CALLS["compare"]()
    old = found.as_dict()
    del old["call"]
    back = parse(json.loads(json.dumps(old)))
    assert back == found
    assert back.call == Call()
    assert back.page().repeat == {}


def test_errors_of_a_call_name_the_function_itself():
    with pytest.raises(TypeError, match=r"^compare\(\) missing"):
        infobound.compare()


def test_directories_are_in_the_code_alone(results):
    page = results["study"].page()
    assert "out" not in page.settings
    assert "out=" in page.repeat["In Python:"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("compare", "different"),
        ("interaction", "different"),
        ("transfer", "no_transfer_found"),
        ("storage", "zero"),
    ],
)
def test_differences_and_transfers_have_a_verdict(results, name, code):
    assert results[name].page().verdict.code == code


def test_a_transfer_that_is_found_is_the_verdict():
    noise = np.random.default_rng(3).normal(size=300)
    found = infobound.transfer_entropy(X, np.roll(X, 1) + noise[:200], base="gaussian").page()
    assert found.verdict.code == "transfer_found"
    assert found.verdict.text == "x -> y"
    assert "Independence was not tested" not in str(found)
