"""The commands as a stranger types them; in processes of their own where that is the matter."""

import ast
import contextlib
import dataclasses
import errno
import inspect
import io
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import forks
import numpy as np
import pandas as pd
import pictures
import pytest
import suites

from infobound import __version__, estimate
from infobound.benchmark import notebook, tasks
from infobound.cli.commands import COMMANDS
from infobound.cli.main import main
from infobound.config import Config
from infobound.errors import InputError
from infobound.results.estimate import Estimate

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
CLOSED = ["--critic", "none", "--base", "gaussian"]
BASE = [*CLOSED, "--no-certify"]


def start(*words, **options):
    words = [sys.executable, "-m", "infobound", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, **options)


def apart(*words, **options):
    """The exit code and the words of a process."""
    process = start(*words, **options)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def call(*words):
    """The same, of this process: it has imported torch already."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([*map(str, words)])
        except SystemExit as stop:
            code = stop.code or 0
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same 150 rows as CSV, Parquet and npz."""
    folder = tmp_path_factory.mktemp("files")
    import torch

    x, y = tasks.make("gaussian", d=2, rho=0.7).sample(150, torch.Generator().manual_seed(0))
    names = ["a1", "a2", "b1", "b2"]
    frame = pd.DataFrame(np.concatenate([x, y], axis=1), columns=names)
    frame.to_csv(folder / "rows.csv", index=False)
    frame.to_parquet(folder / "rows.parquet")
    np.savez(folder / "rows.npz", x=x.numpy(), y=y.numpy())
    return folder


@pytest.mark.parametrize("name", [*COMMANDS])
def test_every_command_has_help_and_is_documented(name):
    code, out, _ = call(name, "--help")
    assert code == 0
    assert "--debug" in out
    assert f"infobound {name}" in PAGE
    assert COMMANDS[name].__doc__


def test_the_flags_are_the_fields_of_config():
    out = call("estimate", "--help")[1]
    for field in dataclasses.fields(Config):
        assert f"--{field.name.replace('_', '-')}" in out


def test_version_and_no_arguments():
    assert call("--version")[1] == f"infobound {__version__}\n"
    code, out, _ = call()
    assert code == 0
    assert "estimate" in out


@pytest.mark.parametrize("command", ["estimate", "study"])
def test_help_imports_no_torch(command):
    probe = (
        "import sys\nfrom infobound.cli import main as cli\n"
        "try:\n    cli.main(['COMMAND', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'numpy', 'joblib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    ).replace("COMMAND", command)
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_csv_parquet_and_npz_give_the_same_estimate_and_json_stands_alone(files):
    results, names = [], []
    for name, x, y in [  # as a process: test_a_file_is_estimated_after_its_columns
        ("rows.csv", "a*", "b1:b2"),
        ("rows.parquet", "a1:a2", "b*"),
        ("rows.npz", "x", "y"),
    ]:
        code, out, err = call("estimate", files / name, "--x", x, "--y", y, "--json", *CLOSED)
        assert (code, err) == (0, "")
        result = json.loads(out)
        result.pop("seconds"), result.pop("command")
        names.append((result.pop("x_names"), result.pop("y_names")))
        results.append(result)
    assert names[0] == names[1] == (["a1", "a2"], ["b1", "b2"])
    assert results[0]["unit"] == "nats"
    assert results[0]["certified"] is not None
    assert all(result == results[0] for result in results)


def test_units_are_converted_and_printed(files):
    words = ["estimate", files / "rows.csv", "--x", "a*", "--y", "b*", *BASE]
    nats, bits = (call(*words, "--units", unit)[1] for unit in ("nats", "bits"))
    number = {
        u: float(re.search(rf"([\d.]+) {u}", t)[1]) for u, t in (("nats", nats), ("bits", bits))
    }
    assert number["bits"] == pytest.approx(number["nats"] / np.log(2), abs=2e-3)
    assert "held-out lower bound" in nats.lower()


def test_the_last_line_is_the_verdict(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    frame = pd.DataFrame({"x": x, "y": x + rng.normal(size=300), "copy": 1 - x})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    for column, line in (
        ("y", "verdict: ok - no problems found"),
        ("copy", "verdict: leakage - x and y share a column"),
    ):
        words = ["estimate", tmp_path / "rows.csv", "--x", "x", "--y", column, *BASE]
        code, out, _ = call(*words)
        assert code == 0
        assert line in out.splitlines()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["estimate", "absent.csv", "--x", "a", "--y", "b"], "absent.csv"),
        (["estimate", "rows.csv", "--x", "a3", "--y", "b1"], "a1"),
        (["estimate", "rows.csv", "--x", "a*", "--y", "a1"], "a1"),
        (["estimate", "rows.csv", "--x", "a*", "--y", "b*", "--bound", "infonse"], "infonce"),
        (["estimate", "rows.csv", "--x", "a*", "--y", "b*", "--lr", "-1"], "lr"),
        (["estimate", "rows.csv", "--x", "a*", "--y", "b*", "--run", "rows.csv/run"], "rows.csv"),
        (["estimate", "rows.csv", "--x", "a*"], "--y"),
        (["resume", "nowhere"], "nowhere"),
        (["estimate", "rows.csv", "--x", "a*", "--y", "b*", "--device", "cuda"], "cpu"),
        (["dance"], "demo"),
    ],
)
def test_errors_exit_with_2_and_show_no_traceback(files, words, message, monkeypatch):
    import torch

    if "cuda" in words and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    monkeypatch.chdir(files)
    code, out, err = (apart if "absent.csv" in words else call)(*words)
    assert code == 2
    assert message in err + out
    assert "Traceback" not in err
    assert out == "" or words == ["dance"]


def test_debug_shows_the_traceback():
    with pytest.raises(InputError, match=r"absent\.csv"):  # Python shows the rest
        call("estimate", "absent.csv", "--x", "a", "--y", "b", "--debug")


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--folds", "1"], "folds to be 2 or more; got 1"), (["--level", "95"], "level to be in")],
)
def test_a_setting_out_of_range_is_one_sentence(files, words, message):
    code, out, err = call("estimate", files / "rows.csv", "--x", "a1", "--y", "b1", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("infobound: Expected ")
    assert message in err


@pytest.mark.parametrize("words", [["describe", "rows.csv", "--json"], ["estimate", "--help"]])
def test_a_reader_that_leaves_early_is_no_error(words, files):
    process = start(*words, cwd=files)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 1


@pytest.fixture(scope="module")
def columns(tmp_path_factory):
    """200 rows of columns of several kinds, one of them not usable."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
    frame["kind"] = np.where(frame["a"] + 0.3 * frame["c"] > 0, "up", "down")
    frame["day"] = [f"2024-01-{1 + k % 28:02d} 10:{k % 60:02d}" for k in range(200)]
    path = tmp_path_factory.mktemp("columns") / "table.csv"
    frame.to_csv(path, index=False)
    return path


def test_all_columns_are_listed_with_bars_and_saved(columns, tmp_path):
    names = {"--table": "all.parquet", "--figure": "map.png", "--gallery": "ranks.svg"}
    files = {flag: tmp_path / name for flag, name in names.items()}
    words = [word for flag, path in files.items() for word in (flag, path)]
    code, out, _ = call("columns", columns, "--permutations", 99, "--top", 3, *words)
    assert code == 0
    assert "6 pairs of 4 columns, 200 rows" in out
    assert re.search(r"a +kind +━━━━━━━━━━━━━━━━ +0\.", out)
    assert "Left out: day" in out
    assert "3 pairs are shown" in out
    assert len(pd.read_parquet(files["--table"])) == 6
    assert all(path.stat().st_size > 1_000 for path in files.values())


def test_a_target_as_json_in_bits(columns, tmp_path):
    words = ["--target", "kind", "--permutations", 99, "--json", "--units", "bits"]
    code, out, err = call("columns", columns, *words, "--figure", tmp_path / "bars.pdf")
    found = json.loads(out)
    assert (code, err, found["unit"], found["targets"]) == (0, "", "bits", ["kind"])
    assert found["pairs"][0]["x"] == "a"
    assert found["pairs"][0]["mi"] > 0.4
    asked = {"target": "['kind']", "permutations": "99", "seed": "0"}
    assert found["call"]["settings"] == asked
    assert (tmp_path / "bars.pdf").read_bytes().startswith(b"%PDF")


def test_that_nothing_is_found_is_said_plainly(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 2))
    pd.DataFrame(rows, columns=["a", "b"]).to_csv(tmp_path / "rows.csv", index=False)
    _, out, _ = call("columns", tmp_path / "rows.csv", "--permutations", 99)
    assert "None of 1 pairs has a q of 0.05 or less." in " ".join(out.split())
    assert "of these" not in out


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--target", "day"], "dates or times as text"),
        (["--target", "knd"], "Nearest: kind"),
        (["--figure", "map.gif"], "ending in .png, .svg, .pdf"),
        (["--table", "all.xlsx"], "ending in .json, .csv, .parquet"),
        (["--target", "a", "b", "--figure", "map.png"], "one target or none"),
    ],
)
def test_what_is_wrong_with_columns_is_said(columns, tmp_path, monkeypatch, words, fragment):
    monkeypatch.chdir(tmp_path)
    code, _, err = call("columns", columns, "--permutations", 19, *words)
    assert code == 2
    assert fragment in err


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Three groups of 100 rows, in which y follows x after two rows."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=300), "who": np.repeat(["ann", "bob", "cy"], 100)})
    frame["y"] = frame["x"].shift(2, fill_value=0) + 0.5 * rng.normal(size=300)
    path = tmp_path_factory.mktemp("series") / "rows.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("width", [60, 100])
def test_lags_are_listed_with_bars_and_saved(series, tmp_path, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    words = [series, "--x", "x", "--y", "y", "--max-lag", 12, "--no-refine"]
    files = ["--table", tmp_path / "curve.csv", "--figure", tmp_path / "curve.png"]
    code, out, _ = call("lags", *words, *files)
    said = " ".join(out.split())
    assert code == 0
    assert all(len(line) <= width for line in out.splitlines())
    assert re.search(r"\n +2 +━{16,32} +0\.", out)
    assert "Peak at lag 2 (x leads by 2)" in said
    assert "which cannot be below 0.083 here (0.05 takes 500 rows)" in said
    assert "Of every 2 lags one is shown" in said
    assert len(pd.read_csv(tmp_path / "curve.csv")) == 25
    assert (tmp_path / "curve.png").stat().st_size > 1_000


def test_lags_within_groups_as_json_in_bits(series):
    words = ["--x", "y", "--y", "x", "--group", "who", "--max-lag", 3, "--permutations", 39]
    config = ["--no-refine", "--json", "--units", "bits"]
    code, out, err = call("lags", series, *words, *config)
    found = json.loads(out)
    assert (code, err, found["unit"], found["groups"]) == (0, "", "bits", 3)
    assert (found["peak"]["lag"], found["peak"]["n"]) == (-2, 294)
    assert (found["smallest_p"], len(found["curve"])) == (1 / 40, 7)


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--x", "x"], "one column for y; got 0"),
        (["--x", "x", "y", "--y", "who"], "one column for x; got 2"),
        (["--x", "x", "--y", "y"], "max_lag of at most 70 for 300 rows; got 100"),
        (["--x", "x", "--y", "y", "--table", "all.xlsx"], "ending in .json, .csv, .parquet"),
        (["--x", "x", "--y", "y", "--matrix", "all.png"], "Expected --matrix for all pairs"),
        (["--columns", "x", "--group", "who"], "at least two usable columns; got 1"),
        (["--overwrite"], "Expected overwrite only with out"),
    ],
)
def test_what_is_wrong_with_lags_is_said(series, words, fragment):
    code, _, err = call("lags", series, "--max-lag", 100, *words)
    assert code == 2
    assert fragment in " ".join(err.split())


@pytest.mark.parametrize("width", [60, 100])
def test_lags_of_all_pairs_are_listed_drawn_and_continued(series, tmp_path, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    files = {"--table": "all.csv", "--figure": "net.png", "--matrix": "mat.svg"}
    words = [word for flag, name in files.items() for word in (flag, tmp_path / name)]
    words += ["--group", "who", "--max-lag", 3, "--out", tmp_path / "run", "--jobs", 1]
    code, out, _ = call("lags", series, *words)
    assert code == 0
    assert "1 pairs of 2 channels, lags up to 3, 300 rows" in out
    assert "1 of 1 pairs have q <= 0.05" in out
    assert all(len(line) <= width for line in out.partition("Next:")[0].splitlines())
    assert all((tmp_path / name).stat().st_size > 100 for name in files.values())
    assert pd.read_csv(tmp_path / "all.csv")["lag"].tolist() == [2]
    again = call("lags", series, *words, "--json")
    assert json.loads(again[1])["pairs"][0]["lag"] == 2
    code, _, err = call("lags", series, *words[:-3], tmp_path / "run", "--seed", 1)
    assert code == 2
    assert "got others for x and y" in err


def test_series_are_read_with_options_and_refined_with_settings(series, tmp_path):
    path = tmp_path / "rows.txt"
    path.write_text(series.read_text().replace(",", "|"))
    words = [path, "--sep", "pipe", "--x", "x", "--y", "y", "--base", "gaussian", "--json"]
    found = json.loads(call("lags", *words, "--max-lag", 2, "--folds", 3)[1])
    assert (found["peak"]["lag"], found["refined"]["n"]) == (2, 298)
    assert (found["refined"]["config"]["base"], found["refined"]["config"]["folds"]) == (
        "gaussian",
        3,
    )
    both = ["--group", "who", "--permutations", 19, "--lag", 2]
    found = json.loads(call("transfer", *words, *both)[1])
    assert found["forward"]["n"] == 294


def test_groups_of_series_may_not_be_missing(series, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(series.read_text().replace(",bob,", ",,"))
    code, _, err = call("lags", path, "--x", "x", "--y", "y", "--group", "who", "--max-lag", 3)
    assert code == 2
    assert "Expected a group for each row; 100 are missing" in " ".join(err.split())


@pytest.mark.parametrize("name", ["tasks", "bounds"])
def test_listings_name_every_entry(name, monkeypatch):
    from infobound.bounds import variational

    monkeypatch.setattr(tasks, "suite", suites.suite)
    table = {"tasks": tasks.TASKS, "bounds": variational.BOUNDS}[name]
    code, out, _ = call(name)
    assert code == 0
    assert all(entry in out for entry in table)
    records = json.loads(call(name, "--json")[1])
    assert {record[name[:-1]] for record in records} == {*table}
    lines = sum(map(len, tasks.SUITES.values())) if name == "tasks" else len(table)
    assert len(records) == lines
    number = {"tasks": "mi", "bounds": "ceiling_at_1000"}[name]
    assert isinstance(records[0][number], float)


def test_addresses_of_papers_are_whole_in_a_narrow_terminal(monkeypatch):
    from infobound.bounds import variational

    monkeypatch.setenv("COLUMNS", "80")
    out = call("bounds")[1]
    assert all(bound.url in out for bound in variational.BOUNDS.values())


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


SLOW = ["--n-iters", "300", "--eval-every", "50", "--checkpoint-every", "10", "--hidden-dim", "8"]
SLOW += ["--batch-size", "64", "--d", "2", "--sample-size", "100"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        pictures.leave_out(patch)
        code, out, _ = call("reproduce", *SLOW, "--run", run, "--json")
    assert code == 0
    return run, json.loads(out)


def same(left, right):
    own = ("seconds", "command")
    one, other = ({k: v for k, v in each.items() if k not in own} for each in (left, right))
    return one == other


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_a_run_as_it_should_and_it_resumes_to_the_same_bits(
    tmp_path, whole, number, code
):
    """At the second checkpoint; other moments: the kills of test_faults."""
    run = tmp_path / "run"
    process = forks.command("reproduce", *SLOW, "--run", run, log=tmp_path / "log")
    wait_for(run / "checkpoint-notebook.previous.safetensors")
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == code
    assert not (run / "result.json").exists()
    err = (tmp_path / "log").read_text()
    assert "Traceback" not in err
    if number != signal.SIGKILL:
        assert f"infobound resume {run}" in err
    code, out, err = call("resume", run, "--json")
    assert code == 0, err
    assert same(json.loads(out), whole[1])
    assert (run / "metrics.csv").read_bytes() == (whole[0] / "metrics.csv").read_bytes()


def test_an_existing_run_is_not_overwritten(whole):
    code, _, err = call("reproduce", *SLOW, "--run", whole[0])
    assert code == 2
    assert "--overwrite" in err


def test_demo_prints_the_four_numbers(monkeypatch, capsys):
    """A little of it; the whole runs as the README's line does."""
    whole, estimate = notebook.reproduce, notebook.estimates.estimate
    short = {"n_iters": 20, "eval_every": 10}
    base = {"critic": "none", "base": "gaussian", "permutations": 19}
    monkeypatch.setattr(notebook, "reproduce", lambda c, **k: whole(c.with_(**short), **k))
    monkeypatch.setattr(
        *(notebook.estimates, "estimate"),
        lambda *sides, config, **k: estimate(*sides, config=config.with_(**base), **k),
    )
    main(["demo", "--quiet"])
    out = capsys.readouterr().out
    for words in (
        "4.982",
        "notebook, training rows",
        "held-out lower bound",
        "estimate",
        "Why they",
    ):
        assert words in out


PRINT = "Expected to print on standard output;"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a full device")
@pytest.mark.parametrize(
    ("words", "redirected", "code", "message"),
    [
        (
            ["describe", "rows.csv", "--json"],
            ">/dev/full",
            2,
            "Expected to print on standard output; .*No space left",
        ),
        (["--help"], ">/dev/full", 2, "Expected to print on standard output; .*No space left"),
        (["--version"], ">&-", 2, f"{PRINT} .*Bad file descriptor"),
        (["dance"], "2>&-", 2, ""),
        (["estimate", "absent.csv", "--x", "a", "--y", "b"], "2>/dev/full", 2, ""),
        (["--version"], "<&- >&- 2>&-", 2, ""),
        (["describe", "rows.csv", "--json"], "2>&- <&-", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full_end_in_a_sentence(files, words, redirected, code, message):
    line = shlex.join([sys.executable, "-m", "infobound", *words])
    line = f"{line} {redirected}"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, cwd=files)
    assert done.returncode == code
    assert done.stderr.count("\n") == bool(message)
    assert re.search(message, done.stderr)
    assert bool(done.stdout) == (code == 0)  # a message never goes to standard output


def test_a_result_that_cannot_be_printed_is_saved(files, tmp_path, monkeypatch, capsys):
    def full(text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("infobound.cli.session.redirect_to_null", lambda number: None)
    monkeypatch.setattr(sys.stdout, "write", full)
    words = ["estimate", files / "rows.csv", "--x", "a1", "--y", "b1", "--run", tmp_path / "run"]
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, words), *BASE, "--quiet"])
    assert stopped.value.code == 2
    assert f"The result is saved in {tmp_path / 'run'}." in capsys.readouterr().err
    assert (tmp_path / "run" / "result.json").is_file()


def test_letters_that_a_terminal_has_not_are_written_in_ascii(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"größe": rng.normal(size=60), "度": rng.normal(size=60)})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    words = ["estimate", tmp_path / "rows.csv", "--x", "größe", "--y", "度", *BASE, "--check"]
    streams = {name: io.BytesIO() for name in ("stdout", "stderr")}  # as PYTHONIOENCODING=ascii
    with monkeypatch.context() as patch:
        for name, stream in streams.items():
            patch.setattr(sys, name, io.TextIOWrapper(stream, encoding="ascii"))
        main([*map(str, words)])
        sys.stderr.flush()
        out, err = (stream.getvalue().decode("ascii") for stream in streams.values())
    assert r"gr\xf6\xdfe and \u5ea6" in out
    assert "+----" in out
    assert "+-0." in out  # the plus-minus sign
    assert err == ""


@pytest.mark.usefixtures("few_steps")
def test_units_are_those_of_the_files_too(files, tmp_path, capsys):
    run = tmp_path / "run"
    words = ["estimate", files / "rows.csv", "--x", "a*", "--y", "b*", "--run", run, "--check"]
    words += ["--units", "bits", "--json", *CLOSED]
    main([*map(str, words)])
    printed = json.loads(capsys.readouterr().out)
    stored = json.loads((run / "result.json").read_text())
    assert stored == {k: v for k, v in printed.items() if k not in ("checks", "command")}
    assert stored["unit"] == "bits"
    assert json.loads((run / "checks.json").read_text()) == printed["checks"]
    picture = (run / "estimate.svg").read_text()
    assert "mutual information (bits)" in picture
    assert f"{stored['mi']:.3f}" in picture
    assert f"≥ {stored['certified']:.3f}" in picture
    assert "I(a1, a2; b1, b2), 150 rows" in picture
    labels = pd.Series(list("uvw") * 50, name="label")
    estimate(np.arange(150.0), labels, run=tmp_path / "of labels", critic="none")
    assert "; label), 150 rows" in (tmp_path / "of labels" / "estimate.svg").read_text()
    main(["resume", str(run), "--json", "--quiet"])  # in the run's unit
    assert same(json.loads(capsys.readouterr().out), stored)
    main(["resume", str(run), "--json", "--quiet", "--units", "nats"])
    nats = json.loads(capsys.readouterr().out)
    assert nats["mi"] == pytest.approx(stored["mi"] * np.log(2))
    first, again = Estimate.from_dict(nats), Estimate.from_dict(stored)
    assert first.mi == pytest.approx(again.mi)
    assert first.interval == pytest.approx(again.interval)
    assert first.findings == again.findings


@pytest.mark.parametrize("columns", ["1", "3"])
def test_help_ends_in_a_terminal_without_room(columns):
    command = [sys.executable, "-m", "infobound", "estimate", "-h"]
    environment = {**os.environ, "COLUMNS": columns}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)
    assert done.returncode == 0
    assert "--folds" in done.stdout


def test_numbers_named_as_categories_are_one_hot_encoded(tmp_path, capsys):
    rng = np.random.default_rng(0)
    codes = rng.integers(4, size=80)
    lines = [f"{c},{c % 2},{v}" for c, v in zip(codes, rng.normal(size=80), strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["region,side,value", *lines]))
    words = ["estimate", str(tmp_path / "t.csv"), "--x", "region,side", "--y", "value", "--json"]
    main([*words, *BASE, "--categorical", "reg*"])
    found = json.loads(capsys.readouterr().out)
    assert (found["dim_x"], found["dim_y"]) == (5, 1)
    assert "region has 4 categories" in found["notes"][0]
    with pytest.raises(SystemExit):
        main([*words, *BASE, "--categorical", "price"])
    assert "price" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["estimate", "compare", "rehearse"])
def test_every_command_that_reads_rows_takes_what_columns_are(tmp_path, capsys, command):
    rng = np.random.default_rng(0)
    codes, digits = rng.integers(4, size=80), rng.integers(3, size=80).astype(str)
    table = pd.DataFrame({"region": codes, "dose": digits, "value": rng.normal(size=80)})
    table.to_parquet(tmp_path / "t.parquet")
    sides = ["--x1", "region", "dose", "--x2", "dose"] if command == "compare" else []
    words = [command, str(tmp_path / "t.parquet"), *(sides or ["--x", "region", "dose"])]
    words += ["--y", "value", "--estimator", "gaussian", "--no-certify", "--json"]
    words += ["--seeds", "1", "--ladder", "0", "--jobs", "1"] if command == "rehearse" else []
    main([*words, "--categorical", "region", "--numeric", "dose"])
    found = json.loads(capsys.readouterr().out)
    found = found.get("first", found.get("own", found))
    assert (found["dim_x"], found["dim_y"]) == (5, 1)  # four regions and a dose
    assert ["region has 4 categories" in note for note in found["notes"]] == [True]


def test_the_command_to_type_next_keeps_what_columns_are(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = "\n".join(f"{a},{b}" for a, b in rng.integers(4, size=(80, 2)))
    (tmp_path / "t.csv").write_text(f"a,b\n{rows}\n")
    words = ["estimate", str(tmp_path / "t.csv"), "--x", "a", "--y", "b", "--categorical", "a"]
    main([*words, "--numeric", "b", "--estimator", "gaussian", "--no-certify", "--folds", "3"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--categorical a --numeric b --folds 3 --estimator gaussian" in said


def test_warnings_of_what_is_compared_are_told(tmp_path, capsys):
    rows = np.random.default_rng(0).normal(size=(80, 3))
    rows[:4, 0] = -999
    pd.DataFrame(rows, columns=["a", "b", "c"]).to_csv(tmp_path / "t.csv", index=False)
    quick = ["--critic", "none", "--base", "gaussian", "--no-certify", "--quiet"]
    main(["compare", str(tmp_path / "t.csv"), "--x1", "a", "--x2", "b", "--y", "c", *quick])
    main(["interaction", str(tmp_path / "t.csv"), "--x", "b", "--y", "c", "--given", "a", *quick])
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("extreme values Values far from all others: a (-999 in 4 rows)") == 2


def test_names_that_look_like_markup_are_printed_as_they_are(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    names = ["[/]", "a", "b", "[bold]$x^$"]
    pd.DataFrame(rng.normal(size=(80, 4)), columns=names).to_csv("rows.csv", index=False)
    quick = ["--critic", "none", "--base", "gaussian", "--no-certify", "--quiet"]
    main(["compare", "rows.csv", "--x1", "a,b", "--x2", "[/]", "--y", "[bold]$x^$", *quick])
    said = capsys.readouterr().out
    assert all(name in said for name in ("a,b", "[/]", "[bold]$x^$"))
    Path("pairs").mkdir()
    x = rng.normal(size=(80, 1))
    np.savez("pairs/one$x^$.npz", x=x, y=x + rng.normal(size=x.shape), mi=0.35)
    study = ["study", "[/]", "--files", "pairs", "--sizes", "60", "--seeds", "1", "--jobs", "1"]
    main([*study, "--estimators", "gaussian", "--out", "run", *quick])
    said = capsys.readouterr()
    assert "[/]: mean absolute error" in said.out
    assert "picture" not in said.err
    assert Path("run/error.png").exists()


def test_a_third_variable_is_given(tmp_path, capsys):
    rng = np.random.default_rng(0)
    z = rng.normal(size=300)
    table = pd.DataFrame({"x": z + rng.normal(size=300), "y": z + rng.normal(size=300), "z": z})
    table.to_csv(tmp_path / "t.csv", index=False)
    words = ["estimate", str(tmp_path / "t.csv"), "--x", "x", "--y", "y", *CLOSED]
    main([*words, "--given", "z", "--folds", "2"])
    printed = capsys.readouterr().out
    for said in ("I(X;Y|Z)", "x and y given z", "Held-out difference", "permuting y"):
        assert said in printed
    assert "lower bound" not in printed
    main([*words, "--given", "z", "--folds", "2", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["dim_given"] == 1
    assert abs(found["mi"]) < 0.1
    for more, fragment in (
        (["--given", "y"], "y and given"),
        (["--given", "w"], "w"),
        (["--given", "z", "--check"], "--check without --given"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([*words, *more])
        assert stopped.value.code == 2
        assert fragment in capsys.readouterr().err


def unread_fields(command):
    """The arguments of a command's dataclass that none of its methods reads."""
    classes = [each for each in command.__mro__ if dataclasses.is_dataclass(each)]
    sources = [textwrap.dedent(inspect.getsource(each)) for each in classes]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    read = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    return {f.name for f in dataclasses.fields(command) if f"self.{f.name}" not in read}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_argument_is_accepted_without_effect(name):
    assert unread_fields(COMMANDS[name]) - {"output"} == set()  # `main` reads the output


def test_an_argument_without_effect_is_found():
    @dataclasses.dataclass
    class Command:
        used: int
        unused: int

        def __call__(self):
            return self.used

    assert unread_fields(Command) == {"unused"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["estimate", "rows.csv", "--x", "a", "--y", "b", "--overwrite"], "only with run"),
        (["rehearse", "rows.csv", "--x", "a", "--y", "b", "--overwrite"], "only with out"),
        (["reproduce", "--folds", "9"], "got folds"),
        (["reproduce", "--permutations", "9", "--level", "0.8"], "got level, permutations"),
        (["study", "staircase", "--neuralmi", "here"], "Expected a peer neuralmi*"),
        (["study", "staircase", "--bmi-python", "p", "--peers", "ennemi"], "got ennemi"),
    ],
)
def test_flags_that_would_have_no_effect_are_refused(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{k},{k * k % 7}\n" for k in range(50))
    Path("rows.csv").write_text("a,b\n" + rows)
    code, _, err = call(*words)
    assert code == 2
    assert message in err


BITS = ["--units", "bits"]


def test_ceilings_are_listed_in_the_unit():
    nats, bits = (json.loads(call("bounds", "--json", *more)[1])[0] for more in ([], BITS))
    assert (nats["unit"], bits["unit"]) == ("nats", "bits")
    assert bits["ceiling_at_1000"] == pytest.approx(math.log2(1000))
    assert nats["ceiling_at_1000"] == pytest.approx(math.log(1000))
    assert "9.97" in call("bounds", *BITS)[1]
