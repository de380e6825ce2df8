"""Reports of what is stored: runs, studies, rehearsals and JSON of the commands."""

import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest

import infobound
from infobound.benchmark.study import study
from infobound.cli.main import main
from infobound.errors import InputError
from infobound.report.stored import expect_run, pages, parse

EVIL = "<script>alert(1)</script>"
FAST = {"critic": "none", "certify": False}
GAUSSIAN = {"estimator": "gaussian", "certify": False}


def frames(n=300, seed=0):
    x, noise = np.random.default_rng(seed).normal(size=(2, n))
    return pd.DataFrame({EVIL: x}), pd.DataFrame({"b": x + noise})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    short = {"n_iters": 30, "base": "gaussian", "folds": 2, "hidden_dim": 8, "certify": False}
    infobound.estimate(*frames(), run=folder, pointwise=True, **short)
    return folder


def test_a_run_has_figures_of_its_rows_and_code_that_repeats_it(run, monkeypatch):
    (page,) = pages(run, units="bits")
    assert [each.name for each in page.pictures][:2] == ["dependence", "profile"]
    code = page.repeat["With the rows of the run:"]
    scope = {}
    exec(code, scope)
    expected = json.loads((run / "result.json").read_text())["mi"]
    assert scope["result"].mi == pytest.approx(expected, abs=1e-9)


def test_the_command_writes_one_file_of_several_results(run, tmp_path, capsys):
    other = infobound.estimate(*frames(seed=1), **FAST)
    (tmp_path / "other.json").write_text(json.dumps(other.as_dict("bits")))
    out = tmp_path / "both.html"
    main(["report", str(run), str(tmp_path / "other.json"), "-o", str(out), "--units", "bits"])
    assert "2 results" in capsys.readouterr().out
    text = out.read_text()
    assert "<script" not in text.lower()
    assert "2 results" in text
    assert text.count("<article") == 2
    assert text.count("@software{infobound,") == 1
    names = re.findall(r'\sid="([^"]+)"', text)
    assert len(names) == len({*names})
    for first, second in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text):
        assert (first or second) in names
    for word in ("http://", "https://"):  # addresses are text: nothing is loaded
        assert f'src="{word}' not in text
        assert f'href="{word}' not in text


def test_subsampling_answers_the_question_of_the_checklist(run, tmp_path):
    out = tmp_path / "report.html"
    main(["report", str(run), "--out", str(out), "--subsample"])
    text = out.read_text()
    assert "1 / rows of a part" in text
    assert "See this page." in text


@pytest.mark.parametrize(
    "kind",
    [
        *("estimate", "compare", "interaction", "pairwise", "probes", "rehearsal", "lags"),
        *("lagged_pairs", "transfer", "transfer_network", "storage"),
    ],
)
def test_json_of_each_kind_is_read_back(results, kind):
    result = results[kind]
    for units in ("nats", "bits"):
        back = parse(json.loads(json.dumps(result.as_dict(units))))
        assert type(back) is type(result)
        found, expected = back.to_frame(), result.to_frame()
        pd.testing.assert_frame_equal(found, expected, rtol=1e-9, check_dtype=False)


def test_the_command_that_printed_a_result_is_part_of_its_report(tmp_path, capsys):
    x, y = frames()
    x.assign(b=y["b"]).to_csv(tmp_path / "rows.csv", index=False)
    command = ["estimate", str(tmp_path / "rows.csv"), "--x", EVIL, "--y", "b", "--critic", "none"]
    main([*command, "--base", "gaussian", "--no-certify", "--json"])
    (tmp_path / "result.json").write_text(capsys.readouterr().out)
    (page,) = pages(tmp_path / "result.json", units="nats")
    typed = page.repeat["On the command line:"]
    main(shlex.split(typed)[1:])
    assert (
        capsys.readouterr().out.splitlines()[-2:]
        == ((tmp_path / "result.json").read_text().splitlines()[-2:])
    )
    assert page.numbers[0].value in page.headline


def test_a_study_is_read_back(tmp_path):
    x, noise = np.random.default_rng(0).normal(size=(2, 100))
    np.savez(tmp_path / "pair.npz", x=x, y=x + noise, mi=0.35)
    settings = {"sizes": [60], "seeds": 1, "jobs": 1, "estimators": ["only_gaussian"]}
    found = study("mine", files=tmp_path, out=tmp_path / "out", **settings)
    (page,) = pages(tmp_path / "out", units="nats")
    assert page.tables == found.page().tables


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.json", None, "Expected the file"),
        ("list.json", "[1, 2]", "Expected the JSON of a result"),
        ("other.json", '{"unit": "nats", "mi": "a"}', "as an estimate: "),
        ("unit.json", '{"unit": "bans"}', "unit: expected 'nats' or 'bits'"),
        ("rows.csv", "a,b", "Expected a run directory, or a file ending in .json"),
    ],
)
def test_other_files_are_refused_with_a_sentence(name, text, message, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        pages(tmp_path / name, units="nats")


def test_only_runs_have_rows_to_divide(tmp_path):
    with pytest.raises(InputError, match="Expected a run directory for --subsample"):
        expect_run([tmp_path / "result.json"])
