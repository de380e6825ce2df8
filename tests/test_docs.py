"""The documentation keeps its word: links lead somewhere, code runs, and prints what is printed."""

import contextlib
import functools
import importlib
import inspect
import io
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

import infobound
import infobound.sklearn
from infobound.cli.commands import COMMANDS
from infobound.cli.flags import parse
from infobound.cli.main import main
from infobound.config import Config
from infobound.estimation import estimate as estimates

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "examples" / "README.md"]
}
GALLERY = {path.name: path.read_text("utf-8") for path in ROOT.glob("examples/gallery/plot_*.py")}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?![a-z]+:)([^)\s]+)\)")
SPACE = re.compile(r"[\s─│╭╮╰╯]+|\.\.\.$")
NUMBER = re.compile(r"-?\b\d+(?:\.\d+)?(?:e-?\d+)?\b")
COMMAND = re.compile(r"^(?:\w+=\S+ )*(infobound|python benchmarks/\w+\.py)\b(.*)")
SLOW = re.compile("infobound rehearse|--check|columns .*--given")  # minutes

PREPARED = {  # what a page takes for granted
    "docs/commands.md": "x, y = numpy.random.default_rng(0).normal(size=(2, 60))",
    "docs/conditional.md": "x, y, z = numpy.random.default_rng(0).normal(size=(3, 99))",
    "docs/transfer.md": """x, y = numpy.random.default_rng(0).normal(size=(2, 99))
table = {"a": x, "b": y}""",
    "docs/series.md": """import functools, infobound
estimate = functools.partial(infobound.estimate, critic="none", base="gaussian", permutations=19)
x, y = numpy.random.default_rng(0).normal(size=(2, 240))
patient = trial = numpy.arange(240) // 20
rows = numpy.random.default_rng(1).permuted(numpy.tile(y, (9, 1)), axis=1)""",
}
PLAIN = {"critic": "none", "base": "gaussian"}
QUICK = {  # functions whose results a page does not show, with settings that take less time
    "docs/columns.md": {"pairwise": {"permutations": 19, "config": Config(certify=False, **PLAIN)}},
    "docs/conditional.md": {"estimate": PLAIN, "interaction": PLAIN},
    "docs/reports.md": {"estimate": {"base": "gaussian"}},
}
WRITTEN = {"docs/reports.md": {"figure.svg": ("<svg", 1), "report.html": ("<article", 2)}}
RUN = ["docs/columns.md"]  # commands without an output that are run as well
DOCTESTED = ["docs/sklearn.md"]  # by tests/test_sklearn.py


def blocks(page):
    """The language and the content of each fenced block of a page."""
    return FENCE.findall(PAGES[page])


def text_of(path):
    """The text of a file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def prose(text):
    """A page without its fenced blocks and code, in which brackets mean nothing."""
    return re.sub(r"`[^`\n]*`", "``", FENCE.sub("", text))


def visible(page):
    """The text of a page without comments."""
    return re.sub(r"<!--.*?-->", "", PAGES[page], flags=re.DOTALL)


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def broken(page, text):
    """The relative links of a page that lead nowhere."""
    found = []
    for link in LINK.findall(prose(text)):
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        if not target.exists():
            found.append(link)
        elif anchor:
            there = anchors(text_of(target) if name else text)
            found += [link] if anchor not in there else []
    return found


@pytest.mark.parametrize("page", sorted(PAGES))
def test_relative_links_lead_to_files_and_headings(page):
    assert broken(page, PAGES[page]) == []


def test_broken_links_are_found():
    text = "[a](docs/missing.md) [b](docs/method.md#missing) [c](#a) [d](docs/method.md)\n# A\n"
    assert broken("README.md", text) == ["docs/missing.md", "docs/method.md#missing"]


def test_links_out_of_the_folder_stay_on_the_site(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_extensions"))
    redirected, page = importlib.import_module("made_pages").redirected, ROOT / "docs" / "a.md"
    for link, moved in {
        "../CONTRIBUTING.md#a-bound": "generated/contributing.md#a-bound",
        "../examples/gallery/plot_1_medical_table.py": "gallery/plot_1_medical_table.rst",
        "../examples/infonce.ipynb": "../examples/infonce.ipynb",
        "method.md#a": "method.md#a",
        "https://example.org/a.md": "https://example.org/a.md",
    }.items():
        assert redirected(f"[see]({link})", page, page) == f"[see]({moved})"


def unlike(expected, printed):
    """What differs: words of a page that are not printed, or numbers beyond their last digits."""
    expected, printed = (" ".join(SPACE.sub(" ", each).split()) for each in (expected, printed))
    before, found, _ = NUMBER.sub("#", printed).partition(NUMBER.sub("#", expected))
    if not found:
        return f"{expected!r} is not in {printed!r}"
    values = NUMBER.findall(printed)[before.count("#") :]
    pairs = zip(NUMBER.findall(expected), values, strict=False)
    return [(a, b) for a, b in pairs if float(a) != pytest.approx(float(b), rel=0.03, abs=0.01)]


def test_other_words_and_numbers_are_found():
    assert not unlike("I = 0.281 nats\n ok", "n = 7: I = 0.285 nats │ ok\nNext: ...\n")
    assert unlike("I = 0.281 nats", "I = 0.381 nats")
    assert unlike("I = 0.281 nats", "I = 0.281 bits")


COMPUTED = {}


@pytest.fixture
def computed_once(monkeypatch):
    """What two blocks estimate of the same rows with the same settings is computed once."""
    estimated = estimates._estimate

    def found(pair, config, module, hooks, *null):
        more = (pair.groups, hooks.run, module, *null)
        if any(each is not None for each in more):
            return estimated(pair, config, module, hooks, *null)
        sides = [(side, *names, values.tobytes()) for side, (values, names) in pair.sides.items()]
        key = (*sides, pair.notes, str(config))
        if key not in COMPUTED:
            COMPUTED[key] = estimated(pair, config, module, hooks)
        return COMPUTED[key]

    monkeypatch.setattr(estimates, "_estimate", found)


@pytest.mark.usefixtures("computed_once")
@pytest.mark.parametrize("page", [p for p in sorted(PAGES) if "```python\n" in PAGES[p]])
def test_python_of_a_page_runs_and_prints_what_follows(page, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for name, settings in QUICK.get(page, {}).items():
        quick = functools.partial(getattr(infobound, name), **settings)
        monkeypatch.setattr(infobound, name, quick)
    names = {"numpy": np}
    exec(PREPARED.get(page, ""), names)
    found = blocks(page)
    for (language, code), (after, text) in zip(found, [*found[1:], ("", "")], strict=True):
        if page == "docs/index.md" and language == "python":  # the README's example again
            assert f"```python\n{code}```\n\n```text\n{text}```" in PAGES["README.md"]
            continue
        if language != "python" or (code.startswith(">>>") and page in DOCTESTED):
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        if after == "text" and not text.startswith("$"):
            assert not unlike(text, printed.getvalue())
    for file, (word, count) in WRITTEN.get(page, {}).items():
        assert (tmp_path / file).read_text().count(word) == count


def scripts(page):
    """The commands and the output of each block that shows a terminal."""
    for language, text in blocks(page):
        text = text.replace("\\\n", "")
        if language == "text" and text.startswith("$ "):
            lines = text.splitlines()
            shown = [line for line in lines if not line.startswith("$ ")]
            yield "\n".join(line[2:] for line in lines if line.startswith("$ ")), "\n".join(shown)
        elif language in ("sh", "bash"):
            yield text, ""


SCRIPTS = [(page, *found) for page in sorted(PAGES) for found in scripts(page)]


@pytest.mark.parametrize(("page", "commands", "_"), SCRIPTS)
def test_commands_of_a_page_exist(page, commands, _):
    subprocess.run(["bash", "-n", "-c", commands], check=True)
    for found in filter(None, map(COMMAND.match, commands.splitlines())):
        program, rest = found.groups()
        words = shlex.split(rest, comments=True)
        if program == "infobound" and "--tyro-print-completion" not in words:
            assert parse(COMMANDS, args=words)
        elif program != "infobound":
            paths = program.split()[1], "benchmarks/common.py"
            known = set(re.findall(r'"(?:--)?([\w-]+)"', "".join(map(text_of, paths))))
            assert {word[2:] for word in words if word.startswith("--")} <= known


def files_of(page):
    """The Python of a page that writes the file which its commands read."""
    return "".join(c for language, c in blocks(page) if language == "python" and ".to_csv(" in c)


SHOWN = [
    pytest.param(page, commands, output, id=page)
    for page, commands, output in SCRIPTS
    if output or page in RUN
]


@pytest.mark.usefixtures("computed_once")
@pytest.mark.parametrize(("page", "commands", "output"), SHOWN)
def test_a_terminal_shows_what_the_page_shows(page, commands, output, tmp_path, monkeypatch):
    if SLOW.search(commands):
        pytest.skip("It takes minutes; that its options exist is tested above.")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    exec(files_of(page), {})
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):  # no new processes, each of which imports torch
        for line in filter(None, commands.splitlines()):
            program, *words = shlex.split(line)
            if program == "infobound":
                main(words)
            else:
                option, code = words
                assert (program, option) == ("python", "-c")
                exec(code, {})
    assert not output or not unlike(output, printed.getvalue())


@functools.cache
def help_of(command):
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), pytest.raises(SystemExit):
        parse(COMMANDS, args=[command, "--help"])
    return shown.getvalue()


@pytest.mark.parametrize("page", sorted(PAGES))
def test_commands_in_sentences_exist(page):
    for line in re.findall(r"`infobound ([a-z][^`]*)`", FENCE.sub("", visible(page))):
        command, *words = line.split()
        if line == "help COMMAND":
            continue
        assert command in COMMANDS, line
        flags = [word.strip("[],") for word in words if word.strip("[").startswith("--")]
        assert [flag for flag in flags if flag not in help_of(command)] == [], line


def test_the_table_of_questions_names_what_exists():
    names = re.findall(r"`(infobound[.\w]+)", visible("docs/choose.md"))
    assert len(names) > 10
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_the_reference_has_every_public_name():
    page = PAGES["docs/api.md"]
    assert [n for n in infobound.__all__ if not re.search(rf"\b{n}$", page, re.MULTILINE)] == []
    assert [n for n in infobound.sklearn.__all__ if f"   {n}\n" not in page] == []


def test_every_page_is_in_the_contents():
    pages = {Path(page).stem for page in PAGES if page.startswith("docs/")} - {"index"}
    assert pages <= set(re.findall(r"^(?:.*<)?([\w/]+)>?$", PAGES["docs/index.md"], re.MULTILINE))


@pytest.mark.parametrize("name", sorted(GALLERY))
def test_a_page_of_the_gallery_asks_and_answers(name):
    text = GALLERY[name]
    assert text.splitlines()[1].endswith("?")
    assert "What the numbers say, and what they do not" in text
    # The page shows figures of pyplot and figures that are assigned (docs/_extensions).
    assert not re.findall(r"^(?!plt\.|ax)[\w.]+\.(?:plot|figure)\(", text, flags=re.MULTILINE)
    assert re.search(r"^ *plt\.show\(\)|^\w+ = \w+\.plot\(", text, re.MULTILINE)
    assert re.search(r"^ *assert ", text, re.MULTILINE), "Expected a check of what the text says."


def test_the_table_of_questions_has_every_public_function():
    text = (ROOT / "docs" / "choose.md").read_text(encoding="utf-8")
    for name in infobound.__all__:
        if inspect.isfunction(getattr(infobound, name)):
            assert f"infobound.{name}(" in text, name
