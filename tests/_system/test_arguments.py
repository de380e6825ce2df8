"""What an argument may be: every argument of every public function, against values that it is not.

Whatever is given, a call returns or raises an `InputError` of one line, before it writes anything.
"""

import dataclasses
import errno
import inspect
import math
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import infobound
from infobound._system import arguments
from infobound.benchmark import notebook, study
from infobound.cli.commands import COMMANDS
from infobound.cli.main import main
from infobound.config import Config
from infobound.critics import networks
from infobound.errors import InputError
from infobound.estimation import estimate
from infobound.studies import grid

X, NOISE = np.random.default_rng(0).normal(size=(2, 120, 1))
Y = X + NOISE
SEEN = (X[:60], Y[:60])


class Hostile:
    """An object that has no repr."""

    def __repr__(self):
        raise RuntimeError("no")


NASTY = [
    *(None, True, -1, 0, 1, 2.5, 10**9, 10**18, 10**40, 10**5000, -(10**40), 1e300, 1e-300, 0.5),
    *(math.nan, math.inf, -math.inf, Fraction(1, 3), 1j, "x", "", "none", "3", b"x", "a\0b"),
    *("\ud800", "x" * 5000, [], [1], (), {}, {"seed": 1}, {1}, range(3), object(), Hostile()),
    *(np.float32(0.5), np.int64(3), np.array([1, 2]), np.array(3), np.bool_(True), int, print),
    torch.tensor(2.0),
]
IDS = [f"{k}-{type(value).__name__}" for k, value in enumerate(NASTY)]


class Reached(Exception):
    """The arguments have been accepted, and the work would begin."""


@pytest.fixture
def no_work(monkeypatch):
    """Stop where an estimate would begin."""

    def begin(*_, **__):
        raise Reached

    monkeypatch.setattr(estimate, "_estimate", begin)
    monkeypatch.setattr(notebook, "_reproduce", begin)
    monkeypatch.setattr(grid, "ready", begin)
    monkeypatch.setattr(grid, "run_grid", begin)
    monkeypatch.setattr("infobound.inference.certify.certificate", begin)


def score(x, y):
    return x @ y.T


CALLS = {
    "estimate": (lambda **k: infobound.estimate(X, Y, **k), infobound.estimate, ("x", "y")),
    "check": (
        lambda **k: infobound.check(X, Y, **k),
        infobound.check,
        ("x", "y", "by", "settings"),
    ),
    "compare": (
        lambda **k: infobound.compare(X, X, Y, **k),
        infobound.compare,
        ("x1", "x2", "y", "settings"),
    ),
    "rehearse": (
        lambda **k: infobound.rehearse(X, Y, **k),
        infobound.rehearse,
        ("x", "y", "settings"),
    ),
    "reproduce": (lambda **k: infobound.reproduce(**k), infobound.reproduce, ()),
    "demo": (lambda **k: notebook.demo(**k), notebook.demo, ()),
    "resume": (
        lambda **k: infobound.resume(**{"path": "nowhere", **k}),
        infobound.resume,
        (),
    ),
    "certify": (
        lambda **k: infobound.certify(
            **{"critic": score, "x": X[60:], "y": Y[60:], "seen": SEEN, **k}
        ),
        infobound.certify,
        ("x", "y"),
    ),
    "study": (
        lambda **k: study.study(**{"suite": "staircase", "out": "out", **k}),
        study.study,
        ("files", "where", "peers"),
    ),
    "stream": (
        lambda **k: infobound.IndependenceStream(**k),
        infobound.IndependenceStream,
        (),
    ),
    "config": (lambda **k: Config(**k), Config, ()),
}
TABLE = [
    (name, argument)
    for name, (_, signature, others) in CALLS.items()
    for argument in inspect.signature(signature).parameters
    if argument not in others
]


def outcome(call):
    """The sentence of a call's `InputError`, or None where it went through."""
    try:
        call()
    except Reached:
        return None
    except InputError as error:
        said = str(error)
        assert said.startswith("Expected ")
        assert "\n" not in said
        assert len(said) < 1000
        return said
    return None


@pytest.mark.parametrize(("name", "argument"), TABLE)
def test_any_value_is_taken_or_refused_in_a_sentence(
    name, argument, no_work, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    call = CALLS[name][0]
    refused = [outcome(lambda value=v: call(**{argument: value})) for v in NASTY]
    if argument not in ("run", "out"):
        assert list(tmp_path.iterdir()) == []
    assert sum(said is not None for said in refused) > len(NASTY) / 3


WRONG = {
    "config": [{}, {"seed": 1}, "Config", Config, 5],
    "module": [nn.Linear, 5, "net", score, nn.Linear(1, 1)],
    "run": [5, "", b"run", "a\0b", "x" * 300, "a/" + "x" * 300, True, ["run"]],
    "out": [5, "", b"out", "a\0b", "x" * 300, "\ud800"],
    "overwrite": ["no", 1, None],
    "watch": [5, "print", lambda: None, lambda a, b: None],
    "stop": [True, 0, lambda a: False],
    "jobs": [0, 2.5, "all", math.inf],
    "dask": [5, ["tcp://host"], True],
    "seeds": [0, 2.5, "3", None],
    "kinds": ["monotone", ["x"], [], 5, [5]],
    "ladder": ["0 1", [], [-1], [math.nan], [math.inf], ["a"], 5],
    "width": [0, -1, math.nan, math.inf, "a"],
    "level": ["x", 0, 1, 0.9999999999999999, 1e-17, math.nan, True, [0.9]],
    "permutations": [0, 1.5, "9", 10**12],
    "seed": [-1, 1.5, "0", 10**40, None],
    "seen": [None, 5, X, (X,), (X, Y, X)],
    "result": [5, "estimate", Config()],
    "critic": [None, nn.Linear, 5, lambda x: x, nn.Linear(1, 1)],
    "sample_size": [5, 2.5, "100", 10**15],
    "d": [0, "6", 2.5, 10**9],
    "rho": ["x", math.nan, None],
    "density": ["normal", 5, None],
    "unit": ["shannon", 5, ["bits"]],
    "sizes": [[], 5, [0], [2.5], "1000"],
    "estimators": ["default", [], [5], ["ours"]],
    "tasks": ["*gaussian*", [5], 5],
    "fit": [None, 5],
}


@pytest.mark.parametrize(
    ("name", "argument"),
    [(n, a) for n, a in TABLE if a in WRONG and (n, a) != ("config", "critic")],
)
def test_what_cannot_be_is_refused(name, argument, no_work, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    none = argument in ("critic", "level", "permutations", "seed") and name == "config"
    for value in WRONG[argument]:
        if name == "stream" and argument == "level" and value in (1e-17, 0.9999999999999999):
            continue  # a chance of a false alarm, not the level of an interval
        if none and value is None:
            continue
        assert outcome(lambda v=value: CALLS[name][0](**{argument: v})), (argument, value)


def test_an_unknown_setting_and_the_unit_are_named():
    for call in (infobound.estimate, infobound.check, infobound.rehearse):
        for name in ("unit", "units"):
            with pytest.raises(InputError, match=rf"got {name}\b.* result\.as_dict\(\"bits\"\)"):
                call(X, Y, **{name: "bits"})
    with pytest.raises(InputError, match=r"config to be of type Config; got \{.*Config\(\*\*sett"):
        infobound.estimate(X, Y, config={"seed": 1})


def test_a_value_in_a_message_is_short_and_on_one_line():
    for value in NASTY:
        line = arguments.shown(value)
        assert "\n" not in line
        assert len(line) <= arguments.SHOWN_LETTERS + 3


def test_a_directory_that_may_not_be_entered_is_named(monkeypatch):
    stat = Path.stat

    def refuse(path, **options):
        if "locked" in path.parts:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    for name in ("locked", "locked/run", "a/../locked/run"):
        with pytest.raises(InputError, match=r"made or entered; got .*locked.* \(Permission den"):
            infobound.estimate(X, Y, run=name)


def test_a_directory_whose_name_is_no_text_is_refused_before_it_is_made(tmp_path, monkeypatch):
    """TensorBoard cannot write there: the run stopped with a traceback at its first fit."""
    monkeypatch.chdir(tmp_path)
    for name in ("\udcff", Path("a") / "b\udc80c"):
        with pytest.raises(InputError, match="whose name is text in UTF-8"):
            infobound.estimate(X, Y, run=name)
        with pytest.raises(InputError, match="whose name is text in UTF-8"):
            infobound.reproduce(run=name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("critic", ["separable", "joint"])
def test_a_network_beyond_memory_is_refused_before_a_folder_is_made(critic, tmp_path):
    for settings in ({"hidden_dim": 10**9}, {"hidden_dim": 10**6, "hidden_layers": 900}):
        with pytest.raises(InputError, match=r"fits in memory; got hidden_dim .* GB are free"):
            infobound.estimate(X, Y, critic=critic, run=tmp_path / "run", **settings)
    assert list(tmp_path.iterdir()) == []
    networks.expect_room(1, 1, Config(critic="none", hidden_dim=10**9))


class Own(nn.Module):
    """A module that gives `change` of its scores."""

    def __init__(self, change):
        super().__init__()
        self.change = change
        self.weight = nn.Parameter(torch.ones(1, 1))

    def forward(self, x, y):
        return self.change(x @ self.weight @ y.T)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: None, "got NoneType"),
        (lambda s: s.detach().numpy(), "got ndarray"),
        (lambda s: s.tolist(), "got list"),
        (lambda s: (s, s), "got tuple"),
        (lambda s: s.sum(), r"got \(\)"),
        (lambda s: s.diagonal(), r"got \(\d+,\)"),
        (lambda s: s[:, :1], r"got \(\d+, 1\)"),
        (lambda s: s.long(), r"got torch\.int64"),
        (lambda s: s.to(torch.complex64), r"got torch\.complex64"),
        (lambda s: s.detach(), "scores with gradients"),
        (lambda s: s * math.nan, "became nan"),
    ],
)
@pytest.mark.parametrize("base", ["none", "gaussian"])  # a base must not hide the shape
def test_scores_that_are_none_are_refused(change, message, base):
    settings = {"base": base, "certify": False, "folds": 2, "n_iters": 2}
    with pytest.raises(InputError, match=message):
        infobound.estimate(X, Y, module=Own(change), **settings)
    if "gradients" not in message:
        said = "got nan for some" if "nan" in message else message
        with pytest.raises(InputError, match=said):
            infobound.certify(Own(change), X[60:], Y[60:], seen=SEEN)


POSITIONAL = ("file", "suite", "output", "config")
WORDS = ["", "-1", "nan", "inf", "1e40", "x", "a\0b", "10" * 30]


def flags(command):
    """The flags of a command with a value; those of `Config` once, since they are the same."""
    for field in dataclasses.fields(COMMANDS[command]):
        if field.name == "config" and command == "estimate":
            yield from (f.name for f in dataclasses.fields(Config) if f.type != "bool")
        elif "bool" not in str(field.type) and field.name not in POSITIONAL:
            yield field.name


@pytest.mark.parametrize("command", ["estimate", "rehearse", "reproduce", "study", "demo"])
def test_any_word_after_a_flag_is_taken_or_refused(command, no_work, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savetxt("rows.csv", np.hstack([X, Y]), header="x,y", comments="", delimiter=",")
    first = {"estimate": ["rows.csv", "--x", "x", "--y", "y"], "study": ["staircase"]}
    first["rehearse"] = first["estimate"]
    rng = np.random.default_rng(0)
    for name in flags(command):
        word = rng.choice(WORDS)
        words = [command, *first.get(command, []), f"--{name.replace('_', '-')}={word}"]
        with pytest.raises((Reached, SystemExit)) as stopped:
            main(words)
        assert isinstance(stopped.value, Reached) or stopped.value.code == 2, words
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert said.count("\n") <= 1 or not said.startswith("infobound:"), words
