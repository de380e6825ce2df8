"""Interaction of three variables: the difference I(X;Y|Z) - I(X;Y), estimated from the same rows.

It is positive where Z adds to what X says about Y (synergy), and negative where Z explains what X
says about Y (redundancy). It is symmetric in the three variables. Both estimates use the same
folds, so their errors are correlated and partly cancel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from infobound import data
from infobound._system.calls import Recorded, recorded
from infobound._system.units import Nats
from infobound.analyses import difference_page
from infobound.analyses.compare import paired
from infobound.config import Config, configured
from infobound.errors import InputError
from infobound.estimation.conditional_guarantees import GivenSampler
from infobound.estimation.estimate import estimate
from infobound.pages.numbers import p_value
from infobound.pages.page import Page
from infobound.pages.presentable import Presentable
from infobound.results.estimate import Estimate
from infobound.training import loop

__all__ = ["Interaction", "interaction"]


@dataclass(frozen=True, repr=False)
class Interaction(Recorded, Presentable):
    """The interaction information of three variables, in nats.

    Attributes:
        difference: I(X;Y|Z) - I(X;Y), in nats. Positive: z adds to the information of x about y.
            Negative: z explains it.
        interval: its confidence interval, in nats.
        p_value: the two-sided p-value of no difference.
        conditional: the estimate of I(X;Y|Z).
        unconditional: the estimate of I(X;Y).

    Example:
        >>> import numpy as np
        >>> z = np.random.default_rng(0).normal(size=300)  # a common cause
        >>> x, y = z + np.random.default_rng(1).normal(size=(2, 300))
        >>> interaction(x, y, z, estimator="gaussian", certify=False).difference < 0
        True
    """

    difference: Nats
    interval: tuple[Nats, Nats]
    p_value: float
    conditional: Estimate
    unconditional: Estimate

    def __str__(self) -> str:
        """Format the difference as one line with its unit."""
        low, high = self.interval
        return (
            f"I(X;Y|Z) - I(X;Y) = {self.difference:.3f} nats [{low:.3f}, {high:.3f}], "
            f"{p_value(self.p_value)}, {self.conditional.n:,} rows"
        )

    @property
    def estimates(self) -> dict[str, Estimate]:
        """Both estimates by their names."""
        return {"I(X;Y|Z)": self.conditional, "I(X;Y)": self.unconditional}

    def page(self, units: str = "nats") -> Page:
        """Describe the difference and both estimates.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        return difference_page.page_of(
            self.estimates,
            self.difference,
            self.interval,
            self.p_value,
            kind="Interaction of three variables",
            name="I(X;Y|Z) - I(X;Y)",
            meaning="positive: z adds to the information of x about y; negative: z explains it",
            call=self.call,
            units=units,
            cited=["https://doi.org/10.1007/BF02289159"],
        )

    def records(self, units: str = "nats") -> list[dict[str, Any]]:
        """Return a row for each estimate, and one for the difference."""
        return difference_page.difference_rows(
            self.estimates, self.difference, self.interval, self.p_value, units
        )


@recorded("x", "y", "z")
def interaction(
    x: Any,
    y: Any = None,
    z: Any = None,
    *,
    groups: Any = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    given_sampler: GivenSampler | None = None,
    config: Config | None = None,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> Interaction:
    """Estimate I(X;Y|Z) - I(X;Y): whether z adds to the information of x on y, or not.

    Args:
        x: (n, p) or (n,). Or, without y and z, a pair with given rows, as returned by
            `readers.read(..., given=...)`.
        y: (n, q) or (n,).
        z: (n, r) or (n,).
        groups: (n,), a label for each row, if rows of a group are not independent, as in
            `estimate`.
        categorical: names of columns that are categories, as in `estimate`; "x", "y" or "given" for
            all columns of a sample. Columns of arrays are called x[0], y[0], given[0], ...
        numeric: names of columns that are quantities, in the same way.
        given_sampler: a function that draws x (m, p) for z (m, r) with a `numpy.random.Generator`,
            if the distribution of x given z is known; `conditional.certified` is then a bound.
        config: the settings; `Config()` by default.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, `Interrupted` is raised.
        **settings: any field of `Config`, by name.

    Returns:
        The difference with its interval and p-value, and both estimates; in nats.

    Raises:
        InputError: If rows cannot be used, z is missing, a setting is unknown, or the sampler does
            not return rows of x.
        Interrupted: If `stop` returned True.

    Source: interaction information, McGill 1954, https://doi.org/10.1007/BF02289159, with the sign
    that is positive for synergy.

    Example:
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).integers(2, size=(2, 400))
        >>> settings = {"base": "table", "critic": "none", "certify": False}
        >>> found = interaction(x, y, x ^ y, **settings)  # each pair is independent
        >>> round(found.difference, 1)
        0.7
    """
    config = configured(config, settings)
    pair = data.as_pair(x, y, given=z, groups=groups, categorical=categorical, numeric=numeric)
    if pair.given is None:
        raise InputError(
            "Expected a third variable; got x and y alone. Write interaction(x, y, z), or "
            "readers.read(..., given=...); on the command line, --given COLUMNS."
        )
    asked = config.with_(pointwise=True)
    given = estimate(pair, given_sampler=given_sampler, config=asked, watch=watch, stop=stop)
    alone = dataclasses.replace(pair, given=None, given_names=())
    plain = estimate(alone, config=asked, watch=watch, stop=stop)
    difference, interval, p_value = paired(given, plain, config=config, groups=pair.groups)
    both = [given, plain]
    short = both if config.pointwise else [dataclasses.replace(e, pointwise=None) for e in both]
    return Interaction(difference, interval, p_value, *short)
