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

__all__ = ["parse"]


def parse(commands: dict[str, Callable[..., Any]], *, args: list[str]) -> Any:
    """Parse arguments to an instance of the command that they name.

    Raises:
        SystemExit: If the arguments are invalid or contain --help.
    """
    registry = ConstructorRegistry()
    registry.struct_rule(functools.partial(_described, (*commands.values(), Output)))
    registry.struct_rule(_grouped)
    with registry:
        return tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="infobound",
            args=args,
            description="Estimate mutual information and check the estimate. Start: infobound demo",
        )


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
    types, texts = typing.get_type_hints(cls, include_extras=True), _help(cls)
    return StructConstructorSpec(
        instantiate=cls,
        fields=tuple(
            StructFieldSpec(
                name=each.name,
                type=types[each.name],
                default=_default(each),
                helptext=texts.get(each.name),
            )
            for each in dataclasses.fields(cls)
        ),
    )


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return MISSING if field.default is dataclasses.MISSING else field.default


def _grouped(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Return the settings of `Config`, one section of the help per group."""
    if info.type is not Config:
        return None
    types, texts = typing.get_type_hints(Config), _help(Config)
    fields = []
    for name, (description, settings) in GROUPS.items():
        group = dataclasses.make_dataclass(
            name,
            [(each, Annotated[types[each], tyro.conf.arg(help=texts[each])]) for each in settings],
        )
        group.__doc__ = description
        default = group(**{each: getattr(info.default, each) for each in settings})
        fields.append(StructFieldSpec(name=name, type=group, default=default))
    return StructConstructorSpec(instantiate=_config, fields=tuple(fields))


def _config(**groups: Any) -> Config:
    """Build the settings from their groups."""
    return Config(
        **{name: value for group in groups.values() for name, value in vars(group).items()}
    )
