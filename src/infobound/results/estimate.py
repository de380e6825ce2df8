"""The result of an estimate: numbers with their intervals, findings and provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infobound._system.units import Nats, Result, restore
from infobound.data.pair import Pair, as_pair
from infobound.diagnostics.findings import OK, Finding, worst
from infobound.errors import InputError
from infobound.pages.page import Page
from infobound.pages.presentable import Presentable, drawn, save_report
from infobound.results import page as estimate_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Estimate"]


def _rows(x: Any, y: Any, given: Any) -> Pair | None:
    """Return the rows for figures, if there are any."""
    return None if x is None else as_pair(x, y, given=given)


@dataclass(frozen=True, repr=False)
class Estimate(Result, Presentable):
    """The estimated mutual information of two samples, with its uncertainty; in nats.

    With a third sample given it is the conditional mutual information I(X;Y|Z), `held_out` is a
    difference of two held-out bounds and so no bound itself, and `p_value` is that of the local
    permutation test of conditional independence.

    What was not computed is None.

    Attributes:
        mi: the point estimate, in nats.
        interval: its confidence interval at `config["level"]`, in nats.
        held_out: the cross-fitted bound in nats: each row is scored by a critic that never saw it.
            Negative values are kept as they are.
        held_out_error: the standard error of `held_out`, in nats.
        training: the same bound on the rows that the critics were trained on, in nats. It is biased
            upwards; compare it with `held_out`, and do not report it.
        ceiling: the largest value that the bound can take, in nats.
        certified: a lower bound on I(X;Y) in nats that is too high in at most a fraction 1 - level
            of samples, for any distribution, if rows are independent (docs/certificate.md).
        upper: an upper bound on the entropy of a side that takes few values, and so on I(X;Y), in
            nats, with the same probability. It assumes that no other values exist than those seen.
        p_value: the p-value of "x and y are independent" (docs/independence.md); None if it was not
            tested, or cannot be.
        ksg: the estimate of nearest neighbours as a second opinion, in nats.
        method: what `mi` comes from: "critic", "base" (a closed form alone, in every fold), "table"
            (counts, where both sides take few values) or "ksg" (nearest neighbours, if they find
            more).
        bases: the name of the base of each fold.
        findings: problems of the data or the estimate, in the order of their severity.
        notes: how the rows were read and encoded.
        n: the number of rows.
        dim_x: the number of columns of x.
        dim_y: the number of columns of y.
        bound: the name of the bound.
        critic: a description of the critic.
        kept: the number of folds that kept a network.
        config: the settings.
        seed: the seed of the estimate.
        versions: versions of Python and of the packages that the result depends on.
        seconds: the time that the estimate took.
        pointwise: the contribution of each row to the estimate before its correction, in nats; on
            request.
        dim_given: the number of columns of the third sample; 0 for I(X;Y).
        projection_p: the p-value of conditional independence of the projection test.
        exchanged: `held_out` with x and y exchanged, in nats, for I(X;Y|Z): near it, or one of the
            regressions failed.
        x_names: the names of the columns of x.
        y_names: those of y.
        given_names: those of the third sample.
        effective_n: the number of independent rows that would know `mi` as well, if rows follow
            each other in time or are in groups; n / (1 + 2 sum of autocorrelations) for a series.
        group_count: the number of groups of rows, if there are any.
        test: how `p_value` was computed, if rows are not independent or surrogates were given:
            "moves", "moves_in_groups", "whole_groups", "rows_in_groups" or "surrogates"
            (docs/series.md).
        smallest_p: the smallest p-value that this test can give on so many rows.

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
    upper: Nats | None = None
    dim_given: int = 0
    projection_p: float | None = None
    exchanged: Nats | None = None
    x_names: tuple[str, ...] = ()
    y_names: tuple[str, ...] = ()
    given_names: tuple[str, ...] = ()
    effective_n: float | None = None
    group_count: int | None = None
    test: str | None = None
    smallest_p: float | None = None

    @property
    def verdict(self) -> str:
        """The code of the most severe finding, or "ok"; docs/findings.md lists the order."""
        finding = worst(self.findings)
        return OK if finding is None else finding.code

    @property
    def half_width(self) -> float:
        """Half of the interval's width in nats, from the end that an entropy does not limit."""
        return max(self.interval[1] - self.mi, self.mi - self.interval[0])

    def __float__(self) -> float:
        """Return the point estimate in nats."""
        return self.mi

    def __str__(self) -> str:
        """Format the estimate as one line with its unit."""
        low, high = self.interval
        held_out = ""
        if self.held_out is not None:
            held_out = f"held-out {self.held_out:.3f} +- {self.held_out_error:.3f}, "
        what = "I(X;Y|Z)" if self.dim_given else "I(X;Y)"
        return f"{what} = {self.mi:.3f} nats [{low:.3f}, {high:.3f}], {held_out}{self.n:,} rows"

    def as_dict(self, units: str = "nats") -> dict[str, Any]:
        """Return plain values for JSON, including the verdict.

        Args:
            units: "nats" or "bits".
        """
        return {"unit": units, "verdict": self.verdict, **self.values(units)}

    def page(self, units: str = "nats", *, rows: Pair | None = None) -> Page:
        """Describe the numbers with what each may be used for, findings, methods and figures.

        Args:
            units: "nats" or "bits".
            rows: the rows of the estimate, for figures of them.

        Raises:
            InputError: If the units are neither, or the rows are not those of the estimate.
        """
        return estimate_page.page_of(self, units, rows)

    def plot(
        self,
        x: Any = None,
        y: Any = None,
        *,
        given: Any = None,
        units: str = "nats",
        path: str | Path | None = None,
    ) -> Figure:
        """Draw the dependence of x and y, or without them the numbers of the estimate.

        A result holds no data, so give the rows again. With `pointwise=True` in `estimate`, colours
        are the information of each row.

        Args:
            x: the same as for `estimate`, or the `Pair` without y.
            y: the same.
            given: the same.
            units: "nats" or "bits".
            path: a file to write it to, .png, .svg or .pdf.

        Returns:
            The matplotlib figure.

        Raises:
            InputError: If the rows are not those of the estimate, the units or the ending are
                unknown, or the file cannot be written.
        """
        return drawn(self.page(units, rows=_rows(x, y, given)), path)

    def report(
        self,
        path: str | Path,
        *,
        units: str = "nats",
        also: Sequence[Presentable] = (),
        x: Any = None,
        y: Any = None,
        given: Any = None,
    ) -> Path:
        """Write one HTML file that needs nothing else: numbers, figures, findings, methods.

        Args:
            path: the file, .html.
            units: "nats" or "bits".
            also: other results for the same page.
            x: the same as for `estimate`, or the `Pair` without y, for figures of the rows.
            y: the same.
            given: the same.

        Returns:
            The file.

        Raises:
            InputError: If the rows are not those of the estimate, the units or the ending are
                unknown, or the file cannot be written.
        """
        pages = [self.page(units, rows=_rows(x, y, given)), *(each.page(units) for each in also)]
        return save_report(pages, path)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Estimate:
        """Restore an estimate from the values of `as_dict`, also after a round trip through JSON.

        Args:
            values: the values, in nats or bits. Bits are converted to nats, up to rounding.

        Raises:
            InputError: If the values are not those of `as_dict`.
        """
        try:
            return restore(cls, values)
        except ValueError as error:
            raise InputError(
                f"Expected the values of Estimate.as_dict; got others ({error}). Was this written "
                "by another version, or is it part of a result?"
            ) from error
