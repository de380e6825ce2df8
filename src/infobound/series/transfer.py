"""Transfer entropy: the information of a series' past about another, beyond the other's own past.

It is the conditional mutual information I(past of X; Y_t | past of Y), or given the past of more
series, and is estimated as such. Each direction is tested in two ways (`transfer_tests`), and the
lags of the past can be chosen: those of Y's own past by prediction, those of X by tests that are
adjusted for all candidates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from infobound import data
from infobound._system import arguments
from infobound._system.calls import Recorded, recorded
from infobound._system.memory import take_rows
from infobound._system.units import Nats, Result
from infobound.analyses.compare import paired
from infobound.config import Config, configured
from infobound.data.lagged import Trials, as_trials
from infobound.errors import InputError
from infobound.estimation.estimate import estimate
from infobound.inference.conditional_independence import are_classes
from infobound.pages.numbers import p_value
from infobound.pages.page import Page
from infobound.pages.presentable import Presentable
from infobound.plotting import transfer_figures
from infobound.plotting.figures import FOUND
from infobound.regression.residuals import centred, residuals
from infobound.results.estimate import Estimate
from infobound.results.methods import shown_names
from infobound.series import transfer_page
from infobound.series.transfer_tests import (
    Sources,
    Target,
    residual_p,
    rotation_p,
    surrogate_p,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from infobound.training import loop

__all__ = [
    "DEFAULT",
    "MOST",
    "Difference",
    "Direction",
    "DirectionTests",
    "Embedded",
    "LagTest",
    "Past",
    "Storage",
    "Transfer",
    "in_one_direction",
    "storage",
    "transfer_entropy",
]

DEFAULT = Config(critic="none")  # networks gained nothing on series so far, and take longer
MOST = 10  # candidate lags of an automatic history
FEWEST = 19  # draws, below which no p-value is 0.05
GAINED = 3.0  # standard errors by which one more lag must improve the prediction of y
CHOSEN_ON = 4_000  # most rows on which a history is chosen
STRAIGHTER = 0.05  # nats by which normal scores must be more linear than the values
ADDED = 0.01  # largest p-value of a lag that is added to earlier ones

Lags = tuple[int, ...]
Surrogates = Callable[[np.ndarray, np.random.Generator], Any]


@dataclass(frozen=True)
class LagTest(Result):
    """The test of one candidate lag.

    Attributes:
        lag: how many rows the source is ahead.
        statistic: the mean squared standardised association, about 1 without transfer.
        p_value: the larger one of both tests' p-values, each adjusted for all candidate lags.
    """

    lag: int
    statistic: float
    p_value: float


@dataclass(frozen=True)
class Direction(Result):
    """The transfer entropy from a source to a target, in nats.

    Attributes:
        source: the name of the source.
        target: the name of the target.
        mi: the estimate, in nats per row.
        interval: its confidence interval, in nats. It allows for autocorrelation, but not for the
            choice of lags.
        p_value: of "no transfer": the larger one of the next two, so valid if either is.
        rotation_p: of "the source is independent of the target and of all else that is given", by
            rotating it in time or from the caller's surrogates.
        residual_p: of "given the target's past, the source's past adds nothing about the target",
            from residuals.
        lags: the lags of the source.
        history: the lags of the target, and of what else is given.
        scan: the test of each candidate lag, if there were several.
        n: the number of rows with a past.
        estimate: the estimate of the conditional mutual information.
    """

    source: str
    target: str
    mi: Nats
    interval: tuple[Nats, Nats]
    p_value: float
    rotation_p: float
    residual_p: float
    lags: Lags
    history: Lags
    scan: tuple[LagTest, ...]
    n: int
    estimate: Estimate

    def __str__(self) -> str:
        """Format the value as one line with its unit."""
        low, high = self.interval
        return (
            f"{self.source} -> {self.target} = {self.mi:.3f} nats [{low:.3f}, {high:.3f}], "
            f"{p_value(self.p_value)}, {self.n:,} rows"
        )


@dataclass(frozen=True)
class Difference(Result):
    """The difference of both directions, in nats.

    Attributes:
        mi: forward less backward.
        interval: its confidence interval, from differences row by row.
        p_value: the two-sided p-value of no difference.
    """

    mi: Nats
    interval: tuple[Nats, Nats]
    p_value: float


@dataclass(frozen=True, repr=False)
class Transfer(Recorded, Presentable):
    """The transfer entropies of two series in both directions, in nats.

    Attributes:
        forward: from x to y.
        backward: from y to x.
        difference: forward less backward.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=401)
        >>> y = np.roll(x, 1) + rng.normal(size=401)  # exact: 0.347 nats
        >>> found = transfer_entropy(x[1:], y[1:], base="gaussian")
        >>> found.forward.p_value < 0.05 < found.backward.p_value
        True
        >>> found.to_frame()[["source", "target", "n"]].values.tolist()
        [['x', 'y', 399], ['y', 'x', 399]]
    """

    forward: Direction
    backward: Direction
    difference: Difference

    def __str__(self) -> str:
        """Format both directions and their difference, one line each."""
        low, high = self.difference.interval
        last = f"difference = {self.difference.mi:+.3f} nats [{low:.3f}, {high:.3f}]"
        return f"{self.forward}\n{self.backward}\n{last}, {p_value(self.difference.p_value)}"

    def __repr__(self) -> str:
        """Describe the result in one line."""
        return f"Transfer: {self.page().headline}"

    def page(self, units: str = "nats") -> Page:
        """Describe everything about the result that can be shown."""
        return transfer_page.transfer_page(self, units)

    def to_frame(self, units: str = "nats") -> pd.DataFrame:
        """Return one row for each direction, with values in "nats" or "bits".

        Raises:
            InputError: If the unit is neither.
        """
        import pandas as pd

        rows = []
        for one in (self.forward, self.backward):
            found = one.values(units)
            found["low"], found["high"] = found["interval"]
            rows.append(found)
        columns = ["source", "target", "mi", "low", "high", "p_value", "rotation_p", "residual_p"]
        return pd.DataFrame(rows)[[*columns, "lags", "history", "n"]]

    def figure(self, units: str = "nats") -> Figure:
        """Return a picture of both directions and their difference, and of the lags if scanned.

        Raises:
            InputError: If the unit is neither "nats" nor "bits".
        """
        both = self.forward, self.backward
        rows = [(f"{one.source} → {one.target}", one.mi, one.interval, one.p_value) for one in both]
        last = self.difference
        rows.append(("difference", last.mi, last.interval, last.p_value))
        scans = {
            f"{one.source} → {one.target}": [
                (test.lag, test.statistic, test.p_value <= FOUND) for test in one.scan
            ]
            for one in both
            if one.scan
        }
        return transfer_figures.directions(rows, scans, n=self.forward.n, unit=units)


@dataclass(frozen=True, repr=False)
class Storage(Recorded, Presentable):
    """The active information storage of a series: I(past of Y; Y_t), in nats.

    Attributes:
        mi: the estimate, in nats per row.
        interval: its confidence interval, in nats.
        p_value: of "past and present are independent", by shifting them in time.
        history: the lags of the past.
        n: the number of rows with a past.
        estimate: the estimate of the mutual information.
    """

    mi: Nats
    interval: tuple[Nats, Nats]
    p_value: float | None
    history: Lags
    n: int
    estimate: Estimate

    def __str__(self) -> str:
        """Format the value as one line with its unit."""
        low, high = self.interval
        return f"I(past; present) = {self.mi:.3f} nats [{low:.3f}, {high:.3f}], {self.n:,} rows"

    def page(self, units: str = "nats") -> Page:
        """Describe everything about the result that can be shown."""
        return transfer_page.storage_page(self, units)


@dataclass(frozen=True)
class Past:
    """Which lags are used, or how they are chosen.

    Attributes:
        lags: the candidate lags at which the past of the source begins.
        history: the number of values of the target's past, or "auto".
        source_history: the number of values of the source's past, or "auto".
    """

    lags: Lags
    history: int | str
    source_history: int | str

    @classmethod
    def of(cls, lag: Any, history: Any, source_history: Any = None) -> Past:
        """Check the arguments of the caller.

        Raises:
            InputError: If they are not positive whole numbers, or "auto" for a history.

        Example:
            >>> Past.of(1, 2)
            Past(lags=(1,), history=2, source_history=2)
        """
        several = isinstance(lag, (Sequence, range, np.ndarray)) and not isinstance(lag, str)
        lags = tuple(
            arguments.integer("lag", each, least=1) for each in (lag if several else [lag])
        )
        arguments.expect(bool(lags), "lag", "a positive number, or several", lag)
        source_history = history if source_history is None else source_history
        found = [
            each
            if isinstance(each, str) and each == "auto"
            else arguments.integer(name, each, least=1)
            for name, each in (("history", history), ("source_history", source_history))
        ]
        return cls(tuple(dict.fromkeys(lags)), found[0], found[1])

    @property
    def candidates(self) -> list[Lags]:
        """The candidates of the source's lags: single lags if their number is chosen."""
        if self.source_history == "auto":
            return [(lag,) for lag in range(min(self.lags), max(self.lags) + MOST)]
        return [tuple(range(lag, lag + int(self.source_history))) for lag in self.lags]

    @property
    def longest(self) -> int:
        """The largest lag that may be used."""
        own = MOST if self.history == "auto" else int(self.history)
        return max(own, *(lag for each in self.candidates for lag in each))


@recorded("x", "y")
def transfer_entropy(
    x: Any,
    y: Any = None,
    *,
    lag: int | Sequence[int] = 1,
    history: int | Literal["auto"] = 1,
    source_history: int | Literal["auto"] | None = None,
    given: Any = None,
    groups: Any = None,
    surrogates: Any = None,
    permutations: int | None = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    seed: int = 0,
    config: Config | None = None,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> Transfer:
    """Estimate the transfer entropy of two series in both directions, with tests.

    Forward it is I(past of x; y_t | past of y, past of given), in nats per row: what the past of x
    says about y beyond its own past. It is no proof of a cause (docs/transfer.md).

    Args:
        x: (n, p) or (n,), rows in the order of time. Or, without y, a pair as returned by
            `readers.read`, whose given rows are used.
        y: (n, q) or (n,).
        lag: how many rows before y the past of x begins. Of several, such as `range(1, 21)`, the
            one with the strongest association is used in each direction; the tests are adjusted
            for all.
        history: how many values of the past of y, and of given, are used: 1 is y_{t-1} alone.
            "auto": lags up to 10 that improve the prediction of y clearly.
        source_history: how many values of the past of x are used: x_{t-lag} and those before. By
            default as many as `history`. "auto": lags among ten from the first one on, one after
            another, while tests that are adjusted for all of them find more.
        given: (n, r) or (n,), series whose past may explain both, such as a common cause.
        groups: (n,), labels of trials or subjects; no past and no rotation crosses their borders.
            From ten on, folds and errors of the estimate are those of trials.
        surrogates: in place of rotations, a function that returns a surrogate of a series (n, d)
            with a `numpy.random.Generator`, called `permutations` times; or surrogates of x alone,
            (k, n) or (k, n, p), k >= 19.
        permutations: the number of draws of each test, at least 19; by default that of `config`,
            999.
        categorical: names of columns that are categories, as in `estimate`.
        numeric: names of columns that are quantities, in the same way.
        seed: seed of tests and estimates, unless there is a `config`, which has its own.
        config: the settings of the estimates; by default closed forms without a network. Rows are
            always a series, and nothing is certified.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, `Interrupted` is raised.
        **settings: any field of `Config`, by name.

    Returns:
        Both directions and their difference, in nats.

    Raises:
        InputError: If rows cannot be used, are too few for the past, or an argument is invalid.
        Interrupted: If `stop` returned True.

    Source: transfer entropy, Schreiber 2000, https://doi.org/10.1103/PhysRevLett.85.461; choice of
    lags with maximum statistics, Novelli et al. 2019, https://arxiv.org/abs/1902.06828.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, noise = rng.normal(size=(2, 500))
        >>> y = np.zeros(500)
        >>> for t in range(2, 500):
        ...     y[t] = 0.5 * y[t - 1] + x[t - 2] + noise[t]
        >>> found = transfer_entropy(x, y, lag=range(1, 6), base="gaussian")
        >>> found.forward.lags
        (2,)
    """
    past = Past.of(lag, history, source_history)
    config = configured(config, settings, DEFAULT.with_(seed=seed))
    permutations = config.permutations if permutations is None else permutations
    permutations = arguments.integer("permutations", permutations, least=FEWEST)
    pair = data.as_pair(x, y, given=given, categorical=categorical, numeric=numeric)
    rows = np.arange(len(pair.x))
    sides = [take_rows(side, rows) for side in (pair.x, pair.y)]
    known = np.empty((len(rows), 0)) if pair.given is None else take_rows(pair.given, rows)
    trials = as_trials(groups, len(rows)).after(past.longest)
    names = _name(pair.x_names, "x"), _name(pair.y_names, "y")
    draws = [_drawn(surrogates, side, permutations, config.seed) for side in sides]
    if surrogates is not None and not callable(surrogates):
        draws[1] = None
    both = [
        in_one_direction(
            sides[k],
            sides[1 - k],
            known,
            trials,
            past,
            names=(names[k], names[1 - k]),
            surrogates=draws[k],
            permutations=permutations,
            config=config,
            watch=watch,
            stop=stop,
        )
        for k in (0, 1)
    ]
    one, other = (direction.estimate for direction in both)
    found = Difference(*paired(one, other, config=_series(config), groups=trials.groups))
    if not config.pointwise:
        both = [
            dataclasses.replace(one, estimate=dataclasses.replace(one.estimate, pointwise=None))
            for one in both
        ]
    return Transfer(both[0], both[1], found)


def in_one_direction(
    source: np.ndarray,
    target: np.ndarray,
    given: np.ndarray,
    trials: Trials,
    past: Past,
    *,
    names: tuple[str, str],
    surrogates: Iterable[np.ndarray] | None = None,
    permutations: int = 999,
    config: Config,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    progress: bool | None = None,
) -> Direction:
    """Choose lags, test and estimate the transfer from one series to another.

    Args:
        source: (n, p).
        target: (n, q).
        given: (n, r), series whose past is given besides that of the target; r may be 0.
        trials: the rows that have a past.
        past: the lags, or how they are chosen.
        names: the names of source and target.
        surrogates: surrogates of the source, (n, p) each, in place of rotations.
        permutations: the number of draws of each test.
        config: the settings of the estimate.
        watch: see `estimate`, also for `stop` and `progress`.
        stop: between iterations.
        progress: whether a bar is shown.

    Returns:
        The direction; its estimate has the contribution of each row.

    Raises:
        InputError: If there are too few rows.
    """
    config = _series(config)
    rows = Embedded.of(source, target, given, trials, past, seed=config.seed)
    tests = DirectionTests.of(
        rows, surrogates=surrogates, permutations=permutations, seed=config.seed
    )
    best = tests.best
    lags = rows.candidates[best]
    if past.source_history == "auto":
        lags = _more_lags(rows, lags, permutations, config.seed)
    result = estimate(
        trials.past(rows.source, lags),
        rows.present,
        given=rows.base,
        groups=trials.groups,
        config=config,
        watch=watch,
        stop=stop,
        progress=progress,
    )
    scan = [
        LagTest(lag[0], float(statistic), float(max(p)))
        for lag, statistic, *p in zip(
            rows.candidates, tests.statistics, tests.rotation, tests.residual, strict=True
        )
    ]
    rotation, residual = float(tests.rotation[best]), float(tests.residual[best])
    return Direction(
        source=names[0],
        target=names[1],
        mi=result.mi,
        interval=result.interval,
        p_value=max(rotation, residual),
        rotation_p=rotation,
        residual_p=residual,
        lags=lags,
        history=rows.history,
        scan=tuple(scan) if len(scan) > 1 else (),
        n=result.n,
        estimate=result,
    )


@recorded("y")
def storage(
    y: Any,
    *,
    history: int | Literal["auto"] = 1,
    groups: Any = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    seed: int = 0,
    config: Config | None = None,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> Storage:
    """Estimate the active information storage of a series, I(past of y; y_t).

    Args:
        y: (n, q) or (n,), rows in the order of time.
        history: how many values of the past are used; "auto": lags up to 10 that improve the
            prediction clearly.
        groups: (n,), labels of trials, as in `transfer_entropy`.
        categorical: names of columns that are categories, as in `estimate`; "y" for all.
        numeric: names of columns that are quantities, in the same way.
        seed: seed of the estimate, unless there is a `config`.
        config: the settings; by default closed forms without a network. Rows are always a series.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, `Interrupted` is raised.
        **settings: any field of `Config`, by name.

    Returns:
        The storage, in nats.

    Raises:
        InputError: If rows cannot be used, are too few, or an argument is invalid.
        Interrupted: If `stop` returned True.

    Source: Lizier, Prokopenko and Zomaya 2012, https://doi.org/10.1016/j.ins.2012.04.016.

    Example:
        >>> noise, y = np.random.default_rng(0).normal(size=500), np.zeros(500)
        >>> for t in range(1, 500):
        ...     y[t] = 0.8 * y[t - 1] + noise[t]
        >>> found = storage(y)  # exact: 0.511 nats
        >>> 0.4 < found.mi < 0.6
        True
    """
    past = Past.of(1, history, 1)
    config = configured(config, settings, DEFAULT.with_(seed=seed)).with_(series=True)
    pair = data.as_pair(y, y, categorical=_as_x(categorical), numeric=_as_x(numeric))
    values = take_rows(pair.x, np.arange(len(pair.x)))
    trials = as_trials(groups, len(values)).after(past.longest)
    lags = _own_lags(values, trials, past, config.seed)
    found = estimate(
        trials.past(values, lags),
        trials.past(values, [0]),
        groups=trials.groups,
        config=config,
        watch=watch,
        stop=stop,
    )
    return Storage(found.mi, found.interval, found.p_value, lags, found.n, found)


def _as_x(names: Sequence[str]) -> list[str]:
    """Return names of columns of y as those of x, since both are the same series."""
    asked = arguments.labels("categorical or numeric", names)
    return [f"x{name[1:]}" if name == "y" or name.startswith("y[") else name for name in asked]


def _represented(
    source: np.ndarray, target: np.ndarray, given: np.ndarray, trials: Trials, past: Past
) -> tuple[np.ndarray, ...]:
    """Return the series as they are, or their normal scores if these are clearly more linear.

    Increasing maps of columns change no transfer entropy. The longest past is compared, by linear
    regressions that are fitted to the first half of the rows and evaluated on the other.
    """
    plain = source, target, given
    scores = tuple(_scores(side) for side in plain)
    lags = range(1, past.longest + 1)
    worth = []
    for x, y, z in (plain, scores):
        known = np.hstack([trials.past(side, lags) for side in (x, y, z)])
        present = trials.past(y, [0])
        design = np.column_stack([np.ones(len(known)), known])
        half = len(design) // 2
        slopes = np.linalg.lstsq(design[:half], present[:half])[0]
        missed = ((present - design @ slopes)[half:] ** 2).sum(axis=0)
        spread = ((present - present[:half].mean(axis=0))[half:] ** 2).sum(axis=0)
        worth.append(np.log((spread + 1e-300) / (missed + 1e-300)).sum() / 2)
    return scores if worth[1] > worth[0] + STRAIGHTER else plain


def _scores(values: np.ndarray) -> np.ndarray:
    """Return normal scores of all columns but those of few values."""
    many = ~are_classes(values).astype(bool)
    if not many.any():
        return values
    found = values.astype(np.float64)
    found[:, many] = data.Transform.fit(values[:, many]).normal_scores(values[:, many])
    return found


def _series(config: Config) -> Config:
    """Return settings for estimates of a series, whose rows can be compared."""
    return config.with_(series=True, pointwise=True, certify=False)


@dataclass(frozen=True, eq=False)
class Embedded:
    """What a direction is estimated and tested from.

    Attributes:
        source: (n, p), the source; normal scores if these are clearly more linear.
        present: (rows, q), the target.
        base: (rows, k), the past of the target and of what else is given.
        history: the lags of these.
        trials: the rows that have a past.
        candidates: the candidates of the source's lags.
    """

    source: np.ndarray
    present: np.ndarray
    base: np.ndarray
    history: Lags
    trials: Trials
    candidates: tuple[Lags, ...]

    @classmethod
    def of(
        cls,
        source: np.ndarray,
        target: np.ndarray,
        given: np.ndarray,
        trials: Trials,
        past: Past,
        *,
        seed: int,
    ) -> Embedded:
        """Choose the lags of the target; the arguments are those of `in_one_direction`."""
        source, target, given = _represented(source, target, given, trials, past)
        history = _own_lags(target, trials, past, seed)
        base = np.hstack([trials.past(target, history), trials.past(given, history)])
        present = trials.past(target, [0])
        return cls(source, present, base, history, trials, tuple(past.candidates))


@dataclass(frozen=True, eq=False)
class DirectionTests:
    """Both tests of each candidate, adjusted for all candidates.

    Attributes:
        rotation: (c,), p-values of the rotation test, or of the caller's surrogates.
        residual: (c,), those of the residual test.
        statistics: (c,), the mean squared standardised associations.
    """

    rotation: np.ndarray
    residual: np.ndarray
    statistics: np.ndarray

    @property
    def best(self) -> int:
        """The candidate with the smallest larger p-value, and then the largest statistic."""
        return int(np.lexsort([-self.statistics, np.maximum(self.rotation, self.residual)])[0])

    @classmethod
    def of(
        cls,
        rows: Embedded,
        *,
        surrogates: Iterable[np.ndarray] | None = None,
        permutations: int,
        seed: int,
    ) -> DirectionTests:
        """Test each candidate of the source's lags against the present of the target."""
        trials = rows.trials
        pasts = [trials.past(rows.source, lags) for lags in rows.candidates]
        left, target = _taken_out(pasts, rows.present, rows.base, trials, seed)
        plain = Sources.of(pasts)
        rotation, statistics = rotation_p(plain, target, rotations=permutations, seed=seed)
        if surrogates is not None:
            others = (
                Sources.of([trials.past(each, lags) for lags in rows.candidates])
                for each in surrogates
            )
            rotation = surrogate_p(plain, others, target)
        residual = residual_p(left, target, permutations=permutations, seed=seed)
        return cls(rotation, residual, statistics)


def _taken_out(
    pasts: Sequence[np.ndarray], present: np.ndarray, base: np.ndarray, trials: Trials, seed: int
) -> tuple[Sources, Target]:
    """Take what is given out of the candidates and the target, and choose functions of them."""
    known = _standardised(base)
    every = [*pasts, present]
    together = np.hstack(every)
    few = are_classes(together)
    left = np.empty_like(together, dtype=np.float64)
    for chosen, way in ((few, centred), (~few, _residuals)):
        if chosen.any():
            left[:, chosen] = way(known, _standardised(together[:, chosen]), seed=seed)
    ends = np.cumsum([part.shape[1] for part in every])[:-1]
    *sides, target = np.hsplit(left, ends)
    *kinds, own = np.split(few, ends)
    return Sources.of(sides, kinds), Target.of(target, known, own, trials.lengths)


def _residuals(known: np.ndarray, values: np.ndarray, *, seed: int) -> np.ndarray:
    return residuals(known, values, seed=seed).values


def _standardised(values: np.ndarray) -> np.ndarray:
    """Return robustly scaled columns with mean zero and variance one; constant ones are zero."""
    scaled = data.Transform.fit(values).robust(values)
    spread = scaled.std(axis=0)
    return np.asarray((scaled - scaled.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _more_lags(rows: Embedded, lags: Lags, permutations: int, seed: int) -> Lags:
    """Add lags of the source, one after another, while the best of the others is significant.

    Given the lags that were chosen before, a rotation of the others has no information, so the
    test of residuals alone decides, adjusted for all that are left.
    """
    trials = rows.trials
    while len(lags) < len(rows.candidates):
        rest = [each for each in rows.candidates if each[0] not in lags]
        known = np.hstack([rows.base, trials.past(rows.source, lags)])
        pasts = [trials.past(rows.source, each) for each in rest]
        left, target = _taken_out(pasts, rows.present, known, trials, seed)
        p_values = residual_p(left, target, permutations=permutations, seed=seed)
        best = int(np.argmin(p_values))
        if p_values[best] > ADDED:
            break
        lags = (*lags, *rest[best])
    return tuple(sorted(lags))


def _own_lags(values: np.ndarray, trials: Trials, past: Past, seed: int) -> Lags:
    """Return the lags of a series' own past: chosen are the last value and those that help.

    A lag is added if it clearly improves the prediction. Only the series itself decides, so tests
    against another series stay valid.
    """
    if past.history != "auto":
        return tuple(range(1, int(past.history) + 1))
    every = trials.past(values, range(MOST + 1))[:CHOSEN_ON]
    d = values.shape[1]
    present, *pasts = (_standardised(every[:, d * k : d * (k + 1)]) for k in range(MOST + 1))
    lags: Lags = (1,)
    misses = _misses(pasts, lags, present, seed)
    while len(lags) < MOST:
        tried = {
            lag: _misses(pasts, (*lags, lag), present, seed)
            for lag in range(1, MOST + 1)
            if lag not in lags
        }
        best = min(tried, key=lambda lag: float(tried[lag].mean()))
        gain = misses - tried[best]
        if gain.mean() <= GAINED * gain.std() / np.sqrt(len(gain)):
            break
        lags, misses = (*lags, best), tried[best]
    return tuple(sorted(lags))


def _misses(pasts: Sequence[np.ndarray], lags: Lags, present: np.ndarray, seed: int) -> np.ndarray:
    """Return squared errors (n,) of predictions by regressions that were fitted to other rows."""
    known = np.hstack([pasts[lag - 1] for lag in lags])
    return np.asarray((centred(known, present, seed=seed) ** 2).sum(axis=1))


def _drawn(
    surrogates: Any, values: np.ndarray, count: int, seed: int
) -> Iterable[np.ndarray] | None:
    """Return the caller's surrogates of a series (n, d), checked, or None for rotations."""
    if surrogates is None:
        return None
    if callable(surrogates):
        return _called(surrogates, values, count, np.random.default_rng(seed))
    found = np.asarray(surrogates, dtype=np.float64)
    found = found[:, :, None] if found.ndim == 2 else found
    if found.ndim != 3 or found.shape[1:] != values.shape or len(found) < FEWEST:
        raise InputError(
            f"Expected surrogates of shape (k, {len(values)}, {values.shape[1]}), with k of "
            f"{FEWEST} or more; got {found.shape}. Each is a whole series like x."
        )
    return found


def _called(
    surrogates: Surrogates, values: np.ndarray, count: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield surrogates from a function of the caller."""
    for _ in range(count):
        found = np.asarray(surrogates(values.copy(), rng), dtype=np.float64)
        found = found[:, None] if found.ndim == 1 else found
        if found.shape != values.shape or not np.isfinite(found).all():
            raise InputError(
                f"Expected surrogates to return finite rows of shape {values.shape}; got "
                f"{found.shape}. It is called with a series (n, d) and a generator."
            )
        yield found


def _name(columns: Sequence[str], otherwise: str) -> str:
    """Return the names of columns, one for a category, or a letter for those of an array."""
    unnamed = any(name.startswith(f"{otherwise}[") for name in columns)
    return otherwise if unnamed else " ".join(shown_names(columns))
