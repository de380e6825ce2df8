"""Bounds on mutual information: what is read of all pairs' scores -> nats.

The contract of scores is in `log_sums`: (n, m), positives on the diagonal. `BOUNDS` lists the
bounds; where scores come from and what is done with the values is not known here.

A bound is a function of the `Sums`, hence the same of a matrix and of tiles. It gives `terms` (n,),
nats: their mean is the estimate, and std / sqrt(n) its standard error. Negatives are shared, so a
term holds, besides its own row, what pair i does to the other rows as a negative (the infinitesimal
jackknife). That part has mean zero and no gradient: it moves the error, never the estimate.
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

from infobound.bounds import log_sums as sums
from infobound.bounds.log_sums import Reads, Sums
from infobound.errors import InputError

__all__ = ["BOUNDS", "Bound", "lookup", "moving_log_average"]

CAP = 30.0  # above it e^z is continued by its tangent, so that float32 keeps a value and a gradient


@dataclass(frozen=True)
class Bound:
    """What is reported, what is trained, and what the number may be taken for.

    Example:
        >>> BOUNDS["infonce"].estimate(9 * torch.eye(4))
        tensor(1.3859)
        >>> BOUNDS["infonce"].ceiling(4)
        1.3862943611198906
    """

    title: str
    of: Callable[..., Tensor]  # Sums -> terms (n,) without the part that is shared, nats
    is_lower_bound: bool  # at every n, the mean over samples for a critic fixed beforehand
    note: str  # what it is, or why it is not a lower bound
    cite: str
    url: str
    goal: Callable[..., Tensor] | None = None  # Sums -> what training maximises, a scalar; None:
    # the estimate. Where there is `average`: (Sums, its moving average) -> a scalar
    ceiling: Callable[..., float] | None = None  # m -> the largest estimate, nats; None: no limit
    settings: tuple[str, ...] = ()  # keyword arguments of the functions here: see `bind`
    average: Callable[[Sums], Tensor] | None = None  # MINE: Sums -> log of the batch's mean e^f
    reads: Reads | None = None  # what `of` sums besides e^f
    goal_reads: Reads | None = None  # what `goal` sums besides e^f
    pooled: bool = False  # whether all terms have one normaliser, so that rows share it too

    def estimate(self, scores: Tensor) -> Tensor:
        """The mean of the terms: scores (n, m) -> a scalar, nats."""
        return self.of(sums.of(scores, self.reads)).mean()

    def terms(self, scores: Tensor) -> Tensor:
        """Terms whose spread is right: scores (n, m) -> (n,), nats."""
        found = sums.of(scores, self.reads)
        weights = self.weights(found)
        both = sums.influence(scores, 0, scores.shape[1], self.reads, found, weights)
        return self.of(found) + self.shared(weights, *both)

    def objective(self, scores: Tensor, log_average: Tensor | None = None) -> Tensor:
        """What training maximises: scores (n, m) and MINE's moving average -> a scalar, nats."""
        return self.aim(sums.of(scores, self.aim_reads), log_average)

    @property
    def aim_reads(self) -> Reads | None:
        """What `aim` sums besides e^f."""
        return self.reads if self.goal is None else self.goal_reads

    def aim(self, found: Sums, log_average: Tensor | None = None) -> Tensor:
        """`objective` of the sums, those with `aim_reads`."""
        if self.goal is None:
            return self.of(found).mean()
        return self.goal(found) if log_average is None else self.goal(found, log_average)

    def weights(self, found: Sums) -> Sums:
        """The derivatives of the terms' sum by the sums, in the same places."""
        with torch.inference_mode(False), torch.enable_grad():
            leaves = [part.detach().clone().requires_grad_() for part in found.parts()]
            total = self.of(Sums.made(leaves)).sum()
            slopes = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
        return Sums.made(slopes)

    def shared(self, weights: Sums, on_rows: Tensor, on_columns: Tensor) -> Tensor:
        """What pairs do to other pairs' terms as negatives, (n,), mean zero.

        Column j belongs to term j modulo n: the columns beyond n are independent draws, so that the
        terms' variance counts them all.
        """
        n, m = len(on_rows), len(on_columns)
        if self.pooled:
            on_rows = on_rows + weights.rows + sum(weights.others)
        on_columns = F.pad(on_columns - on_columns.mean(), (0, -m % n)).reshape(-1, n).sum(0)
        return on_rows - on_rows.mean() + on_columns

    def bind(self, **settings: Any) -> Bound:
        """This bound with some settings fixed; an `InputError` for one that it does not have.

        Example:
            >>> round(BOUNDS["alpha"].bind(alpha=0.01).ceiling(101), 4)
            10.2103
        """
        unknown = sorted(set(settings) - set(self.settings))
        if unknown:
            raise InputError(
                f"Expected settings of '{self.title}' ({', '.join(self.settings) or 'it has none'})"
                f"; got {', '.join(unknown)}. Leave them out or choose the bound that reads them."
            )

        if not settings:
            return self

        def fixed(function: Any) -> Any:
            names = () if function is None else signature(function).parameters
            mine = {k: settings[k] for k in settings if k in names}
            return partial(function, **mine) if mine else function

        parts = ("of", "goal", "ceiling", "reads")
        return replace(self, **{part: fixed(getattr(self, part)) for part in parts})


def infonce(s: Sums, *, over: Literal["y", "x", "both"] = "both") -> Tensor:
    """InfoNCE: terms (n,), nats.

    Over y: f_ii - log mean_j e^f_ij, with a mean of at most log m. Over x: f_ii - log mean_k e^f_ki
    over the n rows, at most log n; columns j >= n have no positive and are not read. Both: the
    mean of the two. van den Oord et al. 2018, https://arxiv.org/abs/1807.03748.

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
    """The log of the mean of e^f over the negatives, a scalar, nats: the log Z of `dv`.

    Example:
        >>> log_mean_exp(sums.of(torch.eye(3)))
        tensor(0.)
    """
    return _log_mean(s.rows, s)


def dv(s: Sums) -> Tensor:
    """f_ii - log Z, Z the mean of e^f over all negatives: terms (n,), nats.

    With what is shared they are f_ii - log Z - (r_i + c_i) / Z + 2 where n = m, r_i and c_i the
    means of e^f over the negatives of row i and of column i.
    Donsker and Varadhan 1983, https://doi.org/10.1002/cpa.3160360204.

    Example:
        >>> dv(sums.of(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]))).mean()
        tensor(1.3799)
    """
    return s.positives - log_mean_exp(s)


def tuba(s: Sums, *, log_baseline: Tensor | float = 0.0) -> Tensor:
    """f_ii - a_i + 1 - the negatives' mean of e^(f_ij - a_i): terms (n,), nats.

    Largest at a = log Z, where it is `dv`; an a fixed beforehand keeps it a lower bound: a number,
    or a tensor (n,), the log of a positive function of x.
    Poole et al. 2019, https://arxiv.org/abs/1905.06922, with a function of x for their a(y).

    Example:
        >>> tuba(sums.of(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])), log_baseline=0.5).mean()
        tensor(1.3724)
    """
    a = _rowwise(log_baseline, s)
    return s.positives - a + 1 - _exp(_log_mean(s.rows - a, s))


def nwj(s: Sums) -> Tensor:
    """f_ii - the negatives' mean of e^(f - 1): terms (n,), nats.

    It is `tuba` at baseline 1, and the best critic is 1 + the log ratio.
    Nguyen, Wainwright and Jordan 2010, https://arxiv.org/abs/0809.0853.

    Example:
        >>> nwj(sums.of(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]))).mean()
        tensor(1.3161)
    """
    return tuba(s, log_baseline=1.0)


def without_next(scores: Tensor, distance: Tensor) -> list[Tensor]:
    """Reads: all negatives of a row but one, the next column."""
    return [scores.masked_fill(distance <= 1, sums.nothing(scores))]


def interpolated(s: Sums, *, alpha: float = 0.5) -> Tensor:
    """Between `tuba` (alpha -> 0) and InfoNCE (alpha = 1): terms (n,), nats.

    1 + log(e^f_ii / (alpha M + 1 - alpha)) - N / (alpha N + 1 - alpha), M and N means of e^f over
    m - 1 entries of row i: M with the positive (one negative is left out, so that the two have
    one size, without which it is no bound), N the negatives. The best critic is the log ratio. A
    baseline other than 1 is a function of x added to the critic.

    The mean is at most 1 + log((m - 1) / alpha): M >= e^f_ii / (m - 1), the last part is >= 0.
    Poole et al. 2019, https://arxiv.org/abs/1905.06922, with x and y exchanged.

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
    """Reads: the negatives' scores clipped to [-clip, clip]."""
    if not clip > 0:
        raise InputError(f"Expected clip to be positive; got {clip}. The usual values are 1 to 10.")
    return [scores.clamp(-clip, clip).masked_fill(distance == 0, sums.nothing(scores))]


def smile(s: Sums) -> Tensor:
    """`dv` with the scores clipped to [-clip, clip] in the normaliser only: terms (n,).

    In nats. Not a lower bound: clipping may push the normaliser under its value.
    Song and Ermon 2020, https://arxiv.org/abs/1910.06222; clip is their tau.

    Example:
        >>> scores = torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])
        >>> smile(sums.of(scores, partial(clipped, clip=0.5))).mean()
        tensor(1.7191)
    """
    return s.positives - _log_mean(s.others[0], s)


def halves(scores: Tensor, distance: Tensor) -> list[Tensor]:
    """Reads: each second negative of a row, and the others."""
    even, nothing = distance % 2 == 0, sums.nothing(scores)
    return [scores.masked_fill(even, nothing), scores.masked_fill(~even | (distance == 0), nothing)]


def flo(s: Sums, *, u: Tensor | float | None = None) -> Tensor:
    """1 - u_i - e^-u_i mean_j e^(f_ij - f_ii) over the negatives: terms (n,), nats.

    The best u_i is the log of that mean, and any u that has not seen these negatives keeps it a
    lower bound. Without u (a number or (n,)) one half of a row's negatives gives u, the other the
    mean, and the other way round: with the halves' log means A and B of e^f_ij, the average is
    f_ii + 1 - (A + B) / 2 - cosh(A - B).
    Guo et al. 2021, https://arxiv.org/abs/2107.01131.

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
    """Reads: log softplus(f) of the negatives; far below zero it is f."""
    low = -30.0
    logs = torch.where(scores < low, scores, F.softplus(scores.clamp_min(low)).log())
    return [logs.masked_fill(distance == 0, sums.nothing(scores))]


def jensen_shannon(s: Sums) -> Tensor:
    """An objective: -mean softplus(-f) over positives - mean softplus(f) over negatives.

    A scalar, 2 (JSD - log 2) nats at its best critic, the log ratio; not on the scale of MI.
    Hjelm et al. 2019, https://arxiv.org/abs/1808.06670.

    Example:
        >>> scores = torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])
        >>> jensen_shannon(sums.of(scores, log_softplus))
        tensor(-1.1301)
    """
    return -F.softplus(-s.positives).mean() - _log_mean(s.others[0], s).exp()


def mine_objective(s: Sums, log_average: Tensor) -> Tensor:
    """An objective: `tuba` with the moving average of the negatives' mean e^f as its baseline.

    Its gradient is that of E_p f - E_q e^f / average, the correction of MINE. A scalar, nats;
    log_average, a scalar, is taken as a constant.
    Belghazi et al. 2018, section 3.2, https://arxiv.org/abs/1801.04062.

    Example:
        >>> mine_objective(sums.of(torch.eye(3)), torch.tensor(0.0))
        tensor(1.)
    """
    return tuba(s, log_baseline=log_average.detach()).mean()


def moving_log_average(previous: Tensor, current: Tensor, rate: float) -> Tensor:
    """log((1 - rate) e^previous + rate e^current): the moving average of MINE, safe in log space.

    Scalars, nats; rate, in (0, 1], is the share of `current`, the log of the batch's mean.
    Belghazi et al. 2018, section 3.2, https://arxiv.org/abs/1801.04062.

    Example:
        >>> moving_log_average(torch.tensor(0.0), torch.tensor(2.0).log(), 0.5).exp()
        tensor(1.5000)
    """
    return torch.logaddexp(previous + _log_rest(rate), current + math.log(rate))


def lookup(name: str) -> Bound:
    """The bound of that name, or an `InputError` that names the nearest.

    Example:
        >>> lookup("js").title
        'Jensen-Shannon'
    """
    if name not in BOUNDS:
        near = ", ".join(difflib.get_close_matches(name, BOUNDS, 3, 0.3)) or ", ".join(BOUNDS)
        raise InputError(f"Expected the name of a bound; got {name}. Nearest: {near}.")
    return BOUNDS[name]


def _rowwise(setting: Tensor | float, s: Sums) -> Tensor:
    """A number or one for each row, as a tensor (n,) like the scores."""
    n = len(s.positives)
    values = torch.as_tensor(setting, dtype=s.positives.dtype, device=s.positives.device)
    if values.shape not in ((), (n,)):
        raise InputError(
            f"Expected a number or shape ({n},); got shape {tuple(values.shape)}. "
            "Pass one value for each row of scores."
        )
    return values.expand(n)


def _log_mean(log_sums: Tensor, s: Sums) -> Tensor:  # over all negatives, from rows' sums (n,)
    return torch.logsumexp(log_sums, dim=0) - math.log(len(s.rows) * (len(s.columns) - 1))


def _log_rest(share: float) -> float:  # log(1 - share) for 0 < share <= 1
    if not 0 < share <= 1:
        raise InputError(
            f"Expected alpha or rate in (0, 1]; got {share}. The bound 'tuba' is alpha = 0."
        )
    return math.log1p(-share) if share < 1 else -math.inf


def _exp(z: Tensor) -> Tensor:
    """e^z, above CAP its tangent there; >= 1 + z all the same, which is what makes NWJ <= DV."""
    low = z.clamp(max=CAP)
    return low.exp() * (1 + z - low)


def _alpha_ceiling(m: int, *, alpha: float = 0.5) -> float:
    """The largest value of `interpolated`, nats."""
    return 1 + math.log(m - 1) - math.log(alpha)


# One row a bound: title, terms, is it a lower bound; note; paper and address; the rest.
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
        goal=mine_objective, average=log_mean_exp, pooled=True),
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
        ceiling=_alpha_ceiling, settings=("alpha",), reads=without_next),
    "js": Bound("Jensen-Shannon", tuba, True,
        "Trains a classifier of pairs, so its scores are log ratios; reports NWJ of 1 + scores.",
        "Hjelm et al. 2019", "https://arxiv.org/abs/1808.06670",
        goal=jensen_shannon, goal_reads=log_softplus, pooled=True),
    "smile": Bound("SMILE", smile, False,
        "Trains as js; reports DV with a clipped normaliser, which may be too low: no bound.",
        "Song and Ermon 2020", "https://arxiv.org/abs/1910.06222",
        goal=jensen_shannon, goal_reads=log_softplus, reads=clipped, settings=("clip",),
        pooled=True),
    "flo": Bound("FLO", flo, True,
        "InfoNCE's normaliser made linear by a guess u from other negatives; no ceiling.",
        "Guo et al. 2021", "https://arxiv.org/abs/2107.01131", settings=("u",), reads=halves),
}
# fmt: on
