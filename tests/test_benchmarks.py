"""Each benchmark runs, on small settings, and leaves its rows and its figure; no time is judged."""

import ast
import functools
import importlib
import json
from pathlib import Path

import forks
import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from infobound.models.copulas import GaussianCopula

BASE = ("--critic", "none", "--base", "gaussian", "--no-certify")
FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _found(monkeypatch):
    """The scripts import each other as `python benchmarks/name.py` lets them."""
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.fixture
def forked(monkeypatch):
    """Scripts start processes that have imported torch already."""
    for name in ("common", "distance", "ranks", "time_to_answer"):
        monkeypatch.setattr(importlib.import_module(name), "subprocess", forks)


def run(name, tmp_path, *words):
    """The JSON of a benchmark; its figure must be a picture."""
    threads = torch.get_num_threads()
    places = {kind: tmp_path / f"{name}.{kind}" for kind in ("json", "png")}
    files = ["--threads", "1", "--json", places["json"], "--figure", places["png"]]
    try:
        importlib.import_module(name).main([*map(str, [*files, *words])])
    finally:
        torch.set_num_threads(threads)
    assert places["png"].read_bytes().startswith(b"\x89PNG")
    found = json.loads(places["json"].read_text())
    assert found["machine"]["threads"] == 1
    assert str(Path.home()) not in places["json"].read_text()
    return found


def test_devices(tmp_path):
    where = "cuda" if torch.cuda.is_available() else "cpu"
    rows = run(
        "devices",
        tmp_path,
        "--repeats=1",
        "--sizes",
        "--joint",
        "--separable",
        64,
        "--device",
        where,
    )["rows"]
    assert [row["what"] for row in rows] == ["separable, batches of 64"]


def test_notebook(tmp_path):
    rows = run("notebook", tmp_path, "--repeats=1", "--rows=100")["rows"]
    assert [row["ratio"][0] == 1 for row in rows] == [True, False]


@pytest.mark.usefixtures("forked")
def test_limit(tmp_path):
    words = ("--repeats=1", "--rows=40", "--many=300", "--batch=200", "--steps=5")
    rows = run("limit", tmp_path, *words)["rows"]
    shares = [row for row in rows if "share" in row]
    assert len(shares) == 12
    assert all(0 < row["share"][1] <= row["share"][2] for row in shares)
    (error,) = (row[name] for row in rows for name in row if name.startswith("error"))
    assert 0 < error["root mean square"] <= error["largest"] < 1
    small, large = (row for row in rows if "bytes" in row)
    assert 0 < small["bytes"] <= 1.1 * large["bytes"]


@pytest.mark.usefixtures("forked")
def test_time_to_answer(tmp_path):
    words = ("--seeds=1", "--rows=60", "--steps=4", "--repeats=1", "--near=99", "--whole")
    found = run("time_to_answer", tmp_path, *words, "--", *BASE)
    assert [answer["near"] for answer in found["ours"]] == [True]
    assert found["learning"]["close step"] <= found["learning"]["best step"] <= 4
    assert len(found["rows"]) == 5


@pytest.mark.usefixtures("forked")
def test_scaling(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("scaling"), "IMPORTS", "import numpy")
    found = run("scaling", tmp_path, "--sizes", 200, "--", *BASE)
    (row,) = found["rows"]
    assert row["data_bytes"] == 200 * 20 * 8 < row["bytes"]
    assert abs(row["error"]) < 0.5


def test_peers(tmp_path):
    rng = np.random.default_rng(0)
    for d in (1, 2):
        x, noise = rng.normal(size=(2, 200, d))
        np.savez(tmp_path / f"pair{d}.npz", x=x, y=x + noise, mi=d * 0.5 * np.log(2))
    words = (tmp_path, "--tasks", "pair1", "pair2", "--sizes", 150, "--estimators")
    found = run("peers", tmp_path, *words, "infobound, closed forms", "sklearn", "bmi-ksg")
    done = [
        (row["estimator"], row["task"]) for row in found["rows"] if abs(row.get("error", 9)) < 1
    ]
    ours = "infobound, closed forms"
    assert done == [(ours, "pair1"), (ours, "pair2"), ("sklearn", "pair1")]
    assert "one column each" in found["rows"][-1]["why"]
    assert "--bmi-python" in found["missing"]["bmi-ksg"]


def test_startup(tmp_path):
    found = run("startup", tmp_path, "--repeats=1", "--warm=0", "--processes", "import infobound")
    assert [row["process"] for row in found["rows"]] == ["import infobound"]
    assert "infobound" in found["imports"]
    assert not {"torch", "numpy"} & set(found["imports"])  # those of an estimate: test_optimisers


def test_conditional_pictures(tmp_path, monkeypatch):
    pictures = importlib.import_module("conditional_pictures")
    small = {"estimator": "gaussian", "folds": 2, "permutations": 399}
    fast = functools.partial(pictures.interaction, **small)
    monkeypatch.setattr(pictures, "interaction", fast)
    rows = run("conditional_pictures", tmp_path, "--rows=300")["rows"]
    assert [row["kind"] for row in rows] == [*pictures.ARROWS]
    for row in rows[:4]:  # the fifth shows a limit
        for name in ("before", "after"):
            found, low, high, exact = row[name]
            assert low <= found <= high
            assert abs(found - exact) < 0.16  # three standard errors of the largest
        assert (row["p_value"] < 0.01) == (row["after"][3] > 0)


def test_a_process_is_charged_its_own_memory():
    common = importlib.import_module("common")
    burden = np.ones(30_000_000)  # 240 MB of the parent's
    own = common.child("platform", threads=1).bytes
    assert 0 < own < burden.nbytes / 4


def test_a_slope_is_the_power_of_n():
    common = importlib.import_module("common")
    sizes = [10, 100, 1000]
    assert common.slope(sizes, [5 * n**1.5 for n in sizes]) == pytest.approx(1.5)
    assert common.slope([10], [1.0]) is None


def test_forms_are_timed_in_turn():
    common, called = importlib.import_module("common"), []
    forms = {name: (lambda name=name: called.append(name)) for name in "ab"}
    times = common.in_turns(forms, repeats=3, warm=1)
    assert "".join(called) == "ab" * 4
    assert [len(taken) for taken in times.values()] == [3, 3]
    assert common.ratio([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]) == (3.0, 2.0, 4.0)


def test_learning(tmp_path, monkeypatch):
    learning = importlib.import_module("learning")
    small = {"n_iters": 20, "eval_every": 5, "folds": 2, "base": "gaussian", "permutations": 19}
    monkeypatch.setattr(learning, "estimate", functools.partial(learning.estimate, **small))
    words = ("--seeds=1", "--tasks=1", "--rows=80", "--only", "patience 3")
    found = run("learning", tmp_path, *words)
    assert [row["setting"] for row in found["rows"]] == ["as it is", "patience 3"]
    assert all(0 < row["near"] <= row["seconds"][2] for row in found["rows"])


@pytest.mark.distributed
@pytest.mark.usefixtures("forked")
def test_ranks(tmp_path, monkeypatch):
    monkeypatch.setenv("PET_RUN_PATH", "1")  # options of torchrun: its ranks are forked from it
    monkeypatch.setenv("PET_START_METHOD", "fork")
    ranks = importlib.import_module("ranks")
    started = ranks.started  # one rank is this process; what starts two starts one as well
    monkeypatch.setattr(ranks, "started", lambda n, o: started(n, o) if n > 1 else ranks.work(o))
    words = ("--ranks", 1, 2, "--repeats=1", "--steps=2", "--batch=40", "--rows=60")
    found = run("ranks", tmp_path, *words)["rows"]
    assert [(row["what"], row["ranks"]) for row in found] == [
        *(("step", 1), ("step", 2)),
        *(("evaluation", 1), ("evaluation", 2)),
    ]
    assert [row["faster"][0] for row in found[::2]] == [1, 1]
    assert all(row["predicted"] > 0 and row["pairs"] > 0 for row in found)


def test_the_plan_for_more_machines_grows_with_what_is_sent(capsys):
    importlib.import_module("ranks").main(["--plan", "--gpus", "64", "--batches", "4096", "32768"])
    lines = [line.split("|") for line in capsys.readouterr().out.splitlines()[2:]]
    milliseconds = [float(line[4]) for line in lines]
    assert len(lines) == 6
    assert all(a < b for a, b in zip(milliseconds[::2], milliseconds[1::2], strict=True))


@pytest.mark.usefixtures("forked")
def test_distance(tmp_path):
    pytest.importorskip("aiohttp")
    words = ("--rows=3000", "--columns=4", "--select=2", "--files=2", "--group=500", "--ranks", "1")
    (row,) = run("distance", tmp_path, *words)["rows"]
    assert row["selected"] < row["sent"] <= row["selected"] + 2 * 65_536  # and the footers


def unread_options(source):
    """The options that a script accepts but does not read, by the names of their attributes."""
    accepted, read = set(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            read.add(node.attr)
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", None))
        if name == "parser":  # of common.py
            named = {each.arg: ast.literal_eval(each.value) for each in node.keywords}
            accepted.add("threads")
            accepted |= {"json", "figure"} if named.get("saves", True) else set()
            accepted |= {"device"} if named.get("device") else set()
        elif name == "finish":
            read |= {"json", "figure"}
        elif name == "add_argument" and isinstance(node.args[0], ast.Constant):
            named = {each.arg: each.value for each in node.keywords}
            flag = named.get("dest", node.args[0]).value
            accepted.add(flag.lstrip("-").replace("-", "_"))
    return accepted - read


@pytest.mark.parametrize("script", sorted({path.stem for path in FOLDER.glob("*.py")} - {"common"}))
def test_no_option_is_accepted_without_effect(script):
    assert not unread_options((FOLDER / f"{script}.py").read_text(encoding="utf-8"))


def test_an_option_without_effect_is_found():
    assert unread_options("p = parser(__doc__)\np.threads") == {"json", "figure"}
    assert unread_options("p.add_argument('--no-wait')") == {"no_wait"}
    assert not unread_options("o = parser(__doc__, saves=False)\no.threads")


def test_time_of_default_estimates(tmp_path, monkeypatch):
    defaults = importlib.import_module("defaults")
    monkeypatch.setattr(defaults, "yardstick", lambda: (2.0, 2.0))
    quick = functools.partial(defaults.estimate, estimator="gaussian", certify=False)
    monkeypatch.setattr(defaults, "estimate", quick)
    (row,) = run("defaults", tmp_path, "--sizes=80")["rows"]
    assert [*row["seconds"]] == [*defaults.KINDS]
    assert row["ratios"] == {kind: each / 2 for kind, each in row["seconds"].items()}


def test_time_of_estimates_given_a_third_variable(monkeypatch, capsys):
    conditional = importlib.import_module("conditional")
    monkeypatch.setattr(conditional, "yardstick", lambda: (2.0, 2.0))
    monkeypatch.setattr(conditional, "estimate", functools.partial(conditional.estimate, folds=2))
    words = ["time", "--sizes=60", "--dz=2", "--only=linear", "--threads=1"]
    threads = torch.get_num_threads()
    monkeypatch.setattr("sys.argv", ["conditional.py", *words])
    try:
        conditional.main()
    finally:
        torch.set_num_threads(threads)
    lines = [row.split("|") for row in capsys.readouterr().out.splitlines()]
    assert [row[1].strip() for row in lines[2:]] == ["linear", "median"]
    assert float(lines[2][5]) == pytest.approx(float(lines[2][4]) / 2, abs=0.1)


def test_feature_selection(tmp_path):
    words = ("--rows=100", "--seeds=1", "--null=2", "--problems", "XOR of two")
    found = run("feature_selection", tmp_path, *words)
    (row,) = found["rows"]
    assert [*row["found"]] == ["infobound", "SelectKBest", "mRMR", "default"]
    assert all(0 <= share <= 1 for share, _ in row["found"].values())
    assert len(found["null"]) == 10


def test_columns(capsys):
    threads = torch.get_num_threads()
    try:
        words = ["--sizes=200", "--seeds=1", "--groups", "discrete", "independent", "--threads=1"]
        importlib.import_module("columns").main(words)
    finally:
        torch.set_num_threads(threads)
    lines = capsys.readouterr().out.splitlines()
    truths = {line[:18].strip(): float(line[18:24]) for line in lines[1:13]}
    assert truths["window"] == pytest.approx(np.log(5) - 0.8 * np.log(2), abs=1e-3)
    assert truths["binary"] == pytest.approx(0.193, abs=1e-3)
    assert sum("cover" in line for line in lines) == 17


@pytest.mark.parametrize(("name", "mi"), [("normal .8", 0.5108), ("waves, edges", 1.3131)])
def test_the_truth_of_relations_of_columns(name, mi):
    # The second: y = sin + uniform noise, whose density is a difference of two arcsines.
    assert importlib.import_module("columns").relation_mi(name) == pytest.approx(mi, abs=2e-3)


@pytest.mark.parametrize("what", ["coverage", "size", "power", "groups"])
def test_series(tmp_path, what):
    words = ("--runs=2", "--rows=120", "--phi=0.5", "--rho", 0.5, "--groups=6x20", "--share=0.3")
    found = run("series", tmp_path, what, *words)["rows"]
    assert len(found) == (2 if what == "groups" else 1)
    assert all(0 <= row["share"][0] <= 1 for row in found)


@pytest.mark.parametrize("what", ["size", "power", "band", "pairs"])
def test_lags(what, capsys):
    words = [what, "--rows", "80", "--runs", "2", "--phi", "0.5", "--max-lag", "8"]
    importlib.import_module("lags").main(words)
    found = capsys.readouterr().out
    assert {"size": "phi = 0.5", "power": "sine", "band": "leaves band", "pairs": "false"}[
        what
    ] in found


@pytest.mark.parametrize("command", ["size", "power"])
def test_transfer(command, capsys):
    cases = {"size": "independent 0.5", "power": "linear .5"}
    words = ["--rows", "60", "--seeds", "2", "--cases", cases[command]]
    importlib.import_module("transfer").main([command, *words])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(cases[command])


def test_two_views_have_the_mi_that_they_state():
    views, generator = importlib.import_module("classes"), torch.Generator().manual_seed(1)
    task = views.Directions(k=4, mi=1.178)
    assert GaussianCopula.fit(*task.sample(8000, generator)).mi == pytest.approx(1.178, abs=0.12)
    task, own = views.Channel(k=5, p=0.2), torch.Generator().manual_seed(0)
    means = torch.randn(2, 5, 256, generator=own, dtype=torch.float64) / 2
    rows = task.sample(2000, generator)
    codes = [torch.cdist(*both).argmin(1).numpy() for both in zip(rows, means, strict=True)]
    assert mutual_info_score(*codes) == pytest.approx(task.mi, abs=0.06)
    assert task.mi == pytest.approx(0.8318, abs=1e-4)
