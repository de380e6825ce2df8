"""Class posteriors: the log ratio of a side of few values, log q(k | v) - log share of k.

Several classifiers are fitted, and a weighted sum of their log ratios is the critic. The weights
are learnt on rows that the classifiers did not see, so the sum is calibrated, and a classifier that
does not help gets no weight. No negatives are needed, so the value has no ceiling of log n.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import Tensor, nn

from infobound._system import torch_state
from infobound._system.optimisers import AdamW
from infobound.models.densities import OfClasses, codes

__all__ = ["LINEAR", "ClassPosterior"]

STACKING_FOLDS = 3  # of the rows: each is held out once to learn the weights of the classifiers
SPLIT = 6_000  # rows above which only one part is held out
GAUSSIAN = {"gaussian", "scales", "covariances"}  # what a class has of its own: means, variances
LINEAR = {"stiff": 0.02, "linear": 0.5, "loose": 20.0}  # prior variances of coefficients
SMOOTH = {"smooth": 0.1, "bent": 2.0}  # and of coefficients of more features
LOGISTIC_STEPS = 100  # most steps of logistic regression
LOGISTIC_WORK = 2e9  # largest rows * features * classes for logistic regression
BENT = 16  # most columns with bumps as features
BUMPS = tuple(0.5 * k for k in range(-4, 5))  # centres of Gaussian bumps on normal scores
NARROW = 0.35  # their standard deviation
ABSENT_LOG_ODDS = -5.0  # log odds of a class without rows
CURVED = 2e10  # largest rows * classes * columns ** 2 for variances and covariances by class
PRIOR = 2.0  # the weights have a normal prior of variance 1 / (2 PRIOR)
PRIOR_ROWS = 10  # with the pooled variances, added to the rows of a class
MOST_SLOPE = 3.0  # largest weight of a classifier
HIDDEN = 64  # width of the two hidden layers of the network
FEWEST_STEPS = 400  # smallest number of steps of its training
EPOCHS = 12  # smallest number of passes over its rows
BATCH_ROWS = 64  # rows of a step
RATE, DECAY = 0.01, 0.05  # initial learning rate, which falls to zero as a cosine; weight decay


class ClassPosterior(OfClasses):
    """A side of few values, and weighted classifiers of it by the other side.

    Row v of the other side has log ratio log q(k | v) - log share_k with value k. q is proportional
    to share_k exp(sum_m w_m f_mk(v)) with classifiers f_m: logistic regression with several
    penalties, Gaussians with pooled and with own covariances, and a network. A value that was not
    seen in the fit has ratio 1.

    Source: Wolpert 1992, https://doi.org/10.1016/S0893-6080(05)80023-1 (stacking); Friedman 1989,
    https://doi.org/10.1080/01621459.1989.10478752 (shrinking covariances of classes).

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> x = torch.randint(4, (800, 1), generator=rng).float()
        >>> y = torch.tensor([3.0, -3.0, 1.0, -1.0])[x.long()] + torch.randn(800, 1, generator=rng)
        >>> both = torch.cat([y, y], 1)  # normal scores and scaled values
        >>> bool(ClassPosterior.fit(x, both)(x, both).diagonal().mean() > 0.7)
        True
    """

    is_random = False
    log_shares: Tensor
    weights: Tensor

    def __init__(
        self,
        values: Tensor,
        log_shares: Tensor,
        classifiers: dict[str, nn.Module],
        weights: Tensor,
        *,
        n: int,
        of_x: bool,
    ) -> None:
        super().__init__(values, of_x)
        self.mixed = 1 / (n + 1)
        self.classifiers = nn.ModuleDict(classifiers)
        self.register_buffer("log_shares", log_shares)
        self.register_buffer("weights", weights)

    @classmethod
    def fit(
        cls,
        x: Tensor,
        y: Tensor,
        *,
        start: ClassPosterior | None = None,
        kinds: Collection[str] | None = None,
    ) -> ClassPosterior:
        """Fit to x and y, each (n, 2 d): normal scores, then scaled values.

        The side with fewer distinct rows is that of the classes. With a start, fitted to similar
        rows, its weights are kept. Only classifiers of the given kinds are fitted, if any is given.
        """
        found = [torch.unique(side, dim=0, return_inverse=True) for side in (x, y)]
        of_x = len(found[0][0]) <= len(found[1][0])
        values, which = _by_appearance(*(found[0] if of_x else found[1]))
        rows, count = y if of_x else x, len(values)
        share = (torch.bincount(which, minlength=count).double() + 0.5) / (len(rows) + count / 2)
        task = _Task(rows, which, share.log().to(rows.dtype))
        if start is None:
            able = _affordable(len(rows), rows.shape[1] // 2, count)
            able = [kind for kind in able if kinds is None or kind in kinds]
            models, learnt = _stacked(task, able)
            known = dict(zip(able, learnt.tolist(), strict=True))
        else:
            models, known = {}, dict(zip(start.classifiers, start.weights.tolist(), strict=True))
        known = {kind: weight for kind, weight in known.items() if weight}
        models = _fitted(task, [k for k in known if k not in models]) | models
        weights = torch.tensor(list(known.values()), dtype=rows.dtype, device=rows.device)
        models = {kind: models[kind] for kind in known}
        return cls(values, task.log_shares, models, weights, n=len(rows), of_x=of_x)

    def log_ratios(self, rows: Tensor) -> Tensor:
        """Return log q(k | v) - log share_k, nats, (n, K), of rows v (n, 2 d)."""
        total = self.log_shares.expand(len(rows), -1)
        for weight, classifier in zip(self.weights, self.classifiers.values(), strict=True):
            total = total + weight * classifier(rows)
        ratios = total.log_softmax(1) - self.log_shares
        return torch.logaddexp(
            ratios + math.log1p(-self.mixed), torch.full_like(ratios, math.log(self.mixed))
        )

    def log_share(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the logs of the shares (n,) of the rows' own classes, nats."""
        unseen = self.log_shares.new_tensor([math.log(self.mixed)])
        place = codes(x if self.of_x else y, self.values)
        return torch.cat([self.log_shares, unseen])[place]


def _by_appearance(values: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """Sort distinct values (K, d) by the first of the rows (n,) that has them.

    So the names of the classes, numbers or text, do not matter.
    """
    order = np.argsort(np.unique(which.cpu().numpy(), return_index=True)[1])
    place = torch.from_numpy(np.argsort(order)).to(which.device)
    return values[torch.from_numpy(order).to(which.device)], place[which]


class _Task(NamedTuple):
    """Rows (n, 2 d) with normal scores and scaled values, their classes (n,), and log shares (K,).

    Classes may be without rows.
    """

    rows: Tensor
    classes: Tensor
    log_shares: Tensor

    def at(self, index: Tensor) -> _Task:
        """Return the task of some of the rows, with the same classes and shares."""
        index = index.to(self.rows.device)
        return self._replace(rows=self.rows[index], classes=self.classes[index])


def _stacked(task: _Task, kinds: Sequence[str]) -> tuple[dict[str, nn.Module], np.ndarray]:
    """Learn the weights (M,) of kinds of classifiers on rows that copies of them did not see.

    The network of all rows is returned too, since it is trained together with its copies.
    """
    n = len(task.rows)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    held = order.tensor_split(STACKING_FOLDS)[: 1 if n > SPLIT else STACKING_FOLDS]
    rest = [order[~torch.isin(order, part)] for part in held]
    copies = [_fitted(task.at(part), [k for k in kinds if k != "network"]) for part in rest]
    together: dict[str, nn.Module] = {}
    if "network" in kinds:
        *networks, together["network"] = _Network.fit(task, [*rest, order])
        for models, network in zip(copies, networks, strict=True):
            models["network"] = network
    seen = [task.at(part) for part in held]
    ratios = np.concatenate(
        [
            np.stack([models[kind](part.rows).double().cpu().numpy() for kind in kinds])
            for part, models in zip(seen, copies, strict=True)
        ],
        axis=1,
    )  # (M, n, K)
    own = torch.cat([part.classes for part in seen]).cpu().numpy()
    shares, at = task.log_shares.double().cpu().numpy(), np.arange(len(own))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logs = log_softmax(np.tensordot(weights, ratios, 1) + shares, axis=1)
        slopes = np.einsum("nk,mnk->m", np.exp(logs), ratios) - ratios[:, at, own].sum(1)
        value = -logs[at, own].sum() + PRIOR * (weights**2).sum()
        return float(value), slopes + 2 * PRIOR * weights

    start, limits = np.full(len(ratios), 0.5 / len(ratios)), [(0.0, MOST_SLOPE)] * len(ratios)
    best = minimize(loss, start, jac=True, bounds=limits, method="L-BFGS-B")
    return together, np.asarray(best.x)


def _affordable(n: int, d: int, count: int) -> list[str]:
    """Return the kinds of classifiers that n rows of d columns and so many classes allow."""
    kinds = ["gaussian"]
    if n * count * d * d <= CURVED:
        kinds += ["scales"] if n < count * d else ["scales", "covariances"]
    if n * count * d <= LOGISTIC_WORK:
        kinds += [*LINEAR, *(SMOOTH if d <= BENT else ()), "network"]
    return kinds


def _fitted(task: _Task, kinds: Sequence[str]) -> dict[str, nn.Module]:
    """Fit kinds of classifiers."""
    models: dict[str, nn.Module] = {}
    if not GAUSSIAN.isdisjoint(kinds):
        models |= _Gaussian.fit(task, kinds)
    for bent, variances in ((False, LINEAR), (True, SMOOTH)):
        wanted = {kind: variances[kind] for kind in variances if kind in kinds}
        models |= _Logistic.fit(task, wanted, bent=bent) if wanted else {}
    if "network" in kinds:
        models["network"] = _Network.fit(task, [torch.arange(len(task.rows))])[0]
    return models


def _features(rows: Tensor, bent: bool) -> Tensor:
    """Return what logistic regression reads of rows (n, 2 d): scaled values; bumps too if bent."""
    d = rows.shape[1] // 2
    if not bent:
        return rows[:, d:]
    centres = torch.tensor(BUMPS, dtype=rows.dtype, device=rows.device)
    bumps = (-0.5 * ((rows[:, :d, None] - centres) / NARROW) ** 2).exp()
    return torch.cat([rows, bumps.flatten(1)], 1)


class _Logistic(nn.Module):
    """Logistic regression: log ratios (n, K) are linear in the features of rows (n, 2 d)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, bent: bool) -> None:
        super().__init__()
        self.bent = bent
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    @classmethod
    def fit(cls, task: _Task, variances: dict[str, float], bent: bool) -> dict[str, nn.Module]:
        """Fit with normal coefficients of each prior variance, in ascending order, by name."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        features = _features(task.rows, bent).double().cpu().numpy()
        classes = task.classes.cpu().numpy()
        known = np.unique(classes)
        two = len(known) == 2  # then scikit-learn has the coefficients of the second alone
        model = LogisticRegression(max_iter=LOGISTIC_STEPS, tol=1e-3, warm_start=True)
        models: dict[str, nn.Module] = {}
        for name, variance in variances.items():
            weight = np.zeros((len(task.log_shares), features.shape[1]))
            bias = np.full(len(weight), ABSENT_LOG_ODDS)
            bias[known] = 0.0
            if len(known) > 1:
                # Its thin products gain nothing from threads, and on busy cores they wait for them.
                with torch_state.single_thread(), warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    model.set_params(C=variance).fit(features, classes)
                weight[known[1:] if two else known] = model.coef_
                bias[known[1:] if two else known] = model.intercept_
            found = torch.from_numpy(weight).to(task.rows), torch.from_numpy(bias).to(task.rows)
            models[name] = cls(found[0], found[1] - task.log_shares, bent)
        return models

    def forward(self, rows: Tensor) -> Tensor:
        """Log ratios (n, K) of rows (n, 2 d), up to a constant of each row."""
        return F.linear(_features(rows, self.bent), self.weight, self.bias)


class _Gaussian(nn.Module):
    """A Gaussian of the scaled values in each class.

    Its covariance is that of all classes, or has variances of its own, or is its own altogether.

    Means are shrunk towards the common mean by empirical Bayes, the pooled covariance towards a
    multiple of the identity (Ledoit and Wolf 2004, https://doi.org/10.1016/S0047-259X(03)00096-4),
    a class's own covariance towards the pooled one, as if d more rows had that, and its own
    variances too, as if `PRIOR_ROWS` more rows had those.
    """

    means: Tensor
    whiteners: Tensor
    constants: Tensor

    def __init__(self, means: Tensor, whiteners: Tensor, constants: Tensor) -> None:
        super().__init__()
        self.register_buffer("means", means)
        self.register_buffer("whiteners", whiteners)
        self.register_buffer("constants", constants)

    @classmethod
    def fit(cls, task: _Task, kinds: Sequence[str]) -> dict[str, nn.Module]:
        """Fit those of the kinds "gaussian", "scales" and "covariances", by name."""
        d, n, count = task.rows.shape[1] // 2, len(task.rows), len(task.log_shares)
        rows = task.rows[:, d:].double()
        sizes = torch.bincount(task.classes, minlength=count).double()[:, None]
        means = rows.new_zeros(count, d).index_add_(0, task.classes, rows) / sizes.clamp_min(1)
        rest = rows - means[task.classes]
        common, noise = rows.mean(0), 1 / sizes.clamp_min(1)
        if d > n and (GAUSSIAN - {"gaussian"}).isdisjoint(kinds):
            # Beyond the span of the rows, all classes have the same mean and variance.
            span = torch.linalg.qr((rows - common).T)[0]
            pooled = _pooled(rest @ span, d)
            whitener = span @ _whitener(pooled)
        else:
            pooled = _pooled(rest, d)
            whitener = _whitener(pooled)
        away = (means - common) @ whitener  # the mean of n_k rows has sampling variance 1 / n_k
        between = (sizes / n * (away**2 - noise)).sum(0).clamp_min(0)
        away = away * (between / (between + noise) * (sizes > 0))
        models: dict[str, nn.Module] = {}

        def add(kind: str, centres: Tensor, whiteners: Tensor, constants: Tensor) -> None:
            models[kind] = cls(*(p.to(task.rows.dtype) for p in (centres, whiteners, constants)))

        if "gaussian" in kinds:
            add("gaussian", common @ whitener + away, whitener[None], rows.new_zeros(count))
        parts = [rest[task.classes == k] for k in range(count)]
        own = {
            "scales": lambda r: _scaled(whitener, r, pooled),
            "covariances": lambda r: _whitener((r.T @ r + d * pooled) / (len(r) + d)),
        }
        for kind in (kind for kind in own if kind in kinds):
            whiteners = torch.stack([own[kind](r) for r in parts])
            centres = (common + away @ torch.linalg.inv(whitener))[:, None] @ whiteners
            add(kind, centres[:, 0], whiteners, whiteners.diagonal(dim1=1, dim2=2).log().sum(1))
        return models

    def forward(self, rows: Tensor) -> Tensor:
        """Log ratios (n, K) of rows (n, 2 d), up to a constant of each row."""
        values = rows[:, rows.shape[1] // 2 :]
        if len(self.whiteners) == 1:
            square = torch.cdist(values @ self.whiteners[0], self.means).square()
        else:
            square = torch.stack(
                [
                    (values @ whitener - mean).square().sum(1)
                    for whitener, mean in zip(self.whiteners, self.means, strict=True)
                ],
                1,
            )
        return self.constants - 0.5 * square


def _pooled(rest: Tensor, d: int) -> Tensor:
    """Return the shrunk covariance (k, k) of rows (n, k) whose class means were subtracted.

    They have d columns, of which k are left after a rotation; the others are zero. The weight of
    the identity is that of Ledoit and Wolf. Its noise needs no second matrix product: the squares
    of all products of two columns sum to the squared squares of the norms of the rows.
    """
    n = len(rest)
    found = rest.T @ rest / n
    level, square = found.trace() / d, found.square().sum()
    away = (square / d - level**2).clamp_min(0)  # from the multiple of the identity, per column
    noise = ((rest.square().sum(1).square().sum() / n - square) / (d * n)).clamp_min(0)
    weight = torch.minimum(noise, away) / away.clamp_min(torch.finfo(rest.dtype).tiny)
    least = 1e-6 * level.clamp_min(1e-6)
    identity = torch.eye(len(found), dtype=rest.dtype, device=rest.device)
    return (1 - weight) * found + (weight * level + least) * identity


def _whitener(covariance: Tensor) -> Tensor:
    """Return a map (d, d) that makes rows of this covariance white: rows @ map."""
    factor = torch.linalg.cholesky(covariance)
    identity = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    found: Tensor = torch.linalg.solve_triangular(factor, identity, upper=False).T
    return found


def _scaled(whitener: Tensor, rest: Tensor, pooled: Tensor) -> Tensor:
    """Return the whitener (d, d) of a class with variances of its own, from its rows (n, d)."""
    ratios = (rest.square().sum(0) / pooled.diagonal() + PRIOR_ROWS) / (len(rest) + PRIOR_ROWS)
    return whitener / ratios.sqrt()[:, None]


class _Network(nn.Module):
    """A network with two hidden layers; its outputs are the log ratios (n, K)."""

    def __init__(self, layers: list[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        for k, (weight, bias) in enumerate(layers):
            self.register_buffer(f"weight_{k}", weight)
            self.register_buffer(f"bias_{k}", bias)

    @classmethod
    def fit(cls, task: _Task, parts: Sequence[Tensor]) -> list[_Network]:
        """Train a network on each part with cross-entropy, for a number of steps that is fixed.

        The weight of the classifier calibrates it. All networks are one batched computation with
        gradients written out, because a step of a small network is mostly overhead.
        """
        generator, like = torch.Generator().manual_seed(0), _few(task.rows)
        sizes = (like.shape[1], HIDDEN, HIDDEN, len(task.log_shares))
        shapes = [s for a, b in pairwise(sizes) for s in ((len(parts), a, b), (len(parts), 1, b))]
        flat = torch.cat(
            [
                torch.empty(math.prod(shape), dtype=torch.float32).uniform_(
                    -reach, reach, generator=generator
                )
                for shape, reach in zip(shapes, np.repeat(sizes[:-1], 2) ** -0.5, strict=True)
            ]
        ).to(like)
        flat.grad = torch.empty_like(flat)
        values, slopes = (
            [t.view(s) for t, s in zip(whole.split([*map(math.prod, shapes)]), shapes, strict=True)]
            for whole in (flat, flat.grad)
        )
        steps = max(FEWEST_STEPS, EPOCHS * -(-len(parts[0]) // BATCH_ROWS))
        drawn = torch.stack(
            [
                part[torch.randint(len(part), (steps, BATCH_ROWS), generator=generator)]
                for part in parts
            ],
            dim=1,
        ).to(like.device)
        targets = F.one_hot(task.classes, len(task.log_shares)).to(like)
        optimiser = AdamW([flat], lr=RATE, weight_decay=DECAY)
        for step, index in enumerate(drawn):
            rate = 0.5 * RATE * (1 + math.cos(math.pi * step / steps))
            optimiser.param_groups[0]["lr"] = rate
            rows, wanted = (
                side.index_select(0, index.flatten()).unflatten(0, index.shape)
                for side in (like, targets)
            )
            _gradient(rows, wanted, task.log_shares, values, slopes)
            optimiser.step()
        layers = list(zip(values[::2], values[1::2], strict=True))
        return [cls([(w[k].clone(), b[k].clone()) for w, b in layers]) for k in range(len(parts))]

    def forward(self, rows: Tensor) -> Tensor:
        """Log ratios (n, K) of rows (n, 2 d), up to a constant of each row."""
        values = list(self.buffers())
        return _layered(_few(rows), list(zip(values[::2], values[1::2], strict=True)))


def _few(rows: Tensor) -> Tensor:
    """Return what the network reads of rows (n, 2 d): normal scores; if few, scaled values too."""
    d = rows.shape[1] // 2
    return rows if d <= BENT else rows[:, :d]


def _layered(rows: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Apply layers with ReLU between them to rows (..., n, inputs)."""
    for k, (weight, bias) in enumerate(layers):
        rows = (rows.relu() if k else rows) @ weight + bias
    return rows


@torch.no_grad()
def _gradient(
    rows: Tensor, targets: Tensor, log_shares: Tensor, values: list[Tensor], slopes: list[Tensor]
) -> None:
    """Write the gradient of the mean cross-entropy of T networks, each on its own rows.

    Args:
        rows: (T, n, inputs).
        targets: (T, n, K), one for the class of a row and zero for the others.
        log_shares: (K,), which are added to the outputs.
        values: weights (T, inputs, outputs) and biases (T, 1, outputs) of the layers in turn.
        slopes: where the gradient is written, in the same shapes.
    """
    seen = [rows]  # the inputs of each layer
    for k in range(0, len(values) - 2, 2):
        seen.append(torch.baddbmm(values[k + 1], seen[-1], values[k]).relu_())
    # Products with few classes are several times as fast if these are not the last dimension.
    logits = torch.bmm(values[-2].mT.contiguous(), seen[-1].mT)
    logits += values[-1].mT + log_shares[:, None]
    classes = logits.softmax(1).sub_(targets.mT).div_(rows.shape[1])  # (T, K, n)
    slopes[-2].copy_(torch.bmm(classes, seen[-1]).mT)
    slopes[-1].copy_(classes.sum(2)[:, None])
    slope = classes.mT
    for k in range(len(values) - 2, 0, -2):
        slope = torch.bmm(slope, values[k].mT)
        slope = torch.ops.aten.threshold_backward(slope, seen[k // 2], 0)  # that of ReLU
        torch.bmm(seen[k // 2 - 1].mT, slope, out=slopes[k - 2])
        torch.sum(slope, 1, keepdim=True, out=slopes[k - 1])
