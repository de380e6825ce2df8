"""The rules of the house, held against the code: floors, who may print, what may be imported."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "infobound"

FLOORS = {
    -4: ("errors",),
    -3: ("arguments", "places", "processes", "schemas", "shards", "storage", "torch_state"),
    -2: ("distributed", "encoding", "files", "npy", "pairs"),
    -1: ("config", "containers", "elu", "joints", "locks", "sums"),
    0: (
        *("bounds", "critics", "copulas", "densities", "neighbours", "data", "runs", "plots"),
        *("gaussians", "elliptical", "mixtures", "warps", "channels", "images"),
        *("parquet", "peers", "summaries", "certificates", "independence", "optimisers"),
    ),
    1: (
        *("scoring", "checkpoints", "tables", "screening", "bmi", "study_plots", "bases"),
        *("witnesses", "planted"),
    ),
    2: ("train", "tasks", "diagnostics", "streams"),
    3: ("fitting", "samples", "cluster"),
    4: ("folds", "guarantees"),
    5: ("points",),
    6: ("estimates",),
    7: ("experiments", "cells", "sanity", "comparison"),
    8: ("study", "rehearsal"),
    9: ("terminal", "bars"),
    10: ("session", "listings"),
    11: ("commands",),
    12: ("cli",),
}
FLOOR = {module: floor for floor, modules in FLOORS.items() for module in modules}
FRONT = ("__init__", "__main__")  # the doors: they lead to every room, and are on no floor
MAY_PRINT = ("cli", "listings", "session", "terminal")
PICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve"}
PICKLING = {
    "torch": ("load",),
    "joblib": ("load", "dump", "Memory"),
}  # the rest of them may be used

SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.glob("*.py"))}
ROOMS = {name: source for name, source in SOURCES.items() if name not in FRONT}
SHIPPED = {  # what may run on a reader's machine; tests may build hostile files
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in (PACKAGE, ROOT / "benchmarks", ROOT / "examples")
    for path in sorted(folder.rglob("*.py"))
}


def imported(source):
    """The rooms that a source imports, early or late; "" stands for the package itself."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = ".".join(["infobound"] * bool(node.level) + [node.module] * bool(node.module))
            if origin == "infobound":
                names += [f"infobound.{a.name}" for a in node.names if a.name != "__version__"]
            else:
                names.append(origin)
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
            names += [a.value for a in node.args if isinstance(a, ast.Constant)]
    ours = [name.split(".") for name in names if str(name).split(".")[0] == "infobound"]
    return {parts[1] if len(parts) > 1 and parts[1] in FLOOR else "" for parts in ours}


def called(node):
    """The last name of what a call calls: `load` of `torch.load(...)`."""
    return getattr(node.func, "attr", getattr(node.func, "id", None))


def not_downward(module, source):
    """The imports of a module that do not go strictly downward."""
    return {name for name in imported(source) if FLOOR.get(name, 99) >= FLOOR[module]}


def prints(source):
    """Whether a source calls print, the built-in or a console's."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return any(called(node) == "print" for node in calls)


def unpickles(source):
    """What in a source could run code from a file: a pickler, or a load that allows one."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in PICKLERS]
        elif isinstance(node, ast.ImportFrom):
            origin = (node.module or "").split(".")[0]
            names = [alias.name for alias in node.names]
            found += [origin] if origin in PICKLERS else []
            found += [f"{origin}.{n}" for n in names if n in PICKLING.get(origin, ())]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            package, _, last = name.partition(".")
            if last in PICKLING.get(package, ()) and options.get("weights_only") != "True":
                found.append(name)
            if options.get("allow_pickle", "False") != "False" or name == "pd.read_pickle":
                found.append(name)
    return found


def test_every_module_is_in_the_table_and_the_table_names_no_other():
    assert sorted(ROOMS) == sorted(FLOOR)
    assert sum(len(modules) for modules in FLOORS.values()) == len(FLOOR)


@pytest.mark.parametrize("module", sorted(ROOMS))
def test_imports_go_strictly_downward(module):
    assert not_downward(module, ROOMS[module]) == set()


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("bounds", "from infobound.train import fit", {"train"}),
        ("bounds", "from infobound import train", {"train"}),
        ("bounds", "import infobound.train", {"train"}),
        ("bounds", "from .train import fit", {"train"}),
        ("bounds", "from . import train, errors", {"train"}),
        ("bounds", "def late():\n    from infobound import cli", {"cli"}),
        ("bounds", "import importlib\nimportlib.import_module('infobound.cli')", {"cli"}),
        ("bounds", "from infobound.critics import Joint", {"critics"}),  # same floor
        ("bounds", "from infobound import estimate", {""}),  # by the front door
        ("bounds", "import infobound", {""}),
        ("bounds", "from infobound.errors import InputError", set()),
        ("estimates", "from infobound import data, train", set()),
        ("cli", "from infobound import __version__", set()),
        ("errors", "from infobound.config import Config", {"config"}),
        ("train", "import torch\nfrom infobounds import cli", set()),
    ],
)
def test_the_import_check_can_fail(module, source, wrong):
    assert not_downward(module, source) == wrong


def test_plots_takes_plain_numbers():
    assert imported(ROOMS["plots"]) == {"arguments", "errors"}
    assert imported(ROOMS["study_plots"]) == {"plots"}


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_only_the_terminal_rooms_print(module):
    assert module in MAY_PRINT or not prints(SOURCES[module])


@pytest.mark.parametrize("path", sorted(SHIPPED))
def test_nothing_is_unpickled(path):
    assert unpickles(SHIPPED[path]) == []


def test_the_other_checks_can_fail():
    assert prints("print(1)")
    assert prints("console.print(1)")
    assert not prints("'print(1)'  # print(1)")
    for source in (
        "import pickle",
        "from pickle import loads",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "from torch import load",
        "joblib.load(path)",
        "joblib.dump(value, path)",
        "joblib.Memory(folder)",
        "from joblib import Parallel, dump",
        "np.load(path, allow_pickle=True)",
    ):
        assert unpickles(source), source
    assert not unpickles("torch.load(path, weights_only=True)\nnp.load(path)")
    assert not unpickles("import joblib\njoblib.Parallel(n_jobs=2)")


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_every_module_says_what_it_is(module):
    assert ast.get_docstring(ast.parse(SOURCES[module]))


@pytest.mark.parametrize("module", sorted(ROOMS))
def test_every_module_names_what_is_public(module):
    tree = ast.parse(ROOMS[module])
    targets = [node.targets[0] for node in tree.body if isinstance(node, ast.Assign)]
    assert "__all__" in [target.id for target in targets if isinstance(target, ast.Name)]


def test_the_documented_table_is_this_one():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|\s*(-?\d+)\s*\|\s*`(\w+)`\s*\|", text, flags=re.MULTILINE)
    assert len(rows) == len(FLOOR)
    assert {module: int(floor) for floor, module in rows} == FLOOR


def test_importing_the_package_is_quick():
    heavy = {"torch", "matplotlib", "pandas", "joblib", "dask"}
    code = f"import infobound, sys; print(*({heavy} & {{*sys.modules}}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_an_estimate_imports_no_compiler():
    heavy = {
        "torch._dynamo",
        "torch._inductor",
        "sympy",
        "matplotlib",
        "tensorboard",
        "scipy.stats",
    }
    code = (
        "import numpy as np, sys, infobound; x = np.random.default_rng(0).normal(size=(2, 60, 2));"
        "found = infobound.estimate(*x, n_iters=2, folds=2, certify=False);"
        f"print(*({heavy} & {{*sys.modules}}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_the_tables_that_contributors_are_sent_to_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| .* \| `(\w+)\.py` \| `(\w+)` \|$", text, re.MULTILINE)
    assert len(rows) == 8
    for module, table in rows:
        assert re.search(rf"^{table}\b.* = {{", ROOMS[module], re.MULTILINE), (module, table)


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
)
def test_no_page_has_a_place_left_to_fill(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert not re.findall(r"@\w+@|\bMEASURED\b|\bTODO\b|\bFIXME\b", text)
