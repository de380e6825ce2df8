"""The words of a command line: their order, and what is wrong with them."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import suites

from infobound.benchmark import tasks
from infobound.cli.arguments import arranged
from infobound.cli.commands import COMMANDS
from infobound.cli.main import main

ROWS = "a,b\n" + "".join(f"{k},{(k * 7) % 60}\n" for k in range(60))


def refused(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main([*words])
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


@pytest.mark.parametrize(
    ("words", "order"),
    [
        ("estimate --x a --y b rows.csv", "estimate rows.csv --x a --y b"),
        ("estimate --x a b rows.csv.gz --y c", "estimate rows.csv.gz --x a b --y c"),
        ("estimate --x a --y b -", "estimate - --x a --y b"),
        ("estimate --x a --y b s3://c/d.csv", "estimate s3://c/d.csv --x a --y b"),
        ("estimate --seed -3 --x a --y b rows.npy", "estimate rows.npy --seed -3 --x a --y b"),
        ("estimate --json rows.csv --x a", "estimate --json rows.csv --x a"),
        ("estimate --drop-missing rows.csv --x a", "estimate --drop-missing rows.csv --x a"),
        ("estimate rows.csv --x a b.csv", "estimate rows.csv --x a b.csv"),
        ("estimate --run r.csv rows.csv --x a b.csv", "estimate --run r.csv rows.csv --x a b.csv"),
        ("columns --skip-lines 1 2 rows.csv", "columns rows.csv --skip-lines 1 2"),
        ("columns --sep=; --target a rows.csv", "columns rows.csv --sep=; --target a"),
        ("estimate --x a --y b", "estimate --x a --y b"),
        ("--json --units bits bounds", "bounds --json --units bits"),
        ("help", "--help"),
        ("help study", "study --help"),
        ("", "--help"),
    ],
)
def test_the_order_of_words(words, order):
    assert arranged(words.split(), COMMANDS) == order.split()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("estmate rows.csv", "Did you mean estimate?"),
        ("colums rows.csv", "Did you mean columns?"),
        ("help stdy", "Did you mean study?"),
        ("zzz", "Commands: demo, describe"),
        ("estimate rows.csv --xx a", "got --xx. Did you mean --x?"),
        ("estimate rows.csv --fold 5", "Did you mean --folds?"),
        ("estimate rows.csv --n_iter=5", "got --n_iter. Did you mean --n-iters?"),
        ("estimate --x a --y b", "Expected FILE; got none"),
        ("resume", "Expected RUN; got none"),
        ("estimate rows.csv b.csv --x a", "got 'b.csv' too"),
        ("bounds x", "no other words"),
        ("estimate rows.csv --folds five", "Expected --folds INT; got 'five'."),
        ("estimate rows.csv --estimator neural", "one of default, gaussian, student, ksg; got"),
        ("estimate rows.csv --units cm", "one of bits, nats; got 'cm'"),
        ("estimate rows.csv --folds", "Expected a value of --folds; got none"),
        ("estimate rows.csv --header --no-header", "got both. Leave one out."),
        ("estimate rows.csv --sep ab --x a --y b", "one character as sep"),
        ("estimate rows.csv --sheet 1 --x a --y b", "only for Excel files"),
        ("estimate rows.csv --folds 1 --x a --y b", "folds to be 2 or more; got 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text(ROWS)
    said = refused(capsys, *words.split())
    assert message in said
    assert said.startswith("infobound: Expected ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_the_version(capsys, flag):
    main([flag])
    assert capsys.readouterr().out.startswith("infobound ")


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_the_terminal_and_breaks_no_words(capsys, monkeypatch, name):
    def lines(width):
        monkeypatch.setenv("COLUMNS", str(width))
        with pytest.raises(SystemExit):
            main(["help", name] if name else ["help"])
        return capsys.readouterr().out.splitlines()

    known = {*" ".join(lines(200)).split(), "usage:", "COMMAND", "...", "│"}
    for columns in (60, 80, 100):
        narrow = lines(columns)
        assert max(map(len, narrow)) <= columns
        broken = {word for line in narrow for word in line.strip("│╭╮╰╯─ ").split()} - known
        assert {word for word in broken if set(word) - set("─╭╮╰╯│")} == set()


def test_a_file_is_estimated_after_its_columns_and_from_standard_input(
    tmp_path, monkeypatch, capsys
):
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    words = ["--estimator", "gaussian", "--no-certify", "--json"]
    main(["estimate", *words, "--x", "a", "--y", "b", str(path)])
    found = json.loads(capsys.readouterr().out)["mi"]
    words = ["estimate", "--x", "0", "--y", "1", "-", *words, "--no-header"]
    for more, rows in (
        (["--sep", "tab"], ROWS[4:].replace(",", "\t").encode()),
        ([], gzip.compress(ROWS[4:].encode())),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(rows)))
        main([*words, *more])
        assert json.loads(capsys.readouterr().out)["mi"] == found
    command, rows = [sys.executable, "-m", "infobound", *words], ROWS[4:].encode()
    done = subprocess.run(command, input=rows, capture_output=True, check=True)
    assert json.loads(done.stdout)["mi"] == found  # JSON stands alone
    assert done.stderr == b""


@pytest.mark.parametrize("columns", [60, 200])
def test_the_command_to_type_next_reads_the_file_in_the_same_way(
    tmp_path, monkeypatch, capsys, columns
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = "".join(f"{k};{k * 7 % 60}\n" for k in range(60))
    Path("rows.csv").write_text(f"cm;kg\n{rows}?;?\n")
    reading = ["--no-header", "--sep", ";", "--skip-lines", "1", "--na", "?"]
    words = ["--drop-missing", "--estimator", "gaussian", "--no-certify"]
    main(["estimate", "rows.csv", "--x", "0", "--y", "1", *reading, *words])
    lines = capsys.readouterr().out.partition("Next: ")[2].splitlines()
    assert max(map(len, lines)) <= columns
    command = " ".join(lines).replace("\\", " ").partition("infobound rehearse")[2]
    expected = "rows.csv --x 0 --y 1 --drop-missing --no-header --sep ';' --skip-lines 1 --na '?'"
    assert " ".join(command.split()).startswith(expected)


def test_a_run_is_resumed_without_the_file_and_its_options(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{k},5;{k * 7 % 60}\n" for k in range(60))
    Path("rows.csv").write_text(f"# by hand\n{rows}")
    words = ["--x", "0", "--y", "1", "--no-header", "--no-certify", "--n-iters", "4"]
    main(["estimate", "rows.csv", *words, "--run", "run", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["mi"] > 0
    Path("rows.csv").unlink()
    main(["resume", "run", "--json"])
    again = json.loads(capsys.readouterr().out)
    assert again.pop("command") == "infobound resume run --json"
    assert {**again, "seconds": 0, "command": found["command"]} == {**found, "seconds": 0}
    assert any("comments" in note for note in again["notes"])


@pytest.mark.parametrize("command", ["tasks", "bounds"])
def test_listings_break_no_words(monkeypatch, capsys, command):
    monkeypatch.setattr(tasks, "suite", suites.suite)

    def words(width):
        monkeypatch.setenv("COLUMNS", str(width))
        main([command])
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= width
        return {word for word in out.split() if word.isalpha()}

    assert words(60) | words(80) <= words(400)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completions_are_printed(capsys, tmp_path, shell):
    with pytest.raises(SystemExit) as stopped:
        main(["--tyro-print-completion", shell])
    assert not stopped.value.code
    script = capsys.readouterr().out
    assert all(word in script for word in ("infobound", *COMMANDS, "--no-header"))
    if shell == "bash":
        (tmp_path / "completion").write_text(script)
        subprocess.run(["bash", "-n", tmp_path / "completion"], check=True)
