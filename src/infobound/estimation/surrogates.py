"""The user's own null: surrogates of y in the place of moves or permutations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from infobound._system import arguments
from infobound._system.memory import take_rows
from infobound.config import Config
from infobound.data.containers import as_array
from infobound.data.pair import Pair
from infobound.errors import InputError
from infobound.estimation.point import PointEstimate
from infobound.inference.dependent_rows import surrogate_p

__all__ = ["Surrogates", "checked_surrogates", "with_surrogates"]

Surrogates = np.ndarray | Callable[[np.random.Generator], Any]


def checked_surrogates(surrogates: Surrogates, pair: Pair, config: Config) -> Iterable[np.ndarray]:
    """Return surrogates (n, q) of y; those of a function are drawn when they are needed.

    Args:
        surrogates: rows (k, n, q) or (k, n), or a function of a generator that returns one of them.
        pair: the rows.
        config: the settings; a function is called `permutations` times.

    Raises:
        InputError: If something is given, or surrogates have another shape than y, or are not
            finite.
    """
    if pair.given is not None:
        raise InputError(
            "Expected surrogates without given: they test whether x and y are independent. Leave "
            "one of the two out."
        )
    shape = pair.y.shape
    if callable(surrogates):
        arguments.function("surrogates", surrogates, 1)

        def drawn(generator: np.random.Generator) -> Any:
            try:
                return surrogates(generator)
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"Expected rows of shape {shape} from surrogates; got an error: {error}. It "
                    "takes a numpy.random.Generator."
                ) from error

        _checked(drawn(np.random.default_rng(0)), shape)

        def draws() -> Iterator[np.ndarray]:
            generator = np.random.default_rng([config.seed, 4])
            for _ in range(config.permutations):
                yield _checked(drawn(generator), shape)

        return draws()
    found = as_array("surrogates", surrogates)
    if found.ndim not in (2, 3) or not len(found):
        raise InputError(
            f"Expected surrogates of shape (k, {', '.join(map(str, shape))}), or a function of a "
            f"numpy.random.Generator that returns one; got shape {found.shape}."
        )
    return [_checked(each, shape) for each in found]


def _checked(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return a surrogate as rows of y."""
    found = as_array("surrogates", values).astype(np.float64, copy=False)
    found = found[:, None] if found.ndim == 1 and shape[1] == 1 else found
    if found.shape != shape or not np.isfinite(found).all():
        what = f"shape {found.shape}" if found.shape != shape else "NaN or inf"
        raise InputError(
            f"Expected finite surrogates of shape {shape}, one row for each of y; got {what}."
        )
    return found


def with_surrogates(
    found: PointEstimate, pair: Pair, surrogates: Iterable[np.ndarray]
) -> PointEstimate:
    """Return a point estimate with the p-value of a comparison with surrogates."""
    x, y = (take_rows(side, np.arange(len(pair.x))) for side in (pair.x, pair.y))
    tested = surrogate_p(x, y, surrogates)
    return replace(found, p_value=tested.p_value, test=tested.test, smallest_p=tested.smallest)
