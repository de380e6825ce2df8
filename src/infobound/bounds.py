"""Bounds on mutual information: scores -> nats.

The contract of `critics`: `scores[i, j] = f(x_i, y_j)`, (n, m) with n <= m, positives on the
diagonal, every other entry a negative (columns j >= n are further draws of y). `BOUNDS` lists the
bounds; where scores come from and what is done with the values is not known here.

A bound gives `terms` (n,), in nats: their mean is the estimate, and std / sqrt(n) its standard
error. Negatives are shared between rows, so a term holds, besides its own row, what pair i does
to the other rows as a negative (the infinitesimal jackknife). That part has mean zero and carries
no gradient: it moves the error, never the estimate.
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

from infobound.errors import InputError

__all__ = ["BOUNDS", "Bound", "lookup", "moving_log_average"]

CAP = 30.0  # above it e^z goes on as its tangent, so that float32 keeps a value and a gradient


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
    terms: Callable[..., Tensor]  # scores (n, m) -> (n,), nats: see the module's first lines
    is_lower_bound: bool  # at every n, the mean over samples for a critic fixed beforehand
    note: str  # what it is, or why it is not a lower bound
    cite: str
    url: str
    objective: Callable[..., Tensor] | None = None  # scores -> what training maximises, a scalar;
    # None: the estimate. Where there is `running`: (scores, its moving average) -> a scalar
    ceiling: Callable[..., float] | None = None  # m -> the largest estimate, nats; None: no limit
    settings: tuple[str, ...] = ()  # keyword arguments of terms, objective and ceiling: see `bind`
    running: Callable[[Tensor], Tensor] | None = None  # MINE: scores -> log of the batch's mean e^f
    plain: Callable[[Tensor], Tensor] | None = None  # terms of the same mean that are cheaper

    def estimate(self, scores: Tensor) -> Tensor:
        """The mean of the terms: scores (n, m) -> a scalar, nats."""
        return (self.plain or self.terms)(scores).mean()

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
            return function and partial(
                function, **{k: settings[k] for k in settings if k in names}
            )

        terms, objective, ceiling = map(fixed, (self.terms, self.objective, self.ceiling))
        return replace(self, terms=terms, objective=objective, ceiling=ceiling)


def infonce(
    scores: Tensor, *, over: Literal["y", "x", "both"] = "both", jackknife: bool = True
) -> Tensor:
    """InfoNCE: scores (n, m) -> terms (n,), nats.

    Over y: f_ii - log mean_j e^f_ij, with a mean of at most log m. Over x: f_ii - log mean_k e^f_ki
    over the n rows, at most log n; columns j >= n have no positive and are not read. Both: the
    mean of the two. van den Oord et al. 2018, https://arxiv.org/abs/1807.03748.

    Example:
        >>> infonce(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]), over="y").mean()
        tensor(0.6910)
    """
    if over == "both":
        ways = [infonce(scores, over=way, jackknife=jackknife) for way in ("y", "x")]
        return (ways[0] + ways[1]) / 2
    table = _checked(scores) if over == "y" else _checked(scores)[:, : len(scores)].T
    plain = table.diagonal() - torch.logsumexp(table, dim=1) + math.log(table.shape[1])
    if not jackknife:
        return plain
    return plain - _columns(torch.softmax(table.detach(), 1).masked_fill(_diagonal(table), 0))


def dv(scores: Tensor) -> Tensor:
    """f_ii - log Z, Z the mean of e^f over all negatives: (n, m) -> terms (n,), nats.

    Linearised: with r_i and c_i the means of e^f over the negatives of row i and of column i,
    the terms are f_ii - log Z - (r_i + c_i) / Z + 2 where n = m.
    Donsker and Varadhan 1983, https://doi.org/10.1002/cpa.3160360204.

    Example:
        >>> dv(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])).mean()
        tensor(1.3799)
    """
    return _checked(scores).diagonal() - log_mean_exp(scores) - _influence(scores)


def tuba(scores: Tensor, *, log_baseline: Tensor | float = 0.0) -> Tensor:
    """f_ii - a_i + 1 - the negatives' mean of e^(f_ij - a_i): (n, m) -> terms (n,), nats.

    Largest at a = log Z, where it is `dv`; a baseline fixed beforehand keeps it a lower bound.
    log_baseline is a: a number, or a tensor (n,), the log of a positive function of x.
    Poole et al. 2019, https://arxiv.org/abs/1905.06922, with a function of x for their a(y).

    Example:
        >>> tuba(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]), log_baseline=0.5).mean()
        tensor(1.3724)
    """
    shifted = _checked(scores) - _rowwise(log_baseline, scores)[:, None]
    log_z = log_mean_exp(shifted)
    return shifted.diagonal() + 1 - _exp(log_z) - _slope(log_z) * _influence(shifted)


def nwj(scores: Tensor) -> Tensor:
    """f_ii - the negatives' mean of e^(f - 1): (n, m) -> terms (n,), nats.

    It is `tuba` at baseline 1, and the best critic is 1 + the log ratio.
    Nguyen, Wainwright and Jordan 2010, https://arxiv.org/abs/0809.0853.

    Example:
        >>> nwj(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])).mean()
        tensor(1.3161)
    """
    return tuba(scores, log_baseline=1.0)


def interpolated(scores: Tensor, *, alpha: float = 0.5) -> Tensor:
    """Between `tuba` (alpha -> 0) and InfoNCE (alpha = 1): (n, m) -> terms (n,), nats.

    1 + log(e^f_ii / (alpha M + 1 - alpha)) - N / (alpha N + 1 - alpha), M and N means of e^f over
    m - 1 entries of row i: M with the positive (one negative is left out, so that the two have
    one size, without which it is no bound), N the negatives. The best critic is the log ratio. A
    baseline other than 1 is a function of x added to the critic.

    The mean is at most 1 + log((m - 1) / alpha): M >= e^f_ii / (m - 1), the last part is >= 0.
    Poole et al. 2019, https://arxiv.org/abs/1905.06922, with x and y exchanged.

    Example:
        >>> interpolated(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])).mean()
        tensor(0.6685)
    """
    negatives, one, count = _negatives(scores), _diagonal(scores), scores.shape[1] - 1
    rest = _log_rest(alpha)
    kept = scores.masked_fill(one.roll(1, dims=1), -math.inf)
    inside = math.log(alpha / count) + torch.logsumexp(kept, dim=1)
    outside = math.log(alpha / count) + torch.logsumexp(negatives, dim=1)
    contrast = torch.sigmoid(outside - rest)
    mixed = torch.logaddexp(inside, inside.new_tensor(rest))
    terms = 1 + scores.diagonal() - mixed - contrast / alpha
    with torch.no_grad():
        weights = torch.sigmoid(inside - rest)[:, None] * torch.softmax(kept, 1).masked_fill(one, 0)
        slope = contrast * torch.sigmoid(rest - outside) / alpha
        weights += slope[:, None] * torch.softmax(negatives, 1)
    return terms - _columns(weights)


def smile(scores: Tensor, *, clip: float = 5.0) -> Tensor:
    """`dv` with the scores clipped to [-clip, clip] in the normaliser only: (n, m) -> terms (n,).

    In nats. Not a lower bound: clipping may push the normaliser under its value.
    Song and Ermon 2020, https://arxiv.org/abs/1910.06222; clip is their tau.

    Example:
        >>> smile(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]), clip=0.5).mean()
        tensor(1.7191)
    """
    if not clip > 0:
        raise InputError(f"Expected clip to be positive; got {clip}. The usual values are 1 to 10.")
    clipped = _checked(scores).clamp(-clip, clip)
    return scores.diagonal() - log_mean_exp(clipped) - _influence(clipped)


def flo(scores: Tensor, *, u: Tensor | float | None = None) -> Tensor:
    """1 - u_i - e^-u_i mean_j e^(f_ij - f_ii) over the negatives: (n, m) -> terms (n,), nats.

    The best u_i is the log of that mean, and any u that has not seen these negatives keeps it a
    lower bound. Without u (a number or (n,)) it is cross-fitted: one half of a row's negatives
    gives u, the other the mean, and the other way round. With A and B the halves' log means of
    e^f_ij, the average of the two is f_ii + 1 - (A + B) / 2 - cosh(A - B).
    Guo et al. 2021, https://arxiv.org/abs/2107.01131.

    Example:
        >>> flo(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])).mean()
        tensor(0.9569)
    """
    negatives, positives = _negatives(scores), scores.diagonal()
    n, m = scores.shape
    if u is not None:
        u = _rowwise(u, scores)
        gap = torch.logsumexp(negatives, dim=1) - math.log(m - 1) - positives - u
        weights = _slope(gap)[:, None] * torch.softmax(negatives.detach(), 1)
        return 1 - u - _exp(gap) - _columns(weights)
    if m < 3:
        raise InputError(f"Expected 3 or more columns of scores; got {m}. Pass u, or more rows.")
    columns = torch.arange(m, device=scores.device)
    odd = (columns - columns[:n, None]) % m % 2 == 1
    near, far = negatives.masked_fill(~odd, -math.inf), negatives.masked_fill(odd, -math.inf)
    a = torch.logsumexp(near, dim=1) - math.log(m // 2)
    b = torch.logsumexp(far, dim=1) - math.log((m - 1) // 2)
    lean = (_slope(a - b) - _slope(b - a))[:, None] / 2
    weights = (0.5 + lean) * torch.softmax(near.detach(), 1)
    weights += (0.5 - lean) * torch.softmax(far.detach(), 1)
    return positives + 1 - (a + b) / 2 - (_exp(a - b) + _exp(b - a)) / 2 - _columns(weights)


def jensen_shannon(scores: Tensor) -> Tensor:
    """An objective: -mean softplus(-f) over positives - mean softplus(f) over negatives.

    Scores (n, m) -> a scalar, 2 (JSD - log 2) nats at its best critic, the log ratio. It is not on
    the scale of mutual information.
    Hjelm et al. 2019, https://arxiv.org/abs/1808.06670.

    Example:
        >>> jensen_shannon(torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]))
        tensor(-1.1301)
    """
    negatives, positives = _negatives(scores), scores.diagonal()
    n, m = scores.shape
    return -F.softplus(-positives).mean() - F.softplus(negatives).sum() / (n * (m - 1))


def mine_objective(scores: Tensor, log_average: Tensor) -> Tensor:
    """An objective: `tuba` with the moving average of the negatives' mean e^f as its baseline.

    Its gradient is that of E_p f - E_q e^f / average, the correction of MINE; where the average
    is the batch's own mean, value and gradient are those of `dv`. Scores (n, m) -> a scalar, nats;
    log_average, a scalar, is taken as a constant.
    Belghazi et al. 2018, section 3.2, https://arxiv.org/abs/1801.04062.

    Example:
        >>> mine_objective(torch.eye(3), torch.tensor(0.0))
        tensor(1.)
    """
    return tuba(scores, log_baseline=log_average.detach()).mean()


def log_mean_exp(scores: Tensor) -> Tensor:
    """The log of the mean of e^f over the negatives: scores (n, m) -> a scalar, nats.

    The log Z of `dv`; Donsker and Varadhan 1983, https://doi.org/10.1002/cpa.3160360204.

    Example:
        >>> log_mean_exp(torch.eye(3))
        tensor(0.)
    """
    negatives = _negatives(scores)
    return torch.logsumexp(negatives.reshape(-1), dim=0) - math.log(negatives.numel() - len(scores))


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
        >>> lookup("nwj").title
        'Nguyen-Wainwright-Jordan'
    """
    if name not in BOUNDS:
        near = ", ".join(difflib.get_close_matches(name, BOUNDS, 3, 0.3)) or ", ".join(BOUNDS)
        raise InputError(f"Expected the name of a bound; got {name}. Nearest: {near}.")
    return BOUNDS[name]


def _checked(scores: Tensor) -> Tensor:
    """The scores, if they keep the contract."""
    shape = tuple(scores.shape)
    if not (len(shape) == 2 and 1 <= shape[0] <= shape[1] >= 2 and scores.is_floating_point()):
        raise InputError(
            "Expected floating-point scores (n, m), 1 <= n <= m and m >= 2; got "
            f"{scores.dtype} of shape {shape}. Rows are x, columns y, and the y of row i is column "
            "i: score every x against every y, transpose, or score more rows at once."
        )
    return scores


def _rowwise(setting: Tensor | float, scores: Tensor) -> Tensor:
    """A number or one for each row, as a tensor (n,) like the scores."""
    values = torch.as_tensor(setting, dtype=scores.dtype, device=scores.device)
    if values.shape not in ((), (len(scores),)):
        raise InputError(
            f"Expected a number or shape ({len(scores)},); got shape {tuple(values.shape)}. "
            "Pass one value for each row of scores."
        )
    return values.expand(len(scores))


def _diagonal(scores: Tensor) -> Tensor:  # the mask (n, m) of the positives
    return torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)


def _negatives(scores: Tensor) -> Tensor:
    """The scores (n, m) with -inf on the diagonal."""
    return _checked(scores).masked_fill(_diagonal(scores), -math.inf)


def _log_rest(share: float) -> float:
    """log(1 - share) for 0 < share <= 1."""
    if not 0 < share <= 1:
        raise InputError(
            f"Expected alpha or rate in (0, 1]; got {share}. The bound 'tuba' is alpha = 0."
        )
    return math.log1p(-share) if share < 1 else -math.inf


def _exp(z: Tensor) -> Tensor:
    """e^z, above CAP its tangent there; >= 1 + z all the same, which is what makes NWJ <= DV."""
    low = z.clamp(max=CAP)
    return low.exp() * (1 + z - low)


def _slope(z: Tensor) -> Tensor:  # the derivative of `_exp`, as a number
    return z.detach().clamp(max=CAP).exp()


def _influence(scores: Tensor) -> Tensor:
    """What rows and columns do to log Z: (n,), mean zero, no gradient."""
    negatives = _negatives(scores.detach())
    weights = torch.softmax(negatives.reshape(-1), dim=0).reshape(scores.shape) * len(scores)
    return weights.sum(1) - 1 + _columns(weights)


def _columns(weights: Tensor) -> Tensor:
    """What columns do, given each negative's weight in its row's term: (n,), mean zero.

    Column j belongs to term j modulo n: the columns beyond n are independent draws, so that the
    terms' variance counts them all.
    """
    n, m = weights.shape
    influence = weights.sum(0) - weights.sum() / m
    return F.pad(influence, (0, -m % n)).reshape(-1, n).sum(0)


def _alpha_ceiling(m: int, *, alpha: float = 0.5) -> float:
    """The largest value of `interpolated`, nats."""
    return 1 + math.log(m - 1) - math.log(alpha)


# One row a bound: title, terms, is it a lower bound; note; paper and address; the rest.
# fmt: off
BOUNDS: dict[str, Bound] = {
    "infonce": Bound("InfoNCE, both directions", infonce, True,
        "The mean of normalising over y for each x and over x for each y; at most log K.",
        "van den Oord et al. 2018", "https://arxiv.org/abs/1807.03748", ceiling=math.log,
        plain=partial(infonce, jackknife=False)),
    "infonce_over_y": Bound("InfoNCE over y", partial(infonce, over="y"), True,
        "Which y belongs to this x: the text of the notebook; at most log K.",
        "van den Oord et al. 2018", "https://arxiv.org/abs/1807.03748", ceiling=math.log,
        plain=partial(infonce, over="y", jackknife=False)),
    "infonce_over_x": Bound("InfoNCE over x", partial(infonce, over="x"), True,
        "Which x belongs to this y: the code of the notebook; at most log K.",
        "van den Oord et al. 2018", "https://arxiv.org/abs/1807.03748", ceiling=math.log,
        plain=partial(infonce, over="x", jackknife=False)),
    "dv": Bound("Donsker-Varadhan", dv, False,
        "A lower bound only as n grows: the log of a sample mean is too low on average.",
        "Donsker and Varadhan 1983", "https://doi.org/10.1002/cpa.3160360204"),
    "mine": Bound("MINE", dv, False,
        "Trains with a moving average in the gradient; reports DV, a lower bound only as n grows.",
        "Belghazi et al. 2018", "https://arxiv.org/abs/1801.04062",
        objective=mine_objective, running=log_mean_exp),
    "nwj": Bound("Nguyen-Wainwright-Jordan", nwj, True,
        "Linear in e^f, so unbiased and without a ceiling, and its noise grows with e^MI.",
        "Nguyen et al. 2010", "https://arxiv.org/abs/0809.0853"),
    "tuba": Bound("TUBA", tuba, True,
        "NWJ with a baseline that may depend on x; no ceiling, noise as NWJ.",
        "Poole et al. 2019", "https://arxiv.org/abs/1905.06922", settings=("log_baseline",)),
    "alpha": Bound("alpha-interpolated", interpolated, True,
        "Between TUBA (alpha near 0) and InfoNCE (1); at most 1 + log((K - 1) / alpha).",
        "Poole et al. 2019", "https://arxiv.org/abs/1905.06922",
        ceiling=_alpha_ceiling, settings=("alpha",)),
    "js": Bound("Jensen-Shannon", tuba, True,
        "Trains a classifier of pairs, so its scores are log ratios; reports NWJ of 1 + scores.",
        "Hjelm et al. 2019", "https://arxiv.org/abs/1808.06670", objective=jensen_shannon),
    "smile": Bound("SMILE", smile, False,
        "Trains as js; reports DV with a clipped normaliser, which may be too low: no bound.",
        "Song and Ermon 2020", "https://arxiv.org/abs/1910.06222",
        objective=jensen_shannon, settings=("clip",)),
    "flo": Bound("FLO", flo, True,
        "InfoNCE's normaliser made linear by a guess u from other negatives; no ceiling.",
        "Guo et al. 2021", "https://arxiv.org/abs/2107.01131", settings=("u",)),
}
# fmt: on
