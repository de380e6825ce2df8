"""Variational bounds on mutual information, in nats; `BOUNDS` lists them.

The contract of scores is in `log_sums`: (n, m), positives on the diagonal. This module does not
depend on critics or on what is done with the values.

A bound is a function of the `Sums`, so it is the same for a matrix and for tiles. It gives `terms`
(n,) in nats: their mean is the estimate, and std / sqrt(n) is its standard error. Negatives are
shared between rows, so besides its own row a term includes the influence of pair i, as a negative,
on the other rows (the infinitesimal jackknife). That part has mean zero and no gradient: it changes
the standard error, never the estimate.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from infobound._system import arguments
from infobound.bounds import log_sums as sums
from infobound.bounds.log_sums import Extras, Sums
from infobound.errors import InputError

__all__ = ["BOUNDS", "Bound", "lookup", "moving_log_average"]

NUMBERS = "alpha", "clip"  # settings that are single numbers
CAP = 30.0  # e^z is continued linearly above it, so that value and gradient stay finite in float32


@dataclass(frozen=True)
class Bound:
    """A bound: the estimate it reports, the objective it trains, and its properties.

    Attributes:
        title: the name in texts.
        of: maps `Sums` to the terms (n,) without the influence on other rows, in nats.
        is_lower_bound: whether it is a lower bound for every n, in expectation over samples, with a
            critic fixed beforehand.
        note: a description, or why it is not a lower bound.
        cite: the paper.
        url: its address.
        surrogate: maps `Sums` to the training objective, a scalar; None means the estimate. With
            `average`, it takes the moving average as second argument.
        ceiling: maps the number of columns m to the largest estimate, in nats; None means no limit.
        settings: keyword arguments of the functions above, see `bind`.
        average: maps `Sums` to the log of the batch's mean e^f, for MINE.
        extras: what `of` sums besides e^f.
        surrogate_extras: what `surrogate` sums besides e^f.
        pooled: whether all terms share one normaliser.

    Example:
        >>> BOUNDS["infonce"].estimate(9 * torch.eye(4))
        tensor(1.3859)
        >>> BOUNDS["infonce"].ceiling(4)
        1.3862943611198906
    """

    title: str
    of: Callable[..., Tensor]
    is_lower_bound: bool
    note: str
    cite: str
    url: str
    surrogate: Callable[..., Tensor] | None = None
    ceiling: Callable[..., float] | None = None
    settings: tuple[str, ...] = ()
    average: Callable[[Sums], Tensor] | None = None
    extras: Extras | None = None
    surrogate_extras: Extras | None = None
    pooled: bool = False

    def estimate(self, scores: Tensor) -> Tensor:
        """Return the bound, the mean of its terms, for scores (n, m): a scalar, in nats."""
        return self.of(sums.of(scores, self.extras)).mean()

    def terms(self, scores: Tensor) -> Tensor:
        """Return the terms (n,) of scores (n, m), including the influence on other rows, in nats.

        Their mean is the estimate, and std / sqrt(n) its standard error.
        """
        found = sums.of(scores, self.extras)
        weights = self.weights(found)
        both = sums.influence(scores, 0, scores.shape[1], self.extras, found, weights)
        return self.of(found) + self.shared(weights, *both)

    def objective(self, scores: Tensor, log_average: Tensor | None = None) -> Tensor:
        """Return the objective that training maximises.

        Args:
            scores: (n, m), in nats.
            log_average: MINE's moving average, the log of a mean e^f.

        Returns:
            A scalar, in nats.
        """
        return self.objective_from_sums(sums.of(scores, self.objective_extras), log_average)

    @property
    def objective_extras(self) -> Extras | None:
        """What the objective sums besides e^f."""
        return self.extras if self.surrogate is None else self.surrogate_extras

    def objective_from_sums(self, found: Sums, log_average: Tensor | None = None) -> Tensor:
        """Return the objective as a function of sums that were computed with `objective_extras`."""
        if self.surrogate is None:
            return self.of(found).mean()
        return self.surrogate(found) if log_average is None else self.surrogate(found, log_average)

    def weights(self, found: Sums) -> Sums:
        """Return the derivatives of the total of the terms with respect to each of the sums."""
        with torch.inference_mode(False), torch.enable_grad():
            leaves = [part.detach().clone().requires_grad_() for part in found.parts()]
            total = self.of(Sums.made(leaves)).sum()
            slopes = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
        return Sums.made(slopes)

    def shared(self, weights: Sums, on_rows: Tensor, on_columns: Tensor) -> Tensor:
        """Return the influence (n,) of pairs, as negatives, on the terms of other pairs; mean zero.

        Column j is assigned to term j modulo n. Columns beyond n are independent draws, so the
        variance of the terms includes all of them.

        Args:
            weights: the derivatives by the sums, from `weights`.
            on_rows: (n,), the influence of rows, from `log_sums.influence`.
            on_columns: (m,), the influence of columns, from `log_sums.influence`.
        """
        n, m = len(on_rows), len(on_columns)
        if self.pooled:
            on_rows = on_rows + weights.rows + sum(weights.others)
        on_columns = F.pad(on_columns - on_columns.mean(), (0, -m % n)).reshape(-1, n).sum(0)
        return on_rows - on_rows.mean() + on_columns

    def bind(self, **settings: Any) -> Bound:
        """Return this bound with some of its settings fixed.

        Raises:
            InputError: If the bound does not have a setting.

        Example:
            >>> round(BOUNDS["alpha"].bind(alpha=0.01).ceiling(101), 4)
            10.2103
        """
        unknown = sorted(set(settings) - set(self.settings))
        if unknown:
            raise InputError(
                f"Expected settings of '{self.title}' ({', '.join(self.settings) or 'it has none'})"
                f"; got {', '.join(unknown)}. Leave them out or choose the bound that uses them."
            )

        for name, value in settings.items():
            if name in NUMBERS:
                arguments.real(name, value)
        if not settings:
            return self

        def fixed(function: Any) -> Any:
            names = () if function is None else signature(function).parameters
            mine = {k: settings[k] for k in settings if k in names}
            return partial(function, **mine) if mine else function

        parts = ("of", "surrogate", "ceiling", "extras")
        return replace(self, **{part: fixed(getattr(self, part)) for part in parts})


def infonce(s: Sums, *, over: Literal["y", "x", "both"] = "both") -> Tensor:
    """Return the terms (n,) of InfoNCE, in nats.

    Over y: f_ii - log mean_j e^f_ij, with a mean of at most log m. Over x: f_ii - log mean_k e^f_ki
    over the n rows, at most log n; columns j >= n have no positive and are ignored. Both: the mean
    of the two.

    Source: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748.

    Example:
        >>> infonce(sums.of(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])), over="y").mean()
        tensor(0.6910)
    """
    if over == "both":
        return (infonce(s, over="y") + infonce(s, over="x")) / 2
    negatives = s.rows if over == "y" else s.columns[: len(s.rows)]
    count = len(s.columns) if over == "y" else len(s.rows)
    return s.positives - torch.logaddexp(s.positives, negatives) + math.log(count)


def log_mean_exp(s: Sums) -> Tensor:
    """Return the log of the mean of e^f over all negatives, the log Z of `dv`: a scalar, in nats.

    Example:
        >>> log_mean_exp(sums.of(torch.eye(3)))
        tensor(0.)
    """
    return _log_mean(s.rows, s)


def dv(s: Sums) -> Tensor:
    """Return the terms (n,) of the Donsker-Varadhan bound, in nats.

    A term is f_ii - log Z, Z the mean of e^f over all negatives. With the influence on other rows
    and n = m it is f_ii - log Z - (r_i + c_i) / Z + 2, where r_i and c_i are the means of e^f over
    the negatives of row i and of column i.

    Source: Donsker and Varadhan 1983, https://doi.org/10.1002/cpa.3160360204.

    Example:
        >>> dv(sums.of(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]))).mean()
        tensor(1.3799)
    """
    return s.positives - log_mean_exp(s)


def tuba(s: Sums, *, log_baseline: Tensor | float = 0.0) -> Tensor:
    """Return the terms (n,) of TUBA, in nats.

    A term is f_ii - a_i + 1 - mean e^(f_ij - a_i), with the mean over all negatives. It is largest
    at a = log Z, where it equals `dv`; with an a fixed beforehand it is a lower bound.

    Args:
        s: the sums of the scores.
        log_baseline: a, a number or a tensor (n,), the log of a positive function of x.

    Source: Poole et al. 2019, https://arxiv.org/abs/1905.06922, with a function of x for their
    a(y).

    Example:
        >>> tuba(sums.of(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])), log_baseline=0.5).mean()
        tensor(1.3724)
    """
    a = _rowwise(log_baseline, s)
    return s.positives - a + 1 - _exp(_log_mean(s.rows - a, s))


def nwj(s: Sums) -> Tensor:
    """Return the terms (n,) of the Nguyen-Wainwright-Jordan bound, in nats.

    A term is f_ii - mean e^(f - 1), with the mean over all negatives. This is `tuba` at log
    baseline 1, and the optimal critic is 1 + the log ratio.

    Source: Nguyen, Wainwright and Jordan 2010, https://arxiv.org/abs/0809.0853.

    Example:
        >>> nwj(sums.of(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]))).mean()
        tensor(1.3161)
    """
    return tuba(s, log_baseline=1.0)


def without_next(scores: Tensor, distance: Tensor) -> list[Tensor]:
    """Extras of `interpolated`: all negatives of a row except the one in the next column."""
    return [scores.masked_fill(distance <= 1, sums.nothing(scores))]


def interpolated(s: Sums, *, alpha: float = 0.5) -> Tensor:
    """Return the terms (n,) of the interpolation of `tuba` (alpha -> 0) and InfoNCE (alpha = 1).

    A term, in nats, is 1 + log(e^f_ii / (alpha M + 1 - alpha)) - N / (alpha N + 1 - alpha), where M
    and N are means of e^f over m - 1 entries of row i: N over the negatives, M over the positive
    and all negatives but one. Both means must have the same number of entries for this to be a
    bound. The optimal critic is the log ratio. A baseline other than 1 is a function of x added to
    the critic.

    The mean is at most 1 + log((m - 1) / alpha), since M >= e^f_ii / (m - 1) and the last part is
    >= 0.

    Source: Poole et al. 2019, https://arxiv.org/abs/1905.06922, with x and y exchanged.

    Example:
        >>> scores = torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])
        >>> interpolated(sums.of(scores, without_next)).mean()
        tensor(0.6685)
    """
    rest, scale = _log_rest(alpha), math.log(alpha / (len(s.columns) - 1))
    inside = scale + torch.logaddexp(s.positives, s.others[0])
    contrast = torch.sigmoid(scale + s.rows - rest)
    mixed = torch.logaddexp(inside, inside.new_tensor(rest))
    return 1 + s.positives - mixed - contrast / alpha


def clipped(scores: Tensor, distance: Tensor, *, clip: float = 5.0) -> list[Tensor]:
    """Extras of `smile`: the scores of the negatives, clipped to [-clip, clip]."""
    if not clip > 0:
        raise InputError(f"Expected clip to be positive; got {clip}. The usual values are 1 to 10.")
    return [scores.clamp(-clip, clip).masked_fill(distance == 0, sums.nothing(scores))]


def smile(s: Sums) -> Tensor:
    """Return the terms (n,) of SMILE, in nats: `dv` with scores clipped in the normaliser only.

    It is not a lower bound, since clipping may lower the normaliser.

    Source: Song and Ermon 2020, https://arxiv.org/abs/1910.06222; clip is their tau.

    Example:
        >>> scores = torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])
        >>> smile(sums.of(scores, partial(clipped, clip=0.5))).mean()
        tensor(1.7191)
    """
    return s.positives - _log_mean(s.others[0], s)


def halves(scores: Tensor, distance: Tensor) -> list[Tensor]:
    """Extras of `flo`: every second negative of a row, and the other negatives."""
    even, nothing = distance % 2 == 0, sums.nothing(scores)
    return [scores.masked_fill(even, nothing), scores.masked_fill(~even | (distance == 0), nothing)]


def flo(s: Sums, *, u: Tensor | float | None = None) -> Tensor:
    """Return the terms (n,) of FLO, in nats.

    A term is 1 - u_i - e^-u_i mean_j e^(f_ij - f_ii), with the mean over the negatives of row i.
    The optimal u_i is the log of that mean, and with any u that does not depend on these negatives
    it is a lower bound. Without u, one half of the negatives of a row gives u and the other half
    gives the mean, and vice versa: with the log means A and B of e^f_ij over the two halves, the
    average is f_ii + 1 - (A + B) / 2 - cosh(A - B).

    Args:
        s: the sums of the scores; without u, those with the extras `halves`.
        u: a number or a tensor (n,), optional.

    Raises:
        InputError: If u is not given and there are fewer than three columns.

    Source: Guo et al. 2022, https://arxiv.org/abs/2107.01131.

    Example:
        >>> flo(sums.of(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]), halves)).mean()
        tensor(0.9569)
    """
    m = len(s.columns)
    if u is not None:
        u = _rowwise(u, s)
        return 1 - u - _exp(s.rows - math.log(m - 1) - s.positives - u)
    if m < 3:
        raise InputError(f"Expected 3 or more columns of scores; got {m}. Pass u, or more rows.")
    a, b = s.others[0] - math.log(m // 2), s.others[1] - math.log((m - 1) // 2)
    return s.positives + 1 - (a + b) / 2 - (_exp(a - b) + _exp(b - a)) / 2


def log_softplus(scores: Tensor, distance: Tensor) -> list[Tensor]:
    """Extras of `jensen_shannon`: log softplus(f) of the negatives, which tends to f at -inf."""
    low = -30.0
    logs = torch.where(scores < low, scores, F.softplus(scores.clamp_min(low)).log())
    return [logs.masked_fill(distance == 0, sums.nothing(scores))]


def jensen_shannon(s: Sums) -> Tensor:
    """Return the Jensen-Shannon objective, a scalar.

    It is -mean softplus(-f) over positives - mean softplus(f) over negatives. At the optimal
    critic, the log ratio, it is 2 (JSD - log 2) nats; it is not on the scale of MI.

    Source: Hjelm et al. 2019, https://arxiv.org/abs/1808.06670.

    Example:
        >>> scores = torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])
        >>> jensen_shannon(sums.of(scores, log_softplus))
        tensor(-1.1301)
    """
    return -F.softplus(-s.positives).mean() - _log_mean(s.others[0], s).exp()


def mine_objective(s: Sums, log_average: Tensor) -> Tensor:
    """Return the objective of MINE, a scalar in nats.

    It is `tuba` with the moving average of the negatives' mean e^f as baseline. Its gradient is
    that of E_p f - E_q e^f / average, the bias correction of MINE.

    Args:
        s: the sums of the scores.
        log_average: a scalar, the log of the moving average; treated as a constant.

    Source: Belghazi et al. 2018, section 3.2, https://arxiv.org/abs/1801.04062.

    Example:
        >>> mine_objective(sums.of(torch.eye(3)), torch.tensor(0.0))
        tensor(1.)
    """
    return tuba(s, log_baseline=log_average.detach()).mean()


def moving_log_average(previous: Tensor, current: Tensor, rate: float) -> Tensor:
    """Update the log of MINE's moving average: log((1 - rate) e^previous + rate e^current).

    Args:
        previous: a scalar, the log of the average so far.
        current: a scalar, the log of the batch's mean e^f.
        rate: the weight of `current`, in (0, 1].

    Returns:
        A scalar, the log of the new average, computed without overflow.

    Raises:
        InputError: If the rate is outside (0, 1].

    Source: Belghazi et al. 2018, section 3.2, https://arxiv.org/abs/1801.04062.

    Example:
        >>> moving_log_average(torch.tensor(0.0), torch.tensor(2.0).log(), 0.5).exp()
        tensor(1.5000)
    """
    return torch.logaddexp(previous + _log_rest(rate), current + math.log(rate))


def lookup(name: str) -> Bound:
    """Look up a bound by its name in `BOUNDS`.

    Raises:
        InputError: If there is no such bound; the message lists similar names.

    Example:
        >>> lookup("js").title
        'Jensen-Shannon'
    """
    if name not in BOUNDS:
        near = ", ".join(difflib.get_close_matches(name, BOUNDS, 3, 0.3)) or ", ".join(BOUNDS)
        raise InputError(f"Expected the name of a bound; got {name}. Nearest: {near}.")
    return BOUNDS[name]


def _rowwise(setting: Tensor | float, s: Sums) -> Tensor:
    """Expand a number, or check one value per row, as a tensor (n,) like the scores."""
    n = len(s.positives)
    values = torch.as_tensor(setting, dtype=s.positives.dtype, device=s.positives.device)
    if values.shape not in ((), (n,)):
        raise InputError(
            f"Expected a number or shape ({n},); got shape {tuple(values.shape)}. "
            "Pass one value for each row of scores."
        )
    return values.expand(n)


def _log_mean(log_sums: Tensor, s: Sums) -> Tensor:  # over all negatives, from log sums (n,)
    return torch.logsumexp(log_sums, dim=0) - math.log(len(s.rows) * (len(s.columns) - 1))


def _log_rest(share: float) -> float:  # log(1 - share) for 0 < share <= 1
    if not 0 < arguments.real("alpha or rate", share) <= 1:
        raise InputError(
            f"Expected alpha or rate in (0, 1]; got {share}. The bound 'tuba' is alpha = 0."
        )
    return math.log1p(-share) if share < 1 else -math.inf


def _exp(z: Tensor) -> Tensor:
    """Return e^z, above CAP its tangent; it stays >= 1 + z, which is what makes NWJ <= DV."""
    low = z.clamp(max=CAP)
    return low.exp() * (1 + z - low)


def _alpha_ceiling(m: int, *, alpha: float = 0.5) -> float:
    """Return the largest value of `interpolated`, in nats."""
    return 1 + math.log(m - 1) - math.log(alpha)


# One entry per bound: title, terms, whether it is a lower bound; note; paper and address; the rest.
# fmt: off
BOUNDS: dict[str, Bound] = {
    "infonce": Bound("InfoNCE, both directions", infonce, True,
        "The mean of normalising over y for each x and over x for each y; at most log K.",
        "van den Oord et al. 2018", "https://arxiv.org/abs/1807.03748", ceiling=math.log),
    "infonce_over_y": Bound("InfoNCE over y", partial(infonce, over="y"), True,
        "Which y belongs to this x: the text of the notebook; at most log K.",
        "van den Oord et al. 2018", "https://arxiv.org/abs/1807.03748", ceiling=math.log),
    "infonce_over_x": Bound("InfoNCE over x", partial(infonce, over="x"), True,
        "Which x belongs to this y: the code of the notebook; at most log K.",
        "van den Oord et al. 2018", "https://arxiv.org/abs/1807.03748", ceiling=math.log),
    "dv": Bound("Donsker-Varadhan", dv, False,
        "A lower bound only as n grows: the log of a sample mean is too low on average.",
        "Donsker and Varadhan 1983", "https://doi.org/10.1002/cpa.3160360204", pooled=True),
    "mine": Bound("MINE", dv, False,
        "Trains with a moving average in the gradient; reports DV, a lower bound only as n grows.",
        "Belghazi et al. 2018", "https://arxiv.org/abs/1801.04062",
        surrogate=mine_objective, average=log_mean_exp, pooled=True),
    "nwj": Bound("Nguyen-Wainwright-Jordan", nwj, True,
        "Linear in e^f, so unbiased and without a ceiling, and its noise grows with e^MI.",
        "Nguyen et al. 2010", "https://arxiv.org/abs/0809.0853", pooled=True),
    "tuba": Bound("TUBA", tuba, True,
        "NWJ with a baseline that may depend on x; no ceiling, noise as NWJ.",
        "Poole et al. 2019", "https://arxiv.org/abs/1905.06922",
        settings=("log_baseline",), pooled=True),
    "alpha": Bound("alpha-interpolated", interpolated, True,
        "Between TUBA (alpha near 0) and InfoNCE (1); at most 1 + log((K - 1) / alpha).",
        "Poole et al. 2019", "https://arxiv.org/abs/1905.06922",
        ceiling=_alpha_ceiling, settings=("alpha",), extras=without_next),
    "js": Bound("Jensen-Shannon", tuba, True,
        "Trains a classifier of pairs, so its scores are log ratios; reports NWJ of 1 + scores.",
        "Hjelm et al. 2019", "https://arxiv.org/abs/1808.06670",
        surrogate=jensen_shannon, surrogate_extras=log_softplus, pooled=True),
    "smile": Bound("SMILE", smile, False,
        "Trains as js; reports DV with a clipped normaliser, which may be too low: no bound.",
        "Song and Ermon 2020", "https://arxiv.org/abs/1910.06222",
        surrogate=jensen_shannon, surrogate_extras=log_softplus, extras=clipped, settings=("clip",),
        pooled=True),
    "flo": Bound("FLO", flo, True,
        "InfoNCE's normaliser made linear by a guess u from other negatives; no ceiling.",
        "Guo et al. 2022", "https://arxiv.org/abs/2107.01131", settings=("u",), extras=halves),
}
# fmt: on
