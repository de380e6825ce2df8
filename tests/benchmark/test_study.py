"""Studies: the same table whatever interrupts or reorders them, and numbers that are right."""

import dataclasses
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from statistics import mean, stdev

import forks
import joblib
import numpy as np
import pandas as pd
import peaks
import pytest
import threadpoolctl
import torch

from infobound import estimate
from infobound.benchmark import external, sampling, study, tasks
from infobound.cli.commands import StudyCommand
from infobound.cli.main import main
from infobound.config import Config
from infobound.errors import InputError
from infobound.plotting.accuracy_figures import error_figure, truth_figure
from infobound.runner import compute
from infobound.studies import accuracy, grid
from infobound.studies.accuracy import Row, group_of, markdown, summarise


class Broken:
    """A task that draws nothing."""

    mi = 0.5
    mi_error = 0.0

    def sample(self, n, generator):
        raise ValueError("no rows today")


SMALL = {
    "suite-a": [
        ("normal-1", tasks.make("gaussian", d=1, rho=0.6)),
        ("normal-2", tasks.make("gaussian", d=2, rho=0.5)),
        ("1v1-zero", tasks.make("independent", d=1)),
    ],
    "broken": [("good", tasks.make("gaussian", d=1)), ("bad", Broken())],
}
CHEAP = Config(base="gaussian", folds=2, certify=False)
PLAN = {"sizes": [60, 120], "seeds": 2, "estimators": ["base_only"], "jobs": 1, "config": CHEAP}


@pytest.fixture(autouse=True)
def suites(monkeypatch, no_pictures):
    """Small suites in place of the shipped ones."""
    monkeypatch.setattr(sampling.tasks, "suite", lambda name: SMALL[name])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study that nothing disturbs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling.tasks, "suite", lambda name: SMALL[name])
        return study.study("suite-a", out=tmp_path_factory.mktemp("whole") / "out", **PLAN)


def table(path):
    return pd.read_csv(path / "study.csv").drop(columns="seconds")


# The table


def test_the_table_has_every_cell_once_and_is_the_same_in_every_format(whole):
    frame = pd.read_csv(whole.path / "study.csv", keep_default_na=False)
    assert list(frame.columns) == [f.name for f in dataclasses.fields(Row)]
    assert len(frame) == len(whole.rows) == 3 * 2 * 2
    assert not frame.duplicated(["suite", "task", "estimator", "n", "seed"]).any()
    parquet = pd.read_parquet(whole.path / "study.parquet")
    for column in ("mi", "low", "high", "truth", "held_out", "training", "seconds"):
        assert parquet[column].tolist() == pd.to_numeric(frame[column]).tolist()
    assert parquet["kept"].tolist() == [row.kept for row in whole.rows]
    assert not any(row.error for row in whole.rows)


def test_neither_jobs_nor_order_changes_the_table(whole, tmp_path):
    swapped = {**PLAN, "sizes": [120, 60], "tasks": ["1v1*", "normal-2", "normal-1"], "jobs": 2}
    study.study("suite-a", out=tmp_path / "out", **swapped)
    pd.testing.assert_frame_equal(table(tmp_path / "out"), table(whole.path))


class Spy:
    """A task that notes how many threads each library has when it is sampled."""

    mi, mi_error = 0.0, 0.0

    def __init__(self):
        self.threads = []

    def sample(self, n, generator):
        self.threads += [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
        return torch.rand(2, n, 1, generator=generator)


def test_a_cell_has_one_thread_of_every_library_and_the_caller_keeps_its_own(tmp_path, monkeypatch):
    spy = Spy()
    monkeypatch.setitem(SMALL, "spied", [("spy", spy)])
    plan = {**PLAN, "sizes": [60], "seeds": 1, "estimators": ["gaussian"]}
    with threadpoolctl.threadpool_limits(2):
        study.study("spied", out=tmp_path / "out", **plan)
        after = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
    assert len(spy.threads) >= 3  # torch's OpenMP, scikit-learn's, BLAS
    assert set(spy.threads) == {1}
    assert set(after) == {2}


def test_a_larger_plan_extends_the_table_and_computes_nothing_twice(whole, tmp_path):
    seen = []
    small = {**PLAN, "sizes": [60], "seeds": 1}
    study.study("suite-a", out=tmp_path / "out", **small, watch=seen.append)
    assert [p.done for p in seen] == [0, 1, 2, 3]
    seen.clear()
    study.study("suite-a", out=tmp_path / "out", **PLAN, watch=seen.append)
    assert (seen[0].done, seen[0].total, len(seen)) == (3, 12, 10)
    pd.testing.assert_frame_equal(table(tmp_path / "out"), table(whole.path))
    seen.clear()
    again = study.study("suite-a", out=tmp_path / "out", **small, watch=seen.append)
    assert [p.done for p in seen] == [3]
    assert len(again.rows) == 12  # the table keeps what earlier plans have computed


def test_a_sample_depends_on_task_n_and_seed_alone():
    task = tasks.make("gaussian", d=1)
    first = grid.sample("a", task, n=5, seed=0)[0]
    np.testing.assert_array_equal(first, grid.sample("a", task, n=5, seed=0)[0])
    for label, n, seed in (("b", 5, 0), ("a", 6, 0), ("a", 5, 1)):
        assert not np.array_equal(first, grid.sample(label, task, n=n, seed=seed)[0][:5])
    # Python's own hash of a word differs from process to process; this is the same for ever.
    assert grid.stable_hash(["a", 5, 0]).startswith("d9da1e96")


def test_codes_of_categories_are_declared(tmp_path, monkeypatch):
    table = [("symbols", tasks.make("alphabet", k=30)), ("labels", tasks.make("labels"))]
    monkeypatch.setattr(sampling.tasks, "suite", lambda name: table)
    plan = {"sizes": [400], "seeds": 1, "jobs": 1, "config": CHEAP.with_(base="auto")}
    found = study.study("mine", out=tmp_path / "out", estimators=["base_only"], **plan)
    values = {row.task: row.mi for row in found.rows}
    settings = {"base": "auto", "folds": 2, "certify": False, "critic": "none"}
    for (label, task), sides in zip(table, (("x", "y"), ()), strict=True):
        x, y = grid.sample(label, task, n=400, seed=0)
        assert values[label] == estimate(x, y, categorical=sides, **settings).mi
    x, y = grid.sample("symbols", table[0][1], n=400, seed=0)
    assert values["symbols"] != estimate(x, y, **settings).mi  # codes are not quantities


def test_a_third_variable_is_given_with_its_categories(tmp_path, monkeypatch):
    pairs, plain = [], grid.estimate.estimate

    def conditional(pair, *, config, progress):
        pairs.append(pair)
        return plain(pair.x, pair.y, config=config)

    monkeypatch.setattr(grid.estimate, "estimate", conditional)
    suite = [(name, tasks.make(name)) for name in ("ccmi_linear", "noisy_xor", "gaussian")]
    suite.append(("mixed", tasks.make("strata", k=3, numbers=2)))
    monkeypatch.setattr(sampling.tasks, "suite", lambda name: suite)
    plan = {"sizes": [200], "seeds": 1, "jobs": 1, "config": CHEAP}
    found = study.study(
        "mine", out=tmp_path / "out", estimators=["base_only"], peers=["sklearn"], **plan
    )
    assert [pair.given_names[-2:] for pair in pairs] == [
        ("given[18]", "given[19]"),
        ("given[0]=1",),
        (),
        ("given[2]=1", "given[2]=2"),
    ]
    assert pairs[3].given_names[:3] == ("given[0]", "given[1]", "given[2]=0")
    drawn = grid.sample("ccmi_linear", suite[0][1], n=200, seed=0)
    for side, rows in zip((pairs[0].x, pairs[0].y, pairs[0].given), drawn, strict=True):
        np.testing.assert_array_equal(side, rows)
    said = {row.task: row.error for row in found.rows if row.estimator == "sklearn"}
    words = "skipped: it takes no third variable."
    assert [said[label] for label, _ in suite] == [
        *(words, words),
        "skipped: one column each is what it takes; x has 6 and y has 6.",
        words,
    ]
    assert not found.failures


# Interruptions and refusals


@pytest.fixture
def files(tmp_path):
    """A pair of columns, and one with a second column of x, as files with their truth."""
    folder = tmp_path / "files"
    folder.mkdir()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1))
    y = 0.8 * x + 0.6 * rng.normal(size=(300, 1))
    np.savez(folder / "1v1-pair.npz", x=x, y=y, mi=-0.5 * np.log(0.36))
    np.savez(folder / "wide.npz", x=np.hstack([x, -(x**2)]), y=y, mi=0.51)
    return folder


def stopped_midway(number, *words, out):
    """A study as a process of its own, sent a signal after two of its twelve cells."""
    log = out.with_suffix(".log")
    process = forks.command("study", *words, "--out", out, log=log)
    end = time.monotonic() + 60
    while len(list((out / "cells").glob("*.json"))) < 2:
        assert time.monotonic() < end
        time.sleep(0.005)
    os.kill(process.pid, number)
    process.join(60)
    cells = {file: file.read_bytes() for file in (out / "cells").glob("*.json")}
    assert 2 <= len(cells) < 12
    assert not (out / "study.csv").exists()
    return process.exitcode, log.read_text(), cells


def twelve(files):
    """The same study as words of a command and as keywords."""
    words = ["mine", "--files", files, "--tasks", "wide", "--sizes", 100, "--seeds", 12]
    words += [
        "--estimators",
        "base_only",
        "--jobs",
        1,
        "--folds",
        2,
        "--no-certify",
        "--base",
        "gaussian",
    ]
    plan = {"files": files, "tasks": ["wide"], "sizes": [100], "seeds": 12, "config": CHEAP}
    return words, {**plan, "estimators": ["base_only"], "jobs": 1}


def test_killed_midway_a_study_goes_on_to_the_same_table(tmp_path, files):
    words, plan = twelve(files)
    _, _, cells = stopped_midway(signal.SIGKILL, *words, out=tmp_path / "out")
    study.study("mine", out=tmp_path / "out", **plan)
    study.study("mine", out=tmp_path / "whole", **plan)
    pd.testing.assert_frame_equal(table(tmp_path / "out"), table(tmp_path / "whole"))
    assert all(file.read_bytes() == data for file, data in cells.items())


def test_ctrl_c_says_where_and_the_same_command_goes_on_to_json_alone(tmp_path, files, capsys):
    words, _ = twelve(files)
    code, err, cells = stopped_midway(signal.SIGINT, *words, out=tmp_path / "out")
    assert code == 130
    assert f"{len(cells)} cells are saved in {tmp_path / 'out'}; the same command continues" in err
    assert "Traceback" not in err
    main(["study", *map(str, words), "--out", str(tmp_path / "out"), "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    found = [(row["unit"], row["group"], row["n"], row["cells"]) for row in json.loads(out)]
    assert found == [("nats", "all", 100, 12)]
    assert all(file.read_bytes() == data for file, data in cells.items())


def test_cells_of_other_settings_or_versions_are_refused(whole, tmp_path, monkeypatch):
    plan = {**PLAN, "sizes": [60], "seeds": 1}
    study.study("suite-a", out=tmp_path / "out", **plan)
    other = CHEAP.with_(folds=3)
    for sizes in ([60], [120]):  # whether or not the cells themselves are asked for again
        changed = {**plan, "sizes": sizes, "config": other}
        with pytest.raises(InputError, match=r"folds = 2 there and 3 now.*--overwrite"):
            study.study("suite-a", out=tmp_path / "out", **changed)
    plan["config"] = other
    done = study.study("suite-a", out=tmp_path / "out", **plan, overwrite=True)
    assert len(done.rows) == 3
    monkeypatch.setattr(grid, "__version__", "9.9.9")
    with pytest.raises(InputError, match=r"infobound = .*'9\.9\.9' now"):
        study.study("suite-a", out=tmp_path / "out", **plan)


def test_another_truth_under_the_same_label_is_refused(tmp_path, monkeypatch):
    plan = {**PLAN, "sizes": [60], "seeds": 1, "tasks": ["normal-1"]}
    study.study("suite-a", out=tmp_path / "out", **plan)
    moved = [("normal-1", tasks.make("gaussian", d=1, rho=0.7))]
    monkeypatch.setattr(sampling.tasks, "suite", lambda name: moved)
    with pytest.raises(InputError, match="truth"):
        study.study("suite-a", out=tmp_path / "out", **plan)


def test_a_failing_cell_is_reported_tried_again_and_stops_nothing(tmp_path, capsys):
    seen = []
    plan = {**PLAN, "sizes": [3, 60], "seeds": 1}  # 3 rows are too few for four folds
    result = study.study("broken", out=tmp_path / "out", **plan, watch=seen.append)
    errors = {(row.task, row.n): row.error for row in result.failures}
    assert set(errors) == {("good", 3), ("bad", 3), ("bad", 60)}
    assert errors["bad", 60] == "ValueError: no rows today"
    assert errors["good", 3].startswith("Expected")
    assert seen[-1].failed == 3
    assert [(s.n, s.cells, s.failed) for s in result.summaries if s.group == "all"] == [
        (3, 0, 2),
        (60, 1, 1),
    ]
    page = (tmp_path / "out" / "summary.md").read_text()
    assert "3 failed" in page
    assert "no rows today" in page
    from infobound.report.listings import show_study

    show_study(result, units="nats")
    assert "no rows today" in capsys.readouterr().out
    seen.clear()
    study.study("broken", out=tmp_path / "out", **plan, watch=seen.append)
    assert (seen[0].done, len(seen)) == (1, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimators": ["defualt"]}, "default"),
        ({"estimators": []}, "Expected an estimator"),
        ({"peers": ["sklear"]}, "sklearn"),
        ({"peers": ["bmi-ksg"]}, "pip install benchmark-mi"),
        ({"peers": ["neuralmi"]}, "git clone"),
        ({"tasks": ["nomal*"]}, "normal-1"),
        ({"sizes": []}, "sizes"),
        ({"seeds": 0}, "seeds"),
        ({"jobs": 0}, "job"),
        ({"files": "nowhere"}, "npz"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(tmp_path, changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        study.study("suite-a", out=tmp_path / "out", **{**PLAN, **changes})
    assert not (tmp_path / "out").exists()


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="other files"):
            study.study("suite-a", out=tmp_path, **PLAN, overwrite=overwrite)
    (tmp_path / "study.json").write_text('{"format": "something else"}')
    with pytest.raises(InputError, match="something else"):
        study.study("suite-a", out=tmp_path, **PLAN, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years"


# The numbers


def test_the_summary_is_what_the_table_says(whole):
    frame = pd.read_csv(whole.path / "study.csv")
    for s in whole.summaries:
        rows = frame[(frame.estimator == s.estimator) & (frame.n == s.n)]
        rows = rows if s.group == "all" else rows[rows.group == s.group]
        rows = rows.assign(error=rows.mi - rows.truth)
        tasks_ = [g.error.tolist() for _, g in rows.groupby("task")]
        assert (s.tasks, s.cells) == (len(tasks_), len(rows))
        assert s.mae == pytest.approx(mean(mean(map(abs, t)) for t in tasks_))
        assert s.bias == pytest.approx(rows.error.mean())
        assert s.rmse == pytest.approx(np.sqrt((rows.error**2).mean()))
        assert s.spread == pytest.approx(np.sqrt(mean(stdev(t) ** 2 for t in tasks_)))
        assert s.coverage == pytest.approx(
            ((rows.low <= rows.truth) & (rows.truth <= rows.high)).mean()
        )
        assert s.seconds == pytest.approx(rows.seconds.median())
    groups = {s.group for s in whole.summaries}
    assert groups == {"all", "normal", "zero"}


def synthetic(task, seed, mi=None, half=0.0, error=""):
    row = Row("s", task, task, "e", 100, seed, 1.0, 0.0, seconds=2.0, error=error)
    return row if error else dataclasses.replace(row, mi=mi, low=mi - half, high=mi + half)


def test_known_answers_on_a_synthetic_table():
    rows = [
        synthetic("a", 0, 1.1, 0.2),  # holds the truth
        synthetic("a", 1, 1.3, 0.2),
        synthetic("b", 0, 0.8, 0.1),
        synthetic("b", 1, 0.8, 0.3),  # holds it
        synthetic("c", 0, error="ValueError: no"),
        synthetic("d", 0, error="skipped: two columns."),
    ]
    s = summarise(rows)[0]
    assert (s.group, s.tasks, s.cells, s.failed, s.skipped) == ("all", 2, 4, 1, 1)
    assert s.mae == pytest.approx(0.2)  # 0.2 for either task
    assert s.mae_error == pytest.approx(0.0)
    assert s.bias == pytest.approx(0.0)  # +0.2 and -0.2
    assert s.rmse == pytest.approx(np.sqrt((0.05 + 0.04) / 2))
    assert s.spread == pytest.approx(np.sqrt((0.02 + 0.0) / 2))
    assert s.coverage == 0.5
    assert s.coverage_error == pytest.approx(0.25)
    assert s.seconds == 2.0
    page = markdown(rows, "T")
    assert "| s | all | e | 100 | 2 | 0.200 ± 0.000 | 0.000 |" in page
    assert "two columns" in page


def test_weights_are_the_tasks_not_the_cells():
    rows = [synthetic("a", k, 1.0, 0.1) for k in range(9)] + [synthetic("b", 0, 2.0, 0.1)]
    s = summarise(rows)[0]
    assert s.mae == pytest.approx(0.5)
    assert s.mae_error == pytest.approx(0.5)  # over the two tasks: sd / sqrt(2)
    assert s.coverage == pytest.approx(0.9)


def test_no_interval_no_coverage():
    row = dataclasses.replace(synthetic("a", 0, 1.1, 0.2), low=None, high=None)
    s = summarise([row])[0]
    assert (s.coverage, s.coverage_error, s.mae_error, s.spread) == (None, None, None, None)


def test_intervals_at_the_wrong_level_are_seen():
    rng = np.random.default_rng(0)
    for half, wanted in ((1.96, 0.95), (0.98, 0.673)):
        rows = [synthetic("a", k, 1 + rng.normal(), half) for k in range(1000)]
        s = summarise(rows)[0]
        assert abs(s.coverage - wanted) < 3 * s.coverage_error


@pytest.mark.parametrize(
    ("label", "group"),
    [
        ("1v1-normal-0.75", "normal"),
        ("25v1-concentric_gaussians-5", "concentric_gaussians"),
        ("multinormal-dense-2-2-0.5", "multinormal"),
        ("half_cube-1v1-normal-0.75", "half_cube"),
        ("gaussian", "gaussian"),
        ("confounded (pair = 1v1-normal-0.75, dz = 2)", "confounded"),
    ],
)
def test_groups(label, group):
    assert group_of(label) == group


# Files and peers


def test_files_are_subsampled_the_same_for_all_and_checked(files, tmp_path):
    plan = {"sizes": [100], "seeds": 2, "estimators": ["base_only"], "jobs": 1, "files": files}
    plan["config"] = CHEAP
    result = study.study("mine", out=tmp_path / "out", peers=["sklearn"], **plan)
    values = {(r.task, r.estimator, r.seed): r for r in result.rows}
    assert {key[0] for key in values} == {"1v1-pair", "wide"}
    from sklearn.feature_selection import mutual_info_regression

    task = sampling.FileTask.open(files / "1v1-pair.npz")
    x, y = grid.sample("1v1-pair", task, n=100, seed=1)
    assert len(np.unique(x)) == 100  # each row at most once
    by_hand = mutual_info_regression(x, y[:, 0], random_state=1)[0]
    assert values["1v1-pair", "sklearn", 1].mi == by_hand
    assert values["1v1-pair", "sklearn", 1].low is None
    assert values["wide", "sklearn", 0].error.startswith("skipped: one column each")
    np.savez(files / "wide.npz", x=x, y=y, mi=0.51)  # another file under the same name
    with pytest.raises(InputError, match="rows = "):
        study.study("mine", out=tmp_path / "out", **plan)


def test_a_file_may_have_a_third_variable(tmp_path, monkeypatch):
    x, y, z = np.random.default_rng(0).normal(size=(3, 300))
    np.savez(tmp_path / "a.npz", x=x, y=y, given=np.stack([z, x], 1), mi=0.0)
    task = sampling.FileTask.open(tmp_path / "a.npz")
    drawn = grid.sample("a", task, n=50, seed=0)
    assert [side.shape for side in drawn] == [(50, 1), (50, 1), (50, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[2][:, 1:])  # the same rows of all sides
    # A worker elsewhere gets the rows, and returns the same.
    cell = grid._Cell(
        Row("s", "a", "a", "e", 50, 0, 0.0, 0.0), task, grid.ConfiguredEstimator(CHEAP)
    )
    sent = grid._portable(cell)
    (tmp_path / "a.npz").unlink()
    for side, again in zip(drawn, grid.sample("a", sent.task, n=50, seed=0), strict=True):
        np.testing.assert_array_equal(side, again)
    np.savez(tmp_path / "b.npz", x=x, y=y, given=z[:20], mi=0.0)
    with pytest.raises(InputError, match=r"rows of x and y and given in .*\(300,\), \(20,\)"):
        sampling.FileTask.open(tmp_path / "b.npz")


def test_more_rows_than_a_file_has_is_the_cells_error(files, tmp_path):
    plan = {"sizes": [301], "seeds": 1, "estimators": ["base_only"], "jobs": 1, "files": files}
    result = study.study("mine", out=tmp_path / "out", **plan)
    assert all(row.error.startswith("Expected at most 300 rows") for row in result.failures)
    assert len(result.failures) == 2


def test_a_file_without_truth_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3), y=np.zeros(3))
    with pytest.raises(InputError, match=r"mi.*np\.savez"):
        study.study("mine", out=tmp_path / "out", files=tmp_path, jobs=1)


def test_only_what_a_study_needs_of_a_file_is_read(tmp_path):
    x = np.random.default_rng(0).normal(size=(300, 2))
    more = {"notes": np.array([{}], dtype=object), "grid": np.zeros((4_000, 4_000), dtype=bool)}
    np.savez_compressed(tmp_path / "a.npz", x=x, y=x[:, :1], mi=0.5, **more)
    for _ in peaks.under(3e6):
        task = sampling.FileTask.open(tmp_path / "a.npz")
        drawn = grid.sample("a", task, n=100, seed=0)[0]
    assert set(map(tuple, drawn)) <= set(map(tuple, x))
    for name, values in [("x", more["notes"]), ("mi", more["grid"]), ("mi", more["notes"])]:
        wrong = {"x": x, "y": x, "mi": 0.5, name: values}
        np.savez_compressed(tmp_path / "b.npz", **wrong)
        with pytest.raises(InputError, match=f"Expected .*{name}.*b.npz"):
            sampling.FileTask.open(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes(b"PK and no more")
    with pytest.raises(InputError, match=r"Expected x, y and mi .*c\.npz"):
        sampling.FileTask.open(tmp_path / "c.npz")
    with pytest.raises(InputError, match="Expected a regular file"):
        sampling.FileTask.open(Path(os.devnull))


def test_there_are_no_more_processes_than_cells_and_some_for_each_core(tmp_path, monkeypatch):
    asked, seen = [], []

    class InProcess:
        def __init__(self, n_jobs, **_):
            asked.append(n_jobs)

        def __call__(self, tasks):
            return (work(*arguments) for work, arguments, _ in tasks)

    monkeypatch.setattr(joblib, "Parallel", InProcess)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 1)
    monkeypatch.setattr(compute, "_compute_elsewhere", lambda compute, key, parent: compute(key))
    monkeypatch.setattr(grid.ConfiguredEstimator, "columns", lambda *_: {"mi": 0.0})
    own = {"own": grid.ConfiguredEstimator(study.Config())}
    plan = [(label, task, (0.0, 0.0), 100) for label, task in SMALL["suite-a"][:2]]
    made = {
        "out": tmp_path,
        "first_seed": 0,
        "watch": lambda progress: seen.append(progress.at_once),
    }
    for seeds, at_once in ((1, 2), (4, 4)):  # two cells, then six more
        grid.run_grid("mine", plan, own, seeds=seeds, jobs=100_000, **made)
        assert asked[-1] == seen[-1] == at_once
    for jobs in (0, -1):
        with pytest.raises(InputError, match=f"got {jobs}. Leave it out for one job on each core"):
            grid.run_grid("mine", plan, own, seeds=1, jobs=jobs, **made)


FAKE = """
__version__ = "1"
class Split:
    def __init__(self, mode): assert mode == "random"
class Output:
    def __init__(self, units): assert units == "nats"
class Result:
    mi_estimate = 0.25
def run(x, y, *, mode, split, output, seed):
    assert x.shape == (100, 1) and mode == "estimate"
    print("chatter")
    if seed == 1: raise RuntimeError("it diverged")
    return Result()
"""


def test_a_peer_in_its_own_process(files, tmp_path):
    (tmp_path / "neural_mi").mkdir()
    (tmp_path / "neural_mi" / "__init__.py").write_text(FAKE)
    result = study.study(
        "mine",
        out=tmp_path / "out",
        files=files,
        tasks=["1v1*"],
        sizes=[100],
        seeds=2,
        estimators=[],
        peers=["neuralmi"],
        where=external.PeerPaths(neuralmi=tmp_path),
        jobs=1,
    )
    assert [(r.mi, r.error) for r in result.rows] == [
        (0.25, ""),
        (None, "RuntimeError: it diverged"),
    ]


def test_a_python_without_benchmark_mi_is_named():
    where = external.PeerPaths(bmi_python=Path(sys.executable))
    with pytest.raises(InputError, match=r"No module named 'bmi'.*pip install"):
        external.PEERS["bmi-cca"].version(where)


FAKE_MIST = """
import random, numpy, torch
def estimate_mi(data, *, estimator, hidden_dims, verbose, logger):
    drawn = [float(d) for d in (random.random(), numpy.random.rand(), torch.rand(()))]
    return sum(drawn) + (estimator == "smile") * 10 + len(data[0])
"""


FAKE_TORCH = """
import random
def manual_seed(seed):
    global drawn
    drawn = random.Random(seed)
def rand(shape):
    return drawn.random()
"""  # quicker to import than PyTorch


def fake_python(folder):
    """A Python that finds the modules in the folder, whatever `-I` shuts out."""
    python = folder / "python"
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); s = sys.argv; sys.argv = s[3:]"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}; exec(s[3])" "$@"\n')
    python.chmod(0o755)
    return python


def test_torch_mist_runs_in_its_own_python_and_follows_the_seed(tmp_path):
    (tmp_path / "torch_mist.py").write_text(FAKE_MIST)
    (tmp_path / "torch.py").write_text(FAKE_TORCH)
    where, rows = external.PeerPaths(torch_mist_python=fake_python(tmp_path)), np.zeros((30, 2))
    names = ("torch-mist-infonce", "torch-mist-infonce", "torch-mist-smile")
    one, other, smile = (
        external.estimate(name, rows, rows, seed=seed, where=where)[0]
        for name, seed in zip(names, (0, 1, 0), strict=True)
    )
    assert 30 < one < 33
    assert one != other
    assert smile == pytest.approx(one + 10)


def test_a_missing_torch_mist_says_how_to_get_it():
    with pytest.raises(InputError, match=r"--torch-mist-python PATH.*pip install torch-mist"):
        external.PEERS["torch-mist-smile"].version(external.PeerPaths())
    where = external.PeerPaths(torch_mist_python=Path(sys.executable))
    with pytest.raises(InputError, match=r"No module named 'torch_mist'.*pip install"):
        external.PEERS["torch-mist-smile"].version(where)


FAKE_CMIKNN = """
import numpy as np
class CMIknn:
    def __init__(self, *, knn, workers, seed):
        assert (knn, workers) == (5, 1)
        self.seed = seed
    def get_dependence_measure(self, array, xyz):
        assert len(array) == len(xyz)
        return self.seed + array[xyz == 2].sum() + 10.0 * (xyz == 0).sum()
"""


def test_tigramite_takes_a_third_variable_in_its_own_python(tmp_path):
    module = tmp_path / "tigramite" / "independence_tests"
    module.mkdir(parents=True)
    (module / "cmiknn.py").write_text(FAKE_CMIKNN)
    where = external.PeerPaths(tigramite_python=fake_python(tmp_path))
    x, z = np.zeros((30, 2)), np.full((30, 3), 0.5)
    given = external.estimate("tigramite-cmiknn", x, x[:, :1], given=z, seed=4, where=where)
    plain = external.estimate("tigramite-cmiknn", x, x[:, :1], seed=4, where=where)
    assert (given[0], plain[0]) == (4 + 45 + 20, 4 + 20)


def test_a_missing_tigramite_says_how_to_get_it():
    with pytest.raises(InputError, match=r"--tigramite-python PATH.*pip install tigramite"):
        external.PEERS["tigramite-cmiknn"].version(external.PeerPaths())
    where = external.PeerPaths(tigramite_python=Path(sys.executable))
    with pytest.raises(InputError, match=r"No module named 'tigramite'.*pip install"):
        external.PEERS["tigramite-cmiknn"].version(where)


def test_ennemi_gets_all_columns_of_the_third_variable(monkeypatch):
    asked = []

    class Ennemi:
        @staticmethod
        def estimate_mi(y, x, *, cond, max_threads):
            asked.append((y, x, cond))
            return np.array([[0.25]])

    monkeypatch.setitem(sys.modules, "ennemi", Ennemi)
    x, y, z = np.zeros((9, 1)), np.ones((9, 1)), np.full((9, 2), 2.0)
    settings = {"seed": 0, "where": external.PeerPaths()}
    assert external.estimate("ennemi", x, y, given=z, **settings)[0] == 0.25
    assert external.estimate("ennemi", x, y, **settings)[0] == 0.25
    (left, right, cond), (_, _, none) = asked
    assert (left.tolist(), right.tolist(), none) == ([1.0] * 9, [0.0] * 9, None)
    np.testing.assert_array_equal(cond, z)
    with pytest.raises(grid.Unsuitable, match="one column each"):
        external.estimate("ennemi", z, y, given=z, **settings)


# The command and the figures


def test_the_help_names_every_estimator_and_peer():
    said = Path(sys.modules[StudyCommand.__module__].__file__).read_text()
    for name in [*study.VARIANTS, *external.PEERS]:
        assert re.search(rf"\b{name}\b", said), name


def test_the_bar_counts_cells_and_failures(monkeypatch, capsys):
    from infobound.pages.bars import StudyBar

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    row = synthetic("a", 0, error="ValueError: no")
    for quiet in (False, True):
        with StudyBar(quiet=quiet) as bar:
            bar(study.Progress(3, 12, 0, None))
            bar(study.Progress(4, 12, 1, row))
            bar.progress.refresh()
        said = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
        assert quiet == ("4/12" not in said)
        assert quiet == ("1 failed  a, e, N = 100" not in said)


def test_figures_show_every_estimator_and_size(whole):
    records = accuracy.by_task(whole.rows)
    figure = truth_figure(records, title="T")
    assert len(figure.axes) == 2
    assert [t.get_text() for axes in figure.axes for t in axes.texts] == ["N = 60", "N = 120"]
    summary = [dataclasses.asdict(s) for s in whole.summaries]
    (axes,) = error_figure(summary, title="T").axes
    assert [axes.get_xscale(), axes.get_yscale()] == ["log", "log"]
    line = axes.containers[0].lines[0]
    drawn = [s["mae"] for s in summary if s["group"] == "all"]
    assert list(line.get_ydata()) == drawn
    for name in ("truth.png", "error.png"):
        assert (whole.path / name).read_bytes()[1:4] == b"PNG"
    wild = [{**records[0], "mi": 1e6, "low": None, "high": None, "estimator": "wild"}, *records]
    (axes, _), words = (found := truth_figure(wild, title="T")).axes, "wild, some beyond the frame"
    assert axes.get_ylim()[1] < 3
    assert words in [text.get_text() for text in found.legends[0].get_texts()]
    axes = truth_figure(records, title="T", unit="bits").axes[0]
    assert axes.get_ylabel() == "estimate (bits)"
    assert axes.get_ylim()[1] > 1.3 * figure.axes[0].get_ylim()[1]
    assert error_figure(summary, title="T", unit="bits").axes[0].get_ylabel()[-6:] == "(bits)"
    assert truth_figure([], title="nothing")
    assert error_figure([], title="nothing")
