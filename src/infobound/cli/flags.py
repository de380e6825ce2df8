"""Flags from the dataclasses of the commands: help from docstrings, settings in groups."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable
from typing import Annotated, Any

import docstring_parser
import tyro
from tyro.constructors import (
    MISSING,
    ConstructorRegistry,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from infobound.cli.session import Output
from infobound.config import GROUPS, Config
from infobound.errors import InputError
from infobound.files.read_options import ReadOptions

__all__ = ["parse"]

METAVARS = {  # of the options of reading
    "sep": "CHARACTER",
    "decimal": "{.,}",
    "encoding": "NAME",
    "comment": "TEXT",
    "skip_lines": "LINE ...",
    "na": "WORD ...",
    "sheet": "NAME",
    "format": "NAME",
}


def parse(commands: dict[str, Callable[..., Any]], *, args: list[str]) -> Any:
    """Parse arguments to an instance of the command that they name.

    Raises:
        SystemExit: If the arguments are invalid or contain --help.
    """
    registry = ConstructorRegistry()
    registry.struct_rule(functools.partial(_described, (*commands.values(), Output)))
    registry.struct_rule(_grouped)
    registry.struct_rule(_reading)
    with registry:
        return tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="infobound",
            args=args,
            description="Estimate mutual information and check the estimate. Start: infobound "
            "demo. Help on a command: infobound help COMMAND",
        )


@functools.cache
def _help(cls: type) -> dict[str, str]:
    """Return the docstring of each field on one line; tyro would keep line breaks of the source."""
    parameters = docstring_parser.parse_from_object(cls).params
    return {each.arg_name: " ".join((each.description or "").split()) for each in parameters}


def _described(
    commands: tuple[Callable[..., Any], ...], info: StructTypeInfo
) -> StructConstructorSpec | None:
    """Return the fields of a command or of `Output`, with help and defaults."""
    cls = info.type
    if cls not in commands:
        return None
    types = typing.get_type_hints(cls, include_extras=True)
    texts = _help(cls)  # type: ignore[arg-type]  # it looks for the hash of instances
    settings_last = sorted(dataclasses.fields(cls), key=lambda each: each.name == "config")
    return StructConstructorSpec(
        instantiate=cls,
        fields=tuple(
            StructFieldSpec(
                name=each.name,
                type=_without_hint(types[each.name], _default(each)),
                default=_default(each),
                helptext=texts.get(each.name),
            )
            for each in settings_last
        ),
    )


def _without_hint(kind: Any, default: Any) -> Any:
    """Return the type of an option whose help has no remark such as "(default: False)"."""
    plain = default is None or default is False
    return _marked(kind, tyro.conf.arg(help_behavior_hint="")) if plain else kind


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return MISSING if field.default is dataclasses.MISSING else field.default


def _grouped(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Return the settings of `Config`, one section of the help per group."""
    if info.type is not Config:
        return None
    fields = []
    for name, (_, settings) in GROUPS.items():
        group = _group(name)
        default = group(**{each: getattr(info.default, each) for each in settings})
        fields.append(StructFieldSpec(name=name, type=group, default=default))
    return StructConstructorSpec(instantiate=_config, fields=tuple(fields))


@functools.cache
def _group(name: str) -> type:
    """Return a dataclass of the settings of a group."""
    types, texts = typing.get_type_hints(Config), _help(Config)
    description, settings = GROUPS[name]
    group = dataclasses.make_dataclass(
        name, [(each, _setting(types[each], texts[each])) for each in settings]
    )
    group.__doc__ = description
    return group


def _setting(kind: Any, text: str) -> Any:
    """Return the annotated type of a setting; text is shown as NAME."""
    metavar = "NAME" if kind is str else None
    return _marked(kind, tyro.conf.arg(help=text, metavar=metavar))


def _marked(kind: Any, *marks: Any) -> Any:
    """Return a type with annotations."""
    for mark in marks:
        kind = Annotated[kind, mark]
    return kind


def _reading(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Return the options of reading a file; whether there is a header are two flags."""
    if info.type is not ReadOptions:
        return None
    texts = _help(ReadOptions)
    flags = {
        "header": "The first line has the names of the columns, although it looks like a row.",
        "no_header": "The first line is a row. The columns are then called 0, 1, ...",
    }
    fields = [
        StructFieldSpec(
            name=name,
            type=_marked(bool, tyro.conf.FlagCreatePairsOff, _plain(text)),
            default=False,
        )
        for name, text in flags.items()
    ]
    types: dict[str, Any] = typing.get_type_hints(ReadOptions)
    for name, metavar in METAVARS.items():
        default = getattr(info.default, name)
        kind = _marked(types[name], _plain(texts[name], metavar))
        fields.append(StructFieldSpec(name=name, type=kind, default=default))
    return StructConstructorSpec(instantiate=_read_options, fields=tuple(fields))


def _plain(text: str, metavar: str | None = None) -> Any:
    """Return the help of an option without a remark on its default, which the text has."""
    return tyro.conf.arg(help=text, metavar=metavar, help_behavior_hint="")


def _read_options(*, header: bool, no_header: bool, **others: Any) -> ReadOptions:
    """How the file is written. What is not given is inferred from the file."""
    if header and no_header:
        raise InputError("Expected --header or --no-header; got both. Leave one out.")
    return ReadOptions(header=True if header else False if no_header else None, **others)


def _config(**groups: Any) -> Config:
    """Build the settings from their groups."""
    return Config(
        **{name: value for group in groups.values() for name, value in vars(group).items()}
    )
