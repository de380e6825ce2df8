"""Rules that hold for all of the code: layers, who may print, what may be imported."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "infobound"

MAY_PRINT = ("cli.main", "report.listings", "cli.session", "report.console")
PICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve"}
PICKLING = {
    "torch": ("load",),
    "joblib": ("load", "dump", "Memory"),
}  # the rest of them may be used

SOURCES = {  # by dotted name below the package; a package's own is its __init__'s
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}
MODULES = {
    name: source
    for name, source in SOURCES.items()
    if name.rpartition(".")[2] not in ("__init__", "__main__")
}
SHIPPED = {  # what may run on a reader's machine; tests may build hostile files
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in (PACKAGE, ROOT / "benchmarks", ROOT / "examples")
    for path in sorted(folder.rglob("*.py"))
}


def called(node):
    """The last name of what a call calls: `load` of `torch.load(...)`."""
    return getattr(node.func, "attr", getattr(node.func, "id", None))


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


def test_packages_import_only_packages_below_them():
    call = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", call, "--no-cache"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_only_modules_of_the_terminal_print(module):
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


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_names_what_is_public(module):
    tree = ast.parse(MODULES[module])
    targets = [node.targets[0] for node in tree.body if isinstance(node, ast.Assign)]
    assert "__all__" in [target.id for target in targets if isinstance(target, ast.Name)]


def test_importing_the_package_is_quick():
    heavy = {"torch", "matplotlib", "pandas", "joblib", "dask"}
    code = f"import infobound, sys; print(*({heavy} & {{*sys.modules}}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_the_tables_that_contributors_are_sent_to_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| `([\w/]+)\.py` \| `(\w+)` \|$", text, re.MULTILINE)
    assert len(rows) == 12
    for path, table in rows:
        module = path.replace("/", ".")
        assert re.search(rf"^{table}\b.* = {{", MODULES[module], re.MULTILINE), (module, table)


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
)
def test_no_page_has_a_place_left_to_fill(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert not re.findall(r"@\w+@|\bMEASURED\b|\bTODO\b|\bFIXME\b", text)
