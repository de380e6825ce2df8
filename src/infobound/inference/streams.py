"""Sequential test of independence on a stream of rows, valid under optional stopping.

The bets are in `permutation` and the default critic in `models.cosine`. This module decides which
rows the critic is fitted to and which rows are bet on.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from infobound._system import arguments, torch_state
from infobound.data import as_pair
from infobound.data.containers import as_array, as_rows
from infobound.errors import InputError
from infobound.inference.permutation import Wealth, log_e_values
from infobound.models.cosine import Witness

__all__ = ["IndependenceStream", "StreamState"]

Critic = Callable[[np.ndarray, np.ndarray], np.ndarray]

BET_ROWS = 5  # rows bet on together
WAITING_ROWS = 20  # rows before the first bet
BATCH_GROUPS = 20  # groups scored at once


@dataclass(frozen=True)
class StreamState:
    """The result of a stream so far.

    Attributes:
        rows: the number of rows that have arrived.
        bet: the number of rows that were bet on.
        log_wealth: natural logarithm of the wealth, which starts at 1.
        e_value: the wealth itself (at most e^700, to stay finite).
        p_value: the anytime-valid p-value of independence, in (0, 1].
        decided: whether dependence was found at the stream's level, now or earlier.
    """

    rows: int
    bet: int
    log_wealth: float
    e_value: float
    p_value: float
    decided: bool


class IndependenceStream:
    """Sequential test of independence by betting, with a critic fitted to the preceding rows.

    Rows are bet on in groups of five, in the order of arrival. The critic is refitted to all rows
    each time their number has grown by half. If x and y are independent and rows are exchangeable,
    the probability that `decided` ever becomes true is at most `level`. All rows are kept in memory
    for the fits.

    Args:
        level: the probability of a false alarm over the whole stream, however long it is.
        fit: maps rows x (n, p) and y (n, q) to a critic, which maps x (n, p) and y (m, q) to scores
            (n, m). The critic must depend on no other rows of the stream.

    Raises:
        InputError: If the level is outside (0, 1) or `fit` is not callable.

    Source: Podkopaev et al. 2023, https://arxiv.org/abs/2212.07383.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> stream = IndependenceStream(level=0.01)
        >>> while not (state := stream.state()).decided:
        ...     x = rng.normal(size=10)
        ...     state = stream.update(x, x + rng.normal(size=10))
        >>> state.rows < 100
        True
    """

    def __init__(
        self,
        *,
        level: float = 0.05,
        fit: Callable[[np.ndarray, np.ndarray], Critic] = Witness.fit,
    ) -> None:
        arguments.expect(_takes_two(fit), "fit", "a function of x and y", fit)
        self.level = arguments.real("level", level, "(0, 1)")
        self._fit = fit
        self._x: list[np.ndarray] = []
        self._y: list[np.ndarray] = []
        self._rows = 0
        self._used = 0  # rows fitted to or bet on
        self._next_fit = WAITING_ROWS
        self._critic: Critic | None = None
        self._wealth = Wealth()

    def update(self, x: Any, y: Any) -> StreamState:
        """Add rows to the stream and return its state.

        Args:
            x: (n, p), or (n,) for one column, n >= 0. Any container that `estimate` accepts.
            y: (n, q), or (n,) for one column.

        Returns:
            The state after these rows.

        Raises:
            InputError: If lengths are unequal, the number of columns has changed, or values are
                text, missing or infinite. The rows are then not added.
        """
        (new_x, _), (new_y, _) = as_rows("x", x), as_rows("y", y)
        for side, rows, before in (("x", new_x, self._x), ("y", new_y, self._y)):
            if before and rows.shape[1] != before[0].shape[1]:
                raise InputError(
                    f"Expected {before[0].shape[1]} columns in {side}, as before; got "
                    f"{rows.shape[1]}. Start another stream for other columns; a single row has "
                    "shape (1, columns)."
                )
        if len(new_x) or len(new_y):
            pair = as_pair(new_x, new_y, part=True)
            self._x.append(pair.x)
            self._y.append(pair.y)
            self._rows += len(pair.x)
            self._go_on()
        return self.state()

    def state(self) -> StreamState:
        """Return the result so far."""
        wealth = self._wealth
        return StreamState(
            rows=self._rows,
            bet=max(0, self._used - WAITING_ROWS),
            log_wealth=wealth.log_wealth,
            e_value=math.exp(min(wealth.log_wealth, 700.0)),
            p_value=wealth.p_value,
            decided=wealth.p_value <= self.level,
        )

    @torch_state.defaults()
    def _go_on(self) -> None:
        """Bet on the new rows, and refit the critic whenever the rows have grown by half."""
        if self._rows < min(self._next_fit, self._used + BET_ROWS):
            return
        x, y = self._joined()
        while True:
            stop = min(self._rows, self._next_fit)
            self._bet(x, y, stop)
            if self._rows < self._next_fit:
                return
            critic = self._fit(x[:stop], y[:stop])
            arguments.expect(callable(critic), "fit", "a function that returns a critic", critic)
            self._critic = critic
            self._wealth = self._wealth.share()
            self._used, self._next_fit = stop, BET_ROWS * round(1.5 * stop / BET_ROWS)

    def _joined(self) -> tuple[np.ndarray, np.ndarray]:
        self._x, self._y = [np.concatenate(self._x)], [np.concatenate(self._y)]
        return self._x[0], self._y[0]

    def _bet(self, x: np.ndarray, y: np.ndarray, stop: int) -> None:
        """Bet on all complete groups of the unused rows before `stop`."""
        while self._critic is not None and self._used + BET_ROWS <= stop:
            count = min(BATCH_GROUPS, (stop - self._used) // BET_ROWS)
            end = self._used + count * BET_ROWS
            scores = as_array("scores", self._critic(x[self._used : end], y[self._used : end]))
            if scores.shape != (count * BET_ROWS, count * BET_ROWS):
                raise InputError(
                    f"Expected {count * BET_ROWS} x {count * BET_ROWS} scores from the critic; got "
                    f"shape {scores.shape}. It must score every x against every y."
                )
            blocks = scores.reshape(count, BET_ROWS, count, BET_ROWS)
            groups = np.arange(count)
            self._wealth = self._wealth.bet(log_e_values(blocks[groups, :, groups]))
            self._used = end


def _takes_two(function: object) -> bool:
    """Whether something can be called with two arguments; what has no signature may be."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # built in, such as int
        return not isinstance(function, type)
    return True
