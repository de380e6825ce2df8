"""The words of a command line before they are parsed: their order, and what is wrong with them.

`tyro` reads options with several values up to the next option, and takes the file's name for one of
them. Here the file's name is moved to the front. The options are those of the dataclasses.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional

from infobound.errors import InputError
from infobound.files.locations import ADDRESS, STREAM

__all__ = ["arranged", "expect_known", "sentence"]

Commands = Mapping[str, Callable[..., Any]]
ENDING = re.compile(
    r".+\.(csv|tsv|tab|txt|dat|data|jsonl|ndjson|parquet|parq|pq|feather|arrow|ipc|xlsx|xlsm|npz"
    r"|npy)(\.(gz|bz2|xz|zst|zip))?",
    re.IGNORECASE,
)
VALUE = re.compile(r"-?|-[\d.].*|[^-].*", re.DOTALL)  # words that are no options
HELP = ("-h", "--help")


@dataclass(frozen=True)
class _Option:
    """An option of a command.

    Attributes:
        name: with its dashes; the name of the field for what is not an option.
        values: the number of values; None for any.
        positional: whether it is given without its name.
    """

    name: str
    values: int | None
    positional: bool = False


def arranged(words: Sequence[str], commands: Commands) -> list[str]:
    """Return the words in the order in which they are parsed: command, file, options.

    Args:
        words: the arguments of the program.
        commands: the commands by name.

    Raises:
        InputError: If the command is unknown.

    Example:
        >>> from infobound.cli.commands import COMMANDS
        >>> arranged(["estimate", "--x", "a", "--y", "b", "rows.csv"], COMMANDS)
        ['estimate', 'rows.csv', '--x', 'a', '--y', 'b']
        >>> arranged(["help", "estimate"], COMMANDS)
        ['estimate', '--help']
    """
    if not words or words[0] in HELP or words[0].startswith("--tyro"):
        return [*words] or ["--help"]
    if words[0] == "help":
        return [*(_known(word, commands) for word in words[1:2]), "--help"]
    at = next((k for k, word in enumerate(words) if word in commands), 0)
    leading = all(word.startswith("-") or word in ("nats", "bits") for word in words[:at])
    if words[0].startswith("-") and at and leading:
        words = [words[at], *words[:at], *words[at + 1 :]]  # such as: infobound --json bounds
    first = next((word for word in words if not word.startswith("-")), words[0])
    command = _known(first if words[0].startswith("-") else words[0], commands)
    return [command, *_file_first(words[1:], _options(commands[command]))]


def expect_known(words: Sequence[str], commands: Commands) -> None:
    """Check that all options of a command exist, and that there is a file.

    Args:
        words: the words, as `arranged`.
        commands: the commands by name.

    Raises:
        InputError: If an option is unknown, a word belongs to none, or the file is missing.

    Example:
        >>> from infobound.cli.commands import COMMANDS
        >>> expect_known(["estimate", "rows.csv", "--fold"], COMMANDS)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected an option of infobound estimate; got --fold. ...
    """
    if not words or words[0] not in commands or any(word in HELP for word in words):
        return
    command, options = words[0], _options(commands[words[0]])
    more = f"infobound {command} --help lists all."
    names = {each.name: each for each in options if not each.positional}
    for word, _ in _flags(words[1:], options):
        name = _name(word)
        if name not in names:
            raise InputError(
                f"Expected an option of infobound {command}; got {word.partition('=')[0]}."
                f"{_meant(name, names)} {more}"
            )
    free = [word for word, owner in _free(words[1:], options) if owner is None]
    places = [each.name.upper() for each in options if each.positional]
    if len(free) < len(places):
        raise InputError(
            f"Expected {places[0]}; got none. Write it after the command: infobound {command} "
            f"{places[0]} ... {more}"
        )
    many = any(each.positional and each.values is None for each in options)
    if len(free) > len(places) and not many:
        raise InputError(
            f"Expected options and {places[0] if places else 'no other words'} for infobound "
            f"{command}; got {free[len(places)]!r} too. Put quotes around names with spaces. {more}"
        )


def sentence(message: str) -> str:
    """Return a message of tyro about a value as one sentence.

    Args:
        message: the message, in a box.

    Example:
        >>> sentence("Error parsing --folds: invalid literal for int() with base 10: 'z'")
        "Expected --folds with a value that can be read; got 'z'."
    """
    lines = [line.strip(" │|") for line in message.splitlines() if not re.match("[╭╰+]", line)]
    rules = [k for k, line in enumerate(lines) if re.fullmatch("[─-]{9,}", line)]
    if rules[:1] == [1] and not message.startswith(tuple("╭+")):  # a title without a box
        lines, rules = lines[2:], [k - 2 for k in rules[1:]]
    rule = rules[0] if rules else len(lines)
    text = " ".join(lines[:rule])
    kind = next((line for line in lines[rule:] if line.startswith("--")), "")
    if found := re.search(
        r"invalid choice '(.*)' for argument '(\S+)'. Expected one of \((.*)\)", text
    ):
        got, name, choices = found.groups()
        known = [each.strip("' ") for each in choices.split(",") if each.strip("' ,")]
        if "None" in known:  # tyro's order is then that of a set
            known = sorted({*known} - {"None"})
        listed = ", ".join(known)
        return f"Expected {name} to be one of {listed}; got {got!r}."
    if found := re.search(r"Error parsing (\S+): .*?('[^']*'|\[.*\])$", text):
        name, got = found.groups()
        what = kind.removeprefix(name) if kind.startswith(f"{name} ") else ""
        return f"Expected {name}{what or ' with a value that can be read'}; got {got.strip('[]')}."
    if found := re.search(r"Missing value for argument '(\S+)'", text):
        return f"Expected a value of {found[1]}; got none."
    return text


def _known(word: str, commands: Commands) -> str:
    """Return a command, or raise with the nearest ones."""
    if word not in commands:
        raise InputError(
            f"Expected a command; got {word!r}.{_meant(word, [*commands, 'help', '--version'])} "
            f"Commands: {', '.join(commands)}. infobound help COMMAND says more."
        )
    return word


def _meant(word: str, names: Iterable[str]) -> str:
    """Return a question that names the nearest words, and nothing where none is near."""
    near = difflib.get_close_matches(word, names, 3, 0.6)
    best = difflib.SequenceMatcher(None, near[0], word).ratio() if near else 0
    near = [each for each in near if difflib.SequenceMatcher(None, each, word).ratio() > best - 0.1]
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _options(command: Any) -> list[_Option]:
    """Return the options of a dataclass and of the dataclasses in its fields."""
    found = []
    hints = typing.get_type_hints(command, include_extras=True)
    for field in dataclasses.fields(command):
        kind, marks = hints[field.name], []
        while typing.get_origin(kind) is Annotated:
            marks += kind.__metadata__
            kind = typing.get_args(kind)[0]
        if dataclasses.is_dataclass(kind):
            found += _options(kind)
            continue
        kinds = {kind, *typing.get_args(kind)}
        values: int | None = 1
        if any(tuple in (each, typing.get_origin(each)) for each in kinds):
            values = None
        elif bool in kinds:
            values = 0
        positional = Positional in marks
        name = field.name if positional else f"--{field.name.replace('_', '-')}"
        aliases = [alias for mark in marks for alias in getattr(mark, "aliases", None) or ()]
        found += [_Option(each, values, positional) for each in (name, *aliases)]
        if values == 0 and FlagCreatePairsOff not in marks:
            found.append(_Option(f"--no-{name[2:]}", 0))
    return found


def _name(word: str) -> str:
    return word.partition("=")[0].replace("_", "-")


def _flags(words: Sequence[str], options: Sequence[_Option]) -> Iterator[tuple[str, int]]:
    """Yield the words that are options, with their positions."""
    known = {each.name: each for each in options}
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if VALUE.fullmatch(word):
            continue
        yield word, at - 1
        option = known.get(_name(word))
        if option is not None and option.values == 1 and "=" not in word:
            at += 1  # its value may look like an option


def _free(words: Sequence[str], options: Sequence[_Option]) -> Iterator[tuple[str, _Option | None]]:
    """Yield the words that are no options, with the option that they belong to."""
    known = {each.name: each for each in options}
    flags = {at: word for word, at in _flags(words, options)}
    owner: _Option | None = None
    left = 0
    for at, word in enumerate(words):
        if at in flags:
            owner = known.get(_name(word), _Option(word, 1))
            left = 0 if "=" in word else len(words) if owner.values is None else owner.values
        elif left:
            left -= 1
            yield word, owner
        else:
            yield word, None


def _file_first(words: Sequence[str], options: Sequence[_Option]) -> list[str]:
    """Move the file's name to the front if an option with several values has taken it."""
    if not any(each.positional for each in options):
        return [*words]
    flags = {at for _, at in _flags(words, options)}
    owners = iter(_free(words, options))
    owned = [None if at in flags else next(owners) for at in range(len(words))]
    if any(each is not None and each[1] is None for each in owned):
        return [*words]
    for at in reversed(range(1, len(words))):
        last = at + 1 == len(words) or at + 1 in flags
        several = at - 1 not in flags and at not in flags
        if last and several and _is_file(words[at]):
            return [words[at], *words[:at], *words[at + 1 :]]
    return [*words]


def _is_file(word: str) -> bool:
    """Return whether a word looks like a file, an address or standard input."""
    return bool(
        word == STREAM or ADDRESS.match(word) or ENDING.fullmatch(word) or Path(word).exists()
    )
