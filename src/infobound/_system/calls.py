"""The call that made a result: function, settings and versions, as code that repeats it.

A public function is decorated with `recorded`. Results that derive from `Recorded` and are made
while it runs hold its call.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, ParamSpec, TypeVar

import numpy as np

from infobound._system.units import Result
from infobound._system.versions import versions

__all__ = ["Call", "Recorded", "recorded", "running"]

P = ParamSpec("P")
R = TypeVar("R")

NO_SETTINGS = {  # arguments that change no value of a result
    *("dask", "jobs", "out", "overwrite", "progress", "run", "stop", "unit", "watch", "where"),
}
LONGEST = 12  # entries of a list that is written out


@dataclass(frozen=True)
class Call:
    """The call that made a result.

    Attributes:
        function: the function with its module, for example "infobound.pairwise".
        arguments: the names of the data, as they are passed.
        settings: the other arguments that are not the defaults, and the seed, as code.
        versions: versions of Python and of the packages that the result depends on.

    Example:
        >>> print(Call("infobound.lags", ("x", "y"), {"max_lag": "3"}).code)
        import infobound
        result = infobound.lags(x, y, max_lag=3)
    """

    function: str = ""
    arguments: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, function: str, data: Sequence[str], settings: Mapping[str, Any]) -> Call:
        """Return a call by the values of its settings, with the versions of this environment."""
        code = {name: _code(name, value) for name, value in settings.items()}
        return cls(function, tuple(data), code, versions())

    def with_names(self, **columns: Sequence[str]) -> Call:
        """Return the call with columns that a file's table has chosen already, as keywords.

        Example:
            >>> call = Call("infobound.pairwise", ("frame",), {"seed": "0"})
            >>> call.with_names(target=("price",), given=()).settings
            {'target': "['price']", 'seed': '0'}
        """
        named = {name: repr([*chosen]) for name, chosen in columns.items() if chosen}
        return dataclasses.replace(self, settings={**named, **self.settings})

    @property
    def code(self) -> str:
        """Python code that repeats the call, given the data; empty if it is unknown."""
        if not self.function:
            return ""
        module, _, name = self.function.rpartition(".")
        settings = [f"{key}={value}" for key, value in self.settings.items()]
        given = ", ".join([*self.arguments, *settings])
        if module == __package__.partition(".")[0]:
            return f"import {module}\nresult = {self.function}({given})"
        return f"from {module} import {name}\nresult = {name}({given})"

    @property
    def repeat(self) -> dict[str, str]:
        """The code for a page, by what it is; empty if it is unknown."""
        label = "In Python, with the same data:" if self.arguments else "In Python:"
        return {label: self.code} if self.function else {}

    @property
    def shown(self) -> dict[str, str]:
        """The settings for a page, without directories."""
        settings = {name: code for name, code in self.settings.items() if name not in NO_SETTINGS}
        return {name: code.strip("'\"") for name, code in settings.items()}

    @property
    def sentence(self) -> str:
        """The software and the settings, for a methods paragraph."""
        if not self.function:
            return ""
        settings = ", ".join(f"{name} = {value}" for name, value in self.shown.items())
        used = f" with {settings}" if settings else " with the default settings"
        version = self.versions["infobound"]
        return f"Values were computed by {self.function} (version {version}){used}."


_current: ContextVar[Call | None] = ContextVar("call", default=None)


def running() -> Call:
    """Return the call that is running, or an unknown one."""
    return _current.get() or Call()


@dataclass(frozen=True, repr=False)
class Recorded(Result):
    """Base class of results that hold the call that made them.

    Attributes:
        call: the call; it is unknown for results of older files.
    """

    call: Call = field(default_factory=running, compare=False, kw_only=True)

    def values(self, units: str = "nats") -> dict[str, Any]:
        """Return plain values for JSON, with the call after them."""
        found = super().values(units)
        return {**{name: found[name] for name in found if name != "call"}, "call": found["call"]}


def recorded(*data: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator of functions whose results hold their call.

    Args:
        data: the names of the arguments that are data.

    Example:
        >>> @dataclass(frozen=True, repr=False)
        ... class Found(Recorded):
        ...     n: int
        >>> @recorded("x")
        ... def count(x, *, least=1, jobs=2, seed=0):
        ...     return Found(len(x))
        >>> found = count([5, 6], least=2, jobs=4)
        >>> found.call.arguments, found.call.settings
        (('x',), {'least': '2', 'seed': '0'})
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError:  # the function itself raises it, with its own name
                return function(*args, **kwargs)
            token = _current.set(_call(function, signature, bound.arguments, data))
            try:
                return function(*args, **kwargs)
            finally:
                _current.reset(token)

        return call

    return decorate


def _call(
    function: Callable[..., Any],
    signature: inspect.Signature,
    given: Mapping[str, Any],
    data: tuple[str, ...],
) -> Call:
    """Describe a call by the values of its arguments."""
    package = __package__.partition(".")[0]
    public = function.__name__ in sys.modules[package].__all__
    module = package if public else function.__module__
    arguments: list[str] = []
    settings: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        value = given.get(name, parameter.default)
        if name in data:
            keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
            arguments.append(f"{name}={name}" if keyword else name)
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            settings |= given.get(name, {})
        elif parameter.default is parameter.empty or (
            name not in NO_SETTINGS and (name == "seed" or not _equal(value, parameter.default))
        ):
            settings[name] = value
    return Call.of(f"{module}.{function.__name__}", arguments, settings)


def _equal(value: Any, default: Any) -> bool:
    """Return whether a plain value is the default; data never are."""
    if isinstance(value, str) or not isinstance(default, tuple | list):
        return type(value) is type(default) and bool(value == default)
    return isinstance(value, tuple | list) and [*value] == [*default]


def _code(name: str, value: Any) -> str:
    """Return a value as code, or the name of the argument if it is no plain value."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str | range):
        try:
            return repr(value)
        except ValueError:  # more digits than Python converts
            return name
    if isinstance(value, PurePath):
        return repr(str(value))
    if isinstance(value, list | tuple) and len(value) <= LONGEST:
        parts = [_code("", each) for each in value]
        return f"[{', '.join(parts)}]" if all(parts) else name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {
            each.name: getattr(value, each.name)
            for each in dataclasses.fields(value)
            if getattr(value, each.name) != each.default
        }
        if all(map(_plain, changed.values())):
            package = __package__.partition(".")[0]
            inner = ", ".join(f"{key}={each!r}" for key, each in changed.items())
            return f"{package}.{type(value).__name__}({inner})"
    return name


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
