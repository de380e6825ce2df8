"""The result of an estimate: numbers with their intervals, findings, and how they were made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infobound._system import schemas
from infobound._system.units import Nats, Result, convert, scale
from infobound.diagnostics.findings import OK, Finding, worst
from infobound.errors import InputError

__all__ = ["Estimate"]


@dataclass(frozen=True)
class Estimate(Result):
    """The mutual information of two samples, and what is known about the number; in nats.

    `mi` is the point estimate and `interval` its confidence interval at `config["level"]`.
    `held_out` is the bound, cross-fitted: each row scored by a critic that never saw it, with
    its standard error `held_out_error`; negative values are kept as they are. `certified` is a
    lower bound on I(X;Y) that is wrong in at most a share 1 - level of samples, whatever their
    distribution, if rows are independent; `p_value` is that of "x and y are independent": both
    from critics that saw only earlier rows (docs/certificate.md, docs/independence.md).
    `training` is the same bound on the rows that the critics were trained on, too high by nature;
    it is here to be compared, not quoted. `ceiling` is the largest value that the bound can show.
    What was not computed is None. `method` says what made `mi`: "critic", "base" (a closed form
    alone, in every fold) or "ksg" (nearest neighbours, where they find more); `bases` names each
    fold's base and `ksg` is the second opinion, where there is one. `pointwise`, on request, has
    each row's part of the estimate before its correction.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=300)
        >>> from infobound import estimate
        >>> result = estimate(x, x + np.random.default_rng(1).normal(size=300), critic="none")
        >>> Estimate.from_dict(result.as_dict()) == result
        True
    """

    mi: Nats
    interval: tuple[Nats, Nats]
    held_out: Nats | None
    held_out_error: Nats | None
    training: Nats | None
    ceiling: Nats | None
    certified: Nats | None
    p_value: float | None
    ksg: Nats | None
    method: str
    bases: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    n: int
    dim_x: int
    dim_y: int
    bound: str
    critic: str
    kept: int
    config: dict[str, Any]
    seed: int
    versions: dict[str, str]
    seconds: float = field(compare=False)
    pointwise: tuple[Nats, ...] | None = None

    @property
    def verdict(self) -> str:
        """The code of the most severe finding, or "ok"; docs/findings.md has their order."""
        finding = worst(self.findings)
        return OK if finding is None else finding.code

    @property
    def half_width(self) -> float:
        """Half of the interval, nats, where it does not end at an entropy."""
        return max(self.interval[1] - self.mi, self.mi - self.interval[0])

    def __float__(self) -> float:
        """The point estimate in nats."""
        return self.mi

    def __str__(self) -> str:
        """One line, with the unit."""
        low, high = self.interval
        held_out = ""
        if self.held_out is not None:
            held_out = f"held-out {self.held_out:.3f} +- {self.held_out_error:.3f}, "
        return f"I(X;Y) = {self.mi:.3f} nats [{low:.3f}, {high:.3f}], {held_out}{self.n:,} rows"

    def as_dict(self, unit: str = "nats") -> dict[str, Any]:
        """Plain values, the verdict among them, fit for JSON; `unit` is nats or bits."""
        return {"unit": unit, "verdict": self.verdict, **self.values(unit)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Estimate:
        """The inverse of `as_dict` in either unit, also after a way through JSON.

        Values in bits come back in nats, to rounding.

        Raises:
            InputError: other values than those of `as_dict`.
        """
        try:
            as_written: Estimate = schemas.parse(cls, values)
        except ValueError as error:
            raise InputError(
                f"Expected the values of Estimate.as_dict; got others ({error}). Was this written "
                "by another version, or is it part of a result?"
            ) from error
        unit = values.get("unit", "nats")
        if unit == "nats":
            return as_written
        nats_of_it = convert(cls, dataclasses.asdict(as_written), 1 / scale(unit))
        parsed: Estimate = schemas.parse(cls, nats_of_it)
        return parsed
