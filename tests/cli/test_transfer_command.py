"""`infobound transfer`: two series, all ordered pairs, and what is refused."""

import contextlib
import io
import json

import numpy as np
import pandas as pd
import pytest

from infobound.cli.main import main

QUICK = ["--base", "gaussian", "--permutations", "99"]


def call(*words):
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([*map(str, words)])
        except SystemExit as stop:
            code = stop.code or 0
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """a drives b two rows later; a column of words cannot be used, and there are trials."""
    rng = np.random.default_rng(0)
    a, noise = rng.normal(size=(2, 400))
    b = 0.5 * noise
    b[2:] += a[:-2]
    day = [f"2024-01-{1 + k % 28:02d} 10:{k % 60:02d}" for k in range(400)]
    table = pd.DataFrame({"a": a, "b": b, "day": day, "trial": np.arange(400) // 100})
    path = tmp_path_factory.mktemp("series") / "table.csv"
    table.to_csv(path, index=False)
    return path


def test_both_directions_with_lags_and_a_picture(file, tmp_path):
    picture = tmp_path / "lags.svg"
    words = ["--x", "a", "--y", "b", "--lag", "1:3", "--figure", picture, *QUICK]
    code, out, _ = call("transfer", file, *words)
    assert code == 0
    assert "a -> b: lag 2 of a, given lag 1 of b; of 3 lags" in out
    assert "397 rows with a past" in out
    assert "Smallest possible p: about 0.01" in out
    assert picture.read_bytes().startswith(b"<?xml")


def test_json_in_bits_and_trials(file):
    words = ["--x", "a", "--y", "b", "--lag", "2", "--group", "trial", "--history", "auto"]
    code, out, _ = call("transfer", file, *words, "--json", "--units", "bits", *QUICK)
    found = json.loads(out)
    assert (code, found["unit"], found["forward"]["n"]) == (0, "bits", 356)
    assert found["forward"]["mi"] > 0.8  # exact: log2(5) / 2 = 1.16


def test_all_ordered_pairs(file, tmp_path):
    files = {"--table": "all.csv", "--figure": "net.png", "--matrix": "mat.pdf"}
    words = [word for flag, name in files.items() for word in (flag, tmp_path / name)]
    words += ["--group", "trial", "--lag", "1:2", "--jobs", 1, "--out", tmp_path / "run"]
    code, out, _ = call("transfer", file, *words, *QUICK)
    assert code == 0
    assert "2 ordered pairs of 2 columns, 400 rows" in out
    assert "1 of 2 ordered pairs have q <= 0.05" in out
    assert "Left out: day" in out
    assert all((tmp_path / name).stat().st_size > 100 for name in files.values())
    assert pd.read_csv(tmp_path / "all.csv")["source"][0] == "a"
    assert json.loads(call("transfer", file, *words, *QUICK, "--json")[1])["links"][0]["lags"] == [
        2
    ]


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--x", "a"], "Expected --x and --y, or neither"),
        (["--x", "a", "--y", "b", "--lag", "1-5"], "whole numbers or ranges such as 1:20"),
        (["--x", "a", "--y", "b", "--lag", "0"], "Expected lag to be a positive number"),
        (["--x", "a", "--y", "b", "--history", "long"], "a whole number or auto"),
        (["--x", "a", "--y", "b", "--matrix", "m.png"], "Expected --matrix for all ordered pairs"),
        (["--x", "a", "--y", "b", "--group", "tril"], "trial"),
        (["--figure", "net.gif"], "ending in .png, .svg, .pdf"),
        (["--columns", "a"], "Expected two or more columns"),
    ],
)
def test_what_is_refused(file, tmp_path, monkeypatch, words, fragment):
    monkeypatch.chdir(tmp_path)
    code, _, err = call("transfer", file, *words)
    assert code == 2
    assert fragment in err
