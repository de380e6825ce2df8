"""A Gaussian copula after rotations whose angle depends on the norm have been undone.

Spirals and other twists keep the norm of a row and turn it by an angle that depends on the norm.
The inverse has the same form, is a bijection, and leaves mutual information as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor
from torch.autograd.function import once_differentiable

from infobound.critics.contract import Critic, Product, Rows
from infobound.models.copulas import GaussianCopula
from infobound.models.densities import MixtureModel
from infobound.models.margins import knots_of, normal_scores

__all__ = [
    "MARGIN",
    "TEST_ROWS",
    "BehindError",
    "UnwoundCopula",
    "UnwoundMixture",
    "copula_mi",
    "suspected_mi",
]

KNOTS = 400  # of the normal scores of a column
PLANES = 8  # of rotation per side, at most
PER_PARAMETER = 5  # rows for each parameter: 2 d of a plane, and 4 of its angle
SPREADS = (0.0, 0.3, 0.5, 0.5, 0.8)  # of the angles at the starts, radians
SEARCH_STEPS = (6, 9)  # of L-BFGS from each start, and from the best `KEPT` of them
LAST_STEPS = (
    30,
    80,
)  # from the best; between, one for `ROWS_PER_STEP`, so that few are not overfit
ROWS_PER_STEP = 50
FIRST_ROUNDS = 2  # on some rows of each start that is searched further, about another point
ROUNDS = 3, 12  # of the search on normal scores, each with new knots: of few rows, and of many
SCORED_STEPS = 10  # of each round
MANY = 100  # rows for each column from which scales are sought too, and there are more rounds
ROUND_CHANGE = 3e-4  # of the value, nats, below which no further round follows
COARSE = 20  # knots in it
KEPT = 2, 3  # starts that are searched further, about the mean and about another point
CHANGE = 1e-5  # of the value, nats, below which L-BFGS stops
START_ROWS = 1_500  # rows that all starts are optimised on; the best is then optimised on all rows
RIDGED = 1e-9  # times the mean variance: added to variances, so that there is a determinant
RIDGE = 1.0  # penalty on squared coefficients of the angles, nats on one row; on n rows, RIDGE / n
CENTRE_RIDGE = 0.1  # the same on the centre, in units of the columns
SCALE_RIDGE, MOST_SCALE = 1.0, 1.0  # the same on logarithms of the columns' scales, and their limit
TEST_ROWS = 2_000  # rows of the test for rotations
SAMPLES = 5, 20, 60  # of a Gaussian copula, for the first to the final test for rotations
FUNCTIONS = (3, 1)  # of the norm that it reads
PRODUCTS = 0  # in place of a number of functions: products of two columns
READ = 0.5  # share of the MI that rotations add which their test reads, roughly
ASTRAY = 0.4  # nats missed for each that rotations about a far centre add, roughly
FAR = 3.0  # robust standard deviations from which values count less in its products
MARGIN = 1.0  # nats by which rotations must exceed none on one row; on n rows, MARGIN / sqrt(n)
MIXED_COLUMNS, MIXED_ROWS = 24, 10_000  # most columns and rows for a mixture of turned rows
SHOWN_AT_ONCE = 128  # of these, whose log ratios are computed at once
CLEAR_ROTATION = 2.5  # standard deviations by which the rows must exceed them; else none is sought
UNCLEAR_ROTATION = 1.75  # up to this many, rotations are not even suspected
SURE_ROTATION = 5.0  # from this many on, no more samples are needed


class Rotation(NamedTuple):
    """Planes, angles, the point about which rows turn, and the scales in which they turn.

    `frame` (d, 2 m) spans m planes, `angles` (m, k) weighs the functions of the distance from
    `centre` (d,), which is relative to the mean of the rows; (0,) if it is the mean. Columns times
    the exponentials of `scales` (d,) keep the distance, as columns in other units would not.
    """

    frame: Tensor
    angles: Tensor
    centre: Tensor
    scales: Tensor


Rotations: TypeAlias = tuple[Rotation | None, Rotation | None]  # of x and of y


def suspected_mi(x: Tensor, y: Tensor) -> float:
    """The MI that rotations may add to a Gaussian copula, roughly, nats, by their test.

    It is 0 where the test sees nothing, and less where the test is not clear.

    Args:
        x: (n, p), robustly scaled.
        y: (n, q), robustly scaled.

    Example:
        >>> x, y = torch.randn(2, 1000, 3, generator=torch.Generator().manual_seed(0))
        >>> suspected_mi(x, y), suspected_mi(x, x**2 + y) > 0.1
        (0.0, True)
    """
    a, b = (side[:TEST_ROWS].double() for side in (x, y))
    _, more, error = _compared(a - a.mean(0), b - b.mean(0))
    sure = (more / error.clip(1e-12) - UNCLEAR_ROTATION) / (CLEAR_ROTATION - UNCLEAR_ROTATION)
    return float((more * sure.clip(0, 1)).max(initial=0.0)) / READ


class BehindError(Exception):
    """A search ended early: its model would not reach the MI that was asked for."""


class UnwoundCopula(Product):
    """The Gaussian copula of u = R(x) x and v = R(y) y, with rotations that depend on the norm.

    R(x) turns m orthogonal planes by angles that are linear in `_radial` functions of |x|, the
    distance from a centre, in columns with scales of their own. Planes, angles, centre and scales
    maximise the MI of the Gaussian of u and v, by L-BFGS. The copula is that of the normal scores
    of their columns.

    Source: the rotations are those of Czyż et al. 2023, section 3.2,
    https://arxiv.org/abs/2306.11078, with other functions of the norm.

    Example:
        >>> x, noise = torch.randn(2, 1000, 2, generator=torch.Generator().manual_seed(0))
        >>> angle = 2 * x.norm(dim=1)
        >>> turned = torch.stack(
        ...     [angle.cos() * x[:, 0] - angle.sin() * x[:, 1],
        ...      angle.sin() * x[:, 0] + angle.cos() * x[:, 1]], 1)
        >>> y = 0.8 * x + 0.6 * noise  # 1.02 nats
        >>> fitted = UnwoundCopula.fit(turned, y)
        >>> GaussianCopula.fit(turned, y).mi < 0.3, fitted.copula.mi > 0.9
        (True, True)
    """

    mean_x: Tensor
    mean_y: Tensor
    knots_x: Tensor
    knots_y: Tensor

    def __init__(
        self,
        copula: GaussianCopula,
        rotations: Rotations,
        means: tuple[Tensor, Tensor],
        knots: tuple[Tensor, Tensor],
    ) -> None:
        super().__init__()
        self.copula = copula
        self.register_buffer("knots_x", knots[0])
        self.register_buffer("knots_y", knots[1])
        self.register_buffer("mean_x", means[0])
        self.register_buffer("mean_y", means[1])
        for side, rotation in zip("xy", rotations, strict=True):
            for name in Rotation._fields:
                value = None if rotation is None else getattr(rotation, name)
                self.register_buffer(f"{name}_{side}", value)

    @classmethod
    def fit(
        cls,
        x: Tensor,
        y: Tensor,
        *,
        start: GaussianCopula | UnwoundCopula | None = None,
        least: float = -math.inf,
    ) -> GaussianCopula | UnwoundCopula:
        """Fit the rotations and the copula, in float64.

        Args:
            x: (n, p), robustly scaled.
            y: (n, q), robustly scaled.
            start: a model of other rows; the search starts at its rotations, and if it has none,
                none are sought.
            least: the MI in nats that the model is to reach. The search ends early if it would not
                even with rotations that add twice as much as those of the first, short searches.

        Returns:
            The model; the Gaussian copula itself if no rotation is found.

        Raises:
            BehindError: the search ended early.
        """
        means = x.double().mean(0), y.double().mean(0)
        a, b = (side.double() - mean for side, mean in zip((x, y), means, strict=True))
        if isinstance(start, UnwoundCopula):
            rotations: Rotations | None = start.rotations
        else:
            rotations = _started(a, b, least) if start is None else None
        if rotations is None:
            return GaussianCopula.fit(x, y)
        if not _moves(rotations):
            steps = min(max(len(x) // ROWS_PER_STEP, LAST_STEPS[0]), LAST_STEPS[1])
            rotations = _climbed(a, b, rotations, steps)[1]
        rounds = ROUNDS[len(x) >= MANY * max(x.shape[1], y.shape[1])]
        rotations = _climbed_by_scores(a, b, rotations, rounds)[1]
        u, v = map(_unwound, (a, b), rotations)
        knots = knots_of(u, KNOTS), knots_of(v, KNOTS)
        scores = (normal_scores(*both).to(x.dtype) for both in zip((u, v), knots, strict=True))
        return cls(GaussianCopula.fit(*scores), rotations, means, knots)

    @property
    def rotations(self) -> Rotations:
        """The rotations of x and of y; None for no rotation."""
        found = []
        for side in "xy":
            parts = [getattr(self, f"{name}_{side}") for name in Rotation._fields]
            found.append(None if parts[0] is None else Rotation(*parts))
        return found[0], found[1]

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """What the Gaussian copula encodes of the scores of the rotated rows."""
        u, v = self._scores(x, y)
        return self.copula.encode(u.to(x.dtype), v.to(x.dtype))

    def missed(self, x: Tensor, y: Tensor) -> float:
        """The MI that the model may miss, roughly, nats; at least 0.

        Unwound rows show it: what the test for rotations still reads of them, beyond its mean in
        samples of the Gaussian copula. If the centre is far from the mean, it is at least a share
        of what the rotations add, because the search then only ends near the best ones.

        Args:
            x: (n, p), the rows of the fit, robustly scaled.
            y: (n, q), the same.
        """
        u, v = self._scores(x, y)
        found = 0.0
        if _moves(self.rotations):
            centres = (turn.centre for turn in self.rotations if turn is not None)
            plain = copula_mi(*(_normal_ranks(side.double()) for side in (x, y)))
            far = min(1.0, max(float(centre.square().mean().sqrt()) for centre in centres))
            found = ASTRAY * far * max(0.0, self.copula.mi - float(plain))
        u, v = u[:TEST_ROWS], v[:TEST_ROWS]
        read = _read(len(u), (u.shape[1], v.shape[1]))
        if read:
            more = _gains(u, v, read) - _gains(*_simulator(u, v)(SAMPLES[0]), read).mean(0)
            found = max(found, float(more.max()) / READ)
        return found

    def _scores(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The normal scores of the rotated rows, in float64."""
        u, v = self.turned(x, y)
        return normal_scores(u, self.knots_x), normal_scores(v, self.knots_y)

    def turned(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the centred and rotated rows (n, p) and (m, q), float64."""
        centred = x.double() - self.mean_x, y.double() - self.mean_y
        u, v = map(_unwound, centred, self.rotations)
        return u, v


class UnwoundMixture(Critic):
    """A mixture of a few Gaussians on rows whose rotations are undone: turned populations.

    Args:
        unwound: the model with the rotations.
        mixture: the mixture of the turned rows.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> which = torch.randint(2, (1000, 1), generator=rng) * 4.0
        >>> rows = which - 2 + torch.randn(1000, 3, generator=rng)
        >>> angle = rows[:, :2].square().sum(1) / 3
        >>> cos, sin = angle.cos(), angle.sin()
        >>> x = torch.stack([cos * rows[:, 0] - sin * rows[:, 1],
        ...                  sin * rows[:, 0] + cos * rows[:, 1]], 1)
        >>> type(UnwoundMixture.fit(x, rows[:, 2:])).__name__
        'UnwoundMixture'
    """

    def __init__(self, unwound: UnwoundCopula, mixture: MixtureModel) -> None:
        super().__init__()
        self.unwound = unwound
        self.mixture = mixture
        self.width = mixture.width

    @classmethod
    def fit(
        cls,
        x: Tensor,
        y: Tensor,
        *,
        start: GaussianCopula | UnwoundCopula | UnwoundMixture | None = None,
        least: float = -math.inf,
    ) -> GaussianCopula | UnwoundCopula | UnwoundMixture:
        """Fit the rotations, and a copula or a mixture of the turned rows.

        The mixture is taken if it shows more MI of these rows, less BIC's price of its parameters.

        Args:
            x: (n, p), robustly scaled.
            y: (n, q), robustly scaled.
            start: a model of other rows; the search starts at its rotations, and the new one is of
                the same kind.
            least: the MI in nats that the model is to reach, as in `UnwoundCopula.fit`.

        Returns:
            The mixture; the unwound copula if it is better, or the Gaussian copula if no rotation
            is found.

        Raises:
            BehindError: the search ended early, as in `UnwoundCopula.fit`.
        """
        if isinstance(start, UnwoundMixture):
            unwound = UnwoundCopula.fit(x, y, start=start.unwound)
            assert isinstance(unwound, UnwoundCopula)
            rows = _as(unwound.turned(x, y), x)
            again = MixtureModel.fit_few(*rows, start=start.mixture)
            assert isinstance(again, MixtureModel)
            return cls(unwound, again)
        found = UnwoundCopula.fit(x, y, start=start, least=least)
        is_mixable = len(x) <= MIXED_ROWS and x.shape[1] + y.shape[1] <= MIXED_COLUMNS
        if start is not None or isinstance(found, GaussianCopula) or not is_mixable:
            return found
        mixture = MixtureModel.fit_few(*_as(found.turned(x, y), x))
        if isinstance(mixture, GaussianCopula):
            return found
        mixed, (n, d) = cls(found, mixture), (len(x), x.shape[1] + y.shape[1])
        more = (len(mixture.weights) - 1) * (1 + d + d * (d + 1) // 2)
        gain = _shown(mixed, x, y) - _shown(found, x, y)
        return mixed if gain > 0.5 * math.log(n) / n * more else found

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """What the mixture encodes of the turned rows."""
        return self.mixture.encode(*_as(self.unwound.turned(x, y), x))

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        return self.mixture.pair(a, b)


def _as(sides: tuple[Tensor, Tensor], like: Tensor) -> tuple[Tensor, Tensor]:
    return sides[0].to(like.dtype), sides[1].to(like.dtype)


def _shown(model: Critic, x: Tensor, y: Tensor) -> float:
    """The mean log ratio of rows, nats."""
    blocks = zip(x.split(SHOWN_AT_ONCE), y.split(SHOWN_AT_ONCE), strict=True)
    return sum(float(model(*rows).diagonal().sum()) for rows in blocks) / len(x)


def _radial(rows: Tensor) -> Tensor:
    """Functions of the norm of rows (..., d): (..., 4). It is near one for standard normals."""
    square = (rows**2).sum(-1) / rows.shape[-1]
    norm = square.clamp_min(1e-12).sqrt()
    return torch.stack([norm, square, torch.sin(2 * norm), torch.cos(2 * norm)], -1)


def _unwound(rows: Tensor, rotation: Rotation | None) -> Tensor:
    """Centred rows (n, d), turned in each plane by its angle."""
    if rotation is None:
        return rows
    arms = rows - rotation.centre if len(rotation.centre) else rows
    arms = arms * rotation.scales.exp()
    angle = _radial(arms) @ rotation.angles.T
    first, second = (arms @ rotation.frame).chunk(2, dim=1)
    cos, sin = angle.cos() - 1, angle.sin()
    moved = torch.cat([cos * first - sin * second, sin * first + cos * second], 1)
    return rows + moved @ rotation.frame.T * (-rotation.scales).exp()


def _started(a: Tensor, b: Tensor, least: float) -> Rotations | None:
    """The best of several short searches on some centred rows; None if there is no rotation."""
    twist = _twist(a[:TEST_ROWS], b[:TEST_ROWS])
    if twist is None:
        return None
    moves = twist == "products"
    few = a[:START_ROWS], b[:START_ROWS]
    generator = torch.Generator().manual_seed(0)
    tried = []
    for spread in SPREADS:
        first, second = (
            _start(side.shape[1], spread, generator, a, moves=moves) for side in (a, b)
        )
        tried.append(_climbed(*few, (first, second), SEARCH_STEPS[0]))
    best = sorted(tried, key=lambda each: -each[0])[: KEPT[moves]]
    kept = [_climbed(*few, rotations, SEARCH_STEPS[1]) for _, rotations in best]
    if moves:
        kept = [_climbed_by_scores(*few, rotations, FIRST_ROUNDS) for _, rotations in kept]
    gained, found = max(kept, key=lambda each: each[0])
    plain = float(copula_mi(*(map(_normal_ranks, few) if moves else few)))
    if gained <= plain + MARGIN / math.sqrt(len(few[0])):
        return None
    if gained + (gained - plain) < least:
        raise BehindError
    return found


def _moves(rotations: Rotations) -> bool:
    """Whether rows turn about another point than their mean."""
    return any(turn is not None and len(turn.centre) for turn in rotations)


def _climbed_by_scores(
    a: Tensor, b: Tensor, start: Rotations, rounds: int
) -> tuple[float, Rotations]:
    """The penalised MI of the normal scores, and the rotations, after rounds of `_climbed`."""
    value, rotations = -math.inf, start
    for _ in range(rounds):
        before = value
        value, rotations = _climbed(a, b, rotations, SCORED_STEPS, scored=True)
        if value < before + ROUND_CHANGE:
            break
    return value, rotations


def _start(
    d: int, spread: float, generator: torch.Generator, like: Tensor, *, moves: bool = False
) -> Rotation | None:
    """Random planes of d columns, with angles of that spread; None for one column.

    There are as many planes as the rows of `like` support, on both sides. The centre is the mean;
    it may move in the search or not.
    """
    if d < 2:
        return None
    most = len(like) // (2 * PER_PARAMETER * (2 * d + 4))
    planes = min(d // 2, PLANES, max(1, most))
    frame = torch.randn(d, 2 * planes, generator=generator, dtype=torch.float64)
    angles = torch.randn(planes, 4, generator=generator, dtype=torch.float64) * (spread + 0.01)
    centre, scales = (torch.zeros(k, dtype=torch.float64) for k in (d if moves else 0, d))
    parts = _orthonormal(frame), angles, centre, scales
    return Rotation(*(part.to(like.device) for part in parts))


def _orthonormal(frame: Tensor) -> Tensor:
    """Orthonormal columns with the spans of a frame (d, k); an orthonormal frame is unchanged.

    The factor of `qr` alone may have other signs, which turns a rotation round.
    """
    q, r = torch.linalg.qr(frame)
    found: Tensor = q * r.diagonal().sign()
    return found


def _climbed(
    a: Tensor, b: Tensor, start: Rotations, steps: int, *, scored: bool = False
) -> tuple[float, Rotations]:
    """The penalised MI of the Gaussian after L-BFGS, and the rotations there.

    It is that of the turned rows or, if `scored`, of their normal scores; their knots stay those
    of the start. Scales are sought by scores only: those of the rows lead astray where margins are
    not normal.

    L-BFGS is SciPy's, because constructing PyTorch's imports its compiler, which takes seconds.
    Values and gradients are NumPy's: for so few numbers, PyTorch takes several times as long.
    """
    from scipy.optimize import minimize

    sides = [rows.T.contiguous().cpu().numpy() for rows in (a, b)]
    knots = [
        knots_of(_unwound(side, turn), COARSE).cpu().numpy() if scored else None
        for side, turn in zip((a, b), start, strict=True)
    ]
    parts = [part for rotation in start if rotation is not None for part in rotation]
    ends = np.cumsum([part.numel() for part in parts])
    own = np.array([0.0, RIDGE, CENTRE_RIDGE, SCALE_RIDGE]) / len(a)  # by the fields of a rotation
    ridge = np.repeat(np.tile(own, len(parts) // len(own)), [part.numel() for part in parts])
    p = a.shape[1]

    def pieces(flat: np.ndarray) -> Iterator[np.ndarray]:
        """The fields of the rotation of one side, and then of the other."""
        split = zip(np.split(flat, ends[:-1]), parts, strict=True)
        return (piece.reshape(part.shape) for piece, part in split)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        free = pieces(flat)
        turns = [
            None if rotation is None else _Turn.of(side, *(next(free) for _ in rotation))
            for side, rotation in zip(sides, start, strict=True)
        ]
        rows, rises = zip(
            *(
                _scored(side if turn is None else turn.rows, own)
                for side, turn, own in zip(sides, turns, knots, strict=True)
            ),
            strict=True,
        )
        mi, slope = _mi_and_slope(np.concatenate(rows), p)
        slopes = [
            part.ravel()
            for turn, own, rise in zip(turns, (slope[:p], slope[p:]), rises, strict=True)
            if turn is not None
            for part in turn.slopes(own * rise)
        ]
        return float(ridge @ flat**2) - mi, 2 * ridge * flat - np.concatenate(slopes)

    begun = np.concatenate([part.cpu().numpy().ravel() for part in parts])
    most = np.full(len(begun), np.inf)
    for at in range(Rotation._fields.index("scales"), len(parts), len(own)):
        sought = scored and len(a) >= MANY * len(parts[at])
        most[ends[at] - len(parts[at]) : ends[at]] = MOST_SCALE if sought else 0.0
    bounds = np.stack([np.minimum(begun, -most), np.maximum(begun, most)], 1)
    options = {"maxiter": steps, "maxcor": 20, "ftol": CHANGE}
    best = minimize(loss, begun, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    free = (torch.from_numpy(piece).to(a.device) for piece in pieces(best.x))
    first, second = (
        None
        if each is None
        else each._replace(
            frame=_orthonormal(next(free)),
            angles=next(free),
            centre=next(free),
            scales=next(free),
        )
        for each in start
    )
    return -float(best.fun), (first, second)


class _Turn(NamedTuple):
    """Columns of rows (d, n) after a rotation, and what its gradient needs."""

    rows: np.ndarray
    arms: np.ndarray  # (d, n), from the centre, scaled
    scale: np.ndarray  # (d, 1), of the arms
    norm: np.ndarray  # (n,), of the arms
    radial: np.ndarray  # (4, n), functions of the norm
    frame: np.ndarray  # orthonormal (d, 2 m), the first factor of that which is free
    factor: np.ndarray  # (2 m, 2 m), the second one
    angles: np.ndarray  # (m, 4)
    planes: np.ndarray  # (2, m, n), the columns in the planes
    turn: tuple[np.ndarray, np.ndarray]  # (m, n), the cosine of the angle less one, and its sine
    moved: np.ndarray  # (2 m, n), what is added to the columns in the planes
    moves: bool  # whether the centre is free

    @classmethod
    def of(
        cls,
        before: np.ndarray,
        free: np.ndarray,
        angles: np.ndarray,
        centre: np.ndarray,
        scales: np.ndarray,
    ) -> _Turn:
        """Turn columns (d, n) by angles that weigh functions of the norm.

        Args:
            before: (d, n).
            free: (d, 2 m), a frame that need not be orthonormal.
            angles: (m, 4).
            centre: (d,), or (0,) for the mean.
            scales: (d,), logarithms.
        """
        scale = np.exp(scales)[:, None]
        arms = scale * (before - centre[:, None] if len(centre) else before)
        norm, radial = _norms(arms)
        frame, factor = np.linalg.qr(free)
        signs = np.sign(factor.diagonal())  # as in `_orthonormal`
        frame, factor = frame * signs, factor * signs[:, None]
        angle = angles @ radial
        turn = np.cos(angle) - 1, np.sin(angle)
        planes = (frame.T @ arms).reshape(2, *angle.shape)
        moved = _moved(planes, *turn)
        rows = before + frame @ moved / scale
        moves = bool(len(centre))
        return cls(
            rows, arms, scale, norm, radial, frame, factor, angles, planes, turn, moved, moves
        )

    def slopes(self, by_rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """The gradient by free frame, angles, centre and scales, from that by the turned columns.

        Args:
            by_rows: (d, n).
        """
        by_rows = by_rows / self.scale  # now of the scaled columns
        cos, sin = self.turn
        by_planes = (self.frame.T @ by_rows).reshape(self.planes.shape)
        turned = self.planes + self.moved.reshape(self.planes.shape)
        by_angle = by_planes[1] * turned[0] - by_planes[0] * turned[1]
        back = _moved(by_planes, cos, -sin)
        by_moved, by_arms = by_rows @ self.moved.T, self.arms @ back.T
        by_frame = by_moved + by_arms
        # Frame and factor both change with the free frame, and the factor stays triangular.
        inner = by_frame.T @ self.frame
        low = np.tri(len(inner), dtype=bool)
        by_free = by_frame - self.frame @ np.where(low, inner, inner.T)
        by_free = np.linalg.solve(self.factor, by_free.T).T
        by_radial = self.angles.T @ by_angle
        by_norm = by_radial[0] + 2 * self.norm * by_radial[1]
        by_norm += 2 * (self.radial[3] * by_radial[2] - self.radial[2] * by_radial[3])
        along = self.arms * (by_norm / self.norm / len(self.arms))
        by_scales = (self.frame * (by_arms - by_moved)).sum(1) + (self.arms * along).sum(1)
        by_centre = -self.scale[:, 0] * (self.frame @ back.sum(1) + along.sum(1))
        by_centre = by_centre if self.moves else by_centre[:0]
        return by_free, by_angle @ self.radial.T, by_centre, by_scales


def _scored(columns: np.ndarray, knots: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The normal scores of columns (d, n), linear between knots (d, m), and their slopes (d, n).

    Without knots these are the columns themselves.
    """
    if knots is None:
        return columns, np.ones(1)
    scores, slopes = np.empty_like(columns), np.empty_like(columns)
    levels = ndtri((np.arange(knots.shape[1]) + 0.5) / knots.shape[1])
    for k, (column, own) in enumerate(zip(columns, knots, strict=True)):
        place = np.searchsorted(own, column).clip(1, len(own) - 1)
        slopes[k] = (np.diff(levels) / np.diff(own))[place - 1]
        scores[k] = levels[place] + slopes[k] * (column - own[place])
    return scores, slopes


def _norms(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The norm (n,) of columns (d, n) and the functions of it (4, n), as in `_radial`."""
    square = np.einsum("dn,dn->n", columns, columns) / len(columns)
    norm = np.sqrt(square.clip(1e-12))
    return norm, np.stack([norm, square, np.sin(2 * norm), np.cos(2 * norm)])


def _moved(planes: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """What turning by an angle adds to columns in planes (2, m, n): (2 m, n); cos is less one."""
    first, second = planes
    return np.concatenate([cos * first - sin * second, sin * first + cos * second])


def _mi_and_slope(rows: np.ndarray, p: int) -> tuple[float, np.ndarray]:
    """The MI of the Gaussian with the covariance of rows (d, n), nats, and its gradient by them.

    The first p columns are those of x. `_gaussian_mi` gives the same value, without a gradient.
    """
    n = rows.shape[1]
    rows = rows - rows.mean(1, keepdims=True)
    covariance = rows @ rows.T / n
    covariance.flat[:: len(rows) + 1] += RIDGED * covariance.diagonal().mean()
    mi, on_covariance = -0.5 * np.linalg.slogdet(covariance)[1], -np.linalg.inv(covariance)
    for own in (slice(0, p), slice(p, None)):
        mi += 0.5 * np.linalg.slogdet(covariance[own, own])[1]
        on_covariance[own, own] += np.linalg.inv(covariance[own, own])
    return float(mi), (on_covariance / n) @ rows


def copula_mi(a: Tensor, b: Tensor) -> Tensor:
    """The MI of the Gaussian with the covariance of the rows, nats; differentiable once."""
    found: Tensor = _CopulaMI.apply(a, b)  # type: ignore[no-untyped-call]
    return found


class _CopulaMI(torch.autograd.Function):
    """`copula_mi`, whose gradient takes longer where it goes back through the determinants."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.p = a.shape[1]
        mi, slope = _mi_and_slope(torch.cat([a, b], 1).T.contiguous().cpu().numpy(), ctx.p)
        ctx.save_for_backward(torch.from_numpy(slope.T).to(a))
        return a.new_tensor(mi)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor]:
        on_rows = slope * ctx.saved_tensors[0]
        return on_rows[:, : ctx.p], on_rows[:, ctx.p :]


def _gaussian_mi(covariance: Tensor, first: slice, second: slice) -> Tensor:
    """The MI of two groups of the columns of Gaussians (..., d, d): (...), nats."""
    parts = [covariance[..., at, at] for at in (first, second)]
    cross = covariance[..., first, second]
    left, right = torch.cat([parts[0], cross], -1), torch.cat([cross.mT, parts[1]], -1)
    both = torch.cat([left, right], -2)
    ridge = RIDGED * both.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True)
    own_a, own_b, joint = (
        torch.linalg.slogdet(
            part
            + ridge[..., None] * torch.eye(part.shape[-1], dtype=part.dtype, device=part.device)
        )[1]
        for part in (*parts, both)
    )
    mi: Tensor = 0.5 * (own_a + own_b - joint)
    return mi


def _twist(a: Tensor, b: Tensor) -> Literal["directions", "products"] | None:
    """What clearly adds MI to the rows: directions that turn with the norm, or products.

    Directions show rotations about the mean, and products of two columns those about other points.
    What they add to one side, beside the rows of the other, is compared with what they add in
    samples of a Gaussian copula with the same correlations and margins, where there is no rotation.
    A few samples suffice where it is not even half of what is clear.
    Both are bounded or nearly so, so heavy tails do not raise it.
    """
    read, more, error = _compared(a, b)
    found = more > CLEAR_ROTATION * error
    if not found.any():
        return None
    return "products" if read[-1] == PRODUCTS and found[-1] else "directions"


def _compared(a: Tensor, b: Tensor) -> tuple[list[int], np.ndarray, np.ndarray]:
    """What `_gains` reads, by how much it exceeds a Gaussian copula, and the error of that."""
    read = _read(len(a), (a.shape[1], b.shape[1]))
    if not read:
        return [], np.empty(0), np.empty(0)
    simulated = _simulator(a, b)
    shown, null = _gains(a, b, read), np.empty((0, len(read)))
    for count in SAMPLES:
        null = np.concatenate([null, _gains(*simulated(count - len(null)), read)])
        more, error = shown - null.mean(0), null.std(0, ddof=1)
        if (more <= UNCLEAR_ROTATION * error).all() or (more > SURE_ROTATION * error).any():
            break
    return read, more, error


def _read(n: int, widths: tuple[int, int]) -> list[int]:
    """What `_gains` may read of n rows with so many columns on each side."""
    read = [k for k in FUNCTIONS if 3 * (1 + k) * sum(widths) < n]
    if 3 * sum(d + d * (d + 1) // 2 for d in widths) < n:
        read.append(PRODUCTS)
    return read


def _simulator(a: Tensor, b: Tensor) -> Callable[[int], tuple[Tensor, Tensor]]:
    """A function that draws so many samples (k, n, d) of both sides from a Gaussian copula.

    It has the correlations of the normal scores of a (n, p) and b (n, q), and their margins.
    """
    n, rows = len(a), torch.cat([a, b], 1)
    margins = rows.sort(0)[0]
    scores = _normal_ranks(rows)
    values, vectors = torch.linalg.eigh(scores.T @ scores / n)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T  # whatever the eigenvectors' signs
    generator = torch.Generator().manual_seed(0)

    def drawn(count: int) -> tuple[Tensor, Tensor]:
        size = (count, *rows.shape)
        noise = torch.randn(size, generator=generator, dtype=a.dtype).to(a.device)
        columns = margins.expand(size).gather(1, _ranks(noise @ root.T))
        left, right = columns.split([a.shape[1], b.shape[1]], -1)
        return left, right

    return drawn


def _ranks(rows: Tensor) -> Tensor:
    """The rank of each value in its column (..., n, d), from 0."""
    order = rows.mT.contiguous().argsort(-1)  # faster along contiguous values
    places = torch.arange(order.shape[-1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places).mT


def _normal_ranks(rows: Tensor) -> Tensor:
    """Normal scores of the ranks of each column of rows (n, d)."""
    scores: Tensor = torch.special.ndtri((_ranks(rows).to(rows.dtype) + 0.5) / len(rows))
    return scores


def _gains(a: Tensor, b: Tensor, read: Sequence[int]) -> np.ndarray:
    """The MI, nats, that more columns of one side add to the rows (..., n, d), over both sides.

    One value for each of `read`, a number of functions of the norm or `PRODUCTS`: (..., len(read)).
    """
    found = []
    for k in read:
        left, right = (
            side if side.shape[-1] < 2 else torch.cat([side, *_added(side, k)], -1)
            for side in (a, b)
        )
        p, q, width = a.shape[-1], b.shape[-1], left.shape[-1]
        rows = torch.cat([left, right], -1)
        rows -= rows.mean(-2, keepdim=True)
        covariance = rows.mT @ rows / rows.shape[-2]
        own_a, own_b = slice(0, p), slice(width, width + q)
        gained = -2 * _gaussian_mi(covariance, own_a, own_b)
        gained += _gaussian_mi(covariance, slice(0, width), own_b)
        gained += _gaussian_mi(covariance, own_a, slice(width, None))
        found.append(gained)
    return torch.stack(found, -1).cpu().numpy()


def _added(rows: Tensor, count: int) -> list[Tensor]:
    """The products of two columns, or directions with so many functions of the norm."""
    if count != PRODUCTS:
        return _directions(rows)[:count]
    near = rows / torch.sqrt(1 + (rows / FAR) ** 2)
    first, second = torch.triu_indices(rows.shape[-1], rows.shape[-1], device=rows.device)
    return [near[..., first] * near[..., second]]


def _directions(rows: Tensor) -> list[Tensor]:
    """The directions of rows (..., d), and the same times a sine and a cosine of the norm."""
    radial = _radial(rows)
    unit = rows / radial[..., :1]
    return [unit, unit * radial[..., 2:3], unit * radial[..., 3:4]]
